//! What is kept for whom, within a bound: a shelf for each that has a part of its own. Who holds most gives
//! way first, by what was not used for the longest, so that a greedy neighbour costs the others nothing.
//!
//! ```text
//! enter -> reserve (a copy begins: room is made) -> put (it is whole) -> leave (gives back what was not put)
//! ```
//!
//! Copies under way count as what is kept does. No clock, no I/O.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The hash of an access token, so that the token itself is not kept: whose part of all a shelf is.
pub(super) type Owner = [u8; 32];
/// The hash of a URL.
pub(super) type Url = [u8; 32];

/// What an answer is found by. Ordered by URL, so that those of one are beside each other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Key {
    pub(super) url: Url,
    /// Who asked: another than the owner of the shelf where several share one.
    pub(super) account: Owner,
}

/// The part of all that one answer may have, and that the copies under way of one owner may have together.
const PART: usize = 4;

/// The shelves of all owners.
pub(super) struct Shelves<T> {
    most: usize,
    /// Bytes of all that is kept and all that is being copied.
    total: usize,
    /// Bytes of what is being copied.
    copying: usize,
    by_owner: HashMap<Owner, Shelf<T>>,
    /// The shelves that have something to give, with the bytes that count for them.
    heaviest: BTreeSet<(usize, Owner)>,
    /// The next number of a shelf or of a use.
    next: u64,
}

struct Shelf<T> {
    /// Another one for each shelf, so that a copy for one that was cleared does not end on the next one.
    number: u64,
    visitors: usize,
    copying: usize,
    kept: usize,
    answers: BTreeMap<Key, Placed<T>>,
    /// Keys by when they were used last.
    by_use: BTreeMap<u64, Key>,
}

struct Placed<T> {
    used: u64,
    size: usize,
    answer: T,
}

/// One request at the shelf of its owner; has to [`Shelves::leave`].
pub(super) struct Visit {
    owner: Owner,
    number: u64,
    reserved: usize,
}

impl<T: Clone> Shelves<T> {
    /// Makes empty shelves for so many bytes.
    pub(super) fn new(most: usize) -> Shelves<T> {
        let (by_owner, heaviest) = (HashMap::new(), BTreeSet::new());
        Shelves { most, total: 0, copying: 0, by_owner, heaviest, next: 0 }
    }

    /// Begins a visit.
    pub(super) fn enter(&mut self, owner: Owner) -> Visit {
        let number = self.number();
        let shelf = self.by_owner.entry(owner).or_insert_with(|| Shelf {
            number,
            visitors: 0,
            copying: 0,
            kept: 0,
            answers: BTreeMap::new(),
            by_use: BTreeMap::new(),
        });
        shelf.visitors += 1;
        Visit { owner, number: shelf.number, reserved: 0 }
    }

    /// Ends a visit.
    pub(super) fn leave(&mut self, visit: &mut Visit) {
        let reserved = std::mem::take(&mut visit.reserved);
        self.copying -= reserved;
        if self.is_there(visit) {
            self.change(&visit.owner, |shelf| {
                shelf.visitors -= 1;
                shelf.copying -= reserved;
            });
        } else {
            self.total -= reserved;
        }
    }

    /// Returns what is kept there, and notes that it is used.
    pub(super) fn get(&mut self, visit: &Visit, key: &Key) -> Option<T> {
        let used = self.number();
        let shelf = self.by_owner.get_mut(&visit.owner)?;
        let placed = shelf.answers.get_mut(key)?;
        shelf.by_use.remove(&std::mem::replace(&mut placed.used, used));
        shelf.by_use.insert(used, *key);
        Some(placed.answer.clone())
    }

    /// Makes room for a copy of so many bytes; returns false if it may have none.
    pub(super) fn reserve(&mut self, visit: &mut Visit, size: usize) -> bool {
        let part = self.most / PART;
        let own = self.by_owner.get(&visit.owner).map_or(0, |shelf| shelf.copying);
        let has_room = size <= part && own + size <= part && self.copying + size <= self.most;
        if !has_room || visit.reserved > 0 || !self.is_there(visit) {
            return false;
        }
        visit.reserved = size;
        self.copying += size;
        self.change(&visit.owner, |shelf| shelf.copying += size);
        self.make_room();
        true
    }

    /// Keeps the copy for which room was made.
    pub(super) fn put(&mut self, visit: &mut Visit, key: Key, answer: T) {
        let size = std::mem::take(&mut visit.reserved);
        self.copying -= size;
        if !self.is_there(visit) {
            self.total -= size;
            return;
        }
        let used = self.number();
        self.change(&visit.owner, |shelf| {
            shelf.copying -= size;
            shelf.take(&key);
            shelf.place(key, Placed { used, size, answer });
        });
    }

    /// Puts a newer answer in the place of one, if that is still there.
    pub(super) fn renew(&mut self, visit: &Visit, key: Key, size: usize, answer: T) {
        let used = self.number();
        if self.is_there(visit) {
            self.change(&visit.owner, |shelf| {
                if shelf.take(&key) {
                    shelf.place(key, Placed { used, size, answer });
                }
            });
            self.make_room();
        }
    }

