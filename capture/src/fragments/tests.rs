//! Fragments by themselves, without packets around them.

use super::*;
use proptest::prelude::*;
use std::net::Ipv4Addr;

/// An assembly under test, with what it told.
#[derive(Default)]
struct Bench {
    fragments: Fragments,
    told: Vec<Told>,
}

fn key(id: u32) -> Key {
    let address = Ipv4Addr::new(10, 0, 0, 1).into();
    Key { from: address, to: address, id, protocol: 17 }
}

const SECOND: u64 = 1_000_000_000;

impl Bench {
    /// Takes a fragment at `second`; the frame is that of its number.
    fn take(
        &mut self,
        id: u32,
        offset: usize,
        bytes: &[u8],
        has_more: bool,
        place: (u64, u64),
    ) -> Option<Vec<u8>> {
        let fragment = Fragment { id, offset, has_more };
        let place = (place.0, Time(place.1 * SECOND));
        let told = &mut self.told;
        let whole = self.fragments.take(key(id), fragment, bytes, place, &mut |it| told.push(it));
        let whole = whole.map(<[u8]>::to_vec);
        let costs: usize = self.fragments.assemblies.values().map(Assembly::cost).sum();
        assert_eq!(self.fragments.bytes, costs);
        assert!(costs <= MOST_BYTES && self.fragments.assemblies.len() <= MOST_DATAGRAMS);
        whole
    }

    fn finish(&mut self) {
        let told = &mut self.told;
        self.fragments.finish(&mut |it| told.push(it));
        assert_eq!((self.fragments.bytes, self.fragments.assemblies.len()), (0, 0));
    }
}

#[test]
fn parts_in_any_order_become_the_whole() {
    let parts: [(usize, &[u8], bool); 3] =
        [(0, b"abcdefgh", true), (8, b"ijklmnop", true), (16, b"q", false)];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut bench = Bench::default();
        for (number, part) in order.iter().enumerate() {
            let (offset, bytes, has_more) = parts[*part];
            let whole = bench.take(1, offset, bytes, has_more, (number as u64, 0));
            assert_eq!(whole, (number == 2).then(|| b"abcdefghijklmnopq".to_vec()), "{order:?}");
        }
        bench.finish();
        assert_eq!(bench.told, []);
    }
}

#[test]
fn copies_are_left_out_before_and_after_the_whole() {
    let mut bench = Bench::default();
    assert_eq!(bench.take(1, 0, b"abcdefgh", true, (1, 0)), None);
    assert_eq!(bench.take(1, 0, b"abcdefgh", true, (2, 0)), None);
    assert_eq!(bench.take(1, 8, b"i", false, (3, 0)), Some(b"abcdefghi".to_vec()));
    assert_eq!(bench.take(1, 8, b"i", false, (4, 0)), None);
    assert_eq!(bench.take(1, 0, b"abcdefgh", true, (5, 0)), None);
    // The same number for something else.
    assert_eq!(bench.take(1, 8, b"j", false, (6, 1)), None);
    assert_eq!(bench.take(1, 0, b"abcdefgh", true, (7, 1)), Some(b"abcdefghj".to_vec()));
    bench.finish();
    assert_eq!(bench.told, []);
}

#[test]
fn parts_that_contradict_each_other_are_refused_with_all_that_belong_to_them() {
    let first: (usize, &[u8], bool) = (8, b"abcdefgh", true);
    for second in [
        // Other bytes at the same place.
        (8, &b"ABCDEFGH"[..], true),
        // The same bytes as the last ones.
        (8, b"abcdefgh", false),
        // Over its beginning, over its end, within, around.
        (0, b"0123456789abcdef", true),
        (8, b"abcdefgh01234567", true),
        (0, b"0123456789abcdef01234567", true),
        // An end before it.
        (0, b"0", false),
        (8, b"a", false),
    ] {
        let mut bench = Bench::default();
        bench.take(1, first.0, first.1, first.2, (1, 0));
        assert_eq!(bench.take(1, second.0, second.1, second.2, (2, 0)), None);
        bench.take(1, 0, b"", false, (3, 0));
        bench.finish();
        let overlap = PacketFault::FragmentsOverlap;
        let expected = [(1, overlap), (2, overlap), (3, PacketFault::FragmentGivenUp)];
        assert_eq!(bench.told, expected, "{second:?}");
    }
}

