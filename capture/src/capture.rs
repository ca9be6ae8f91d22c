//! The whole: bytes of a file in, exchanges out.

use crate::coap::{Arrived, Exchanges};
use crate::datagram::Datagram;
use crate::datagrams::{Datagrams, Found as Packet, Kind, PacketFault};
use crate::dtls::{Content, Found, Sessions};
use crate::exchange::Exchange;
use crate::file::{Item, Reader, Unreadable};
use crate::key_log::{Added, KeyLog};
use crate::session::Session;
use crate::unread::{Unread, Why};
use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

/// How a capture is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// UDP ports of servers that speak CoAP without DTLS. Default 5683 (RFC 7252 section 6.1). DTLS is found
    /// at any port.
    pub coap_ports: Vec<u16>,
    /// UDP ports that are the server's where the capture has no handshake to say so. Default 8008, which is
    /// Matrix', and 5684 (RFC 7252 section 6.2); otherwise the lower of two ports counts as the server's.
    pub dtls_ports: Vec<u16>,
    /// How long an exchange that is complete has to be quiet, in the time of the capture, before it is told
    /// of. Default 25 s: with the times of RFC 7252 section 4.8, the longest pause between two copies of one
    /// message is 24 s, so nobody will ask for an answer again that was lost on its way.
    pub settle: Duration,
    /// How long an exchange that is not complete has to be quiet before it is told of. Default 247 s, the
    /// EXCHANGE_LIFETIME of RFC 7252 section 4.8.2. A long poll waits for less as a rule.
    pub patience: Duration,
    /// Whether details have access tokens (option 256 of MSC3079), or only their length. Default false.
    pub keep_access_tokens: bool,
    /// Bounds of what is remembered.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            coap_ports: vec![5683],
            dtls_ports: vec![8008, 5684],
            settle: Duration::from_secs(25),
            patience: Duration::from_secs(247),
            keep_access_tokens: false,
            limits: Limits::default(),
        }
    }
}

/// Bounds of what is remembered, whatever a capture holds. With the defaults the memory stays below 200 MB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Sessions with their keys, some 3 kB each. Those that were quiet for longest are given up, a sixteenth
    /// of them at once. Default 10,000.
    pub sessions: usize,
    /// Exchanges that are not settled; the oldest is told of as it is. Default 10,000.
    pub open_exchanges: usize,
    /// Messages that one exchange lists; more are counted. Default 131,072, which is a body of 64 MiB in
    /// blocks of 1,024 bytes with their requests.
    pub messages: usize,
    /// Messages that all open exchanges list together; an exchange that is complete, or the oldest, is told
    /// of as it is. Default 524,288.
    pub open_messages: usize,
    /// Bytes of path and query of one exchange as they are shown, and 32 for each value of the query; what is
    /// longer is cut off. Default 4,096.
    pub target: usize,
    /// Message ids of settled exchanges, by which late copies are told. Default 65,536.
    pub settled_ids: usize,
    /// Observers that are registered. The oldest are given up, an eighth of them at once. Default 10,000.
    pub registrations: usize,
    /// Bytes of one body that comes in blocks; a larger one is not put together. Default 16 MiB.
    pub body: usize,
    /// Bytes of all bodies that are being put together. Default 64 MiB.
    pub bodies: usize,
    /// Bytes of the messages in one [`Detail`](crate::Detail), with all options; what does not fit is left
    /// out. Default 64 MiB.
    pub details: usize,
    /// Bytes of all hellos that are being put together. Default 4 MiB.
    pub pieces: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            sessions: 10_000,
            open_exchanges: 10_000,
            messages: 131_072,
            open_messages: 524_288,
            target: 4_096,
            settled_ids: 65_536,
            registrations: 10_000,
            body: 16 << 20,
            bodies: 64 << 20,
            details: 64 << 20,
            pieces: 4 << 20,
        }
    }
}

/// Something that a capture has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// An exchange, once it is settled: in the order of settling, while [`Exchange::number`] has the order of
    /// beginning.
    Exchange(Exchange),
    /// A session: once it is given up, or at the end of the capture; behind its exchanges.
    Session(Session),
    /// A record or message that belongs to no exchange.
    Unread(Unread),
    /// A packet without a datagram of UDP.
    Other {
        /// Number of the packet.
        frame: u64,
        /// What it is.
        kind: Kind,
    },
    /// A datagram of UDP that is neither DTLS nor, at a port for it, CoAP.
    Foreign {
        /// Number of its packet.
        frame: u64,
    },
    /// A packet that cannot be read.
    Packet {
        /// Number of the packet.
        frame: u64,
        /// What is wrong with it.
        why: PacketFault,
    },
    /// A place in the file that cannot be read.
    File(Unreadable),
    /// The file had secrets in it.
    Secrets(Added),
}

/// Reads a capture as its bytes arrive.
///
/// ```
/// use lowband_capture::{Capture, Event, Options};
///
/// fn list(file: &[u8], key_log: &[u8]) -> Vec<String> {
///     let mut lines = Vec::new();
///     let mut capture = Capture::new(Options::default());
///     capture.add_secrets(key_log, 1);
///     let mut take = |event| {
///         if let Event::Exchange(exchange) = event {
///             lines.push(format!("{} {} {}", exchange.number, exchange.path, exchange.state.name()));
///         }
///     };
///     for piece in file.chunks(65_536) {
///         capture.push(piece, &mut take);
///     }
///     capture.finish(&mut take);
///     lines
/// }
/// assert!(list(b"", b"").is_empty());
/// ```
pub struct Capture {
    options: Options,
    reader: Reader,
    datagrams: Datagrams,
    key_log: KeyLog,
    links: Links,
    /// True if datagrams come from elsewhere than a file.
    is_fed: bool,
}

