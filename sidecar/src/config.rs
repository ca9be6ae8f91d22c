//! The configuration: what can be set ([`Options`]), and what is right ([`Config`]).
//!
//! Every option is a text until [`Options::check`] has looked at all of them, so that all mistakes are told at once and
//! before anything is bound.

use crate::drain;
use crate::envoy;
use crate::rate;
use crate::upstream;
use clap::{Parser, Subcommand, ValueEnum};
use lowband_transport::{coap, dtls, server};
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

mod identity;
mod values;

pub use identity::{Files, Identity, Paths, Validity, now};

/// Serves Matrix clients over DTLS and CoAP on one UDP port, and passes their requests to Envoy over HTTP/2.
///
/// Each option can be given by its environment variable as well; a flag wins. Durations: 500ms, 60s, 2m, 24h. Sizes:
/// 65536, 64KiB, 8MiB.
#[derive(Parser, Debug, Clone)]
#[command(name = "lowband-sidecar", version, max_term_width = 120, disable_help_subcommand = true)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Options {
    /// Something else than to serve.
    #[command(subcommand)]
    pub task: Option<Task>,
    /// UDP address that clients reach. The IPv6 wildcard takes IPv4 as well, and becomes 0.0.0.0 where the machine has no
    /// IPv6. Use the number of the public TCP port: clients fall back to HTTPS on the same port.
    #[arg(long, env = "LOWBAND_LISTEN", value_name = "ADDRESS", default_value = "[::]:8008")]
    pub listen: String,
    /// Certificate chain in PEM form, leaf first. A short P-256 chain saves datagrams on every connect.
    #[arg(long, env = "LOWBAND_CERTIFICATE", value_name = "FILE", default_value = "run/certificate.pem")]
    pub certificate: PathBuf,
    /// Private key of the certificate in PEM form, unencrypted, P-256 or RSA. Whoever can read it can pose as this server.
    #[arg(long, env = "LOWBAND_KEY", value_name = "FILE", default_value = "run/key.pem")]
    pub key: PathBuf,
    /// How often certificate and key are looked at while serving. A renewed pair is taken when two looks in a row have seen it, by
    /// SIGHUP at once; one that does not fit is told, and the old one stays.
    #[arg(long, env = "LOWBAND_CERTIFICATE_CHECK", value_name = "DURATION", default_value = "5s")]
    pub certificate_check: String,
    /// Where requests go: unix:PATH, or http://host:port, always HTTP/2 with prior knowledge. Plain http to another
    /// machine shows access tokens to the network between.
    #[arg(long, env = "LOWBAND_UPSTREAM", value_name = "URL", default_value = "unix:run/envoy.sock")]
    pub upstream: String,
    /// Connections to the upstream at most. One more is opened when each has 100 requests in flight.
    #[arg(long, env = "LOWBAND_UPSTREAM_CONNECTIONS", value_name = "COUNT", default_value = "32")]
    pub upstream_connections: String,
    /// Requests in flight to the upstream at most, long polls included; beyond them clients get 5.03.
    #[arg(long, env = "LOWBAND_UPSTREAM_REQUESTS", value_name = "COUNT", default_value = "20000")]
    pub upstream_requests: String,
    /// How long connecting to the upstream may take.
    #[arg(long, env = "LOWBAND_CONNECT_TIMEOUT", value_name = "DURATION", default_value = "5s")]
    pub connect_timeout: String,
    /// How long the upstream may be silent, before the response and between two pieces of it, until clients get 5.04.
    /// The `timeout` of a long poll is added. Too short turns slow joins of large rooms into errors.
    #[arg(long, env = "LOWBAND_RESPONSE_TIMEOUT", value_name = "DURATION", default_value = "60s")]
    pub response_timeout: String,
    /// The longest `timeout` of a long poll that is believed.
    #[arg(long, env = "LOWBAND_LONGEST_POLL", value_name = "DURATION", default_value = "10m")]
    pub longest_poll: String,
    /// How often a busy connection to the upstream is asked whether it lives. A dead one ends its requests with 5.02.
    #[arg(long, env = "LOWBAND_UPSTREAM_PING", value_name = "DURATION", default_value = "20s")]
    pub upstream_ping: String,
    /// Address of /healthz, /readyz and /metrics, or off. There is no password: keep it from the outside.
    #[arg(long, env = "LOWBAND_ADMIN", value_name = "ADDRESS", default_value = "127.0.0.1:9464")]
    pub admin: String,
    /// Key table assumed for clients that never say which they know: 1 as clients in the field expect, 0 by the letter
    /// of MSC3079.
    #[arg(long, env = "LOWBAND_DEFAULT_CBOR_VERSION", value_name = "VERSION", default_value = "1")]
    pub default_cbor_version: String,
    /// Sessions at most; an idle one takes 0.8 kB of memory.
    #[arg(long, env = "LOWBAND_SESSIONS", value_name = "COUNT", default_value = "100000")]
    pub sessions: String,
    /// Handshakes under way at most; each takes tens of kilobytes.
    #[arg(long, env = "LOWBAND_HALF_OPEN", value_name = "COUNT", default_value = "1000")]
    pub half_open: String,
    /// The same for one address (IPv6: one /64). Too few locks out users behind one NAT.
    #[arg(long, env = "LOWBAND_HALF_OPEN_PER_ADDRESS", value_name = "COUNT", default_value = "16")]
    pub half_open_per_address: String,
    /// Largest ClientHello that comes in pieces; one that comes in one datagram may have any size.
    #[arg(long, env = "LOWBAND_HELLO", value_name = "SIZE", default_value = "4KiB")]
    pub hello: String,
    /// How long a handshake may take.
    #[arg(long, env = "LOWBAND_HANDSHAKE_TIMEOUT", value_name = "DURATION", default_value = "60s")]
    pub handshake_timeout: String,
    /// A session that is silent for longer is closed.
    #[arg(long, env = "LOWBAND_IDLE_SESSION", value_name = "DURATION", default_value = "24h")]
    pub idle_session: String,
    /// When all sessions are taken, the one that has been silent longest gives way to a new client, if it has been silent
    /// for this long. Clients that are there ping about every minute: keep it well above.
    #[arg(long, env = "LOWBAND_MAKE_ROOM_AFTER", value_name = "DURATION", default_value = "10m")]
    pub make_room_after: String,
    /// Largest UDP payload of a handshake. 1232 passes every IPv6 network.
    #[arg(long, env = "LOWBAND_MTU", value_name = "SIZE", default_value = "1232")]
    pub mtu: String,
    /// Requests of one session that wait for an answer, at most.
    #[arg(long, env = "LOWBAND_EXCHANGES", value_name = "COUNT", default_value = "32")]
    pub exchanges: String,
    /// Largest request body. Envoy's filter has a limit of its own (max_request_bytes).
    #[arg(long, env = "LOWBAND_UPLOAD", value_name = "SIZE", default_value = "8MiB")]
    pub upload: String,
    /// Memory for uploads and blockwise responses of all sessions; as much again for bodies on their way upstream.
    #[arg(long, env = "LOWBAND_BLOCKWISE_MEMORY", value_name = "SIZE", default_value = "64MiB")]
    pub blockwise_memory: String,
    /// Blockwise responses kept for one session, at most.
    #[arg(long, env = "LOWBAND_SNAPSHOTS", value_name = "COUNT", default_value = "4")]
    pub snapshots: String,
    /// Memory for the blockwise responses of one session.
    #[arg(long, env = "LOWBAND_SNAPSHOT_MEMORY", value_name = "SIZE", default_value = "4MiB")]
    pub snapshot_memory: String,
    /// Message ids remembered for one session, against duplicates.
    #[arg(long, env = "LOWBAND_MESSAGE_IDS", value_name = "COUNT", default_value = "256")]
    pub message_ids: String,
    /// Requests a second that one address (IPv6: one /64) may make on average, or off. Users behind one NAT share it.
    #[arg(long, env = "LOWBAND_REQUESTS_PER_SECOND", value_name = "COUNT", default_value = "off")]
    pub requests_per_second: String,
    /// Requests that one address may make at once before the rate counts.
    #[arg(long, env = "LOWBAND_REQUEST_BURST", value_name = "COUNT", default_value = "100")]
    pub request_burst: String,
    /// First retransmission of a confirmable message (ACK_TIMEOUT of RFC 7252) to a client whose round trip is not known
    /// yet. Afterwards the measured round trip counts.
    #[arg(long, env = "LOWBAND_ACK_TIMEOUT", value_name = "DURATION", default_value = "2s")]
    pub ack_timeout: String,
    /// Retransmissions of a confirmable message (MAX_RETRANSMIT of RFC 7252), at most 6 s apart. The RFC's 4 lose one
    /// answer in thirty at 30 % loss.
    #[arg(long, env = "LOWBAND_MAX_RETRANSMIT", value_name = "COUNT", default_value = "27")]
    pub max_retransmit: String,
    /// A request that waits longer for the upstream is acknowledged and answered later: where the client has said or shown that it
    /// repeats sooner than RFC 7252 has it. Any other is acknowledged 1.8 s after it was sent, by the measured round trip, if that
    /// is later.
    #[arg(long, env = "LOWBAND_PIGGYBACK_WAIT", value_name = "DURATION", default_value = "500ms")]
    pub piggyback_wait: String,
    /// A blockwise transfer without progress ends after this.
    #[arg(long, env = "LOWBAND_BLOCKWISE_IDLE", value_name = "DURATION", default_value = "2m")]
    pub blockwise_idle: String,
    /// A blockwise response is kept this long after its last block was asked for.
    #[arg(long, env = "LOWBAND_SNAPSHOT_IDLE", value_name = "DURATION", default_value = "60s")]
    pub snapshot_idle: String,
    /// Buffer of the UDP socket in each direction; the system may grant less (net.core.rmem_max).
    #[arg(long, env = "LOWBAND_UDP_BUFFER", value_name = "SIZE", default_value = "4MiB")]
    pub udp_buffer: String,
    /// After SIGTERM, how long open requests of a session may go on from its turn to be closed; long polls are answered then. A
    /// second signal ends at once.
    #[arg(long, env = "LOWBAND_GRACE_PERIOD", value_name = "DURATION", default_value = "10s")]
    pub grace_period: String,
    /// After SIGTERM, the sessions have their turns within this, at most 20 ms apart. Too short lets thousands of clients dial
    /// again at once.
    #[arg(long, env = "LOWBAND_CLOSE_WITHIN", value_name = "DURATION", default_value = "10s")]
    pub close_within: String,
    /// How long to stay when /readyz fails because all sessions are closed, so that a balancer has moved every flow before the
    /// end. 2s on Kubernetes; 0 where nobody watches /readyz.
    #[arg(long, env = "LOWBAND_LINGER", value_name = "DURATION", default_value = "0")]
    pub linger: String,
    /// Port of the administration of the Envoy beside this sidecar, on 127.0.0.1, or off. After SIGTERM it is asked to let its own
    /// clients go in order (drain_listeners): by itself it cuts them. Its --drain-time-s must be longer than the whole end.
    #[arg(long, env = "LOWBAND_ENVOY_ADMIN_PORT", value_name = "PORT", default_value = "off")]
    pub envoy_admin_port: String,
    /// Threads; 1 is cheapest for each request, more help only with thousands of requests a second.
    #[arg(long, env = "LOWBAND_THREADS", value_name = "COUNT", default_value = "1")]
    pub threads: String,
    /// What is told on standard error. info has a line for each request that the upstream failed, debug one for each
    /// request. Access tokens, queries and bodies are never told.
    #[arg(long, env = "LOWBAND_LOG_LEVEL", value_name = "LEVEL", default_value = "info")]
    pub log_level: String,
    /// text, or json with one object a line.
    #[arg(long, env = "LOWBAND_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    pub log_format: String,
    /// Appends the secrets of every session for Wireshark. Whoever has that file reads everything, passwords included. Sessions
    /// then take AES-GCM, 8 bytes more a record: Wireshark cannot read ChaCha20-Poly1305 in DTLS.
    #[arg(long, env = "SSLKEYLOGFILE", value_name = "FILE")]
    pub key_log: Option<PathBuf>,
    /// Tells what is wrong with the configuration, and ends: 0 when nothing is, else 2.
    #[arg(long)]
    pub check_config: bool,
}

