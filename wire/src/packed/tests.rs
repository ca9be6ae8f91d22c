//! Each form, that everything comes back, and what no packer writes.

use super::*;
use proptest::prelude::*;

const MOST: usize = 1 << 20;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|digit| *digit != b' ').collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// Returns a text as CBOR has it.
fn text(text: &str) -> Vec<u8> {
    let mut cbor = Vec::new();
    write_head(Major::Text, text.len() as u64, &mut cbor);
    cbor.extend_from_slice(text.as_bytes());
    cbor
}

#[track_caller]
fn check(cbor: &[u8], packed: &[u8]) {
    assert_eq!(pack(cbor), packed);
    assert_eq!(unpack(packed, MOST).as_deref(), Ok(cbor));
}

#[test]
fn texts_of_the_table_become_their_numbers() {
    for (number, packed) in [
        (0, "e0"),
        (15, "ef"),
        (16, "c6 00"),
        (17, "c6 20"),
        (18, "c6 01"),
        (63, "c6 37"),
        (64, "c6 18 18"),
        (65, "c6 38 18"),
    ] {
        check(&text(TABLE[number]), &hex(packed));
    }
    assert_eq!((TABLE[0], TABLE[16], TABLE[17]), ("m.room.message", "m.annotation", "m.receipt"));
}

#[test]
fn the_table_is_what_it_says() {
    for (number, known) in TABLE.iter().enumerate() {
        assert_eq!(table::number(known.as_bytes()), Some(number), "{known} stands there twice");
        assert!(pack(&text(known)).len() < text(known).len(), "{known}");
    }
}

#[test]
fn base64_becomes_bytes_where_that_is_shorter_and_comes_back_as_it_was() {
    for (plain, packed) in [
        ("AQIDBAUG", "d6 46 010203040506"),
        ("AQIDBAUGBw", "d6 47 01020304050607"),
        ("-_-_-_-_", "d5 46 fbffbffbffbf"),
        (
            "$AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA",
            "c6 5820 0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20",
        ),
        (
            "!AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA",
            "c6 f5 5820 0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20",
        ),
    ] {
        check(&text(plain), &hex(packed));
    }
    for plain in [
        "",
        "AQIDBAU",
        "AQIDBAUGB",
        "AQIDBAUGBx",
        "AQIDBAU=",
        "AQIDBAUGBw==",
        "AQIDB UG",
        "AQID-A+G",
        "$AQIDBAUG",
        "$AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHy-",
        "m.room.unknown",
        "@alice:lb.test",
        "ünïcödé€",
    ] {
        check(&text(plain), &text(plain));
    }
}

#[test]
fn what_json_does_not_have_and_what_is_longer_than_is_held_pass_as_they_are() {
    for (plain, packed) in [
        ("c6 00", "c6f6 c6 00"),
        ("d6 46 010203040506", "c6f6 d6 46 010203040506"),
        ("d9d9f7 e0", "c6f6 d9d9f7 c6f6 e0"),
        ("f0 f4 f5 f6 f7 f820 f93c00", "f0 f4 f5 f6 f7 f820 f93c00"),
        // Heads that are longer than they have to be, strings in pieces, a break in each place.
        ("7804 6a6f696e", "7804 6a6f696e"),
        ("7f 64 6a6f696e 60 ff 64 6a6f696e", "7f 64 6a6f696e 60 ff e6"),
        ("5f 41 00 ff 9f 64 6a6f696e ff bf ff", "5f 41 00 ff 9f e6 ff bf ff"),
        // Not well-formed from somewhere on.
        ("64 6a6f696e 1c 64 6a6f696e", "e6 1c 64 6a6f696e"),
        ("5f 01 64 6a6f696e", "5f 01 64 6a6f696e"),
        ("82 64 6a6f696e 64 6a6f69", "82 e6 64 6a6f69"),
        ("d8", "d8"),
        ("19 01", "19 01"),
    ] {
        check(&hex(plain), &hex(packed));
    }
    let longest = "A".repeat(LONGEST_TEXT);
    assert_eq!(pack(&text(&longest)).len(), 1 + 3 + LONGEST_TEXT / 4 * 3);
    let longer = longest + "AAAA";
    check(&text(&longer), &text(&longer));
}

