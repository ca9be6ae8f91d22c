//! What is kept for whom, within a bound: a shelf for each that has a part of its own. Who holds most gives
//! way first, by what was not used for the longest, so that a greedy neighbour costs the others nothing.
//!
//! ```text
//! enter -> reserve (a copy begins: room is made) -> put (it is whole) -> leave (gives back what was not put)
//! ```
//!
//! Copies under way count as what is kept does, and have half of all, since they give way to nothing. No
//! clock, no I/O.

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
/// The part of all that copies under way may have together.
const COPIES: usize = 2;

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
    /// The URLs that are being asked for.
    asked: HashMap<Url, Visits>,
    /// The next number of a shelf, of a use, a visit or a change.
    next: u64,
}

/// The visits for one URL.
struct Visits {
    count: usize,
    /// When something was done to the URL last; what was asked for before that is not kept.
    changed: u64,
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
    key: Key,
    /// Of the shelf.
    number: u64,
    begun: u64,
    reserved: usize,
}

impl<T: Clone> Shelves<T> {
    /// Makes empty shelves for so many bytes.
    pub(super) fn new(most: usize) -> Shelves<T> {
        let (by_owner, heaviest, asked) = (HashMap::new(), BTreeSet::new(), HashMap::new());
        Shelves { most, total: 0, copying: 0, by_owner, heaviest, asked, next: 0 }
    }

    /// Begins a visit.
    pub(super) fn enter(&mut self, owner: Owner, key: Key) -> Visit {
        let number = self.number();
        self.asked.entry(key.url).or_insert(Visits { count: 0, changed: 0 }).count += 1;
        let shelf = self.by_owner.entry(owner).or_insert_with(|| Shelf {
            number,
            visitors: 0,
            copying: 0,
            kept: 0,
            answers: BTreeMap::new(),
            by_use: BTreeMap::new(),
        });
        shelf.visitors += 1;
        Visit { owner, key, number: shelf.number, begun: number, reserved: 0 }
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
        let Some(visits) = self.asked.get_mut(&visit.key.url) else { return };
        visits.count -= 1;
        if visits.count == 0 {
            self.asked.remove(&visit.key.url);
        }
    }

    /// Returns what is kept there, and notes that it is used.
    pub(super) fn get(&mut self, visit: &Visit) -> Option<T> {
        let used = self.number();
        let shelf = self.by_owner.get_mut(&visit.owner)?;
        let placed = shelf.answers.get_mut(&visit.key)?;
        shelf.by_use.remove(&std::mem::replace(&mut placed.used, used));
        shelf.by_use.insert(used, visit.key);
        Some(placed.answer.clone())
    }

    /// Makes room for a copy of so many bytes; returns false if it may have none.
    pub(super) fn reserve(&mut self, visit: &mut Visit, size: usize) -> bool {
        let part = self.most / PART;
        let own = self.by_owner.get(&visit.owner).map_or(0, |shelf| shelf.copying);
        let has_room = size <= part && own + size <= part && self.copying + size <= self.most / COPIES;
        if !has_room || visit.reserved > 0 || !self.is_there(visit) {
            return false;
        }
        visit.reserved = size;
        self.copying += size;
        self.change(&visit.owner, |shelf| shelf.copying += size);
        self.make_room();
        true
    }

    /// Keeps the copy for which room was made, if it is still right.
    pub(super) fn put(&mut self, visit: &mut Visit, answer: T) {
        let size = std::mem::take(&mut visit.reserved);
        self.copying -= size;
        if !self.is_there(visit) {
            self.total -= size;
            return;
        }
        let (key, used, is_right) = (visit.key, self.number(), self.is_right(visit));
        self.change(&visit.owner, |shelf| {
            shelf.copying -= size;
            if is_right {
                shelf.take(&key);
                shelf.place(key, Placed { used, size, answer });
            }
        });
    }

    /// Puts a newer answer in the place of one, if that is still there.
    pub(super) fn renew(&mut self, visit: &Visit, is_old: impl Fn(&T) -> bool, size: usize, answer: T) {
        let used = self.number();
        if self.is_there(visit) {
            self.change(&visit.owner, |shelf| {
                let placed = shelf.answers.get(&visit.key);
                if placed.is_some_and(|placed| is_old(&placed.answer)) {
                    shelf.take(&visit.key);
                    shelf.place(visit.key, Placed { used, size, answer });
                }
            });
            self.make_room();
        }
    }

    /// Keeps this one no longer.
    pub(super) fn remove(&mut self, visit: &Visit) {
        self.change(&visit.owner, |shelf| shelf.take(&visit.key));
    }

    /// Keeps no answer to this URL any longer, for nobody, nor what is being asked for.
    pub(super) fn remove_everywhere(&mut self, url: Url) {
        let changed = self.number();
        if let Some(visits) = self.asked.get_mut(&url) {
            visits.changed = changed;
        }
        let (first, last) = (Key { url, account: [0; 32] }, Key { url, account: [u8::MAX; 32] });
        let of_url = |shelf: &Shelf<T>| shelf.answers.range(first..=last).map(|(key, _)| *key).collect();
        let found = self.by_owner.iter().map(|(owner, shelf)| (*owner, of_url(shelf)));
        let found: Vec<(Owner, Vec<Key>)> =
            found.filter(|(_, keys): &(_, Vec<Key>)| !keys.is_empty()).collect();
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

    /// Clears all shelves, for the copies under way as well.
    pub(super) fn clear_all(&mut self) {
        let owners: Vec<Owner> = self.by_owner.keys().copied().collect();
        owners.iter().for_each(|owner| self.clear(owner));
    }

    fn is_there(&self, visit: &Visit) -> bool {
        self.by_owner.get(&visit.owner).is_some_and(|shelf| shelf.number == visit.number)
    }

    fn is_right(&self, visit: &Visit) -> bool {
        self.asked.get(&visit.key.url).is_some_and(|visits| visits.changed < visit.begun)
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
mod tests;
