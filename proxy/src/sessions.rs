//! One DTLS session for each access token, and one for requests without any.
//!
//! A token is sticky to its session at the server, so two accounts never share one. A session without a token
//! that is idle becomes that of the next new token: a client that has just logged in shakes no hands again.
//!
//! ```text
//! lease -> a session, made when its first request dials -> used -> idle -> closed: after Times::idle,
//!                                                                         or to make room, or at the end
//! ```

use crate::account::Account;
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
    idle: Duration,
    table: Mutex<HashMap<Account, Entry>>,
    /// Told when a session has become idle.
    rested: Notify,
}

struct Entry {
    session: Arc<Session>,
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
    pub(crate) fn new(ways: Ways, most: usize, idle: Duration) -> Arc<Sessions> {
        let (table, rested) = (Mutex::default(), Notify::new());
        Arc::new(Sessions { ways, most, idle, table, rested })
    }

    /// Returns the session of an account; `None` if there are too many, and none of them is idle.
    pub(crate) fn lease(self: &Arc<Self>, account: &Account) -> Option<Lease> {
        let mut table = self.table();
        if !table.contains_key(account) {
            let adopted = table.get(&Account::nobody()).is_some_and(Entry::is_idle);
            let entry = match adopted.then(|| table.remove(&Account::nobody())).flatten() {
                Some(entry) => entry,
                None => {
                    self.make_room(&mut table)?;
                    Entry { session: Arc::default(), users: 0, since: Instant::now() }
                }
            };
            table.insert(account.clone(), entry);
        }
        let entry = table.get_mut(account)?;
        entry.users += 1;
        let session = Arc::clone(&entry.session);
        Some(Lease { sessions: Arc::clone(self), account: account.clone(), session })
    }

    /// Makes room for one more session, by the end of the one that has been idle for the longest.
    fn make_room(&self, table: &mut HashMap<Account, Entry>) -> Option<()> {
        if table.len() < self.most {
            return Some(());
        }
        let idle = table.iter().filter(|(_, entry)| entry.is_idle());
        let oldest = idle.min_by_key(|(_, entry)| entry.since)?.0.clone();
        if let Some(entry) = table.remove(&oldest) {
            tokio::spawn(entry.session.close());
        }
        Some(())
    }

    /// Closes sessions that have been idle for long. Sleeps until there is one.
    pub(crate) async fn close_idle(&self) {
        loop {
            let next = self.table().values().filter(|entry| entry.is_idle()).map(|entry| entry.since).min();
            match next.map(|since| since + self.idle) {
                Some(at) => sleep_until(at).await,
                None => self.rested.notified().await,
            }
            let now = Instant::now();
            let is_over = |entry: &Entry| entry.is_idle() && now.duration_since(entry.since) >= self.idle;
            let over: Vec<_> = self.table().extract_if(|_, entry| is_over(entry)).collect();
            for (_, entry) in over {
                tracing::debug!("a session has been idle for long and is closed");
                entry.session.close().await;
            }
        }
    }

    /// Closes the session of an account: its token has ended.
    pub(crate) fn forget(&self, account: &Account) {
        let entry = self.table().remove(account);
        if let Some(entry) = entry {
            tokio::spawn(entry.session.close());
        }
    }

    /// Closes all sessions.
    pub(crate) async fn close_all(&self) {
        let entries = std::mem::take(&mut *self.table());
        let mut closing = JoinSet::new();
        for entry in entries.into_values() {
            closing.spawn(entry.session.close());
        }
        closing.join_all().await;
    }

    fn table(&self) -> MutexGuard<'_, HashMap<Account, Entry>> {
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
        let own = table.get_mut(&self.account).filter(|entry| Arc::ptr_eq(&entry.session, &self.session));
        if let Some(entry) = own {
            entry.users = entry.users.saturating_sub(1);
            entry.since = Instant::now();
            if entry.users == 0 {
                self.sessions.rested.notify_one();
            }
        }
    }
}
