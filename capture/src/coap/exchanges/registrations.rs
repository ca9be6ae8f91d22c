//! Registrations of observers (RFC 7641): what later responses with their tokens belong to.

use super::TokenKey;
use crate::exchange::Exchange;
use lowband_wire::coap::Code;
use std::collections::HashMap;

/// What a notification takes over from its registration.
#[derive(Clone)]
pub(super) struct Registration {
    pub(super) exchange: u64,
    pub(super) name: u64,
    method: Option<Code>,
    path: String,
    path_code: Option<char>,
    query: Vec<String>,
}

impl Registration {
    pub(super) fn of(exchange: &Exchange, name: u64) -> Registration {
        Registration {
            exchange: exchange.number,
            name,
            method: exchange.method,
            path: exchange.path.clone(),
            path_code: exchange.path_code,
            query: exchange.query.clone(),
        }
    }

    /// Makes an exchange one about what was registered.
    pub(super) fn apply(&self, exchange: &mut Exchange) {
        exchange.method = self.method;
        exchange.path.clone_from(&self.path);
        exchange.path_code = self.path_code;
        exchange.query.clone_from(&self.query);
        exchange.observe = true;
    }
}

/// The registrations of all sessions.
pub(super) struct Registrations {
    most: usize,
    known: HashMap<TokenKey, Registration>,
}

impl Registrations {
    pub(super) fn new(most: usize) -> Registrations {
        Registrations { most: most.max(1), known: HashMap::new() }
    }

    pub(super) fn get(&self, key: &TokenKey) -> Option<&Registration> {
        self.known.get(key)
    }

    /// Adds one. Where there are too many, an eighth of them goes, the oldest first.
    pub(super) fn insert(&mut self, key: TokenKey, registration: Registration) {
        if self.known.len() >= self.most && !self.known.contains_key(&key) {
            let mut numbers: Vec<u64> = self.known.values().map(|known| known.exchange).collect();
            numbers.sort_unstable();
            let last = numbers.get(self.most / 8).copied().unwrap_or(0);
            self.known.retain(|_, known| known.exchange > last);
        }
        self.known.insert(key, registration);
    }

    pub(super) fn remove(&mut self, key: &TokenKey) {
        self.known.remove(key);
    }

    pub(super) fn forget(&mut self, is_gone: impl Fn(u32) -> bool) {
        self.known.retain(|key, _| !is_gone(key.session));
    }
}
