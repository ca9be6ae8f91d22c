//! The configuration: what can be set ([`Options`]), and the checked values ([`Config`]).
//!
//! Every option stays text until [`Options::check`] has looked at all of them, so that all mistakes are
//! reported together and before anything is bound.

use crate::drain;
use crate::envoy;
use crate::man;
use crate::public;
use crate::server_names::ServerNames;
use crate::translator;
use crate::upstream;
use clap::{Parser, Subcommand};
use lowband_transport::shares::{self, Balancers};
use lowband_transport::{coap, dtls, server};
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

mod environment;
mod identity;
mod options;
mod reference;
mod values;

pub use environment::{Environment, read};
pub use identity::{Files, Identity, Paths, Validity, now};
pub use options::{LogFormat, LogLevel};

/// Serves Matrix clients over DTLS and CoAP on one UDP port, and passes their requests to Envoy over HTTP/2,
/// or translates by itself and asks the homeserver (--homeserver).
///
/// Each option can be given by its environment variable as well; a flag wins. Durations: 500ms, 60s, 2m, 24h.
/// Sizes: 65536, 64KiB, 8MiB.
#[derive(Parser, Debug, Clone)]
#[command(name = "lowband-sidecar", version, max_term_width = 120, disable_help_subcommand = true)]
#[command(args_conflicts_with_subcommands = true, propagate_version = true)]
pub struct Options {
    /// Something else than to serve.
    #[command(subcommand)]
    pub task: Option<Task>,
    #[command(flatten)]
    serving: options::Serving,
    #[command(flatten)]
    upstream: options::Upstream,
    #[command(flatten)]
    homeserver: options::Homeserver,
    #[command(flatten)]
    public: options::Public,
    /// Address of /healthz, /readyz and /metrics, or off. There is no password: keep it from the outside.
    #[arg(long, env = "LOWBAND_ADMIN", value_name = "ADDRESS", default_value = "127.0.0.1:9464")]
    admin: String,
    /// Key table assumed for clients that never say which they know: 1 as clients in the field expect, 0 by
    /// the letter of MSC3079.
    #[arg(long, env = "LOWBAND_DEFAULT_CBOR_VERSION", value_name = "VERSION", default_value = "1")]
    default_cbor_version: String,
    #[command(flatten)]
    sessions: options::Sessions,
    #[command(flatten)]
    bodies: options::Bodies,
    #[command(flatten)]
    rates: options::Rates,
    #[command(flatten)]
    messages: options::Messages,
    /// Buffer of the UDP socket in each direction; the system may grant less (net.core.rmem_max).
    #[arg(long, env = "LOWBAND_UDP_BUFFER", value_name = "SIZE", default_value = "4MiB")]
    udp_buffer: String,
    #[command(flatten)]
    end: options::End,
    #[command(flatten)]
    process: options::Process,
    /// Says what the start would say, and ends: with 0 if the program could serve, with 2 if the
    /// configuration is wrong, with 1 if something else is. No port is taken, so it can be asked beside one
    /// that serves. A certificate that is not valid now is a mistake here; the start warns of it, and serves.
    #[arg(long)]
    pub check_config: bool,
}

/// What the program does instead of serving; the options above do not count then.
#[derive(Subcommand, Debug, Clone)]
pub enum Task {
    /// Writes envoy.yaml, the configuration of the Envoy behind this sidecar, for other ports,
    /// folders and homeservers.
    RenderEnvoy(Box<envoy::Options>),
    /// Writes the man pages of this program into a folder.
    Man(man::Destination),
}

/// A configuration without mistakes, in the form that the rest of the program uses.
#[derive(Debug, Clone)]
pub struct Config {
    /// The UDP address that clients reach.
    pub listen: SocketAddr,
    /// The certificate and the key.
    pub identity: Identity,
    /// The files they were read from.
    pub identity_files: Paths,
    /// How often the files are checked.
    pub certificate_check: Duration,
    /// The names that this server goes by.
    pub server_names: ServerNames,
    /// Where requests go, and how.
    pub upstream: upstream::Settings,
    /// The homeserver that is asked in place of the upstream; `None` where Envoy is in between.
    pub homeserver: Option<translator::Settings>,
    /// The TCP port for clients; `None` for none, as where Envoy has it.
    pub public: Option<public::Settings>,
    /// The address of `/healthz`, `/readyz` and `/metrics`; `None` for none.
    pub admin: Option<SocketAddr>,
    /// Key table of clients that never say which they know: 0 or 1.
    pub default_cbor_version: u8,
    /// Limits of the DTLS layer.
    pub dtls_limits: dtls::Limits,
    /// Addresses behind which there are many clients.
    pub balancers: Balancers,
    /// Limits of the CoAP layer.
    pub coap_limits: coap::Limits,
    /// Times of the CoAP layer.
    pub times: coap::Times,
    /// Requests a second for each address; `None` for no limit.
    pub rate: Option<shares::Limit>,
    /// Size in bytes asked for as SO_RCVBUF and SO_SNDBUF.
    pub udp_buffer: usize,
    /// How long the end may take.
    pub end: drain::Settings,
    /// Admin port of the Envoy that is asked to drain at the end; `None` for none.
    pub envoy_admin_port: Option<u16>,
    /// Worker threads of the runtime.
    pub threads: usize,
    /// The least severe level that is logged.
    pub log_level: LogLevel,
    /// The form of a log line.
    pub log_format: LogFormat,
    /// The key log file; `None` for none.
    pub key_log: Option<PathBuf>,
}

