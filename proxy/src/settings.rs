//! What a user may choose, and every limit of the proxy.

use crate::discovery::base::Named;
use crate::error::Error;
use crate::names::{Family, Fixed};
use crate::ways::Udp;
use lowband_client::{ConnectOptions, Redial, Verification};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The settings of a local proxy.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The homeserver: a server name (`example.org`, looked up as Matrix clients do) or the URL of its
    /// client-server API (`https://matrix.example.org`).
    pub homeserver: String,
    /// Where datagrams go, as `HOST` or `HOST:PORT`. `None`: to the host of the homeserver, at the port that
    /// `/versions` names or 8008.
    pub udp: Option<String>,
    /// Whether `http://` is allowed for a homeserver that is not on this machine, where it shows access
    /// tokens to everybody on the way; false by default.
    pub clear_text: bool,
    /// Addresses for hosts and ports that no resolver is asked for.
    pub resolve: Vec<Fixed>,
    /// The addresses that may be dialled, of both families by default.
    pub family: Family,
    /// A file that remembers what worked, for the next start. `None`: only this process remembers.
    pub state: Option<PathBuf>,
    /// The address to listen on; `127.0.0.1:8009` by default.
    pub listen: SocketAddr,
    /// Whether the proxy may listen on an address that other machines reach. Whoever reaches it can ask the
    /// homeserver through it; false by default.
    pub allow_remote: bool,
    /// Names and addresses that clients may know the proxy by, besides `localhost`, the loopback addresses
    /// and the address that it listens on; an IPv6 address with or without its brackets. A request for any
    /// other host is refused: the page of a stranger whose name leads here (DNS rebinding) must not reach the
    /// proxy as its own server.
    pub names: Vec<String>,
    /// Origins of the pages that may use the proxy, as a browser names them (`https://app.example`). Empty,
    /// the default: every page may, as it may use a homeserver. Programs name none, and always may.
    pub origins: Vec<String>,
    /// The certificate with which the listener speaks TLS. `None`, the default: plain HTTP.
    pub identity: Option<Identity>,
    /// The certificates that the homeserver's are verified against, for DTLS and HTTPS alike.
    pub verification: Verification,
    /// What is bounded.
    pub limits: Limits,
    /// How long is waited for what.
    pub times: Times,
    /// A file to append the DTLS secrets to; see [`lowband_client::Settings::key_log`].
    pub key_log: Option<PathBuf>,
}

/// The listener's certificate.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate and its chain, in PEM form.
    pub certificate: PathBuf,
    /// Its private key, in PEM form.
    pub key: PathBuf,
}

/// Upper bounds. All clients are on this machine, so an access token stands for a client: what one of them
/// holds is bounded too, and the others are served. Tokens that the homeserver has not been seen to know, and
/// requests without one, are one client together: whoever made tokens up would have many parts else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections of clients, 256 by default. One more takes the place of the one that has been without a
    /// request for the longest; if all have one, it waits.
    pub connections: usize,
    /// Requests under way, 512 by default; one more is answered 429. Each is under way until the last piece
    /// of its answer has been taken.
    pub requests: usize,
    /// Requests under way with one access token, or without any, 128 by default; one more is answered 429.
    pub requests_of_one: usize,
    /// DTLS sessions, 64 by default. One more closes the one that has been idle for the longest; if none is
    /// idle, its requests go over HTTPS.
    pub sessions: usize,
    /// Of these, places for access tokens that the homeserver has not been seen to know, 8 by default. They
    /// may be made up, and close the sessions of each other alone.
    pub sessions_on_probation: usize,
    /// Bytes of one request's JSON that is translated, 8 MiB by default; a longer one goes over HTTPS, or is
    /// answered 413 if its length was not told.
    pub request_body: usize,
    /// Bytes of request bodies that are held, 32 MiB by default; a request beyond it is answered 429.
    pub held: usize,
    /// Bytes of them that one access token may hold, 16 MiB by default; a request beyond it is answered 429.
    pub held_by_one: usize,
    /// Bytes of answers that are kept because they say that they may be, 4 MiB by default; with 0 none are.
    /// The access token that has most of them gives way first, by what was not used for the longest. An
    /// answer of more than a quarter is not kept; copies under way count, and one token's have a quarter.
    pub kept: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 256,
            requests: 512,
            requests_of_one: 128,
            sessions: 64,
            sessions_on_probation: 8,
            request_body: 8 << 20,
            held: 32 << 20,
            held_by_one: 16 << 20,
            kept: 4 << 20,
        }
    }
}

