//! Sessions by the Connection IDs of their records (RFC 9146).
//!
//! A record does not say how long its id is; whoever chose the id knows. So the lengths that sessions of the
//! capture have agreed on are tried, the longest first.

use super::super::tracked::Tracked;
use crate::session::Session;
use lowband_wire::dtls::record::HEADER;
use std::collections::{BTreeMap, HashMap};

/// Most sessions with the same Connection ID that are remembered; ids may be short, and servers many.
const MAX_NAMESAKES: usize = 8;
/// Where the id begins: in front of the length.
const ID_AT: usize = HEADER - 2;

/// Whom a Connection ID may name.
pub(super) struct Candidates {
    /// Bytes of the id.
    pub(super) length: usize,
    /// Session, and whether its client has sent the record.
    pub(super) sessions: Vec<(u32, bool)>,
}

/// All Connection IDs that were agreed on.
#[derive(Default)]
pub(super) struct ById {
    sessions: HashMap<Vec<u8>, Vec<(u32, bool)>>,
    /// How many ids of which length there are.
    lengths: BTreeMap<usize, usize>,
}

impl ById {
    pub(super) fn add(&mut self, number: u32, tracked: &Tracked) {
        for (id, from_client) in [(&tracked.id_up, true), (&tracked.id_down, false)] {
            if id.is_empty() {
                continue;
            }
            let sessions = self.sessions.entry(id.clone()).or_insert_with(|| {
                *self.lengths.entry(id.len()).or_default() += 1;
                Vec::new()
            });
            sessions.insert(0, (number, from_client));
            sessions.truncate(MAX_NAMESAKES);
        }
    }

    pub(super) fn remove(&mut self, number: u32, tracked: &Tracked) {
        for id in [&tracked.id_up, &tracked.id_down] {
            let Some(sessions) = self.sessions.get_mut(id) else { continue };
            sessions.retain(|(session, _)| *session != number);
            if !sessions.is_empty() {
                continue;
            }
            self.sessions.remove(id);
            if let Some(count) = self.lengths.get_mut(&id.len()) {
                *count -= 1;
                if *count == 0 {
                    self.lengths.remove(&id.len());
                }
            }
        }
    }

    /// Finds whom a record names: a session between the same addresses, or any other. `is_up` says whether a
    /// session's client has sent the record, by its addresses.
    pub(super) fn find<'t>(
        &self,
        near: impl Iterator<Item = &'t Tracked>,
        record: &[u8],
        is_up: impl Fn(&Session) -> bool,
    ) -> Option<Candidates> {
        let after = record.get(ID_AT..)?;
        for tracked in near {
            let from_client = is_up(&tracked.told);
            let id = if from_client { &tracked.id_up } else { &tracked.id_down };
            if !id.is_empty() && after.starts_with(id) {
                let sessions = vec![(tracked.told.number, from_client)];
                return Some(Candidates { length: id.len(), sessions });
            }
        }
        self.lengths.keys().rev().find_map(|length| {
            let sessions = self.sessions.get(after.get(..*length)?)?;
            Some(Candidates { length: *length, sessions: sessions.clone() })
        })
    }
}