/// What the program does instead of serving; the options above do not count then.
#[derive(Subcommand, Debug, Clone)]
pub enum Task {
    /// Writes envoy.yaml, the configuration of the Envoy behind this sidecar, for other ports, folders and homeservers.
    RenderEnvoy(Box<envoy::Options>),
}

/// A configuration without mistakes, in the shape of those who use it.
#[derive(Debug, Clone)]
pub struct Config {
    /// UDP address.
    pub listen: SocketAddr,
    /// Certificate and key.
    pub identity: Identity,
    /// Where they were read.
    pub identity_files: Paths,
    /// How often they are looked at.
    pub certificate_check: Duration,
    /// Where requests go.
    pub upstream: upstream::Settings,
    /// Admin address.
    pub admin: Option<SocketAddr>,
    /// 0 or 1.
    pub default_cbor_version: u8,
    /// Limits of the DTLS layer.
    pub dtls_limits: dtls::Limits,
    /// Limits of the CoAP layer.
    pub coap_limits: coap::Limits,
    /// Times of the CoAP layer.
    pub times: coap::Times,
    /// Requests a second for each address.
    pub rate: Option<rate::Limit>,
    /// SO_RCVBUF and SO_SNDBUF.
    pub udp_buffer: usize,
    /// How long the end may take.
    pub end: drain::Settings,
    /// Of the Envoy that is to be asked to end in order.
    pub envoy_admin_port: Option<u16>,
    /// Worker threads.
    pub threads: usize,
    /// Log level.
    pub log_level: LogLevel,
    /// Log format.
    pub log_format: LogFormat,
    /// Key log file.
    pub key_log: Option<PathBuf>,
}

