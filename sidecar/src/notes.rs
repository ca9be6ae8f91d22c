//! What an operator should know of a configuration that works: told at the start, and by `--check-config` in
//! the same words.

use crate::config::{Config, now};
use crate::open_files;
use crate::public;
use crate::renewal::{Reminder, Renewal};
use socket2::{Domain, Protocol, Socket, Type};
use std::ffi::OsStr;
use std::net::SocketAddr;

/// One thing to know, as a line for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// True if something is to be done about it.
    pub is_warning: bool,
    /// What is true, and what to do about it, in one line.
    pub text: String,
}

impl Note {
    pub(crate) fn warning(text: impl Into<String>) -> Note {
        Note { is_warning: true, text: text.into() }
    }

    /// Writes the line to the log.
    pub fn log(&self) {
        let text = &self.text;
        if self.is_warning { tracing::warn!("{text}") } else { tracing::info!("{text}") }
    }
}

impl From<Reminder> for Note {
    fn from(reminder: Reminder) -> Note {
        Note { is_warning: reminder.is_overdue, text: reminder.what }
    }
}

/// What the system gives to the process, or would give.
#[derive(Debug, Clone)]
pub struct Given {
    /// Size in bytes of the receive buffer of the UDP socket; `None` where it is not known.
    pub receive_buffer: Option<usize>,
    /// Open files at most; `None` for no limit.
    pub open_files: Option<u64>,
    /// The address of the UDP socket.
    pub udp: SocketAddr,
    /// The TCP address for clients; `None` for none.
    pub public: Option<SocketAddr>,
}

/// Returns the notes on what is true from the start on.
pub fn at_the_start(config: &Config, given: &Given) -> Vec<Note> {
    let mut notes = Vec::new();
    if let Some(path) = &config.key_log {
        notes.push(Note::warning(format!(
            "--key-log {path:?}: anyone who reads this file can decrypt every session"
        )));
    } else if std::env::var_os("SSLKEYLOGFILE").is_some_and(|file| file != OsStr::new("")) {
        // The variable was meant for a browser: an inherited setting must not lay open what all clients send.
        notes.push(Note::warning("SSLKEYLOGFILE does nothing here: --key-log or LOWBAND_KEY_LOG does"));
    }
    notes.extend(config.identity_files.exposed().map(Note::warning));
    let asked = config.udp_buffer;
    if let Some(granted) = given.receive_buffer.filter(|granted| *granted < asked) {
        let text = format!(
            "a small UDP buffer: {granted} bytes are granted and {asked} were asked for, see net.core.rmem_max"
        );
        notes.push(Note { is_warning: false, text });
    }
    if let Some(base) = config.homeserver.as_ref().map(|settings| &settings.homeserver.base)
        && !base.is_secure()
        && !base.is_loopback()
    {
        notes.push(Note::warning(format!(
            "--homeserver {base}: passwords and access tokens of clients cross the network to there in clear text"
        )));
    }
    if let (Some(settings), Some(tcp)) = (&config.public, given.public) {
        notes.extend(of_the_public_port(settings, tcp, given).into_iter().flatten().map(Note::warning));
    }
    notes
}

/// Returns what an operator may not have meant of the port for clients over TCP.
fn of_the_public_port(settings: &public::Settings, tcp: SocketAddr, given: &Given) -> [Option<String>; 3] {
    let is_open = settings.listen.is_clear && !tcp.ip().to_canonical().is_loopback();
    let clear = is_open.then(|| {
        format!(
            "--public http://{tcp}: passwords and access tokens of clients cross the network in clear text, \
             unless what is before this port encrypts them"
        )
    });
    let short = given.open_files.filter(|limit| open_files::is_short(*limit, settings)).map(|limit| {
        let connections = settings.connections;
        format!(
            "the limit of open files (ulimit -n, LimitNOFILE=) is {limit}, and {connections} clients over TCP \
             (--public-connections) may need more"
        )
    });
    let udp = given.udp.port();
    let differs = (tcp.port() != udp).then(|| {
        format!(
            "--public {tcp}: clients that UDP does not reach fall back to HTTPS at the number of the UDP port, \
             {udp}, and this one differs"
        )
    });
    [clear, short, differs]
}

/// Returns what would be noted if the sidecar started now: what [`at_the_start`] says, and what a look at the
/// certificate says right after.
pub fn before_the_start(config: &Config) -> Vec<Note> {
    let given = Given {
        receive_buffer: granted(config.udp_buffer),
        open_files: open_files::highest(),
        udp: config.listen,
        public: config.public.as_ref().map(|public| public.listen.address),
    };
    let mut notes = at_the_start(config, &given);
    let mut renewal = Renewal::new(config.identity_files.clone(), config.identity.clone());
    notes.extend(renewal.remind(now()).map(Note::from));
    notes
}

/// Returns the size in bytes that the system grants to a receive buffer for which `asked` are asked, as a
/// socket reports it that is bound to nothing.
fn granted(asked: usize) -> Option<usize> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).ok()?;
    let _ = socket.set_recv_buffer_size(asked);
    socket.recv_buffer_size().ok()
}
