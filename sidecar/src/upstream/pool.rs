//! A small pool of connections, opened when needed, with back-off while the upstream is down.
//!
//! A request is sent again only when it provably was not processed; everything else is the client's decision.

use super::connection::{self, Sender};
use super::{Arrived, Settings};
use crate::failure::Failure;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// A further connection is opened when each one has this many requests in flight: what many servers allow on one.
const STREAMS_BEFORE_NEXT: usize = 100;
/// Connections tried for one request.
const MAX_ATTEMPTS: usize = 3;
/// No new attempt to connect after a first failure; doubled with each further one.
const BACK_OFF: Duration = Duration::from_millis(50);
const MAX_BACK_OFF: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Pool {
    slots: Vec<Arc<Slot>>,
    settings: Settings,
    /// Connections that are open.
    alive: Arc<AtomicUsize>,
    /// Whether the last attempt succeeded, once there was one.
    up: OnceLock<AtomicBool>,
}

/// A place for one connection.
#[derive(Debug, Default)]
struct Slot {
    in_flight: AtomicUsize,
    /// Held while connecting, so that one attempt serves everybody who waits.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    sender: Option<Sender>,
    failures: u32,
    /// The last attempt failed: until then everybody is told so at once.
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

impl Pool {
    pub(super) fn new(settings: &Settings) -> Pool {
        let slots = std::iter::repeat_with(Arc::default).take(settings.connections.max(1)).collect();
        Pool { slots, settings: settings.clone(), alive: Arc::default(), up: OnceLock::new() }
    }

    /// Connections that are open, and whether the last attempt succeeded.
    pub(super) fn usage(&self) -> (usize, Option<bool>) {
        (self.alive.load(Ordering::Relaxed), self.up.get().map(|up| up.load(Ordering::Relaxed)))
    }

    /// Sends a request and waits for the head of its response.
    pub(super) async fn send(&self, mut request: Request<Full<Bytes>>) -> Result<Arrived, Failure> {
        let mut attempt = 1;
        loop {
            let (lease, mut sender) = self.connection().await?;
            let copy = request.clone();
            match sender.try_send_request(request).await {
                Ok(response) => return Ok((lease, response)),
                Err(mut error) => {
                    let unsent = error.take_message();
                    let again =
                        unsent.or_else(|| connection::was_not_processed(error.error()).then_some(copy));
                    match again {
                        Some(again) if attempt < MAX_ATTEMPTS => request = again,
                        _ => return Err(connection::failure(error.error())),
                    }
                    attempt += 1;
                }
            }
        }
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
        let connected = connection::connect(&self.settings, &self.alive).await;
        self.up.get_or_init(AtomicBool::default).store(connected.is_ok(), Ordering::Relaxed);
        match connected {
            Ok(sender) => {
                *state = State { sender: Some(sender.clone()), ..State::default() };
                drop(state);
                Ok((lease, sender))
            }
            Err(why) => {
                state.down = Some((Instant::now() + back_off(state.failures), why.clone()));
                state.failures = state.failures.saturating_add(1);
                Err(why)
            }
        }
    }

    /// The first connection with room, else the one with the fewest requests in flight.
    fn lease(&self) -> Result<Lease, Failure> {
        let load = |slot: &Arc<Slot>| slot.in_flight.load(Ordering::Relaxed);
        let slot = self
            .slots
            .iter()
            .find(|slot| load(slot) < STREAMS_BEFORE_NEXT)
            .or_else(|| self.slots.iter().min_by_key(|slot| load(slot)))
            .ok_or_else(|| Failure::Unreachable("no connection is allowed".to_owned()))?;
        slot.in_flight.fetch_add(1, Ordering::Relaxed);
        Ok(Lease { slot: Arc::clone(slot) })
    }
}

fn back_off(failures: u32) -> Duration {
    BACK_OFF.saturating_mul(1 << failures.min(10)).min(MAX_BACK_OFF)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::Address;

    fn pool(connections: usize) -> Pool {
        let second = Duration::from_secs(1);
        Pool::new(&Settings {
            address: Address::Unix("/nonexistent/envoy.sock".into()),
            connections,
            requests: 1,
            request_bytes: 1,
            connect_timeout: second,
            response_timeout: second,
            longest_poll: second,
            ping: second,
        })
    }

    fn load(pool: &Pool) -> Vec<usize> {
        pool.slots.iter().map(|slot| slot.in_flight.load(Ordering::Relaxed)).collect()
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
    fn back_off_doubles_up_to_a_second() {
        let millis: Vec<_> = (0..7).map(|failures| back_off(failures).as_millis()).collect();
        assert_eq!(millis, [50, 100, 200, 400, 800, 1000, 1000]);
        assert_eq!(back_off(u32::MAX), MAX_BACK_OFF);
    }

    #[tokio::test(start_paused = true)]
    async fn while_the_upstream_is_down_everybody_is_told_at_once_and_the_next_attempt_waits() {
        let pool = pool(1);
        assert_eq!(pool.usage(), (0, None));
        for failures in [1, 1, 1] {
            assert!(matches!(pool.connection().await, Err(Failure::Unreachable(_))));
            assert_eq!(pool.slots[0].state.lock().await.failures, failures);
        }
        tokio::time::advance(BACK_OFF).await;
        assert!(pool.connection().await.is_err());
        assert_eq!(pool.slots[0].state.lock().await.failures, 2);
        assert_eq!(load(&pool), [0]);
        assert_eq!(pool.usage(), (0, Some(false)));
    }
}
