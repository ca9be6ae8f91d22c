//! Records without protection: the hellos in them begin sessions.

use super::super::pieces::Pieces;
use super::super::tracked::Tracked;
use super::protected::Place;
use super::{Account, Sessions, Take};
use crate::Datagram;
use crate::dtls::flow_key::FlowKey;
use crate::key_log::KeyLog;
use crate::session::{Keys, UnprotectedAlert};
use crate::unread::Why;
use lowband_wire::dtls::alert::Alert;
use lowband_wire::dtls::fragments::{Fragment, Fragments};
use lowband_wire::dtls::handshake::{CLIENT_HELLO, SERVER_HELLO, SERVER_HELLO_DONE};
use lowband_wire::dtls::hello::body::{ClientHelloBody, ServerHello};
use lowband_wire::dtls::record::{ContentType, Record};

/// Where the random stands in both hellos: behind the version.
const RANDOM: std::ops::Range<usize> = 2..34;

impl Sessions {
    /// Takes a record of epoch 0.
    pub(super) fn receive_unprotected(
        &mut self,
        place: &Place<'_>,
        record: &Record<'_>,
        key_log: &KeyLog,
        account: &mut Account,
        take: Take<'_>,
    ) {
        let Place { datagram, at, .. } = *place;
        if matches!(record.content_type, ContentType::ApplicationData | ContentType::ConnectionId) {
            return self.tell_unread(datagram, at, Why::Unprotected, account, take);
        }
        if record.content_type == ContentType::Handshake {
            for (fragment, body) in Fragments::new(record.fragment).bodies() {
                match fragment.kind {
                    CLIENT_HELLO | SERVER_HELLO => self.hello(datagram, &fragment, body, key_log),
                    SERVER_HELLO_DONE => {
                        let number = self.session_of(datagram);
                        self.tracked.get_mut(&number).into_iter().for_each(|tracked| tracked.is_full = true);
                    }
                    _ => {}
                }
            }
        }
        let number = self.session_of(datagram);
        let Some(tracked) = self.tracked.get_mut(&number) else { return };
        let from_client = datagram.from != tracked.told.server;
        account.note(number, from_client, datagram, false);
        account.copies += usize::from(tracked.is_clear_copy(record, from_client));
        let told = &mut tracked.told;
        if record.content_type == ContentType::Alert
            && let Some(alert) = Alert::parse(record.fragment)
        {
            let (is_fatal, description) = (alert.is_fatal(), alert.description);
            told.unprotected_alert = Some(UnprotectedAlert { from_client, is_fatal, description });
        }
    }

    fn hello(&mut self, datagram: &Datagram<'_>, fragment: &Fragment, body: &[u8], key_log: &KeyLog) {
        let is_client = fragment.kind == CLIENT_HELLO;
        let random = body.get(RANDOM).and_then(|random| <&[u8; 32]>::try_from(random).ok());
        if is_client {
            // The first piece is enough to know the session: it has the random.
            self.begin_session(datagram, random.filter(|_| fragment.offset == 0));
        }
        if fragment.offset == 0 && body.len() == fragment.length {
            return self.whole_hello(datagram, is_client, body, key_log);
        }
        let Some(mut pieces) = self.pieces_of(datagram, fragment) else { return };
        let whole = pieces.add(fragment.offset, body).map(<[u8]>::to_vec);
        match whole {
            Some(body) => {
                self.pieces -= pieces.len().min(self.pieces);
                if is_client {
                    let random = body.get(RANDOM).and_then(|random| <&[u8; 32]>::try_from(random).ok());
                    self.begin_session(datagram, random);
                }
                self.whole_hello(datagram, is_client, &body, key_log);
            }
            None => {
                let flow = self.flows.entry(FlowKey::of(datagram, false)).or_default();
                let [low, high] = &mut flow.pieces;
                *(if datagram.from < datagram.to { low } else { high }) = Some(pieces);
            }
        }
    }

    /// Takes out the hello that a piece belongs to, begun by an earlier piece or just now. Where all of them
    /// together would take too much, those that were begun before are given up.
    fn pieces_of(&mut self, datagram: &Datagram<'_>, fragment: &Fragment) -> Option<Pieces> {
        let flow = self.flows.entry(FlowKey::of(datagram, false)).or_default();
        let [low, high] = &mut flow.pieces;
        let before = if datagram.from < datagram.to { low } else { high }.take();
        if let Some(pieces) = before {
            if pieces.fits(fragment) {
                return Some(pieces);
            }
            self.pieces -= pieces.len().min(self.pieces);
        }
        let new = Pieces::new(fragment)?;
        if self.pieces + new.len() > self.limits.pieces {
            self.flows.values_mut().for_each(|flow| flow.pieces = [None, None]);
            self.pieces = 0;
        }
        self.pieces += new.len();
        Some(new)
    }

    /// Makes the session of a ClientHello the newest between its addresses: one with the same random, one of
    /// which nothing is known but a piece of its hello, or a new one.
    fn begin_session(&mut self, datagram: &Datagram<'_>, random: Option<&[u8; 32]>) {
        let flow = FlowKey::of(datagram, false);
        let known = self.flows.get(&flow).map_or(&[][..], |flow| &flow.sessions);
        let is = |number: &&u32, what: &dyn Fn(&Tracked) -> bool| {
            self.tracked
                .get(number)
                .is_some_and(|tracked| tracked.told.client == datagram.from && what(tracked))
        };
        let same = random.and_then(|random| {
            known.iter().find(|number| is(number, &|tracked| tracked.client_random.as_ref() == Some(random)))
        });
        let bare = known.first().filter(|number| is(number, &Tracked::is_bare));
        let number = match same.or(bare) {
            Some(number) => *number,
            // A later piece of a hello whose first one has come, or is on its way.
            None if random.is_none() && !known.is_empty() => return,
            None => self.begin(flow, (datagram.from, datagram.to), datagram),
        };
        if let (Some(tracked), Some(random)) = (self.tracked.get_mut(&number), random) {
            tracked.client_random = Some(*random);
        }
    }

    fn whole_hello(&mut self, datagram: &Datagram<'_>, is_client: bool, body: &[u8], key_log: &KeyLog) {
        let number = self.session_of(datagram);
        if is_client {
            let Ok(hello) = ClientHelloBody::parse(body) else { return };
            let sessions = self.flows.get(&FlowKey::of(datagram, false)).map(|flow| &flow.sessions);
            let same = sessions.into_iter().flatten().find(|number| {
                let random = self.tracked.get(number).and_then(|tracked| tracked.client_random);
                random.as_ref() == Some(hello.beginning.random)
            });
            let number = same.copied().unwrap_or(number);
            if let Some(tracked) = self.tracked.get_mut(&number) {
                tracked.client_hello(&hello);
            }
            return;
        }
        let Ok(hello) = ServerHello::parse(body) else { return };
        let Some(tracked) = self.tracked.get_mut(&number) else { return };
        if tracked.told.client != datagram.to {
            // The ports had said that the other end is the server, and a ServerHello knows better.
            if tracked.told.keys == Keys::Proven || tracked.has_records {
                return;
            }
            (tracked.told.client, tracked.told.server) = (datagram.to, datagram.from);
        }
        self.ids.remove(number, tracked);
        if tracked.server_hello(&hello) {
            // What is missing is asked for again with the first record, and told then.
            let _ = tracked.derive(key_log);
        }
        self.ids.add(number, tracked);
    }
}
