//! One session with what must not be told of it: its keys.

use super::aead::{Opener, Openers};
use super::flow_key::FlowKey;
use super::seen::Seen;
use crate::key_log::KeyLog;
use crate::session::{Keys, Session};
use crate::unread::Why;
use lowband_wire::dtls::hello::body::{ClientHelloBody, ServerHello};
use lowband_wire::dtls::keys::Secrets;
use lowband_wire::dtls::record::{EPOCH, Record};
use lowband_wire::dtls::suite::Suite;
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Records without protection that are remembered of a session, so that one which is captured twice is told:
/// more than a handshake has.
const CLEAR_RECORDS: usize = 64;

/// A session, its handshake as far as it was seen, and its keys. It has no `Debug`, so that they stay here.
pub(super) struct Tracked {
    pub(super) told: Session,
    pub(super) client_random: Option<[u8; 32]>,
    server_random: Option<[u8; 32]>,
    suite: Option<u16>,
    /// Session id of the ClientHello: an answer with the same resumes that session.
    offered_session: Vec<u8>,
    /// The Connection ID that the client wants to see; it counts once the server agrees.
    offered_id: Option<Vec<u8>>,
    /// Connection IDs in what the client sends, and in what the server sends; empty for none.
    pub(super) id_up: Vec<u8>,
    pub(super) id_down: Vec<u8>,
    openers: Option<Openers>,
    /// Secrets that the key log had when it was asked in vain.
    asked: Option<usize>,
    seen_up: Seen,
    seen_down: Seen,
    /// Hashes of the latest records without protection, of both directions.
    seen_clear: VecDeque<u64>,
    /// True once the server has sent a ServerHelloDone, which only full handshakes have.
    pub(super) is_full: bool,
    /// True once it had a protected record.
    pub(super) has_records: bool,
    /// Where it is found by its addresses.
    pub(super) flows: Vec<FlowKey>,
}

impl Tracked {
    pub(super) fn new(told: Session) -> Tracked {
        Tracked {
            told,
            client_random: None,
            server_random: None,
            suite: None,
            offered_session: Vec::new(),
            offered_id: None,
            id_up: Vec::new(),
            id_down: Vec::new(),
            openers: None,
            asked: None,
            seen_up: Seen::default(),
            seen_down: Seen::default(),
            seen_clear: VecDeque::new(),
            is_full: false,
            has_records: false,
            flows: Vec::new(),
        }
    }

    /// Returns whether nothing is known but that a handshake may have begun.
    pub(super) fn is_bare(&self) -> bool {
        self.client_random.is_none() && self.server_random.is_none() && !self.has_records
    }

    /// Notes a record without protection; returns true if the very same one has been noted. One that is sent
    /// again has another number (RFC 6347 section 4.2.4).
    pub(super) fn is_clear_copy(&mut self, record: &Record<'_>, from_client: bool) -> bool {
        let mut hasher = DefaultHasher::new();
        (record.raw, from_client).hash(&mut hasher);
        let hash = hasher.finish();
        if self.seen_clear.contains(&hash) {
            return true;
        }
        if self.seen_clear.len() >= CLEAR_RECORDS {
            self.seen_clear.pop_front();
        }
        self.seen_clear.push_back(hash);
        false
    }

    /// Takes the ClientHello; the last one counts, which has the cookie.
    pub(super) fn client_hello(&mut self, hello: &ClientHelloBody<'_>) {
        if self.told.keys != Keys::Proven {
            self.offered_session = hello.beginning.session_id.to_vec();
            self.offered_id = hello.extensions.connection_id().map(<[u8]>::to_vec);
        }
    }

    /// Takes the ServerHello. Returns true if it is new, and the session has other keys now.
    pub(super) fn server_hello(&mut self, hello: &ServerHello<'_>) -> bool {
        if self.told.keys == Keys::Proven || self.server_random.as_ref() == Some(hello.random) {
            return false;
        }
        self.server_random = Some(*hello.random);
        self.suite = Some(hello.suite);
        self.told.suite = Suite::from_id(hello.suite);
        self.told.resumed = !hello.session_id.is_empty() && hello.session_id == self.offered_session;
        let ids = self.offered_id.as_ref().zip(hello.extensions.connection_id());
        let [up, down] = ids.map_or([None, None], |(down, up)| [Some(up), Some(down.as_slice())]);
        let length = |id: Option<&[u8]>| id.filter(|id| !id.is_empty()).map(|id| id.len() as u8);
        (self.told.connection_id_up, self.told.connection_id_down) = (length(up), length(down));
        let [up, down] = [up, down].map(|id| id.unwrap_or_default().to_vec());
        (self.id_up, self.id_down) = (up, down);
        (self.openers, self.asked, self.told.keys) = (None, None, Keys::Missing);
        true
    }

    /// Derives the keys, if they are not there and all that is needed is.
    pub(super) fn derive(&mut self, key_log: &KeyLog) -> Result<(), Why> {
        if self.openers.is_some() {
            return Ok(());
        }
        let (Some(client_random), Some(server_random), Some(suite)) =
            (self.client_random, self.server_random, self.suite)
        else {
            return Err(Why::NoHandshake);
        };
        let known = self.told.suite.ok_or(Why::UnknownSuite { number: suite })?;
        if self.asked == Some(key_log.len()) {
            return Err(Why::NoKey);
        }
        self.asked = Some(key_log.len());
        let master = key_log.master_secret(&client_random).ok_or(Why::NoKey)?;
        let secrets = Secrets::new(known, master, client_random, server_random);
        self.openers = Openers::derive(&secrets);
        self.told.keys = Keys::Unproven;
        Ok(())
    }

    /// Returns whether the key log has what was missing.
    pub(super) fn would_have_keys(&self, key_log: &KeyLog) -> bool {
        let missed = self.told.unread.iter().any(|(why, _)| *why == Why::NoKey);
        missed && self.client_random.is_some_and(|random| key_log.master_secret(&random).is_some())
    }

    /// Opens a record of the first protected epoch.
    pub(super) fn open(
        &mut self,
        record: &Record<'_>,
        from_client: bool,
        key_log: &KeyLog,
        out: &mut Vec<u8>,
    ) -> Result<(), Why> {
        self.has_records = true;
        if record.number.epoch() != EPOCH {
            return Err(Why::Renegotiated);
        }
        self.derive(key_log)?;
        self.reopen(record, from_client, out)?;
        if self.told.keys != Keys::Proven {
            // With a ticket (RFC 5077) no session id tells; but then the server's Finished comes first.
            self.told.resumed |= !from_client && !self.is_full;
            self.told.keys = Keys::Proven;
        }
        Ok(())
    }

    /// Opens a record with the keys that are there.
    pub(super) fn reopen(
        &self,
        record: &Record<'_>,
        from_client: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), Why> {
        let openers = self.openers.as_ref().ok_or(Why::Gone)?;
        let opener: &Opener = if from_client { &openers.up } else { &openers.down };
        if opener.open(record, out) { Ok(()) } else { Err(Why::NotAuthentic) }
    }

    /// Notes an opened record; returns true if it had been seen.
    pub(super) fn is_copy(&mut self, record: &Record<'_>, from_client: bool) -> bool {
        let seen = if from_client { &mut self.seen_up } else { &mut self.seen_down };
        seen.note(record.number.sequence())
    }
}
