//! A small pool of connections, opened when needed, with back-off while the upstream is down.
//!
//! ```text
//! request -> slot: over a unix socket the first with room, over TCP the less busy of two -> connection -> the head of the response
//!              | its connection is too old: a new slot in its place                            | not processed: again
//!              |                            (the old connection ends with its last request)    | cut off: once again, what may be repeated
//! ```
//!
//! A request is sent again when it provably was not processed, and when it may be repeated
//! ([`super::Fetch::is_repeatable`]) and its connection has broken off; in every other case the client
//! decides. A request that was not processed and whose body is gone is also left to the client, and the
//! answer says so ([`Failure::Unprocessed`]).

use super::arriving::Arriving;
use super::connection::{self, Sender, Unconnected};
use super::outgoing::Outgoing;
use super::waiting::Waiting;
use super::{Address, Arrived, Fetch, Settings};
use crate::failure::Failure;
use crate::health::{Health, Watched};
use http::Request;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Requests in flight on each connection at which a further one is opened: many servers allow this many on
/// one.
const STREAMS_BEFORE_NEXT: usize = 100;
/// Most connections tried for one request.
const MAX_ATTEMPTS: usize = 3;
/// Most attempts for one request after its connection was cut off: a request that ends every Envoy it reaches
/// must not end all of them.
const MAX_REPEATS: usize = 1;
/// Time without a new attempt to connect after a first failure; doubled with each further one.
const BACK_OFF: Duration = Duration::from_millis(50);
const MAX_BACK_OFF: Duration = Duration::from_secs(1);
/// Part of [`Settings::connection_age`], at most one in this many, that is taken off at random: connections
/// over TCP that were opened together are not renewed together.
const JITTER: u32 = 4;

#[derive(Debug)]
pub(super) struct Pool {
    slots: Mutex<Vec<Arc<Slot>>>,
    settings: Settings,
    /// Number of connections that are open.
    alive: Arc<AtomicUsize>,
    running_out: Arc<AtomicUsize>,
    repeated: AtomicU64,
    health: Arc<Health>,
}

/// A slot for one connection.
#[derive(Debug, Default)]
struct Slot {
    in_flight: AtomicUsize,
    /// When the connection takes no further request; `None` if it never grows too old.
    too_old: Mutex<Option<Instant>>,
    /// Held while connecting, so that one attempt serves all requests that wait.
    state: tokio::sync::Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    sender: Option<Sender>,
    failures: u32,
    /// Deadline of the back-off after a failed attempt, and the failure that all requests get at once until
    /// then.
    down: Option<(Instant, Failure)>,
}

/// One request's share in a connection.
#[derive(Debug)]
pub(super) struct Lease {
    slot: Arc<Slot>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.slot.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    pub(super) fn new(settings: &Settings) -> Pool {
        let slots: Vec<_> = std::iter::repeat_with(Arc::default).take(settings.connections.max(1)).collect();
        Pool {
            slots: Mutex::new(slots),
            settings: settings.clone(),
            alive: Arc::default(),
            running_out: Arc::default(),
            repeated: AtomicU64::new(0),
            health: Arc::new(Health::new(Watched::Upstream(settings.address.to_string()))),
        }
    }

    /// Returns the number of open connections.
    pub(super) fn connections(&self) -> usize {
        self.alive.load(Ordering::Relaxed)
    }

    /// Returns whether the upstream could be used at the last attempt; `None` before the first one.
    pub(super) fn is_up(&self) -> Option<bool> {
        self.health.is_up()
    }

    /// Returns the number of requests that no client waits for any more.
    pub(super) fn running_out(&self) -> usize {
        self.running_out.load(Ordering::Relaxed)
    }

    /// Returns the number of requests that were sent again because their connection had broken off.
    pub(super) fn repeated(&self) -> u64 {
        self.repeated.load(Ordering::Relaxed)
    }

    /// Sends a request and waits for the head of its response.
    pub(super) async fn send(&self, request: Request<Outgoing>, fetch: &Fetch) -> Result<Arrived, Failure> {
        let mut repeats = 0;
        let mut attempt = 1;
        loop {
            let (lease, sender) = self.connection().await?;
            let sent = self.stream(lease, sender, request.clone(), fetch).await;
            let error = match sent {
                Ok(arrived) => {
                    self.health.answered();
                    return Ok(arrived);
                }
                Err(error) => error,
            };
            let was_refused = connection::was_not_processed(&error.why);
            if !was_refused && connection::was_cut(&error.why) {
                self.health.cut(&connection::reason(&error.why));
            }
            let was_cut = !error.was_not_sent && !was_refused;
            if was_cut {
                if !fetch.is_repeatable || repeats == MAX_REPEATS || !connection::was_cut(&error.why) {
                    return Err(connection::failure(&error.why));
                }
                repeats += 1;
            }
            if attempt == MAX_ATTEMPTS || !request.body().can_be_sent() {
                return Err(if was_cut {
                    connection::failure(&error.why)
                } else {
                    Failure::Unprocessed(connection::reason(&error.why))
                });
            }
            if was_cut {
                self.repeated.fetch_add(1, Ordering::Relaxed);
            }
            attempt += 1;
        }
    }

