//! What was saved.

use lowband_client::trace::Traffic;
use std::sync::{Arc, Mutex, PoisonError};

/// What went over the wire, and what it would have been in JSON over HTTPS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Requests that were answered.
    pub requests: u64,
    /// Datagrams and bytes of all sessions that have ended.
    pub traffic: Traffic,
    /// Bytes of heads and bodies that the same would have been as HTTP and JSON, without TLS and TCP.
    pub as_json: u64,
    /// Values that CBOR cannot hold as they were and that were changed for it.
    pub repairs: u64,
}

/// One request with its answer, as bytes of HTTP and JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Exchanged {
    pub(crate) request_head: usize,
    pub(crate) request_json: usize,
    pub(crate) answer_json: usize,
}

/// Counts for the [`Summary`]. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Stats(Arc<Mutex<Summary>>);

impl Stats {
    /// Notes an answered request.
    pub(crate) fn exchanged(&self, one: &Exchanged) {
        self.change(|summary| {
            summary.requests += 1;
            let bytes = one.request_head + one.request_json + one.answer_json;
            summary.as_json += u64::try_from(bytes).unwrap_or(u64::MAX);
        });
    }

    /// Notes what a session has moved that has ended.
    pub(crate) fn session(&self, traffic: Traffic) {
        self.change(|summary| summary.traffic = summary.traffic + traffic);
    }

    /// Notes values that were changed.
    pub(crate) fn repaired(&self, repairs: u64) {
        self.change(|summary| summary.repairs += repairs);
    }

    /// Returns all counts.
    pub(crate) fn summary(&self) -> Summary {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Summary)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
