//! The requests of strangers: how many there may be, how much of their bodies and of their answers may wait,
//! and which one gives way when there are too many. What comes from CoAP has its places before it gets here
//! ([`crate::upstream`]).
//!
//! ```text
//! enter ──▶ a place ───────────────────────────────────────────▶ the answer is complete, or nobody wants it
//! begin, grow ──▶ a share of the bytes of what has not ended ──▶ it has ended, or is read
//! unread ──▶ a share of the bytes of answers on their way ─────▶ the client has taken all that has come
//!           └─ no room ──▶ the heaviest network's largest or oldest request: another one is cut, or this one is refused
//! ```

use super::answer::Handle;
use lowband_translation::config::Config;
use lowband_translation::held::Held;
use lowband_transport::shares::{Bounds, Network, Pool};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Requests of strangers in flight, at most; a quarter of them from one network, half from one site. Envoy's
/// configuration has the same number (`circuit_breakers` of envoy.yaml).
pub const MOST: usize = 8192;

#[derive(Debug)]
pub(super) struct Strangers {
    table: Mutex<Table>,
}

#[derive(Debug)]
struct Table {
    places: Pool<u32>,
    unended: Held,
    /// Bytes of answers that wait for their clients.
    unread: Pool<u32>,
    /// What ends a request that has to give way.
    cuts: HashMap<u32, Cut>,
    next: u32,
}

/// Ends a request. Carried out without the lock: what is dropped may have a place itself.
#[derive(Debug)]
enum Cut {
    /// It waits for its answer.
    Waiting(oneshot::Sender<()>),
    /// Its answer is on its way, and perhaps nobody reads it.
    Answered(Handle),
}

impl Cut {
    fn carry_out(self) {
        match self {
            Cut::Waiting(cut) => drop(cut.send(())),
            Cut::Answered(answer) => answer.give_up(),
        }
    }
}

/// There is no room for a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoRoom;

/// A place for a request in flight.
#[derive(Debug)]
pub(super) struct Place {
    strangers: Arc<Strangers>,
    id: u32,
    network: Network,
}

/// The share of a request that has not ended, or of what is here of its answer.
#[derive(Debug)]
pub(super) struct Unended {
    strangers: Arc<Strangers>,
    id: u32,
    network: Network,
}

impl Strangers {
    /// Makes the pools: of so many requests, and of so many bytes of answers that nobody reads.
    pub(super) fn new(config: &Config, most: usize, unread: usize) -> Strangers {
        let (places, unread) = (Pool::new(Bounds::of(most)), Pool::new(Bounds::of(unread)));
        let table = Table { places, unended: Held::new(config), unread, cuts: HashMap::new(), next: 0 };
        Strangers { table: Mutex::new(table) }
    }