    /// Makes one attempt to send the request and to get the head of its response.
    async fn stream(
        &self,
        lease: Lease,
        mut sender: Sender,
        request: Request<Outgoing>,
        fetch: &Fetch,
    ) -> Result<Arrived, Unanswered> {
        let permit = Arc::clone(&fetch.permit);
        let sending = async move {
            let response = sender.try_send_request(request).await;
            // The stream keeps both for as long as it lives, even if the asking task is gone.
            let _permit = permit;
            response.map(|response| response.map(|body| Arriving::from_envoy(body, lease)))
        };
        let not_before = Instant::now() + self.settings.cancel_after;
        Waiting::new(sending, not_before, &self.running_out).await.map_err(|mut error| {
            let was_not_sent = error.take_message().is_some();
            Unanswered { why: error.into_error(), was_not_sent }
        })
    }

    async fn connection(&self) -> Result<(Lease, Sender), Failure> {
        let lease = self.lease()?;
        let mut state = lease.slot.state.lock().await;
        if let Some(sender) = state.sender.as_ref().filter(|sender| !sender.is_closed()) {
            let sender = sender.clone();
            drop(state);
            return Ok((lease, sender));
        }
        if let Some((until, why)) = &state.down
            && Instant::now() < *until
        {
            return Err(why.clone());
        }
        state.sender = None;
        // On the heap: each waiting request has room for this future, and few of them connect.
        let connected = Box::pin(connection::connect(&self.settings, &self.alive, &self.health)).await;
        match connected {
            Ok(sender) => {
                self.health.connected();
                *state = State { sender: Some(sender.clone()), ..State::default() };
                *lock(&lease.slot.too_old) = self.too_old();
                drop(state);
                Ok((lease, sender))
            }
            Err(Unconnected { failure: why, hint }) => {
                self.health.failed(&why.to_string(), hint);
                state.down = Some((Instant::now() + back_off(state.failures), why.clone()));
                state.failures = state.failures.saturating_add(1);
                Err(why)
            }
        }
    }

    /// Returns when a connection that is opened now becomes too old. A connection over a unix socket never
    /// does: it leads to the same Envoy for as long as it lives.
    fn too_old(&self) -> Option<Instant> {
        let Address::Tcp(_) = self.settings.address else { return None };
        let most = self.settings.connection_age;
        let less = (most / JITTER).mul_f64(random() as f64 / u64::MAX as f64);
        Some(Instant::now() + most - less)
    }

    fn lease(&self) -> Result<Lease, Failure> {
        let mut slots = lock(&self.slots);
        let index = match self.settings.address {
            Address::Unix(_) => first_with_room(&slots),
            Address::Tcp(_) => less_busy_of_two(&slots),
        };
        let slot = index.and_then(|index| slots.get_mut(index));
        let slot = slot.ok_or_else(|| Failure::Unreachable("no connection is allowed".to_owned()))?;
        let too_old = *lock(&slot.too_old);
        if too_old.is_some_and(|too_old| too_old <= Instant::now()) {
            *slot = Arc::default();
        }
        slot.in_flight.fetch_add(1, Ordering::Relaxed);
        Ok(Lease { slot: Arc::clone(slot) })
    }
}

/// The reason why a stream has brought no response.
struct Unanswered {
    why: hyper::Error,
    was_not_sent: bool,
}

fn load(slot: &Arc<Slot>) -> usize {
    slot.in_flight.load(Ordering::Relaxed)
}

/// Returns the first connection with room, else the one with the fewest requests in flight: as few
/// connections as possible are used.
fn first_with_room(slots: &[Arc<Slot>]) -> Option<usize> {
    let with_room = slots.iter().position(|slot| load(slot) < STREAMS_BEFORE_NEXT);
    with_room.or_else(|| (0..slots.len()).min_by_key(|index| slots.get(*index).map(load)))
}

/// Returns, of two connections at random, the one with fewer requests in flight. That is nearly as even as
/// the least busy of all, and the load of one connection does not decide for the next request. Each
/// connection may lead to another Envoy.
fn less_busy_of_two(slots: &[Arc<Slot>]) -> Option<usize> {
    let count = u64::try_from(slots.len()).ok().filter(|count| *count > 0)?;
    let random = random();
    let pick = |random: u64| usize::try_from(random % count).ok();
    let (one, other) = (pick(random >> 32)?, pick(random & u64::from(u32::MAX))?);
    [one, other].into_iter().min_by_key(|index| slots.get(*index).map(load))
}