/// How long is waited for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Times {
    /// A session without a request is closed after this time; 5 minutes by default.
    pub idle: Duration,
    /// The longest time for a handshake over UDP; 30 s by default.
    pub handshake: Duration,
    /// Time without any datagram back after which HTTPS is used beside a dial; 3 s by default.
    pub silence: Duration,
    /// Time that a handshake may take, once the server has been heard, before HTTPS is used beside it; 10 s
    /// by default: on 9.6 kbit/s the certificates alone take four.
    pub slow_handshake: Duration,
    /// Time from the second dial in vain to the next, 15 s by default; doubled with each that follows, up to
    /// 10 minutes.
    pub again: Duration,
    /// The longest poll that is asked of the homeserver, 55 s by default: matrix-nio gives any request up
    /// after 60 s, and by default polls for as long.
    pub poll: Duration,
    /// How long a request other than a sync is held while no way leads to the homeserver, 120 s by default;
    /// less for clients that are known to give up sooner.
    pub hold: Duration,
    /// How long `/versions` is waited for where an earlier answer is remembered; 5 s by default.
    pub versions: Duration,
    /// How late the first failure of `/sync` is told, 2 s by default, and twice as late with each one that
    /// follows, up to 30 s and the client's patience.
    pub late: Duration,
    /// How long the requests under way may take once the proxy is told to end; 3 s by default.
    pub ending: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Times {
            idle: Duration::from_secs(300),
            handshake: Duration::from_secs(30),
            silence: Duration::from_secs(3),
            slow_handshake: Duration::from_secs(10),
            again: Duration::from_secs(15),
            poll: Duration::from_secs(55),
            hold: Duration::from_secs(120),
            versions: Duration::from_secs(5),
            late: Duration::from_secs(2),
            ending: Duration::from_secs(3),
        }
    }
}

impl Settings {
    /// Makes the settings for a homeserver, with all defaults.
    pub fn new(homeserver: impl Into<String>) -> Settings {
        Settings {
            homeserver: homeserver.into(),
            udp: None,
            clear_text: false,
            resolve: Vec::new(),
            family: Family::Any,
            state: None,
            listen: SocketAddr::from(([127, 0, 0, 1], 8009)),
            allow_remote: false,
            names: Vec::new(),
            origins: Vec::new(),
            identity: None,
            verification: Verification::System,
            limits: Limits::default(),
            times: Times::default(),
            key_log: None,
        }
    }

    /// Tells whether the homeserver is a name or a URL that can be used.
    pub fn check(&self) -> Result<(), Error> {
        let told = &self.homeserver;
        match Named::parse(told, self.clear_text) {
            Ok(_) => Ok(()),
            Err(why) => Err(Error::Homeserver { told: told.clone(), why }),
        }
    }

    /// Returns how to dial the server's datagram port.
    pub(crate) fn connect_options(&self, udp: &Udp) -> ConnectOptions {
        ConnectOptions {
            server: udp.server,
            server_name: udp.server_name.clone(),
            verification: self.verification.clone(),
            connect_timeout: self.times.handshake,
        }
    }

    /// Returns the settings of a connection over UDP.
    pub(crate) fn client_settings(&self) -> lowband_client::Settings {
        let limits = lowband_client::Limits { packed_bodies: true, ..lowband_client::Limits::default() };
        lowband_client::Settings {
            key_log: self.key_log.clone(),
            limits,
            ..lowband_client::Settings::default()
        }
    }

    /// Returns how a lost session is got over: soon given up, since the proxy looks for another way then.
    pub(crate) fn redial(&self) -> Redial {
        Redial { patience: REDIAL_PATIENCE, ..Redial::default() }
    }
}

/// How long a request waits for a new session before another way is looked for.
const REDIAL_PATIENCE: Duration = Duration::from_secs(10);
