//! The flags of `lowband proxy`.

use super::{places, state};
use crate::coap::address::Fixed;
use crate::coap::args::parse_seconds;
use crate::coap::trust;
use crate::exit::{Exit, Failure};
use clap::Args;
use lowband_proxy::{Family, Identity, Settings};
use lowband_system::variables;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Let today's clients use a low-bandwidth server: a homeserver on this machine for them
///
/// Listens for HTTP, speaks CBOR over CoAP and DTLS to the server, and HTTPS where that is needed: for media,
/// for what CoAP cannot carry, and for everything while no datagram gets through. Clients get the JSON that
/// their homeserver gives. Each access token has a DTLS session of its own.
///
/// The log on stderr has a line for each change of way; access tokens, queries and bodies are never in it.
#[derive(Debug, clap::Args)]
#[command(after_long_help = after_help())]
pub(crate) struct ProxyArgs {
    /// `example.org`, which is looked up as Matrix clients do (/.well-known/matrix/client), or
    /// `https://matrix.example.org`, which is the homeserver itself, as is a name with a port
    #[arg(long, value_name = "NAME|URL", env = "LOWBAND_PROXY_HOMESERVER")]
    homeserver: String,
    /// Where clients find it
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8009", env = "LOWBAND_PROXY_LISTEN",
          value_parser = places::listen)]
    listen: SocketAddr,
    /// Send datagrams there [default: the homeserver's host, at the port that it names, or 8008]
    #[arg(long, value_name = "HOST[:PORT]", value_parser = places::udp)]
    udp: Option<String>,
    /// Write a line to the log each SECONDS in which anything has moved: bytes on the wire, and what HTTPS
    /// with JSON would have cost. It is always written at the end, and on SIGUSR1
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "60",
          value_parser = parse_seconds)]
    pub(super) stats: Option<Duration>,
    /// Keep answers that say that they may be kept, as files do, in so much memory, `512KiB` or `16MiB`; they
    /// cost no byte the next time
    #[arg(long, value_name = "SIZE|off", default_value = "4MiB", value_parser = places::kept)]
    keep: usize,
    /// Show each request in the log, without its query
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,
    /// Serve HTTPS with this certificate and its chain, for clients that insist
    #[arg(long, value_name = "FILE", requires = "key")]
    certificate: Option<PathBuf>,
    /// The certificate's private key
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,
    /// A name or an address that clients know the proxy by, without a port, besides localhost and the address
    /// that it listens on; requests for others are refused
    #[arg(long, value_name = "NAME|ADDRESS")]
    host: Vec<String>,
    /// Let only pages of this origin use the proxy, as `https://app.element.io`, or `vector://vector` for
    /// Element Desktop [default: every page may, as it may use a homeserver]
    #[arg(long, value_name = "URL", value_parser = places::origin)]
    origin: Vec<String>,
    /// Listen on an address that other machines reach: whoever reaches it can use the proxy
    #[arg(long)]
    allow_remote: bool,
    /// Do not verify the server's certificate
    #[arg(short = 'k', long)]
    insecure: bool,
    /// Trust the CA certificates of this PEM file instead of the system's
    #[arg(long, value_name = "FILE", env = "LOWBAND_PROXY_CACERT")]
    cacert: Option<PathBuf>,
    /// Take an http:// homeserver on another machine, which shows access tokens to everybody on the way
    #[arg(long)]
    allow_http: bool,
    /// Dial only IPv4 addresses of the host
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    ipv4: bool,
    /// Dial only IPv6 addresses of the host
    #[arg(short = '6', long)]
    ipv6: bool,
    /// Dial these addresses instead of asking a resolver for the host; UDP and HTTPS have a PORT each
    #[arg(long, value_name = "HOST:PORT:ADDRESS[,ADDRESS]", value_parser = Fixed::parse)]
    resolve: Vec<Fixed>,
    /// Remember in this file what worked, for the next start [default: one in the folder of caches]
    #[arg(long, value_name = "FILE", conflicts_with = "no_state")]
    state: Option<PathBuf>,
    /// Remember nothing for the next start
    #[arg(long)]
    no_state: bool,
}