/// Returns a random number, not fit for secrets.
pub(super) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

fn back_off(failures: u32) -> Duration {
    BACK_OFF.saturating_mul(1 << failures.min(10)).min(MAX_BACK_OFF)
}

/// Returns settings of tests for one request to this address.
#[cfg(test)]
pub(super) fn settings_for(address: Address) -> Settings {
    let second = Duration::from_secs(1);
    Settings {
        address,
        connections: 1,
        requests: 1,
        request_bytes: 1,
        largest_body: 1,
        connect_timeout: second,
        response_timeout: second,
        longest_poll: second,
        cancel_after: second,
        cancels: lowband_transport::shares::Limit { per_second: 1, burst: 1 },
        connection_age: 100 * second,
        ping: second,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(connections: usize) -> Pool {
        let address = Address::Unix("/nonexistent/envoy.sock".into());
        Pool::new(&Settings { connections, ..settings_for(address) })
    }

    fn over_tcp(connections: usize) -> Pool {
        let mut pool = pool(connections);
        pool.settings.address = Address::Tcp(http::uri::Authority::from_static("localhost:1"));
        pool
    }

    fn load(pool: &Pool) -> Vec<usize> {
        lock(&pool.slots).iter().map(super::load).collect()
    }

    #[test]
    fn connections_are_filled_one_after_the_other_and_then_evenly() {
        let pool = pool(2);
        let mut leases: Vec<_> = (0..150).map(|_| pool.lease().unwrap()).collect();
        assert_eq!(load(&pool), [100, 50]);
        leases.extend((0..150).map(|_| pool.lease().unwrap()));
        assert_eq!(load(&pool), [150, 150]);
        drop(leases);
        assert_eq!(load(&pool), [0, 0]);
    }

    #[test]
    fn over_tcp_requests_are_spread_over_all_connections() {
        let pool = over_tcp(8);
        let _leases: Vec<_> = (0..800).map(|_| pool.lease().unwrap()).collect();
        let load = load(&pool);
        assert!(load.iter().all(|one| (80..=120).contains(one)), "{load:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_over_tcp_that_has_had_its_time_takes_no_further_request() {
        let pool = over_tcp(1);
        let old = pool.lease().unwrap();
        let times: Vec<_> = (0..50).map(|_| (pool.too_old().unwrap() - Instant::now()).as_secs()).collect();
        assert!(times.iter().all(|time| (75..=100).contains(time)), "{times:?}");
        assert!(times.iter().any(|time| *time != times[0]), "all at one time");
        *lock(&old.slot.too_old) = pool.too_old();
        assert!(Arc::ptr_eq(&old.slot, &pool.lease().unwrap().slot));
        tokio::time::advance(Duration::from_secs(100)).await;
        assert!(!Arc::ptr_eq(&old.slot, &pool.lease().unwrap().slot));
        assert_eq!((super::load(&old.slot), load(&pool)), (1, vec![0]), "the old one has its request still");
        assert_eq!(self::pool(1).too_old(), None, "a unix socket leads to the same Envoy");
    }

    #[test]
    fn a_request_that_waits_has_no_room_for_what_it_takes_to_connect() {
        let pool = pool(1);
        let (waits, connects) = (
            size_of_val(&pool.connection()),
            size_of_val(&connection::connect(&pool.settings, &pool.alive, &pool.health)),
        );
        assert!(waits < 256 && connects > 1024, "{waits} {connects}");
    }

    #[test]
    fn back_off_doubles_up_to_a_second() {
        let millis: Vec<_> = (0..7).map(|failures| back_off(failures).as_millis()).collect();
        assert_eq!(millis, [50, 100, 200, 400, 800, 1000, 1000]);
        assert_eq!(back_off(u32::MAX), MAX_BACK_OFF);
    }

    #[tokio::test(start_paused = true)]
    async fn while_the_upstream_is_down_everybody_is_told_at_once_and_the_next_attempt_waits() {
        let pool = pool(1);
        assert_eq!((pool.connections(), pool.is_up()), (0, None));
        let slot = Arc::clone(&lock(&pool.slots)[0]);
        for failures in [1, 1, 1] {
            assert!(matches!(pool.connection().await, Err(Failure::Unreachable(_))));
            assert_eq!(slot.state.lock().await.failures, failures);
        }
        tokio::time::advance(BACK_OFF).await;
        assert!(pool.connection().await.is_err());
        assert_eq!(slot.state.lock().await.failures, 2);
        assert_eq!(load(&pool), [0]);
        assert_eq!((pool.connections(), pool.is_up()), (0, Some(false)));
    }
}
