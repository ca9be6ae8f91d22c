//! What is bounded, by account: no client is refused because another is greedy.

use crate::account::Account;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A limited thing, of which one account may have a part. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Places(Arc<Inner>);

struct Inner {
    most: usize,
    most_of_one: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    /// Only accounts that have taken something, so as many as `most` at the most.
    by_account: HashMap<Account, usize>,
}

/// What an account has taken; given back when it is dropped.
pub(crate) struct Place {
    places: Places,
    account: Account,
    amount: usize,
}

impl Places {
    pub(crate) fn new(most: usize, most_of_one: usize) -> Places {
        Places(Arc::new(Inner { most, most_of_one, taken: Mutex::default() }))
    }

    /// Takes as much for an account; `None` if there is no room.
    pub(crate) fn take(&self, account: &Account, amount: usize) -> Option<Place> {
        let mut place = Place { places: self.clone(), account: account.clone(), amount: 0 };
        place.grow(amount).then_some(place)
    }
}

impl Place {
    /// Takes as much more; returns false if there is no room.
    pub(crate) fn grow(&mut self, more: usize) -> bool {
        let inner = &self.places.0;
        let mut taken = inner.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.by_account.get(&self.account).copied().unwrap_or_default();
        let has_room = taken.all.checked_add(more).is_some_and(|all| all <= inner.most)
            && own.checked_add(more).is_some_and(|own| own <= inner.most_of_one);
        if has_room && more > 0 {
            taken.all += more;
            taken.by_account.insert(self.account.clone(), own + more);
            self.amount += more;
        }
        has_room
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.amount == 0 {
            return;
        }
        let mut taken = self.places.0.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all = taken.all.saturating_sub(self.amount);
        if let Some(own) = taken.by_account.get_mut(&self.account) {
            *own = own.saturating_sub(self.amount);
            if *own == 0 {
                taken.by_account.remove(&self.account);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::account;

    #[test]
    fn a_greedy_neighbour_gets_its_share_and_no_more() {
        let places = Places::new(10, 6);
        let (greedy, modest) = (account("greedy"), account("modest"));
        let mut held = places.take(&greedy, 4).unwrap();
        assert!(held.grow(2));
        assert!(!held.grow(1) && places.take(&greedy, 1).is_none());
        assert!(places.take(&modest, 4).is_some(), "there is room for others");
    }

    #[test]
    fn what_is_given_back_can_be_taken_again_and_is_forgotten() {
        let places = Places::new(2, 2);
        let one = account("one");
        let held = places.take(&one, 2).unwrap();
        assert!(places.take(&account("other"), 1).is_none());
        drop(held);
        assert!(places.take(&account("other"), 2).is_some());
        assert!(places.0.taken.lock().unwrap().by_account.is_empty());
    }
}
