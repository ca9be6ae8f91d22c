//! All sessions of a capture, found by their addresses or by Connection IDs.
//!
//! A pair of addresses may have several sessions one after the other, and records of the older one may come
//! when the newer one has begun: each record is tried with the newest first. The number of sessions has a
//! limit; those that were quiet for longest are given up, keys and all.

use super::flow_key::FlowKey;
use super::pieces::Pieces;
use super::tracked::Tracked;
use crate::Datagram;
use crate::capture::{Limits, Options};
use crate::exchange::{Mark, MessageRef, Traffic};
use crate::key_log::KeyLog;
use crate::session::{Keys, Protection, Session};
use crate::unread::Why;
use lowband_wire::dtls::record::{self, ContentType, Malformed, Record};
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

mod by_id;
mod handshake;
mod protected;

use by_id::ById;

/// Most sessions of one pair of addresses among which the one of a record is looked for.
const MAX_TRIED: usize = 4;
/// Most pairs of addresses by which one session is found; those that it had before are forgotten.
const MAX_FLOWS: usize = 4;

/// What goes on between two addresses.
#[derive(Default)]
struct Flow {
    /// Numbers of sessions, the newest first.
    sessions: Vec<u32>,
    /// The hello that is being put together, by sender: the lower address, or the higher.
    pieces: [Option<Pieces>; 2],
}

/// Something in a datagram that is told.
pub(crate) struct Found<'a> {
    pub(crate) reference: MessageRef,
    pub(crate) traffic: Traffic,
    pub(crate) content: Content<'a>,
}

