//! Protected records: whose they are, and what they contain.

use super::by_id::Candidates;
use super::{Account, Content, Found, MAX_TRIED, Sessions, Take, reference};
use crate::Datagram;
use crate::dtls::flow_key::FlowKey;
use crate::key_log::KeyLog;
use crate::session::End;
use crate::unread::Why;
use lowband_wire::dtls::alert::{Alert, CLOSE_NOTIFY};
use lowband_wire::dtls::connection_id;
use lowband_wire::dtls::record::{ContentType, Record};

/// Where a record stands, and whom its Connection ID names, if it has one.
pub(super) struct Place<'p> {
    pub(super) datagram: &'p Datagram<'p>,
    pub(super) at: usize,
    pub(super) by_id: Option<Candidates>,
}

impl Sessions {
    /// Takes a record of an epoch with protection.
    pub(super) fn receive_protected(
        &mut self,
        place: &Place<'_>,
        record: &Record<'_>,
        key_log: &KeyLog,
        account: &mut Account,
        take: Take<'_>,
    ) {
        let Place { datagram, at, by_id } = place;
        let mut tried = [(0, false); MAX_TRIED];
        let count = self.candidates(datagram, by_id.as_ref(), &mut tried);
        let mut failed = None;
        let mut opened = None;
        for (number, from_client) in tried.into_iter().take(count) {
            let Some(tracked) = self.tracked.get_mut(&number) else { continue };
            match tracked.open(record, from_client, key_log, &mut self.plaintext) {
                Ok(()) => {
                    opened = Some((number, from_client));
                    break;
                }
                // The newest session is the one that it says most about.
                Err(why) => failed = failed.or(Some((number, from_client, why))),
            }
        }
        let Some((number, from_client)) = opened else {
            let (number, from_client, why) = failed.unwrap_or((0, false, Why::NoHandshake));
            let Some(tracked) = self.tracked.get_mut(&number) else { return };
            let traffic = account.note(number, from_client, datagram, true);
            let reference = reference(datagram, *at, from_client);
            return take(&mut tracked.told, Found { reference, traffic, content: Content::Unread(why) });
        };
        self.arrived(number, from_client, datagram, by_id.is_some());
        let Some(tracked) = self.tracked.get_mut(&number) else { return };
        let is_copy = tracked.is_copy(record, from_client);
        account.copies += usize::from(is_copy);
        let told = &mut tracked.told;
        let reference = reference(datagram, *at, from_client);
        let content = match content(record, &self.plaintext) {
            Some((ContentType::ApplicationData, message)) if !message.is_empty() => {
                if is_copy {
                    Content::Duplicate(message)
                } else {
                    Content::Message(message)
                }
            }
            Some((ContentType::Alert, alert)) => {
                account.note(number, from_client, datagram, false);
                if let Some(alert) = Alert::parse(alert)
                    && (alert.is_fatal() || alert.description == CLOSE_NOTIFY)
                {
                    told.end.get_or_insert(End::Alert { from_client, description: alert.description });
                }
                return;
            }
            // Finished, which has proven the keys; or a message of no bytes.
            Some(_) => {
                account.note(number, from_client, datagram, false);
                return;
            }
            None => Content::Unread(Why::MalformedRecord),
        };
        let traffic = account.note(number, from_client, datagram, true);
        take(told, Found { reference, traffic, content });
    }

    /// Fills in the sessions that a record may belong to, with its direction in each; returns their count.
    fn candidates(
        &mut self,
        datagram: &Datagram<'_>,
        by_id: Option<&Candidates>,
        tried: &mut [(u32, bool); MAX_TRIED],
    ) -> usize {
        if let Some(candidates) = by_id {
            let pairs = candidates.sessions.iter().zip(tried.iter_mut());
            return pairs.map(|(candidate, place)| *place = *candidate).count();
        }
        let newest = self.session_of(datagram);
        let known = self.flows.get(&FlowKey::of(datagram, false)).map_or(&[][..], |flow| &flow.sessions);
        let known = if known.is_empty() { std::slice::from_ref(&newest) } else { known };
        let mut count = 0;
        for (number, place) in known.iter().zip(tried) {
            let from_client =
                self.tracked.get(number).is_some_and(|tracked| datagram.from != tracked.told.server);
            *place = (*number, from_client);
            count += 1;
        }
        count
    }

    /// Notes that a session lives: older ones between the same addresses are over, and a client that was
    /// found by its Connection ID may have another address.
    fn arrived(&mut self, number: u32, from_client: bool, datagram: &Datagram<'_>, by_id: bool) {
        let key = FlowKey::of(datagram, false);
        let Some(tracked) = self.tracked.get_mut(&number) else { return };
        let (client, server) =
            if from_client { (datagram.from, datagram.to) } else { (datagram.to, datagram.from) };
        if by_id && (tracked.told.client, tracked.told.server) != (client, server) {
            (tracked.told.client, tracked.told.server) = (client, server);
            tracked.told.moves += 1;
            self.add_flow(number, key);
        }
        let Some(flow) = self.flows.get(&key).filter(|flow| flow.sessions.len() > 1) else { return };
        let older = flow.sessions.iter().skip_while(|session| **session != number).skip(1);
        for session in older {
            if let Some(older) = self.tracked.get_mut(session) {
                older.told.end.get_or_insert(End::Replaced { by: number });
            }
        }
    }
}

/// Returns what an opened record contains; None if it does not say so.
pub(super) fn content<'p>(record: &Record<'_>, plaintext: &'p [u8]) -> Option<(ContentType, &'p [u8])> {
    match record.content_type {
        ContentType::ConnectionId => connection_id::unwrap(plaintext).ok(),
        other => Some((other, plaintext)),
    }
}
