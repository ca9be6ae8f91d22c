//! Options for clients over TCP, and for what discovery documents say: the part of Envoy's that the sidecar
//! takes over with --homeserver.

use super::{MANY, MEMORY};
use crate::config::{Mistakes, values};
use crate::drain;
use crate::public::{Listen, Settings, Times};
use crate::translator::HELD_OF_AN_ANSWER;
use clap::Args;
use lowband_translation::config::Advertise;
use lowband_transport::dtls::Limits;
use lowband_transport::shares::{Balancers, Limit};

/// A network has a quarter, which holds one answer at least.
const LEAST_UNREAD: u64 = 4 * HELD_OF_AN_ANSWER as u64;

/// The public TCP port, and the values that clients get to see.
#[derive(Args, Debug, Clone)]
pub(in crate::config) struct Public {
    /// TCP address for clients without low bandwidth and for media: HTTPS with the certificate of
    /// --certificate; http://ADDRESS takes clear text, behind a balancer that terminates TLS. Only with
    /// --homeserver: otherwise the public port is Envoy's. Use the number of the UDP port.
    #[arg(long, env = "LOWBAND_PUBLIC", value_name = "ADDRESS", default_value = "off")]
    public: String,
    /// Connections to --public at most, up to 60 kB each; a quarter of them for one address (IPv6: /64), half
    /// for its neighbourhood (IPv4 /24, IPv6 /48). One more ends one of whoever has most, first one without a
    /// request.
    #[arg(long, env = "LOWBAND_PUBLIC_CONNECTIONS", value_name = "COUNT", default_value = "1000")]
    public_connections: String,
    /// Memory for answers to clients of --public that do not read them, 160 KiB each; a quarter of it for one
    /// address (IPv6: /64), half for its neighbourhood (IPv4 /24, IPv6 /48). Beyond it, of whoever has most,
    /// the largest answer breaks off.
    #[arg(long, env = "LOWBAND_PUBLIC_ANSWER_MEMORY", value_name = "SIZE", default_value = "64MiB")]
    public_answer_memory: String,
    /// What clients shall take for the homeserver: replaces base_url in discovery and login, with
    /// --homeserver. With a wrong one no user can log in.
    #[arg(long, env = "LOWBAND_ADVERTISE", value_name = "URL", default_value = "off")]
    advertise: String,
    /// UDP port that /versions names to clients, with --homeserver: auto is that of --listen, off names none.
    /// A wrong one costs each client its attempts before it falls back to HTTPS.
    #[arg(long, env = "LOWBAND_DTLS_PORT", value_name = "PORT", default_value = "auto")]
    dtls_port: String,
}

/// The values of [`Public`].
pub(in crate::config) struct Parsed {
    listen: Option<Listen>,
    connections: usize,
    unread_answers: usize,
    base_url: Option<String>,
    dtls_port: Port,
}

/// The UDP port for clients.
#[derive(Clone, Copy)]
enum Port {
    OfListen,
    Off,
    Given(u16),
}

impl Public {
    /// Parses the group. `absence`: why there is no homeserver, if there is none.
    pub(in crate::config) fn parse(
        &self,
        absence: Option<String>,
        mistakes: &mut Mistakes,
    ) -> Option<Parsed> {
        let listen = mistakes.parse("--public", &self.public, listen_or_off);
        let connections =
            mistakes.parse("--public-connections", &self.public_connections, values::within(4..=MANY));
        let unread_answers = mistakes.parse(
            "--public-answer-memory",
            &self.public_answer_memory,
            values::size_within(LEAST_UNREAD..=MEMORY),
        );
        let base_url = mistakes.parse("--advertise", &self.advertise, base_url_or_off);
        let dtls_port = mistakes.parse("--dtls-port", &self.dtls_port, port);
        let parsed = Parsed {
            listen: listen?,
            connections: connections?,
            unread_answers: unread_answers?,
            base_url: base_url?,
            dtls_port: dtls_port?,
        };
        if let Some(absence) = absence {
            parsed.need_homeserver(&absence, mistakes);
        }
        Some(parsed)
    }
}