    /// Keeps this one no longer.
    pub(super) fn remove(&mut self, visit: &Visit, key: &Key) {
        self.change(&visit.owner, |shelf| shelf.take(key));
    }

    /// Keeps no answer to this URL any longer, for nobody.
    pub(super) fn remove_everywhere(&mut self, url: Url) {
        let (first, last) = (Key { url, account: [0; 32] }, Key { url, account: [u8::MAX; 32] });
        let of_url = |shelf: &Shelf<T>| shelf.answers.range(first..=last).map(|(key, _)| *key).collect();
        let found = self.by_owner.iter().map(|(owner, shelf)| (*owner, of_url(shelf)));
        let found: Vec<(Owner, Vec<Key>)> = found.filter(|(_, keys): &(_, Vec<Key>)| !keys.is_empty()).collect();
        for (owner, keys) in found {
            self.change(&owner, |shelf| keys.iter().for_each(|key| _ = shelf.take(key)));
        }
    }

    /// Clears a shelf, for the copies under way as well.
    pub(super) fn clear(&mut self, owner: &Owner) {
        if let Some(shelf) = self.by_owner.remove(owner) {
            self.heaviest.remove(&(shelf.weight(), *owner));
            self.total -= shelf.kept;
        }
    }

    fn is_there(&self, visit: &Visit) -> bool {
        self.by_owner.get(&visit.owner).is_some_and(|shelf| shelf.number == visit.number)
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn make_room(&mut self) {
        while self.total > self.most {
            let Some((_, owner)) = self.heaviest.last().copied() else { return };
            self.change(&owner, Shelf::take_oldest);
        }
    }

    /// Changes a shelf, and what is known of its weight.
    fn change<R>(&mut self, owner: &Owner, change: impl FnOnce(&mut Shelf<T>) -> R) {
        let Some(shelf) = self.by_owner.get_mut(owner) else { return };
        let before = shelf.weight();
        self.heaviest.remove(&(before, *owner));
        change(shelf);
        let after = shelf.weight();
        if !shelf.answers.is_empty() {
            self.heaviest.insert((after, *owner));
        } else if shelf.visitors == 0 {
            self.by_owner.remove(owner);
        }
        self.total = self.total - before + after;
    }
}

impl<T> Shelf<T> {
    fn weight(&self) -> usize {
        self.kept + self.copying
    }

    fn place(&mut self, key: Key, placed: Placed<T>) {
        self.kept += placed.size;
        self.by_use.insert(placed.used, key);
        self.answers.insert(key, placed);
    }

    /// Takes one off the shelf; returns whether it was there.
    fn take(&mut self, key: &Key) -> bool {
        let Some(placed) = self.answers.remove(key) else { return false };
        self.kept -= placed.size;
        self.by_use.remove(&placed.used);
        true
    }