    /// Takes a place. The receiver says that it has to be given up.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr) -> Result<(Place, oneshot::Receiver<()>), NoRoom> {
        let network = Network::of(address);
        let (cut, is_cut) = oneshot::channel();
        let (id, given_up) = self.lock().enter(network, Cut::Waiting(cut));
        given_up.into_iter().for_each(Cut::carry_out);
        Ok((Place { strangers: Arc::clone(self), id: id?, network }, is_cut))
    }

    /// Returns the number of requests in flight, and the bytes of those that have not ended.
    pub(super) fn held(&self) -> (usize, usize) {
        let table = self.lock();
        (table.places.total(), table.unended.total())
    }

    /// Returns the bytes of answers that wait for their clients.
    pub(super) fn unread(&self) -> usize {
        self.lock().unread.total()
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Returns the number of a new request, and what it takes for it to have a place.
    fn enter(&mut self, network: Network, cut: Cut) -> (Result<u32, NoRoom>, Vec<Cut>) {
        let mut given_up = Vec::new();
        while let Some(heaviest) = self.places.yields_to(network, 1) {
            // A client that asks for too much ends its own oldest request.
            let Some(oldest) = self.places.heaviest_in(heaviest) else { return (Err(NoRoom), given_up) };
            given_up.extend(self.remove(oldest));
        }
        let id = self.next_id();
        self.cuts.insert(id, cut);
        self.places.set(id, network, 1);
        (Ok(id), given_up)
    }

    fn next_id(&mut self) -> u32 {
        // There are fewer requests than numbers.
        while self.cuts.contains_key(&self.next) {
            self.next = self.next.wrapping_add(1);
        }
        let id = self.next;
        self.next = self.next.wrapping_add(1);
        id
    }

    /// Sets the bytes of an answer that wait. Returns what it takes for them to have room; none is left for
    /// an answer that weighs most itself, or has been given up.
    fn unread(&mut self, id: u32, network: Network, bytes: usize) -> (Result<(), NoRoom>, Vec<Cut>) {
        let mut given_up = Vec::new();
        if !self.cuts.contains_key(&id) {
            return (Err(NoRoom), given_up);
        }
        let more = bytes.saturating_sub(self.unread.held_by(id));
        while let Some(heaviest) = self.unread.yields_to(network, more) {
            match self.unread.heaviest_in(heaviest) {
                Some(other) if other != id => given_up.extend(self.remove(other)),
                _ => {
                    self.unread.remove(id);
                    return (Err(NoRoom), given_up);
                }
            }
        }
        self.unread.set(id, network, bytes);
        (Ok(()), given_up)
    }

    /// Frees what a request has, and returns what ends it.
    fn remove(&mut self, id: u32) -> Option<Cut> {
        self.places.remove(id);
        self.unended.release(id);
        self.unread.remove(id);
        self.cuts.remove(&id)
    }
}

impl Place {
    /// Notes that the request has not ended.
    pub(super) fn begin(&self) -> Result<Unended, NoRoom> {
        self.hold(0)
    }

    /// Notes that this much waits of the request, or of its answer.
    pub(super) fn hold(&self, bytes: usize) -> Result<Unended, NoRoom> {
        let unended = Unended { strangers: Arc::clone(&self.strangers), id: self.id, network: self.network };
        unended.grow(bytes)?;
        Ok(unended)
    }

    /// Notes that this much of the answer may be here and waits for its client; 0 for an answer of which all
    /// that has come is taken.
    pub(super) fn unread(&self, bytes: usize) -> Result<(), NoRoom> {
        let (room, given_up) = self.strangers.lock().unread(self.id, self.network, bytes);
        given_up.into_iter().for_each(Cut::carry_out);
        room
    }

    /// Notes that the answer is on its way, which is given up from now on where others need the place.
    pub(super) fn answered(&self, answer: Handle) -> Result<(), NoRoom> {
        let mut table = self.strangers.lock();
        let cut = table.cuts.get_mut(&self.id).ok_or(NoRoom)?;
        *cut = Cut::Answered(answer);
        Ok(())
    }
}

impl Unended {
    /// Notes that this much of the body waits.
    pub(super) fn grow(&self, bytes: usize) -> Result<(), NoRoom> {
        let (is_refused, given_up) = {
            let mut table = self.strangers.lock();
            let room = table.unended.wait(self.id, self.network, bytes);
            let given_up: Vec<_> = room.evicted.into_iter().filter_map(|other| table.remove(other)).collect();
            (room.refused, given_up)
        };
        given_up.into_iter().for_each(Cut::carry_out);
        if is_refused { Err(NoRoom) } else { Ok(()) }
    }
}