/// What it is.
pub(crate) enum Content<'a> {
    /// A message of CoAP, decrypted.
    Message(&'a [u8]),
    /// The same record with a message has been seen before.
    Duplicate(&'a [u8]),
    /// A record that cannot be read.
    Unread(Why),
}

/// Takes what is found in a datagram, with its session.
pub(crate) type Take<'t> = &'t mut dyn FnMut(&mut Session, Found<'_>);

/// All sessions, with their keys.
pub(crate) struct Sessions {
    limits: Limits,
    coap_ports: Vec<u16>,
    dtls_ports: Vec<u16>,
    last_number: u32,
    tracked: BTreeMap<u32, Tracked>,
    flows: HashMap<FlowKey, Flow>,
    ids: ById,
    /// Bytes of all hellos that are being put together.
    pieces: usize,
    plaintext: Vec<u8>,
    /// Sessions that were given up and have not been told of.
    over: Vec<Session>,
}

/// What a datagram was, for the counts of its session.
#[derive(Default)]
struct Account {
    session: Option<u32>,
    from_client: bool,
    has_message: bool,
    records: usize,
    copies: usize,
}

impl Sessions {
    pub(crate) fn new(options: &Options) -> Sessions {
        Sessions {
            limits: options.limits,
            coap_ports: options.coap_ports.clone(),
            dtls_ports: options.dtls_ports.clone(),
            last_number: 0,
            tracked: BTreeMap::new(),
            flows: HashMap::new(),
            ids: ById::default(),
            pieces: 0,
            plaintext: Vec::new(),
            over: Vec::new(),
        }
    }

    pub(crate) fn get(&self, number: u32) -> Option<&Session> {
        self.tracked.get(&number).map(|tracked| &tracked.told)
    }
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Session> {
        self.tracked.values().map(|tracked| &tracked.told)
    }
    /// Returns whether reading again with this key log would show more.
    pub(crate) fn would_have_keys(&self, key_log: &KeyLog) -> bool {
        self.tracked.values().any(|tracked| tracked.would_have_keys(key_log))
    }
    /// Takes out the sessions that were given up.
    pub(crate) fn take_over(&mut self) -> Vec<Session> {
        std::mem::take(&mut self.over)
    }

    /// Takes a datagram; returns false if it is neither DTLS nor, at a port for it, CoAP.
    pub(crate) fn receive(&mut self, datagram: &Datagram<'_>, key_log: &KeyLog, take: Take<'_>) -> bool {
        if begins_record(datagram.payload) {
            self.receive_records(datagram, key_log, take);
            true
        } else if [datagram.from, datagram.to].iter().any(|end| self.coap_ports.contains(&end.port())) {
            self.receive_plain(datagram, take);
            true
        } else {
            false
        }
    }

    fn receive_plain(&mut self, datagram: &Datagram<'_>, take: Take<'_>) {
        let flow = FlowKey::of(datagram, true);
        let number = match self.flows.get(&flow).and_then(|flow| flow.sessions.first()) {
            Some(number) => *number,
            None => {
                let to_server = self.coap_ports.contains(&datagram.to.port());
                let ends =
                    if to_server { (datagram.from, datagram.to) } else { (datagram.to, datagram.from) };
                self.begin(flow, ends, datagram)
            }
        };
        let Some(Tracked { told, .. }) = self.tracked.get_mut(&number) else { return };
        (told.protection, told.keys) = (Protection::Plain, Keys::NotNeeded);
        told.last = told.last.max(datagram.time);
        let from_client = datagram.from != told.server;
        let traffic = Traffic { bytes: datagram.length as u64, datagrams: 1 };
        if from_client { &mut told.up } else { &mut told.down }.add(traffic);
        let content = if datagram.payload.len() < datagram.length {
            Content::Unread(Why::Truncated)
        } else {
            Content::Message(datagram.payload)
        };
        take(told, Found { reference: reference(datagram, 0, from_client), traffic, content });
        self.keep_limit();
    }

    fn receive_records(&mut self, datagram: &Datagram<'_>, key_log: &KeyLog, take: Take<'_>) {
        let (mut rest, mut account) = (datagram.payload, Account::default());
        while !rest.is_empty() {
            let at = datagram.payload.len() - rest.len();
            rest = match self.parse(datagram, rest) {
                Ok((record, after, by_id)) => {
                    account.records += 1;
                    let place = protected::Place { datagram, at, by_id };
                    if record.number.epoch() == 0 {
                        self.receive_unprotected(&place, &record, key_log, &mut account, take);
                    } else {
                        self.receive_protected(&place, &record, key_log, &mut account, take);
                    }
                    after
                }
                Err(why) => {
                    account.records += 1;
                    self.tell_unread(datagram, at, why, &mut account, take);
                    &[]
                }
            };
        }
        self.settle(datagram, &account);
        // Not before: the session of the datagram may be one that is given up.
        self.keep_limit();
    }

    /// Parses one record; with a Connection ID, also finds whom that names.
    fn parse<'d>(
        &self,
        datagram: &Datagram<'_>,
        bytes: &'d [u8],
    ) -> Result<(Record<'d>, &'d [u8], Option<by_id::Candidates>), Why> {
        let fault = |why| match why {
            Malformed::Cut { .. } | Malformed::TooShort(_) if datagram.payload.len() < datagram.length => {
                Why::Truncated
            }
            _ => Why::MalformedRecord,
        };
        if bytes.first() != Some(&(ContentType::ConnectionId as u8)) {
            return record::parse(bytes).map(|(record, after)| (record, after, None)).map_err(fault);
        }
        let near = self.flows.get(&FlowKey::of(datagram, false)).map_or(&[][..], |flow| &flow.sessions);
        let near = near.iter().filter_map(|number| self.tracked.get(number));
        let found = self.ids.find(near, bytes, |told| datagram.from != told.server);
        let found = found.ok_or(Why::UnknownConnectionId)?;
        let parsed = record::parse_with_id(bytes, found.length);
        parsed.map(|(record, after)| (record, after, Some(found))).map_err(fault)
    }

    /// Tells of a record that does not even parse, or that no session can be asked about.
    fn tell_unread(
        &mut self,
        datagram: &Datagram<'_>,
        at: usize,
        why: Why,
        account: &mut Account,
        take: Take<'_>,
    ) {
        let number = account.session.unwrap_or_else(|| self.session_of(datagram));
        let Some(Tracked { told, .. }) = self.tracked.get_mut(&number) else { return };
        let from_client = datagram.from != told.server;
        let traffic = account.note(number, from_client, datagram, true);
        let reference = reference(datagram, at, from_client);
        take(told, Found { reference, traffic, content: Content::Unread(why) });
    }

    /// Counts a datagram for its session.
    fn settle(&mut self, datagram: &Datagram<'_>, account: &Account) {
        let Some(told) = account.session.and_then(|number| self.tracked.get_mut(&number)) else { return };
        let told = &mut told.told;
        told.last = told.last.max(datagram.time);
        if account.copies > 0 && account.copies == account.records {
            told.duplicates += 1;
            return;
        }
        let traffic = Traffic { bytes: datagram.length as u64, datagrams: 1 };
        let (all, handshake) = if account.from_client {
            (&mut told.up, &mut told.handshake_up)
        } else {
            (&mut told.down, &mut told.handshake_down)
        };
        all.add(traffic);
        if !account.has_message {
            handshake.add(traffic);
        }
    }

    /// Returns the newest session between the addresses of a datagram, or begins one whose handshake is not
    /// in the capture.
    fn session_of(&mut self, datagram: &Datagram<'_>) -> u32 {
        let flow = FlowKey::of(datagram, false);
        if let Some(number) = self.flows.get(&flow).and_then(|flow| flow.sessions.first()) {
            return *number;
        }
        let is_server = |end: SocketAddr| self.dtls_ports.contains(&end.port());
        let (from, to) = (datagram.from, datagram.to);
        // Of two ports that say nothing, that of the server is the lower one as a rule.
        let to_server = match (is_server(from), is_server(to)) {
            (false, true) => true,
            (true, false) => false,
            _ => to.port() <= from.port(),
        };
        self.begin(flow, if to_server { (from, to) } else { (to, from) }, datagram)
    }

    /// Begins a session; `ends` are client and server.
    fn begin(&mut self, flow: FlowKey, ends: (SocketAddr, SocketAddr), datagram: &Datagram<'_>) -> u32 {
        self.last_number = self.last_number.wrapping_add(1);
        let number = self.last_number;
        let told = Session::new(number, ends.0, ends.1, datagram.time);
        self.tracked.insert(number, Tracked::new(told));
        self.add_flow(number, flow);
        number
    }

    /// Makes a session be found by two addresses.
    fn add_flow(&mut self, number: u32, flow: FlowKey) {
        let sessions = &mut self.flows.entry(flow).or_default().sessions;
        if !sessions.contains(&number) {
            sessions.insert(0, number);
            sessions.truncate(MAX_TRIED);
        }
        let Some(tracked) = self.tracked.get_mut(&number) else { return };
        tracked.flows.push(flow);
        if tracked.flows.len() > MAX_FLOWS {
            let first = tracked.flows.remove(0);
            if !tracked.flows.contains(&first) {
                self.forget_flow(number, first);
            }
        }
    }

    fn forget_flow(&mut self, number: u32, key: FlowKey) {
        let Some(flow) = self.flows.get_mut(&key) else { return };
        flow.sessions.retain(|session| *session != number);
        if flow.sessions.is_empty() {
            let pieces = flow.pieces.iter().flatten().map(Pieces::len).sum::<usize>();
            self.pieces -= pieces.min(self.pieces);
            self.flows.remove(&key);
        }
    }

    /// Gives up the sessions that were quiet for longest, a sixteenth of them at once, if there are too many.
    fn keep_limit(&mut self) {
        let most = self.limits.sessions.max(1);
        if self.tracked.len() <= most {
            return;
        }
        let newest = self.last_number;
        let mut quiet: Vec<_> = self.tracked.values().map(|one| (one.told.last, one.told.number)).collect();
        quiet.retain(|(_, number)| *number != newest);
        quiet.sort_unstable();
        let count = (self.tracked.len() - most).max(most / 16 + 1);
        for (_, number) in quiet.into_iter().take(count) {
            let Some(tracked) = self.tracked.remove(&number) else { continue };
            self.ids.remove(number, &tracked);
            for flow in &tracked.flows {
                self.forget_flow(number, *flow);
            }
            self.over.push(tracked.told);
        }
    }

    /// Opens a record once more; `bytes` is the payload of its datagram from where it begins.
    pub(crate) fn reopen(
        &self,
        number: u32,
        from_client: bool,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Why> {
        let tracked = self.tracked.get(&number).ok_or(Why::Gone)?;
        if tracked.told.protection == Protection::Plain {
            out.clear();
            out.extend_from_slice(bytes);
            return Ok(());
        }
        let id = if from_client { &tracked.id_up } else { &tracked.id_down };
        let (record, _) = record::parse_with_id(bytes, id.len()).map_err(|_| Why::MalformedRecord)?;
        tracked.reopen(&record, from_client, out)?;
        let content = protected::content(&record, out).ok_or(Why::MalformedRecord)?;
        let length = content.1.len();
        out.truncate(length);
        Ok(())
    }
}

impl Account {
    /// Notes whose datagram it is, and returns what its record counts for: the first one for all of it.
    fn note(&mut self, number: u32, from_client: bool, datagram: &Datagram<'_>, is_message: bool) -> Traffic {
        if self.session.is_none() {
            (self.session, self.from_client) = (Some(number), from_client);
        }
        let is_first = is_message && !self.has_message;
        self.has_message |= is_message;
        if is_first { Traffic { bytes: datagram.length as u64, datagrams: 1 } } else { Traffic::default() }
    }
}

/// Returns whether bytes begin like a record of DTLS 1.2 or 1.0. CoAP begins with 0x40 and above.
fn begins_record(bytes: &[u8]) -> bool {
    let Some([kind, v0, v1]) = bytes.first_chunk() else { return false };
    let version = [*v0, *v1];
    ContentType::from_wire(*kind).is_some() && (version == record::DTLS_1_2 || version == record::DTLS_1_0)
}

fn reference(datagram: &Datagram<'_>, at: usize, from_client: bool) -> MessageRef {
    MessageRef {
        frame: datagram.frame,
        offset: datagram.offset,
        length: datagram.payload.len() as u32,
        record_at: at as u32,
        time: datagram.time,
        from_client,
        mark: Mark::First,
    }
}

#[cfg(test)]
mod tests;