/// An option that is wrong, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The flag of the option.
    pub option: &'static str,
    /// The value of the option, and why it is not accepted, in one line.
    pub why: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.option, self.why)
    }
}

#[derive(Default)]
struct Mistakes(Vec<Mistake>);

impl Mistakes {
    fn parse<T>(
        &mut self,
        option: &'static str,
        given: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        parse(given).map_err(|why| self.add(option, format!("{given:?} {why}"))).ok()
    }

    fn add(&mut self, option: &'static str, why: String) {
        self.0.push(Mistake { option, why });
    }

    fn extend(&mut self, more: impl IntoIterator<Item = Mistake>) {
        self.0.extend(more);
    }
}

impl Options {
    /// Checks every option; the mistakes come in the order of the options.
    pub fn check(&self) -> Result<Config, Vec<Mistake>> {
        let mut mistakes = Mistakes::default();
        match self.parse(&mut mistakes) {
            Some(config) if mistakes.0.is_empty() => Ok(config),
            _ => Err(mistakes.0),
        }
    }

    /// Returns the form in which mistakes are reported: that of the log, text where it is a mistake itself.
    pub fn log_format(&self) -> LogFormat {
        self.process.format()
    }

    /// Parses every group before any mistake ends the check.
    fn parse(&self, mistakes: &mut Mistakes) -> Option<Config> {
        let serving = self.serving.parse(self.check_config, mistakes);
        let upstream = self.upstream.parse(self.homeserver.is_given(), mistakes);
        let homeserver = self.homeserver.parse(mistakes);
        let public = self.public.parse(self.homeserver.absence(), mistakes);
        let admin = mistakes.parse("--admin", &self.admin, values::address_or_off);
        let version =
            mistakes.parse("--default-cbor-version", &self.default_cbor_version, values::within(0..=1));
        let sessions = self.sessions.parse(mistakes);
        let coap_limits = self.bodies.parse(mistakes);
        let rate = self.rates.parse(mistakes);
        let messages = self.messages.parse(mistakes);
        let udp_buffer =
            mistakes.parse("--udp-buffer", &self.udp_buffer, values::size_within(1024..=1 << 30));
        let end = self.end.parse(mistakes);
        let process = self.process.parse(mistakes);

        let (serving, end, process, coap_limits) = (serving?, end?, process?, coap_limits?);
        let (dtls_limits, balancers) = sessions?;
        let (times, window) = messages?;
        let coap_limits = coap::Limits { window, ..coap_limits };
        let (upstream, public) = (upstream?(&dtls_limits, &coap_limits), public?);
        let advertise = public.advertise(serving.listen.port());
        Some(Config {
            listen: serving.listen,
            identity: serving.identity,
            identity_files: serving.identity_files,
            certificate_check: serving.certificate_check,
            server_names: serving.server_names,
            homeserver: homeserver?(&upstream, public.unread_answers(), advertise),
            public: public.settings(&dtls_limits, upstream.cancels, &balancers, end.end),
            upstream,
            admin: admin?,
            default_cbor_version: u8::try_from(version?).ok()?,
            dtls_limits,
            balancers,
            coap_limits,
            times,
            rate: rate?,
            udp_buffer: udp_buffer?,
            end: end.end,
            envoy_admin_port: end.envoy_admin_port,
            threads: process.threads,
            log_level: process.log_level,
            log_format: process.log_format,
            key_log: process.key_log,
        })
    }
}

impl Config {
    /// Returns the configuration of the transport.
    pub fn transport(&self) -> server::Config {
        server::Config {
            dtls: dtls::Config {
                server: Some(self.identity.server.clone()),
                key_log: self.key_log.is_some(),
                limits: self.dtls_limits.clone(),
                balancers: self.balancers.clone(),
                deferred: true,
                ..dtls::Config::default()
            },
            times: self.times.clone(),
            limits: self.coap_limits.clone(),
        }
    }
}