/// The least important thing that is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "the names say it")]
pub enum LogLevel {
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// One option that is wrong, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The flag.
    pub option: &'static str,
    /// Its value and why it cannot be, in one line.
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
    fn take<T>(&mut self, option: &'static str, given: &str, parsed: Result<T, String>) -> Option<T> {
        parsed.map_err(|why| self.add(option, format!("{given:?} {why}"))).ok()
    }

    fn add(&mut self, option: &'static str, why: String) {
        self.0.push(Mistake { option, why });
    }
}

impl Options {
    /// Looks at everything; the mistakes come in the order of the options.
    pub fn check(&self) -> Result<Config, Vec<Mistake>> {
        let mut mistakes = Mistakes::default();
        match self.parse_all(&mut mistakes) {
            Some(config) if mistakes.0.is_empty() => Ok(config),
            _ => Err(mistakes.0),
        }
    }

    fn parse_all(&self, mistakes: &mut Mistakes) -> Option<Config> {
        macro_rules! take {
            ($option:literal, $field:ident, $parse:expr) => {
                mistakes.take($option, &self.$field, $parse(&self.$field))
            };
        }
        let count = |allowed: std::ops::RangeInclusive<u64>| move |text: &str| values::count(text, allowed);
        let size = |allowed: std::ops::RangeInclusive<u64>| move |text: &str| values::size(text, allowed);
        const MANY: u64 = 10_000_000;
        const MEMORY: u64 = 1 << 40;

        let listen = take!("--listen", listen, values::address);
        let identity_files = Paths { certificate: self.certificate.clone(), key: self.key.clone() };
        let identity = self.identity(&identity_files, mistakes);
        let certificate_check = take!("--certificate-check", certificate_check, values::some_duration);
        let address = take!("--upstream", upstream, values::upstream);
        let connections = take!("--upstream-connections", upstream_connections, count(1..=1024));
        let requests = take!("--upstream-requests", upstream_requests, count(1..=MANY));
        let connect_timeout = take!("--connect-timeout", connect_timeout, values::some_duration);
        let response_timeout = take!("--response-timeout", response_timeout, values::some_duration);
        let longest_poll = take!("--longest-poll", longest_poll, values::duration);
        let ping = take!("--upstream-ping", upstream_ping, values::some_duration);
        let admin = take!("--admin", admin, values::address_or_off);
        let version = take!("--default-cbor-version", default_cbor_version, count(0..=1));
        let sessions = take!("--sessions", sessions, count(1..=MANY));
        let half_open = take!("--half-open", half_open, count(1..=MANY));
        let per_address = take!("--half-open-per-address", half_open_per_address, count(1..=MANY));
        let handshake = take!("--handshake-timeout", handshake_timeout, values::some_duration);
        let idle = take!("--idle-session", idle_session, values::some_duration);
        let make_room_after = take!("--make-room-after", make_room_after, values::some_duration);
        // 576 less the headers of IPv4 and UDP is what every host takes (RFC 791); 16 kB is one record.
        let hello = take!("--hello", hello, size(256..=16_372));
        let mtu = take!("--mtu", mtu, size(548..=16_384));
        let exchanges = take!("--exchanges", exchanges, count(1..=MANY));
        let upload = take!("--upload", upload, size(1..=MEMORY));
        let blockwise = take!("--blockwise-memory", blockwise_memory, size(1..=MEMORY));
        let snapshots = take!("--snapshots", snapshots, count(1..=MANY));
        let snapshot_memory = take!("--snapshot-memory", snapshot_memory, size(1024..=MEMORY));
        let message_ids = take!("--message-ids", message_ids, count(1..=65_536));
        let rate = self.rate(mistakes);
        let ack_timeout = take!("--ack-timeout", ack_timeout, values::some_duration);
        let max_retransmit = take!("--max-retransmit", max_retransmit, count(0..=60));
        let piggyback_wait = take!("--piggyback-wait", piggyback_wait, values::duration);
        let blockwise_idle = take!("--blockwise-idle", blockwise_idle, values::some_duration);
        let snapshot_idle = take!("--snapshot-idle", snapshot_idle, values::some_duration);
        let udp_buffer = take!("--udp-buffer", udp_buffer, size(1024..=1 << 30));
        let grace_period = take!("--grace-period", grace_period, values::duration);
        let close_within = take!("--close-within", close_within, values::duration);
        let linger = take!("--linger", linger, values::duration);
        let envoy_admin_port = take!("--envoy-admin-port", envoy_admin_port, envoy::port_or_off);
        let threads = take!("--threads", threads, count(1..=64));
        let log_level = take!("--log-level", log_level, one_of::<LogLevel>);
        let log_format = take!("--log-format", log_format, one_of::<LogFormat>);
        if upload > blockwise {
            mistakes.add("--upload", format!("{:?} is more than --blockwise-memory holds", self.upload));
        }

        Some(Config {
            listen: listen?,
            identity: identity?,
            identity_files,
            certificate_check: certificate_check?,
            upstream: upstream::Settings {
                address: address?,
                connections: connections?,
                requests: requests?,
                request_bytes: blockwise?,
                connect_timeout: connect_timeout?,
                response_timeout: response_timeout?,
                longest_poll: longest_poll?,
                ping: ping?,
            },
            admin: admin?,
            default_cbor_version: u8::try_from(version?).ok()?,
            dtls_limits: dtls::Limits {
                sessions: sessions?,
                half_open: half_open?,
                half_open_per_address: per_address?,
                hello: hello?,
                handshake: handshake?,
                idle: idle?,
                make_room_after: make_room_after?,
                mtu: mtu?,
            },
            coap_limits: coap::Limits {
                exchanges_per_session: exchanges?,
                upload: upload?,
                blockwise_total: blockwise?,
                snapshots_per_session: snapshots?,
                snapshot_bytes_per_session: snapshot_memory?,
                dedup_per_session: message_ids?,
                ..coap::Limits::default()
            },
            times: coap::Times {
                ack_timeout: ack_timeout?,
                max_retransmit: u32::try_from(max_retransmit?).ok()?,
                piggyback_wait: piggyback_wait?,
                blockwise_idle: blockwise_idle?,
                snapshot_idle: snapshot_idle?,
                ..coap::Times::measured()
            },
            rate: rate?,
            udp_buffer: udp_buffer?,
            end: drain::Settings {
                grace_period: grace_period?,
                close_within: close_within?,
                linger: linger?,
            },
            envoy_admin_port: envoy_admin_port?,
            threads: threads?,
            log_level: log_level?,
            log_format: log_format?,
            key_log: self.key_log.clone(),
        })
    }