/// What is above the datagrams.
struct Links {
    sessions: Sessions,
    exchanges: Exchanges,
}

impl fmt::Debug for Capture {
    // Keys and what they protect are never shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Capture").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Capture {
    /// Makes a capture of which no byte has come.
    pub fn new(options: Options) -> Capture {
        Capture {
            reader: Reader::new(),
            datagrams: Datagrams::new(),
            key_log: KeyLog::new(),
            links: Links::new(&options),
            options,
            is_fed: false,
        }
    }

    /// Adds the text of a key log, see [`KeyLog::add`]; best before the first packet.
    pub fn add_secrets(&mut self, key_log: &[u8], first_line: u64) -> Added {
        self.key_log.add(key_log, first_line)
    }

    /// Reads the next bytes of the file.
    pub fn push(&mut self, bytes: &[u8], event: &mut dyn FnMut(Event)) {
        let Capture { reader, datagrams, key_log, links, .. } = self;
        reader.push(bytes, &mut |item| match item {
            Item::Packet(packet) => datagrams.take(&packet, &mut |found| links.packet(found, key_log, event)),
            Item::Secrets(text) => event(Event::Secrets(key_log.add(text, 1))),
            Item::Unreadable(unreadable) => event(Event::File(unreadable)),
        });
    }

    /// Takes a datagram that comes from elsewhere than a file.
    pub fn datagram(&mut self, datagram: &Datagram<'_>, event: &mut dyn FnMut(Event)) {
        self.is_fed = true;
        self.links.packet(Packet::Datagram(*datagram), &self.key_log, event);
    }

    /// Tells of the exchanges that are due in a capture that goes on, if nothing has come for `time` since
    /// its last message. Without this they would wait for the next one.
    pub fn quiet(&mut self, time: Duration, event: &mut dyn FnMut(Event)) {
        self.links.exchanges.quiet(time, event);
    }

    /// Ends the file: tells of all exchanges that are open, and of all sessions.
    pub fn finish(&mut self, event: &mut dyn FnMut(Event)) {
        let Capture { reader, datagrams, key_log, links, is_fed, .. } = self;
        reader.finish(&mut |item| match item {
            // No file is not an empty file.
            Item::Unreadable(unreadable) if !*is_fed => event(Event::File(unreadable)),
            _ => {}
        });
        datagrams.finish(&mut |found| links.packet(found, key_log, event));
        links.exchanges.finish(event);
        links.sessions.iter().for_each(|session| event(Event::Session(session.clone())));
    }

    /// Returns whether reading the file once more would show more: secrets came after what they decrypt.
    pub fn wants_another_pass(&self) -> bool {
        self.links.sessions.would_have_keys(&self.key_log)
    }

    /// Forgets everything but options and secrets, so that the file can be read from its first byte again.
    pub fn rewind(&mut self) {
        (self.reader, self.datagrams) = (Reader::new(), Datagrams::new());
        self.links = Links::new(&self.options);
    }

    /// Returns a session; None once it was given up for [`Limits::sessions`].
    pub fn session(&self, number: u32) -> Option<&Session> {
        self.links.sessions.get(number)
    }

    /// Returns all sessions that are kept, in the order of beginning.
    pub fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.links.sessions.iter()
    }

    /// Returns how this capture is read.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Decrypts once more the record that begins with `bytes`; `out` becomes the message in it.
    pub(crate) fn reopen(
        &self,
        session: u32,
        from_client: bool,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Why> {
        self.links.sessions.reopen(session, from_client, bytes, out)
    }
}

impl Links {
    fn new(options: &Options) -> Links {
        Links { sessions: Sessions::new(options), exchanges: Exchanges::new(options) }
    }

    fn packet(&mut self, packet: Packet<'_>, key_log: &KeyLog, event: &mut dyn FnMut(Event)) {
        match packet {
            Packet::Datagram(datagram) => self.datagram(&datagram, key_log, event),
            Packet::Other { frame, kind } => event(Event::Other { frame, kind }),
            Packet::Unreadable { frame, why } => event(Event::Packet { frame, why }),
        }
    }

    fn datagram(&mut self, datagram: &Datagram<'_>, key_log: &KeyLog, event: &mut dyn FnMut(Event)) {
        let Links { sessions, exchanges } = self;
        let is_known = sessions.receive(datagram, key_log, &mut |session, found| {
            let Found { reference, traffic, content } = found;
            match content {
                Content::Message(bytes) => {
                    exchanges.receive(session, &Arrived { reference, traffic, bytes }, event);
                }
                Content::Duplicate(bytes) => exchanges.duplicate(session, reference, bytes),
                Content::Unread(why) => {
                    session.count_unread(why);
                    event(Event::Unread(Unread { session: Some(session.number), message: reference, why }));
                }
            }
        });
        if !is_known {
            event(Event::Foreign { frame: datagram.frame });
        }
        let over = sessions.take_over();
        if !over.is_empty() {
            let numbers: HashSet<u32> = over.iter().map(|session| session.number).collect();
            exchanges.forget(|number| numbers.contains(&number), event);
            over.into_iter().for_each(|session| event(Event::Session(session)));
        }
    }
}
