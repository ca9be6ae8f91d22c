//! One DTLS session for each access token, and one for requests without any.
//!
//! A token is sticky to its session at the server, so two accounts never share one. A session without a token
//! that is idle becomes that of the next new token: a client that has just logged in shakes no hands again.
//!
//! ```text
//! lease -> a session, made when its first request dials -> used -> idle -> closed: after Times::idle,
//!                                                                         or to make room, or at the end
//! ```
//!
//! Tokens that may be made up are on probation: they share a few places among themselves, and take none from
//! those that the homeserver knows.

use crate::account::Account;
use crate::known::Known;
use crate::settings::Limits;
use crate::ways::{Udp, Ways};
use lowband_client::{Error, LastingConnection};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

/// How long the last datagram of a session may take to leave.
const LONGEST_FAREWELL: Duration = Duration::from_secs(1);

/// The sessions of all accounts.
pub(crate) struct Sessions {
    ways: Ways,
    most: usize,
    most_on_probation: usize,
    idle: Duration,
    table: Mutex<Table>,
    /// Told when a session has become idle.
    rested: Notify,
}

struct Table {
    entries: HashMap<Account, Entry>,
    known: Known,
}

struct Entry {
    session: Arc<Session>,
    /// Whether it has one of the places of known accounts.
    is_known: bool,
    /// Requests under way.
    users: usize,
    /// When the last request ended.
    since: Instant,
}

#[derive(Default)]
struct Session {
    /// Held while dialling: others that want the session wait for the same handshake.
    dialled: tokio::sync::Mutex<Option<Dialled>>,
}

struct Dialled {
    to: Udp,
    /// How often datagrams had got through anew by then; see [`Ways::throughs`].
    throughs: u64,
    connection: LastingConnection,
}

impl Dialled {
    /// Returns whether the connection is one to this place that lasts. It comes back by itself from the end
    /// of its session, but with longer and longer pauses: after an outage a new one is quicker, and the dial
    /// that found out that it is over may have left a session.
    fn lasts(&self, to: &Udp, throughs: u64) -> bool {
        self.to == *to && (self.throughs == throughs || self.connection.is_connected())
    }
}

/// The use of a session by one request.
pub(crate) struct Lease {
    sessions: Arc<Sessions>,
    account: Account,
    session: Arc<Session>,
}

impl Sessions {
    pub(crate) fn new(ways: Ways, limits: &Limits, idle: Duration) -> Arc<Sessions> {
        let most = limits.sessions;
        let most_on_probation = limits.sessions_on_probation.min(most);
        let table = Table { entries: HashMap::new(), known: Known::new(most) };
        let (table, rested) = (Mutex::new(table), Notify::new());
        Arc::new(Sessions { ways, most, most_on_probation, idle, table, rested })
    }

    /// Returns the session of an account; `None` if there are too many, and none of them is idle.
    pub(crate) fn lease(self: &Arc<Self>, account: &Account) -> Option<Lease> {
        let mut table = self.table();
        if !table.entries.contains_key(account) {
            let entry = self.enter(&mut table, account)?;
            table.entries.insert(account.clone(), entry);
        }
        let entry = table.entries.get_mut(account)?;
        entry.users += 1;
        let session = Arc::clone(&entry.session);
        Some(Lease { sessions: Arc::clone(self), account: account.clone(), session })
    }

    /// Returns an entry for an account that has none, and for which there is room.
    fn enter(&self, table: &mut Table, account: &Account) -> Option<Entry> {
        let nobody = Account::nobody();
        let is_adopted = table.entries.get(&nobody).is_some_and(Entry::is_idle);
        // With its session, nobody gives its place away.
        let adopted = if is_adopted { table.entries.remove(&nobody) } else { None };
        let is_known = table.known.has(account) && self.make_room(table, true);
        if !is_known && !self.make_room(table, false) {
            table.entries.extend(adopted.map(|entry| (nobody, entry)));
            return None;
        }
        let new = || Entry { session: Arc::default(), is_known, users: 0, since: Instant::now() };
        Some(adopted.map_or_else(new, |entry| Entry { is_known, ..entry }))
    }

    /// Makes room for one more session, among those of known accounts or on probation, by the end of the one
    /// there that has been idle for the longest. Returns false if none is idle.
    fn make_room(&self, table: &mut Table, is_known: bool) -> bool {
        let of_known = self.most.saturating_sub(self.most_on_probation);
        let most = if is_known { of_known } else { self.most_on_probation };
        let same = || table.entries.iter().filter(move |(_, entry)| entry.is_known == is_known);
        if same().count() < most {
            return true;
        }
        let oldest = same().filter(|(_, entry)| entry.is_idle()).min_by_key(|(_, entry)| entry.since);
        let Some(oldest) = oldest.map(|(account, _)| account.clone()) else { return false };
        if let Some(entry) = table.entries.remove(&oldest) {
            tokio::spawn(entry.session.close());
        }
        true
    }