    /// A certificate whose time is not now is a mistake to those who ask whether all is in order. To serve with it is better than not
    /// to serve: somebody may know it.
    fn identity(&self, files: &Paths, mistakes: &mut Mistakes) -> Option<Identity> {
        match files.judge(&files.read()) {
            Ok(identity) => {
                if self.check_config {
                    mistakes.0.extend(files.untimely(&identity, now()));
                }
                Some(identity)
            }
            Err(why) => {
                mistakes.0.extend(why);
                None
            }
        }
    }

    fn rate(&self, mistakes: &mut Mistakes) -> Option<Option<rate::Limit>> {
        const MOST: u64 = 1_000_000;
        let burst = mistakes.take(
            "--request-burst",
            &self.request_burst,
            values::count(&self.request_burst, 1..=MOST),
        );
        if self.requests_per_second == "off" {
            return burst.map(|_| None);
        }
        let parsed = values::count(&self.requests_per_second, 1..=MOST).map_err(|why| why + ", nor off");
        let per_second = mistakes.take("--requests-per-second", &self.requests_per_second, parsed);
        Some(Some(rate::Limit {
            per_second: u32::try_from(per_second?).ok()?,
            burst: u32::try_from(burst?).ok()?,
        }))
    }
}

impl Config {
    /// What the transport is made of.
    pub fn transport(&self) -> server::Config {
        server::Config {
            dtls: dtls::Config {
                server: Some(self.identity.server.clone()),
                key_log: self.key_log.is_some(),
                limits: self.dtls_limits.clone(),
                ..dtls::Config::default()
            },
            times: self.times.clone(),
            limits: self.coap_limits.clone(),
        }
    }
}

fn one_of<T: ValueEnum>(text: &str) -> Result<T, String> {
    T::from_str(text, false).map_err(|_| {
        let names: Vec<_> = T::value_variants()
            .iter()
            .filter_map(|value| Some(value.to_possible_value()?.get_name().to_owned()))
            .collect();
        format!("is none of {}", names.join(", "))
    })
}
