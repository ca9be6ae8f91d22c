//! Who gives way to whom, and that nothing is counted twice or lost.

use super::*;

const GREEDY: Owner = [1; 32];
const MODEST: Owner = [2; 32];

fn key(number: u8) -> Key {
    Key { url: [number; 32], account: MODEST }
}

/// Keeps an answer of ten bytes; returns whether there was room.
fn keep(shelves: &mut Shelves<u8>, owner: Owner, number: u8) -> bool {
    let mut visit = shelves.enter(owner, key(number));
    let has_room = shelves.reserve(&mut visit, 10);
    if has_room {
        shelves.put(&mut visit, number);
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
    let mut visit = shelves.enter(owner, key(number));
    let taken = shelves.get(&visit);
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
    let mut visits = [0; 3].map(|_| shelves.enter(GREEDY, key(100)));
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
fn copies_under_way_have_half_of_all_and_leave_the_rest_to_what_is_kept() {
    let mut shelves = Shelves::new(80);
    (0..4).for_each(|number| assert!(keep(&mut shelves, MODEST, number)));
    let mut visits = [3, 4, 5, 6].map(|owner| shelves.enter([owner; 32], key(100)));
    let begun = visits.iter_mut().map(|visit| shelves.reserve(visit, 20)).collect::<Vec<_>>();
    assert_eq!(begun, [true, true, false, false]);
    assert_eq!(kept(&shelves, MODEST), [0, 1, 2, 3]);
    visits.iter_mut().for_each(|visit| shelves.leave(visit));
    assert_eq!((shelves.total, shelves.copying, shelves.by_owner.len()), (40, 0, 1));
    assert!(shelves.asked.is_empty());
}

#[test]
fn what_was_asked_for_before_a_change_is_not_kept() {
    let mut shelves = Shelves::new(80);
    let mut visits = [MODEST, GREEDY].map(|owner| shelves.enter(owner, key(0)));
    visits.iter_mut().for_each(|visit| assert!(shelves.reserve(visit, 10)));
    shelves.remove_everywhere(key(1).url);
    shelves.put(&mut visits[0], 0);
    shelves.remove_everywhere(key(0).url);
    shelves.put(&mut visits[1], 0);
    assert_eq!((kept(&shelves, MODEST), kept(&shelves, GREEDY)), (vec![], vec![]));
    assert!(keep(&mut shelves, MODEST, 0));
    assert_eq!(kept(&shelves, MODEST), [0], "what is asked for afterwards is");
    visits.iter_mut().for_each(|visit| shelves.leave(visit));
    assert_eq!((shelves.total, shelves.copying, shelves.asked.len()), (10, 0, 0));
}

#[test]
fn what_is_cleared_stays_so_whatever_copy_ends_afterwards() {
    let mut shelves = Shelves::new(80);
    assert!(keep(&mut shelves, MODEST, 0) && keep(&mut shelves, GREEDY, 0));
    let mut visit = shelves.enter(MODEST, key(2));
    assert!(shelves.reserve(&mut visit, 10));
    shelves.clear(&MODEST);
    assert_eq!((kept(&shelves, MODEST), shelves.total), (vec![], 20), "the copy is still held");
    assert!(keep(&mut shelves, MODEST, 1), "a shelf of the same name is another one");
    shelves.put(&mut visit, 2);
    assert!(!shelves.reserve(&mut visit, 10));
    shelves.leave(&mut visit);
    assert_eq!((take(&mut shelves, MODEST, 1), kept(&shelves, MODEST)), (Some(1), vec![1]));
    assert_eq!((kept(&shelves, GREEDY), shelves.total), (vec![0], 20));
}

#[test]
fn all_shelves_are_cleared_at_once_and_copies_under_way_end_on_none() {
    let mut shelves = Shelves::new(80);
    assert!(keep(&mut shelves, MODEST, 0) && keep(&mut shelves, GREEDY, 0));
    let mut visit = shelves.enter(MODEST, key(1));
    assert!(shelves.reserve(&mut visit, 10));
    shelves.clear_all();
    shelves.put(&mut visit, 1);
    shelves.leave(&mut visit);
    assert_eq!(
        (shelves.total, shelves.copying, shelves.by_owner.len(), shelves.heaviest.len()),
        (0, 0, 0, 0)
    );
}

#[test]
fn a_newer_answer_takes_the_place_of_the_older_and_its_size_counts() {
    let mut shelves = Shelves::new(80);
    assert!(keep(&mut shelves, MODEST, 0) && keep(&mut shelves, MODEST, 0) && keep(&mut shelves, GREEDY, 0));
    assert_eq!(shelves.total, 20);
    for (number, old, new) in [(0, 0, 5), (0, 0, 6), (1, 0, 7)] {
        let mut visit = shelves.enter(MODEST, key(number));
        shelves.renew(&visit, |answer| *answer == old, 15, new);
        shelves.leave(&mut visit);
    }
    assert_eq!((take(&mut shelves, MODEST, 0), shelves.total), (Some(5), 25));
    // Two accounts that share a shelf have an answer each to one question.
    let mut visit = shelves.enter(GREEDY, Key { account: GREEDY, ..key(0) });
    assert!(shelves.reserve(&mut visit, 10));
    shelves.put(&mut visit, 6);
    shelves.leave(&mut visit);
    assert_eq!((kept(&shelves, GREEDY), take(&mut shelves, GREEDY, 0)), (vec![0, 0], Some(0)));
    assert!(keep(&mut shelves, GREEDY, 1));
    shelves.remove_everywhere(key(0).url);
    assert_eq!((kept(&shelves, GREEDY), shelves.total), (vec![1], 10));
    shelves.remove_everywhere(key(1).url);
    assert_eq!((shelves.total, shelves.by_owner.len(), shelves.heaviest.len()), (0, 0, 0));
}