    /// Returns whether the homeserver has been seen to know the token of an account, or it has none.
    pub(crate) fn knows(&self, account: &Account) -> bool {
        self.table().known.has(account)
    }

    /// Returns the account whose part of a limited thing a request uses: its own, or that of requests without
    /// a token where its token may be made up.
    pub(crate) fn share(&self, account: &Account) -> Account {
        if self.knows(account) { account.clone() } else { Account::nobody() }
    }

    /// Notes that the homeserver knows the token of an account, which is on probation no longer.
    pub(crate) fn know(&self, account: &Account) {
        if account.is_nobody() {
            return;
        }
        let mut table = self.table();
        table.known.note(account);
        let is_on_probation = table.entries.get(account).is_some_and(|entry| !entry.is_known);
        if is_on_probation
            && self.make_room(&mut table, true)
            && let Some(entry) = table.entries.get_mut(account)
        {
            entry.is_known = true;
        }
    }

    /// Notes that the homeserver does not know the token of an account (any longer). Its session stays, on
    /// probation, so that a client that goes on asking shakes hands once.
    pub(crate) fn doubt(&self, account: &Account) {
        let mut table = self.table();
        table.known.forget(account);
        if !table.entries.get(account).is_some_and(|entry| entry.is_known) {
            return;
        }
        if self.make_room(&mut table, false) {
            if let Some(entry) = table.entries.get_mut(account) {
                entry.is_known = false;
            }
        } else if let Some(entry) = table.entries.remove(account) {
            tokio::spawn(entry.session.close());
        }
    }

    /// Closes sessions that have been idle for long. Sleeps until there is one.
    pub(crate) async fn close_idle(&self) {
        loop {
            let next =
                self.table().entries.values().filter(|entry| entry.is_idle()).map(|entry| entry.since).min();
            match next.map(|since| since + self.idle) {
                Some(at) => sleep_until(at).await,
                None => self.rested.notified().await,
            }
            let now = Instant::now();
            let is_over = |entry: &Entry| entry.is_idle() && now.duration_since(entry.since) >= self.idle;
            let over: Vec<_> = self.table().entries.extract_if(|_, entry| is_over(entry)).collect();
            for (_, entry) in over {
                tracing::debug!("a session has been idle for long and is closed");
                entry.session.close().await;
            }
        }
    }

    /// Closes the session of an account: its token has ended.
    pub(crate) fn forget(&self, account: &Account) {
        let entry = {
            let mut table = self.table();
            table.known.forget(account);
            table.entries.remove(account)
        };
        if let Some(entry) = entry {
            tokio::spawn(entry.session.close());
        }
    }

    /// Closes all sessions.
    pub(crate) async fn close_all(&self) {
        let entries = std::mem::take(&mut self.table().entries);
        let mut closing = JoinSet::new();
        for entry in entries.into_values() {
            closing.spawn(entry.session.close());
        }
        closing.join_all().await;
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn is_idle(&self) -> bool {
        self.users == 0
    }
}

impl Session {
    async fn close(self: Arc<Self>) {
        // A request that dials has to end first: it is one that nobody waits for any more.
        let farewell = async {
            if let Some(dialled) = self.dialled.lock().await.take() {
                dialled.connection.close().await;
            }
        };
        let _late = timeout(LONGEST_FAREWELL, farewell).await;
    }
}

impl Lease {
    /// Returns the connection of the session, dialled anew if there is none yet, or only one to another
    /// server or that an outage has ended; `None` if datagrams do not get through any more, which another
    /// request that waited for the same session may have found out.
    pub(crate) async fn connection(&self, udp: &Udp) -> Result<Option<LastingConnection>, Error> {
        let mut dialled = self.session.dialled.lock().await;
        let ways = &self.sessions.ways;
        let throughs = ways.throughs();
        if let Some(dialled) = dialled.as_ref().filter(|dialled| dialled.lasts(udp, throughs)) {
            return Ok(Some(dialled.connection.clone()));
        }
        if !ways.lead_to(udp) {
            return Ok(None);
        }
        let connection = match ways.take_first() {
            Some(first) => first,
            None => ways.dial(udp).await?,
        };
        let new = Dialled { to: udp.clone(), throughs, connection: connection.clone() };
        if let Some(old) = dialled.replace(new).filter(|old| old.connection.is_connected()) {
            tokio::spawn(old.connection.close());
        }
        Ok(Some(connection))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut table = self.sessions.table();
        // The account may have a newer session by now.
        let own =
            table.entries.get_mut(&self.account).filter(|entry| Arc::ptr_eq(&entry.session, &self.session));
        if let Some(entry) = own {
            entry.users = entry.users.saturating_sub(1);
            entry.since = Instant::now();
            if entry.users == 0 {
                self.sessions.rested.notify_one();
            }
        }
    }
}