impl Parsed {
    /// Returns the settings of the port; `None` without one. New connections have the rates of DTLS
    /// handshakes: what a stranger costs is about the same.
    pub(in crate::config) fn settings(
        &self,
        dtls: &Limits,
        cancels: Limit,
        balancers: &Balancers,
        end: drain::Settings,
    ) -> Option<Settings> {
        Some(Settings {
            listen: self.listen?,
            connections: self.connections,
            rate: dtls.handshakes,
            rate_of_a_network: dtls.handshakes_per_address,
            cancels,
            balancers: balancers.clone(),
            times: Times::default(),
            end,
        })
    }

    /// Returns the bytes of answers that may wait for clients that do not read them.
    pub(in crate::config) fn unread_answers(&self) -> usize {
        self.unread_answers
    }

    /// Returns what discovery documents say. `listen`: the number of the UDP port.
    pub(in crate::config) fn advertise(&self, listen: u16) -> Advertise {
        let dtls_port = match self.dtls_port {
            // 0 is for tests, whose port is known to nobody yet.
            Port::OfListen => Some(listen).filter(|port| *port > 0),
            Port::Off => None,
            Port::Given(port) => Some(port),
        };
        Advertise { dtls_port, base_url: self.base_url.clone(), ..Advertise::default() }
    }

    /// Notes what does nothing without a homeserver: whoever gives it expects something else.
    fn need_homeserver(&self, absence: &str, mistakes: &mut Mistakes) {
        let why = |instead| format!("does nothing {absence}: with Envoy {instead}");
        if self.listen.is_some() {
            mistakes.add("--public", why("the public port is Envoy's"));
        }
        if self.base_url.is_some() {
            mistakes.add("--advertise", why("it is render-envoy --base-url"));
        }
    }
}

fn listen_or_off(text: &str) -> Result<Option<Listen>, String> {
    if text == "off" {
        return Ok(None);
    }
    let (is_clear, address) = match text.split_once("://") {
        Some(("http", address)) => (true, address.strip_suffix('/').unwrap_or(address)),
        Some(("https", address)) => (false, address.strip_suffix('/').unwrap_or(address)),
        _ => (false, text),
    };
    let address = values::address(address)
        .map_err(|why| values::or_word(format!("{why}, for clear text with http:// before it"), "off"))?;
    Ok(Some(Listen { address, is_clear }))
}

fn base_url_or_off(text: &str) -> Result<Option<String>, String> {
    match text.strip_suffix('/').unwrap_or(text) {
        "off" => Ok(None),
        url if Advertise::is_base_url(url) => Ok(Some(url.to_owned())),
        _ => Err("is not a URL like https://matrix.example.org; off is allowed too".to_owned()),
    }
}

fn port(text: &str) -> Result<Port, String> {
    match text {
        "auto" => Ok(Port::OfListen),
        "off" => Ok(Port::Off),
        given => match values::count(given, 1..=65_535).map(u16::try_from) {
            Ok(Ok(port)) => Ok(Port::Given(port)),
            _ => Err("is not a port; auto and off are allowed too".to_owned()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_https_unless_its_scheme_says_otherwise() {
        for (text, is_clear) in [
            ("0.0.0.0:8008", false),
            ("https://0.0.0.0:8008", false),
            ("https://0.0.0.0:8008/", false),
            ("http://0.0.0.0:8008", true),
        ] {
            let address = "0.0.0.0:8008".parse().unwrap();
            assert_eq!(listen_or_off(text), Ok(Some(Listen { address, is_clear })), "{text}");
        }
        assert_eq!(listen_or_off("off"), Ok(None));
        for wrong in
            ["on", "8008", "http://localhost:8008", "ftp://0.0.0.0:8008", "http://0.0.0.0:8008/x", ""]
        {
            assert!(listen_or_off(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_advertised_follows_the_udp_port_unless_told() {
        for (text, expected) in [("auto", Some(9008)), ("443", Some(443)), ("off", None)] {
            let dtls_port = port(text).ok().unwrap();
            let parsed =
                Parsed { listen: None, connections: 4, unread_answers: 0, base_url: None, dtls_port };
            assert_eq!(parsed.advertise(9008).dtls_port, expected, "{text}");
        }
        assert!(["0", "65536", "", "x"].iter().all(|wrong| port(wrong).is_err()));
    }

    #[test]
    fn a_base_url_loses_its_last_slash() {
        assert_eq!(base_url_or_off("https://a.example/"), Ok(Some("https://a.example".to_owned())));
        assert_eq!(base_url_or_off("off"), Ok(None));
        assert!(base_url_or_off("a.example").is_err());
    }
}