impl Drop for Unended {
    fn drop(&mut self) {
        self.strangers.lock().unended.release(self.id);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let cut = self.strangers.lock().remove(self.id);
        drop(cut);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GREEDY: [u8; 4] = [192, 0, 2, 1];
    const MODEST: [u8; 4] = [198, 51, 100, 1];
    const KIB: usize = 1 << 10;

    fn strangers(most: usize) -> Arc<Strangers> {
        let config = Config { max_held_bytes: 1024 * KIB, max_request_bytes: 48 * KIB, ..Config::default() };
        Arc::new(Strangers::new(&config, most, 1024 * KIB))
    }

    #[test]
    fn a_greedy_client_ends_its_own_oldest_request_and_a_modest_one_is_served() {
        let strangers = strangers(16);
        let (modest, mut modest_cut) = strangers.enter(MODEST.into()).unwrap();
        let mut greedy: Vec<_> = (0..100).map(|_| strangers.enter(GREEDY.into()).unwrap()).collect();
        assert_eq!(strangers.held().0, 1 + 4, "a quarter, and the modest one");
        let is_cut: Vec<_> = greedy.iter_mut().map(|(_, cut)| cut.try_recv().is_ok()).collect();
        assert!(is_cut[..96].iter().all(|cut| *cut) && !is_cut[96..].iter().any(|cut| *cut), "{is_cut:?}");
        assert!(modest_cut.try_recv().is_err());
        drop((modest, greedy));
        assert_eq!(strangers.held(), (0, 0));
        assert!(strangers.lock().cuts.is_empty());
    }

    #[test]
    fn of_many_networks_one_with_most_gives_way() {
        let strangers = strangers(8);
        let mut all: Vec<_> =
            (0..6).map(|number| strangers.enter([10, number / 2, 0, 1].into()).unwrap()).collect();
        all.extend((0..2).map(|number| strangers.enter([10, 9, number, 1].into()).unwrap()));
        let newcomer = strangers.enter(MODEST.into());
        assert!(newcomer.is_ok());
        let cut = all.iter_mut().filter_map(|(_, cut)| cut.try_recv().ok()).count();
        assert_eq!((cut, strangers.held().0), (1, 8));
    }

    #[test]
    fn answers_that_nobody_reads_are_bounded_and_the_heaviest_of_the_greedy_network_gives_way() {
        let strangers = strangers(10_000);
        let (modest, mut modest_cut) = strangers.enter(MODEST.into()).unwrap();
        assert_eq!(modest.unread(100 * KIB), Ok(()));
        let mut greedy: Vec<_> = (0..100)
            .map(|_| {
                let (place, cut) = strangers.enter(GREEDY.into()).unwrap();
                assert_eq!(place.unread(64 * KIB), Ok(()));
                assert!(strangers.unread() <= (100 + 1024 / 4) * KIB);
                (place, cut)
            })
            .collect();
        let is_cut: Vec<_> = greedy.iter_mut().map(|(_, cut)| cut.try_recv().is_ok()).collect();
        assert!(is_cut[..96].iter().all(|cut| *cut) && !is_cut[96..].iter().any(|cut| *cut), "{is_cut:?}");
        assert!(modest_cut.try_recv().is_err());
        // What has been given up counts for nothing any more, and is told so.
        assert_eq!(greedy[0].0.unread(64 * KIB), Err(NoRoom));
        // What is read makes room, and one answer is never larger than what a network may have.
        assert_eq!(greedy[99].0.unread(0), Ok(()));
        assert_eq!(strangers.unread(), (100 + 3 * 64) * KIB);
        assert_eq!(greedy[99].0.unread(300 * KIB), Err(NoRoom));
        drop((modest, greedy));
        assert_eq!((strangers.held(), strangers.unread()), ((0, 0), 0));
    }

    #[test]
    fn bodies_that_wait_are_bounded_and_the_largest_gives_way() {
        let strangers = strangers(10_000);
        let (modest, mut modest_cut) = strangers.enter(MODEST.into()).unwrap();
        let modest_body = modest.begin().unwrap();
        let greedy: Vec<_> = (0..100)
            .map(|_| {
                let (place, cut) = strangers.enter(GREEDY.into()).unwrap();
                let unended = place.begin().and_then(|unended| unended.grow(40 * KIB).map(|()| unended));
                assert!(strangers.held().1 <= 1024 * KIB);
                (place, cut, unended)
            })
            .collect();
        assert!(strangers.held().0 < 101, "some have given way");
        assert_eq!(modest_body.grow(48 * KIB), Ok(()));
        assert!(modest_cut.try_recv().is_err());
        drop((greedy, modest_body));
        assert_eq!(strangers.held(), (1, 0));
    }
}