#[test]
fn nothing_comes_behind_the_end_or_ends_elsewhere() {
    for (offset, bytes, has_more) in
        [(16, &b"a"[..], false), (16, b"abcdefgh", true), (8, b"a", false), (8, b"abcdefgh", true)]
    {
        let mut bench = Bench::default();
        bench.take(1, 8, b"abcd", false, (1, 0));
        bench.take(1, offset, bytes, has_more, (2, 0));
        let whys: Vec<_> = bench.told.iter().map(|(_, why)| *why).collect();
        assert_eq!(whys, [PacketFault::FragmentsOverlap; 2], "{offset} {bytes:?}");
    }
}

#[test]
fn lengths_that_cannot_be_are_refused() {
    for (offset, length, has_more) in [(0, 7, true), (0, 0, true), (65_528, 8, false), (8, 0, false)] {
        let mut bench = Bench::default();
        bench.take(1, offset, &vec![0; length], has_more, (1, 0));
        assert_eq!(bench.told, [(1, PacketFault::FragmentLength)], "{offset} {length}");
    }
    let mut bench = Bench::default();
    bench.take(1, 65_528, &[0; 7], false, (1, 0));
    assert_eq!(bench.told, []);
}

#[test]
fn parts_wait_a_minute() {
    let mut bench = Bench::default();
    bench.take(1, 0, b"abcdefgh", true, (1, 100));
    bench.take(2, 0, b"abcdefgh", true, (2, 130));
    assert_eq!(bench.take(1, 8, b"i", false, (3, 160)), Some(b"abcdefghi".to_vec()));
    bench.take(3, 0, b"abcdefgh", true, (4, 160));
    bench.take(2, 16, b"a", false, (5, 190));
    assert_eq!(bench.told, []);
    bench.take(4, 0, b"abcdefgh", true, (6, 191));
    let missing = PacketFault::FragmentsMissing;
    assert_eq!(bench.told, [(2, missing), (5, missing)]);
    // A clock that goes back makes nothing old.
    bench.take(5, 0, b"abcdefgh", true, (7, 1));
    assert_eq!(bench.told.len(), 2);
    bench.finish();
    assert_eq!(bench.told[2..], [(4, missing), (6, missing), (7, missing)]);
}

#[test]
fn whoever_began_first_gives_way_to_more_than_is_kept() {
    let mut bench = Bench::default();
    for id in 0..=MOST_DATAGRAMS as u32 {
        bench.take(id, 0, b"abcdefgh", true, (u64::from(id), u64::from(id) / 16));
    }
    assert_eq!(bench.told, [(0, PacketFault::FragmentsTooMany)]);

    let mut bench = Bench::default();
    let each = vec![0; MOST_BYTES / 64 - PIECE_COST];
    for id in 0..64 {
        bench.take(id, 0, &each, true, (u64::from(id), u64::from(id) / 2));
    }
    assert_eq!(bench.told, []);
    bench.take(64, 0, &[0; 64], true, (64, 59));
    assert_eq!(bench.told, [(0, PacketFault::FragmentsTooMany)]);
}

#[test]
fn what_is_refused_from_outside_is_given_up() {
    let mut bench = Bench::default();
    bench.take(1, 0, b"abcdefgh", true, (1, 0));
    let told = &mut bench.told;
    bench.fragments.refuse(key(1), Time(0), &mut |it| told.push(it));
    bench.take(1, 8, b"i", false, (3, 0));
    assert_eq!(bench.told, [(1, PacketFault::FragmentGivenUp), (3, PacketFault::FragmentGivenUp)]);
    bench.finish();
    assert_eq!(bench.told.len(), 2);
}

proptest! {
    #[test]
    fn each_fragment_is_in_the_whole_or_told(
        steps in prop::collection::vec((0_u32..3, 0_usize..5, 1_usize..4, any::<bool>(), 0_u64..50), 1..60),
    ) {
        let mut bench = Bench::default();
        let mut now = 0;
        for (frame, (id, offset, length, has_more, later)) in steps.iter().enumerate() {
            now += later;
            // Bytes that say where they stand, so that a whole put together wrongly shows.
            let bytes: Vec<u8> = (offset * 8..(offset + length) * 8).map(|at| at as u8).collect();
            let whole = bench.take(*id, offset * 8, &bytes, *has_more, (frame as u64, now));
            if let Some(whole) = whole {
                prop_assert!(whole.iter().enumerate().all(|(at, byte)| *byte == at as u8));
            }
        }
        bench.finish();
        let mut frames: Vec<u64> = bench.told.iter().map(|(frame, _)| *frame).collect();
        frames.sort_unstable();
        let before = frames.len();
        frames.dedup();
        prop_assert_eq!(frames.len(), before, "told twice");
    }
}