#[test]
fn what_no_packer_writes_is_refused_with_its_place() {
    for (packed, why) in [
        ("e0 c0", NotPacked::Item(1)),
        ("d6 64 6a6f696e", NotPacked::Item(0)),
        ("d6 5f", NotPacked::Item(0)),
        ("d6 59 4001", NotPacked::Item(0)),
        ("c6 19 ffff", NotPacked::Item(0)),
        ("c6 1b ffffffffffffffff", NotPacked::Item(0)),
        ("c6 3b ffffffffffffffff", NotPacked::Item(0)),
        ("e0 e0 c6 f4", NotPacked::Item(2)),
        ("c6 f6 00", NotPacked::Item(0)),
        ("c6 1c", NotPacked::Item(0)),
        ("60 d6", NotPacked::CutOff(2)),
        ("d6 46 0102", NotPacked::CutOff(4)),
        ("c6", NotPacked::CutOff(1)),
        ("c6 f5", NotPacked::CutOff(2)),
        ("c6 f6 d8", NotPacked::CutOff(3)),
    ] {
        assert_eq!(unpack(&hex(packed), MOST), Err(why), "{packed}");
    }
    assert_eq!(unpack(&[0xe0; 100], 100), Err(NotPacked::TooLong(100)));
    assert_eq!(unpack(&[0xe0; 100], 1500).map(|cbor| cbor.len()), Ok(1500));
    assert_eq!(unpack(&hex("00 00 19"), 2), Err(NotPacked::TooLong(2)), "what is left at the end counts");
}

/// Packs and unpacks in pieces of these lengths.
fn in_pieces(cbor: &[u8], cuts: &[usize]) -> (Vec<u8>, Vec<u8>) {
    let pieces = |bytes: &[u8]| {
        let (mut pieces, mut rest) = (Vec::new(), bytes.to_vec());
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                return pieces;
            }
            let behind = rest.split_off((1 + cut).min(rest.len()));
            pieces.push(std::mem::replace(&mut rest, behind));
        }
        pieces
    };
    let (mut packed, mut packer) = (Vec::new(), Packer::default());
    pieces(cbor).iter().for_each(|piece| packer.push(piece, &mut packed));
    packer.finish(&mut packed);
    let (mut back, mut unpacker) = (Vec::new(), Unpacker::new(MOST));
    pieces(&packed).iter().for_each(|piece| unpacker.push(piece, &mut back).unwrap());
    unpacker.finish(&mut back).unwrap();
    (packed, back)
}

/// Items as a packer may meet them, one after the other.
fn items() -> impl Strategy<Value = Vec<u8>> {
    let texts = prop_oneof![
        prop::sample::select(TABLE.to_vec()).prop_map(text),
        "[A-Za-z0-9+/]{0,40}".prop_map(|base64| text(&base64)),
        "[$!][A-Za-z0-9_-]{43}".prop_map(|id| text(&id)),
        ".{0,30}".prop_map(|any| text(&any)),
    ];
    let item = prop_oneof![4 => texts, 1 => prop::collection::vec(any::<u8>(), 0..12)];
    prop::collection::vec(item, 0..12).prop_map(|items| items.concat())
}

/// Returns whether nothing is open at the end of some items.
fn is_well_formed(items: &[u8]) -> bool {
    let (mut packed, mut packer) = (Vec::new(), Packer::default());
    packer.push(items, &mut packed);
    packer.place == Place::Item && packer.held.is_empty()
}

proptest! {
    #[test]
    fn whatever_goes_in_comes_out_in_pieces_of_any_size(
        cbor in items(),
        cuts in prop::collection::vec(0_usize..20, 1..6),
    ) {
        let (packed, back) = in_pieces(&cbor, &cuts);
        prop_assert_eq!(&back, &cbor);
        prop_assert_eq!(pack(&cbor), packed);
    }

    #[test]
    fn what_a_text_becomes_does_not_depend_on_its_neighbours(one in items(), other in items()) {
        // Of items that are well-formed: what follows a malformed one passes as it is.
        let [one, other] = [one, other].map(|items| if is_well_formed(&items) { items } else { text("x") });
        prop_assert_eq!(pack(&[one.clone(), other.clone()].concat()), [pack(&one), pack(&other)].concat());
    }

    #[test]
    fn no_bytes_make_the_way_back_panic_or_grow_without_bound(packed in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(cbor) = unpack(&packed, 300) {
            prop_assert!(cbor.len() <= 300);
        }
    }
}