fn after_help() -> String {
    format!(
        "Examples:
  lowband proxy --homeserver example.org
  lowband proxy --homeserver https://matrix.example.org --stats
  lowband proxy --homeserver example.org --certificate localhost.pem --key localhost.key

Element (Desktop, Web): at the sign-in choose Edit beside the homeserver, and name http://127.0.0.1:8009.
nheko: sign in as @you:example.org with the homeserver http://127.0.0.1:8009.
matrix-nio: AsyncClient(\"http://127.0.0.1:8009\", \"@you:example.org\").

{}",
        Exit::help_of_proxy()
    )
}

/// What the names of the variables begin with.
const PREFIX: &str = "LOWBAND_PROXY_";
/// More flags, for the unit of systemd, which reads it by itself.
const FLAGS: &str = "LOWBAND_PROXY_FLAGS";

/// Returns a line for each variable of the environment that looks like one of the proxy's and does nothing,
/// in the order of their names.
pub(crate) fn misspelled() -> Vec<String> {
    let command = ProxyArgs::augment_args(clap::Command::new("proxy"));
    let names = command.get_arguments().filter_map(|argument| argument.get_env()?.to_str());
    let known = names.chain([FLAGS]).map(str::to_owned).collect();
    let told = std::env::vars_os().filter_map(|(name, value)| {
        let name = name.to_str().filter(|name| name.starts_with(PREFIX))?;
        variables::misspelled(name, &value.to_string_lossy(), &known)
    });
    let mut told: Vec<_> = told.collect();
    told.sort();
    told
}

impl ProxyArgs {
    /// Makes the settings.
    pub(super) fn settings(self) -> Result<Settings, Failure> {
        let mut settings = Settings::new(self.homeserver);
        settings.state = self.state.or_else(|| state::file(&settings.homeserver)).filter(|_| !self.no_state);
        settings.listen = self.listen;
        settings.udp = self.udp;
        settings.identity =
            self.certificate.zip(self.key).map(|(certificate, key)| Identity { certificate, key });
        settings.names = self.host;
        settings.origins = self.origin;
        settings.limits.kept = self.keep;
        settings.allow_remote = self.allow_remote;
        settings.clear_text = self.allow_http;
        settings.verification = trust::verification(self.insecure, self.cacert)?;
        settings.family = match (self.ipv4, self.ipv6) {
            (true, _) => Family::Ipv4,
            (_, true) => Family::Ipv6,
            _ => Family::Any,
        };
        settings.resolve = self.resolve.into_iter().map(Fixed::for_proxy).collect();
        settings.key_log = lowband_client::Settings::from_environment().key_log;
        settings.check().map_err(|error| {
            let is_but_clear = Settings { clear_text: true, ..settings.clone() }.check().is_ok();
            super::failure(error).with_hint(is_but_clear.then_some("--allow-http takes it all the same"))
        })?;
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        arguments: ProxyArgs,
    }

    fn parse(line: &str) -> Result<ProxyArgs, String> {
        let words = std::iter::once("proxy").chain(line.split_whitespace());
        Line::try_parse_from(words).map(|line| line.arguments).map_err(|error| error.to_string())
    }

    #[test]
    fn flags_become_settings() {
        let settings = parse("--homeserver hs.example --no-state").unwrap().settings().unwrap();
        assert_eq!(
            (settings.homeserver.as_str(), settings.listen.to_string().as_str()),
            ("hs.example", "127.0.0.1:8009")
        );
        assert_eq!((settings.state, settings.identity.is_none(), settings.allow_remote), (None, true, false));
        assert_eq!(settings.limits, lowband_proxy::Limits::default());
        let settings = parse(
            "--homeserver http://hs --listen [::1]:1 --udp u:2 --certificate c --key k --host a --host b -6 \
             --origin https://app.example/ --allow-remote --allow-http --state f --keep 512KiB \
             --resolve HS:443:192.0.2.1,192.0.2.2",
        )
        .unwrap()
        .settings()
        .unwrap();
        assert_eq!(settings.listen, "[::1]:1".parse().unwrap());
        assert_eq!((settings.udp.as_deref(), settings.names.len()), (Some("u:2"), 2));
        assert_eq!(settings.origins, ["https://app.example"]);
        assert!(settings.allow_remote && settings.clear_text && settings.family == Family::Ipv6);
        assert_eq!((settings.state, settings.limits.kept), (Some("f".into()), 512 << 10));
        let fixed = &settings.resolve[0];
        assert_eq!((fixed.host.as_str(), fixed.port), ("hs", 443));
        assert_eq!(fixed.addresses, ["192.0.2.1:443".parse().unwrap(), "192.0.2.2:443".parse().unwrap()]);
    }

    #[test]
    fn a_homeserver_that_cannot_be_used_is_told_before_anything_begins() {
        let failure = |line: &str| parse(line).unwrap().settings().unwrap_err();
        for homeserver in ["http://hs", "ftp://hs", "https://u:p@hs"] {
            let failure = failure(&format!("--no-state --homeserver {homeserver}"));
            assert_eq!(failure.exit, Exit::Url, "{homeserver}");
        }
    }

    #[test]
    fn stats_have_a_minute_or_the_seconds_that_are_given() {
        let stats = |line: &str| parse(&format!("--homeserver hs {line}")).unwrap().stats;
        assert_eq!(stats(""), None);
        assert_eq!(stats("--stats"), Some(Duration::from_secs(60)));
        assert_eq!(stats("--stats=5"), Some(Duration::from_secs(5)));
    }

    #[test]
    fn half_an_identity_and_two_states_are_refused() {
        for line in [
            "--origin app.example",
            "--keep 4MB",
            "--certificate c",
            "--key k",
            "--state f --no-state",
            "-4 -6",
            "--stats=0",
            "--listen 8009",
        ] {
            assert!(parse(&format!("--homeserver hs {line}")).is_err(), "{line}");
        }
    }
}