    fn take_oldest(&mut self) {
        if let Some((_, key)) = self.by_use.pop_first() {
            self.take(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GREEDY: Owner = [1; 32];
    const MODEST: Owner = [2; 32];

    fn key(number: u8) -> Key {
        Key { url: [number; 32], account: MODEST }
    }

    /// Keeps an answer of ten bytes; returns whether there was room.
    fn keep(shelves: &mut Shelves<u8>, owner: Owner, number: u8) -> bool {
        let mut visit = shelves.enter(owner);
        let has_room = shelves.reserve(&mut visit, 10);
        if has_room {
            shelves.put(&mut visit, key(number), number);
        }
        shelves.leave(&mut visit);
        has_room
    }

    /// Returns what is kept of the numbers, without a use of it.
    fn kept(shelves: &Shelves<u8>, owner: Owner) -> Vec<u8> {
        let mut kept: Vec<_> = shelves
            .by_owner
            .get(&owner)
            .into_iter()
            .flat_map(|shelf| shelf.answers.keys())
            .map(|key| key.url[0])
            .collect();
        kept.sort_unstable();
        kept
    }

    fn take(shelves: &mut Shelves<u8>, owner: Owner, number: u8) -> Option<u8> {
        let mut visit = shelves.enter(owner);
        let taken = shelves.get(&visit, &key(number));
        shelves.leave(&mut visit);
        taken
    }

    #[test]
    fn what_was_not_used_for_the_longest_gives_way() {
        let mut shelves = Shelves::new(40);
        (0..4).for_each(|number| assert!(keep(&mut shelves, MODEST, number)));
        assert_eq!(take(&mut shelves, MODEST, 0), Some(0));
        assert!(keep(&mut shelves, MODEST, 4));
        assert_eq!(kept(&shelves, MODEST), [0, 2, 3, 4]);
        assert_eq!(take(&mut shelves, MODEST, 1), None);
        assert_eq!(take(&mut shelves, GREEDY, 0), None, "accounts are apart");
    }

    #[test]
    fn a_greedy_neighbour_has_all_that_nobody_wants_and_gives_a_quarter_back_to_who_does() {
        let mut shelves = Shelves::new(80);
        (0..50).for_each(|number| assert!(keep(&mut shelves, GREEDY, number)));
        assert_eq!(kept(&shelves, GREEDY), Vec::from_iter(42..50));
        (0..2).for_each(|number| assert!(keep(&mut shelves, MODEST, number)));
        assert_eq!(kept(&shelves, GREEDY), Vec::from_iter(44..50));
        (50..100).for_each(|number| assert!(keep(&mut shelves, GREEDY, number)));
        assert_eq!(kept(&shelves, MODEST), [0, 1], "a quarter is left to the other");
        assert_eq!(kept(&shelves, GREEDY), Vec::from_iter(94..100));
        // Of four who want all that they can get, each has a quarter.
        for number in 0..100 {
            (1..5).for_each(|owner| assert!(keep(&mut shelves, [owner; 32], number)));
        }
        (1..5).for_each(|owner| assert_eq!(kept(&shelves, [owner; 32]), [98, 99]));
    }

    #[test]
    fn copies_under_way_count_and_one_account_has_a_quarter_for_them() {
        let mut shelves = Shelves::new(80);
        (0..8).for_each(|number| assert!(keep(&mut shelves, MODEST, number)));
        let mut visits = [0; 3].map(|_| shelves.enter(GREEDY));
        let begun = visits.iter_mut().map(|visit| shelves.reserve(visit, 10)).collect::<Vec<_>>();
        assert_eq!(begun, [true, true, false]);
        assert_eq!(kept(&shelves, MODEST), Vec::from_iter(2..8));
        assert!(!shelves.reserve(&mut visits[2], 21), "one answer has a quarter at the most");
        // They break off: all room is there again.
        visits.iter_mut().for_each(|visit| shelves.leave(visit));
        (10..20).for_each(|number| assert!(keep(&mut shelves, MODEST, number)));
        assert_eq!(kept(&shelves, MODEST), Vec::from_iter(12..20));
        assert_eq!((shelves.total, shelves.copying, shelves.by_owner.len()), (80, 0, 1));
    }

    #[test]
    fn more_copies_under_way_than_there_is_room_for_are_not_begun() {
        let mut shelves = Shelves::<u8>::new(40);
        let mut visits = [1, 2, 3, 4, 5].map(|owner| shelves.enter([owner; 32]));
        let begun = visits.iter_mut().map(|visit| shelves.reserve(visit, 10)).collect::<Vec<_>>();
        assert_eq!(begun, [true, true, true, true, false]);
        visits.iter_mut().for_each(|visit| shelves.leave(visit));
        assert_eq!((shelves.total, shelves.copying, shelves.by_owner.len()), (0, 0, 0));
    }

    #[test]
    fn what_is_cleared_stays_so_whatever_copy_ends_afterwards() {
        let mut shelves = Shelves::new(80);
        assert!(keep(&mut shelves, MODEST, 0) && keep(&mut shelves, GREEDY, 0));
        let mut visit = shelves.enter(MODEST);
        assert!(shelves.reserve(&mut visit, 10));
        shelves.clear(&MODEST);
        assert_eq!((kept(&shelves, MODEST), shelves.total), (vec![], 20), "the copy is still held");
        assert!(keep(&mut shelves, MODEST, 1), "a shelf of the same name is another one");
        shelves.put(&mut visit, key(2), 2);
        shelves.renew(&visit, key(1), 10, 3);
        assert!(!shelves.reserve(&mut visit, 10));
        shelves.leave(&mut visit);
        assert_eq!((take(&mut shelves, MODEST, 1), kept(&shelves, MODEST)), (Some(1), vec![1]));
        assert_eq!((kept(&shelves, GREEDY), shelves.total), (vec![0], 20));
    }

    #[test]
    fn a_newer_answer_takes_the_place_of_the_older_and_its_size_counts() {
        let mut shelves = Shelves::new(80);
        assert!(
            keep(&mut shelves, MODEST, 0) && keep(&mut shelves, MODEST, 0) && keep(&mut shelves, GREEDY, 0)
        );
        assert_eq!(shelves.total, 20);
        let mut visit = shelves.enter(MODEST);
        shelves.renew(&visit, key(0), 15, 5);
        shelves.renew(&visit, key(1), 15, 5);
        shelves.leave(&mut visit);
        assert_eq!((take(&mut shelves, MODEST, 0), shelves.total), (Some(5), 25));
        // Two accounts that share a shelf have an answer each to one question.
        let mut visit = shelves.enter(GREEDY);
        assert!(shelves.reserve(&mut visit, 10));
        shelves.put(&mut visit, Key { account: GREEDY, ..key(0) }, 6);
        shelves.leave(&mut visit);
        assert_eq!((kept(&shelves, GREEDY), take(&mut shelves, GREEDY, 0)), (vec![0, 0], Some(0)));
        assert!(keep(&mut shelves, GREEDY, 1));
        shelves.remove_everywhere(key(0).url);
        assert_eq!((kept(&shelves, GREEDY), shelves.total), (vec![1], 10));
        shelves.remove_everywhere(key(1).url);
        assert_eq!((shelves.total, shelves.by_owner.len(), shelves.heaviest.len()), (0, 0, 0));
    }
}
