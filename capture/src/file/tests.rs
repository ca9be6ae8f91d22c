//! Files written here, byte by byte, in both orders; those that real programs wrote are in `tests/`.

use super::*;
use proptest::prelude::*;

/// What a reader said, with the bytes it lent.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    Packet { frame: u64, offset: u64, time: u64, link: u32, bytes: Vec<u8>, length: usize },
    Secrets(Vec<u8>),
    Unreadable { frame: u64, offset: u64, why: FileFault },
}

fn note(said: &mut Vec<Said>) -> impl FnMut(Item<'_>) {
    |item| {
        said.push(match item {
            Item::Packet(Packet { frame, offset, time, link, bytes, length }) => {
                Said::Packet { frame, offset, time: time.0, link: link.0, bytes: bytes.to_vec(), length }
            }
            Item::Secrets(text) => Said::Secrets(text.to_vec()),
            Item::Unreadable(Unreadable { frame, offset, why }) => Said::Unreadable { frame, offset, why },
        });
    }
}

fn read_in(pieces: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Vec<Said> {
    let mut reader = Reader::new();
    let mut said = Vec::new();
    for piece in pieces {
        reader.push(piece.as_ref(), &mut note(&mut said));
    }
    reader.finish(&mut note(&mut said));
    said
}

fn read(file: &[u8]) -> Vec<Said> {
    read_in([file])
}

/// Returns the faults with their frames and offsets.
fn faults(file: &[u8]) -> Vec<(u64, u64, FileFault)> {
    let fault = |said| match said {
        Said::Unreadable { frame, offset, why } => Some((frame, offset, why)),
        _ => None,
    };
    read(file).into_iter().filter_map(fault).collect()
}

/// Returns frame, time and bytes of the packets.
fn packets(file: &[u8]) -> Vec<(u64, u64, Vec<u8>)> {
    let packet = |said| match said {
        Said::Packet { frame, time, bytes, .. } => Some((frame, time, bytes)),
        _ => None,
    };
    read(file).into_iter().filter_map(packet).collect()
}

/// Writes numbers in one of the orders.
#[derive(Clone, Copy)]
struct Writer(ByteOrder);

use crate::bytes::ByteOrder::{self, Big, Little};

impl Writer {
    fn u16(self, number: u16) -> Vec<u8> {
        if self.0 == Big { number.to_be_bytes().into() } else { number.to_le_bytes().into() }
    }

    fn u32(self, number: u32) -> Vec<u8> {
        if self.0 == Big { number.to_be_bytes().into() } else { number.to_le_bytes().into() }
    }

    fn words(self, words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| self.u32(*word)).collect()
    }

    /// Writes the header of a file of pcap.
    fn pcap(self, magic: u32, link: u32) -> Vec<u8> {
        [self.u32(magic), self.u16(2), self.u16(4), self.words(&[0, 0, 65_535, link])].concat()
    }

    /// Writes a packet of pcap.
    fn record(self, seconds: u32, fraction: u32, bytes: &[u8], length: u32) -> Vec<u8> {
        [self.words(&[seconds, fraction, bytes.len() as u32, length]), bytes.to_vec()].concat()
    }

    /// Writes a block of pcapng.
    fn block(self, kind: u32, body: &[u8]) -> Vec<u8> {
        let padding = vec![0; body.len().next_multiple_of(4) - body.len()];
        let total = self.u32((12 + body.len() + padding.len()) as u32);
        [self.u32(kind), total.clone(), body.to_vec(), padding, total].concat()
    }

    fn section(self) -> Vec<u8> {
        let body = [self.u32(0x1a2b_3c4d), self.u16(1), self.u16(0), self.words(&[!0, !0])].concat();
        self.block(0x0a0d_0d0a, &body)
    }

    fn interface(self, link: u16, snapped: u32, options: &[u8]) -> Vec<u8> {
        self.block(1, &[self.u16(link), self.u16(0), self.u32(snapped), options.to_vec()].concat())
    }

    fn option(self, code: u16, value: &[u8]) -> Vec<u8> {
        let padding = vec![0; value.len().next_multiple_of(4) - value.len()];
        [self.u16(code), self.u16(value.len() as u16), value.to_vec(), padding].concat()
    }

    fn enhanced(self, interface: u32, ticks: u64, bytes: &[u8], length: u32) -> Vec<u8> {
        let fields = self.words(&[interface, (ticks >> 32) as u32, ticks as u32, bytes.len() as u32, length]);
        self.block(6, &[fields, bytes.to_vec()].concat())
    }

    fn secrets(self, kind: u32, text: &[u8]) -> Vec<u8> {
        self.block(10, &[self.words(&[kind, text.len() as u32]), text.to_vec()].concat())
    }
}

const TLS: u32 = 0x544c_534b;

/// A file of pcapng with all that is read, in two sections of different orders.
fn everything() -> Vec<u8> {
    let (big, little) = (Writer(Big), Writer(Little));
    let comment = little.option(1, b"a comment");
    [
        little.section(),
        little.secrets(TLS, b"first"),
        little.interface(228, 0, &[comment.clone(), little.option(9, &[9])].concat()),
        little.interface(1, 4, &[]),
        little.enhanced(0, 5, b"one", 3),
        little.block(0x1234, b"nothing that is known"),
        little.block(3, &[little.words(&[6]), b"second".to_vec()].concat()),
        little.block(
            2,
            &[little.u16(1), little.u16(7), little.words(&[0, 9, 4, 60]), b"thir".to_vec()].concat(),
        ),
        big.section(),
        big.interface(276, 65_535, &big.option(14, &100_u64.to_be_bytes())),
        big.enhanced(0, 1, b"fourth", 6),
        big.block(5, &big.words(&[0, 0, 0])),
        big.secrets(TLS, b"second"),
    ]
    .concat()
}

#[test]
fn pcap_is_read_in_both_orders_and_both_resolutions() {
    for order in [Big, Little] {
        for (magic, unit) in [(0xa1b2_c3d4, 1_000), (0xa1b2_3c4d, 1)] {
            let writer = Writer(order);
            let file = [
                writer.pcap(magic, 1),
                writer.record(7, 3, b"abc", 3),
                // Only the first two bytes were kept.
                writer.record(8, 0, b"de", 60),
                writer.record(9, 0, b"", 0),
            ]
            .concat();
            let packet = |frame, offset, time, bytes: &[u8], length| Said::Packet {
                frame,
                offset,
                time,
                link: 1,
                bytes: bytes.to_vec(),
                length,
            };
            let expected = [
                packet(1, 40, 7_000_000_000 + 3 * unit, b"abc", 3),
                packet(2, 59, 8_000_000_000, b"de", 60),
                packet(3, 77, 9_000_000_000, b"", 0),
            ];
            assert_eq!(read(&file), expected);
        }
    }
}

#[test]
fn a_packet_is_as_long_as_what_was_captured_of_it_at_least() {
    let writer = Writer(Little);
    let pcap = [writer.pcap(0xa1b2_c3d4, 1), writer.record(0, 0, b"abc", 2)].concat();
    let pcapng = [writer.section(), writer.interface(1, 0, &[]), writer.enhanced(0, 0, b"abc", 2)].concat();
    for file in [pcap, pcapng] {
        assert!(matches!(read(&file)[..], [Said::Packet { length: 3, .. }]), "{:?}", read(&file));
    }
}

#[test]
fn of_the_link_type_the_bits_of_the_checksum_are_left_out() {
    let writer = Writer(Little);
    let file = [writer.pcap(0xa1b2_c3d4, 0x4400_0001), writer.record(0, 0, b"a", 1)].concat();
    assert!(matches!(read(&file)[..], [Said::Packet { link: 1, .. }]), "{:?}", read(&file));
}

#[test]
fn pcapng_is_read_with_sections_of_either_order() {
    let file = everything();
    let at = |text: &[u8]| file.windows(text.len()).position(|window| window == text).unwrap() as u64;
    let packet = |frame, text: &[u8], time, link, length| Said::Packet {
        frame,
        offset: at(text),
        time,
        link,
        bytes: text.to_vec(),
        length,
    };
    let expected = [
        Said::Secrets(b"first".to_vec()),
        packet(1, b"one", 5, 228, 3),
        // Has the time of the one before.
        packet(2, b"second", 5, 228, 6),
        packet(3, b"thir", 9_000, 1, 60),
        packet(4, b"fourth", 100_000_001_000, 276, 6),
        Said::Secrets(b"second".to_vec()),
    ];
    // The first "second" is the packet.
    assert_eq!(read(&file), expected);
}

#[test]
fn any_cut_gives_the_same() {
    let writer = Writer(Big);
    let pcap =
        [writer.pcap(0xa1b2_c3d4, 101), writer.record(1, 2, b"abcdefg", 7), writer.record(3, 4, b"hij", 99)]
            .concat();
    for file in [everything(), pcap, b"\x1f\x8b\x08 compressed".to_vec(), b"something else".to_vec()] {
        let whole = read(&file);
        for size in 1..file.len() {
            assert_eq!(read_in(file.chunks(size)), whole, "pieces of {size}");
            let (before, behind) = file.split_at(size);
            assert_eq!(read_in([before, b"", behind]), whole, "cut at {size}");
        }
    }
}

#[test]
fn what_lies_whole_in_a_piece_is_not_copied() {
    let file = everything();
    let range = file.as_ptr_range();
    let mut lent = 0;
    Reader::new().push(&file, &mut |item| {
        let bytes = match item {
            Item::Packet(packet) => packet.bytes,
            Item::Secrets(text) => text,
            Item::Unreadable(fault) => panic!("{fault:?}"),
        };
        assert!(range.contains(&bytes.as_ptr()));
        lent += 1;
    });
    assert_eq!(lent, 6);
}

#[test]
fn a_file_that_ends_too_early_is_told_with_the_place_where_reading_stopped() {
    let writer = Writer(Little);
    let pcap = [writer.pcap(0xa1b2_c3d4, 1), writer.record(7, 3, b"abc", 3), writer.record(7, 3, b"de", 2)];
    let [header, first, second] = pcap.clone().map(|part| part.len() as u64);
    let pcap = pcap.concat();
    for end in 1..pcap.len() {
        let (frame, offset) = match end as u64 {
            end if end < header => (0, 0),
            end if end < header + first => (0, header),
            _ => (1, header + first),
        };
        let expected = match end as u64 {
            end if end == header || end == header + first => vec![],
            _ => vec![(frame, offset, FileFault::CutOff)],
        };
        assert_eq!(faults(&pcap[..end]), expected, "{end} of {}", header + first + second);
    }
    let pcapng = everything();
    let whole = read(&pcapng);
    for end in 1..pcapng.len() {
        let mut said = read(&pcapng[..end]);
        if let Some(Said::Unreadable { why, offset, .. }) = said.last() {
            assert_eq!(*why, FileFault::CutOff);
            assert!(*offset < end as u64);
            said.pop();
        }
        assert_eq!(said[..], whole[..said.len()], "cut at {end}");
    }
    assert_eq!(faults(b""), [(0, 0, FileFault::Empty)]);
}

#[test]
fn what_is_not_a_capture_is_named() {
    for (bytes, expected) in [
        (&b"GET / HTTP/1.1"[..], "not a capture: it begins as neither pcap nor pcapng does"),
        (b"\x1f\x8b\x08\0\0", "compressed with gzip: unpack it first"),
        (b"\x28\xb5\x2f\xfd\0", "compressed with zstd: unpack it first"),
        (b"\xfd7zXZ\0", "compressed with xz: unpack it first"),
        (b"GE", "the file ends in the middle of it"),
    ] {
        let faults = faults(bytes);
        assert_eq!((faults.len(), faults[0].2.to_string()), (1, expected.to_owned()));
    }
    let old = [Writer(Big).u32(0xa1b2_c3d4), vec![0, 2, 0, 3], vec![0; 16]].concat();
    assert_eq!(faults(&old), [(0, 0, FileFault::Version { major: 2, minor: 3 })]);
}

#[test]
fn a_packet_of_pcap_that_is_too_long_ends_the_reading() {
    let writer = Writer(Big);
    let long = LARGEST_PACKET as u32;
    let header = writer.pcap(0xa1b2_c3d4, 1);
    let file =
        [header.clone(), writer.words(&[0, 0, long + 1, long + 1]), writer.record(0, 0, b"a", 1)].concat();
    let mut reader = Reader::new();
    let mut said = Vec::new();
    reader.push(&file, &mut note(&mut said));
    assert_eq!(said, [Said::Unreadable { frame: 1, offset: 24, why: FileFault::PacketTooLong }]);
    assert!(reader.has_ended());
    reader.push(&writer.record(0, 0, b"a", 1), &mut note(&mut said));
    reader.finish(&mut note(&mut said));
    assert_eq!(said.len(), 1);

    let longest = [header, writer.record(0, 0, &vec![7; LARGEST_PACKET], long)].concat();
    assert_eq!(packets(&longest).len(), 1);
}

#[test]
fn a_broken_packet_of_pcapng_is_told_and_the_next_one_is_read() {
    let writer = Writer(Little);
    let begin = [writer.section(), writer.interface(1, 0, &[])].concat();
    let after = writer.enhanced(0, 1, b"after", 5);
    let mut captured = writer.enhanced(0, 1, b"abcd", 4);
    captured[20] = 5;
    let simple = writer.block(3, &[writer.words(&[9]), b"abcdefgh".to_vec()].concat());
    let long = vec![0; LARGEST_PACKET + 1];
    for (broken, why) in [
        (captured, FileFault::PacketLength),
        (writer.block(6, &[0; 16]), FileFault::PacketLength),
        (writer.block(2, &[0; 16]), FileFault::PacketLength),
        (writer.block(3, b""), FileFault::PacketLength),
        (simple, FileFault::PacketLength),
        (writer.enhanced(1, 1, b"abcd", 4), FileFault::Interface),
        (writer.enhanced(0, 1, &long, long.len() as u32), FileFault::PacketTooLong),
        (writer.enhanced(0, 1, &vec![0; LARGEST_BLOCK], 1), FileFault::BlockTooLong),
    ] {
        let file = [&begin[..], &broken, &after].concat();
        assert_eq!(faults(&file), [(1, begin.len() as u64, why)]);
        assert_eq!(packets(&file), [(2, 1_000, b"after".to_vec())], "{why}");
    }
}

#[test]
fn other_broken_blocks_of_pcapng_are_told_and_what_follows_is_read() {
    let writer = Writer(Little);
    let begin = [writer.section(), writer.interface(1, 0, &[])].concat();
    let after = writer.enhanced(0, 1, b"after", 5);
    for (broken, why) in [
        (writer.secrets(TLS, b"text")[..].to_vec(), None),
        (writer.block(10, &writer.words(&[TLS, 5, 0])), Some(FileFault::SecretsLength)),
        (writer.block(10, &writer.words(&[TLS])), Some(FileFault::SecretsLength)),
        (writer.secrets(TLS, &vec![0; LARGEST_BLOCK]), Some(FileFault::BlockTooLong)),
        (writer.secrets(0x5747_4b4c, b"WireGuard"), None),
        (writer.block(1, &[1, 0, 0, 0]), Some(FileFault::InterfaceDescription)),
        (writer.interface(1, 0, &[9, 0, 1, 0]), Some(FileFault::InterfaceDescription)),
        (writer.interface(1, 0, &[9, 0, 0, 0]), Some(FileFault::InterfaceDescription)),
        (writer.block(0x8765, &vec![0; LARGEST_BLOCK + 5]), None),
    ] {
        let file = [&begin[..], &broken, &after].concat();
        // Of these, one has secrets that are those of TLS.
        let secrets = read(&file).contains(&Said::Secrets(b"text".to_vec()));
        let others = read(&file).iter().filter(|said| matches!(said, Said::Secrets(_))).count();
        assert_eq!(others, usize::from(secrets), "{why:?}");
        let expected: Vec<_> = why.into_iter().map(|why| (0, begin.len() as u64, why)).collect();
        assert_eq!(faults(&file), expected);
        assert_eq!(packets(&file), [(1, 1_000, b"after".to_vec())], "{why:?}");
    }
}

#[test]
fn an_interface_that_cannot_be_read_does_not_move_the_numbers_of_the_others() {
    let writer = Writer(Little);
    let file = [
        writer.section(),
        writer.block(1, &[1, 0, 0, 0]),
        writer.interface(101, 0, &[]),
        writer.enhanced(0, 1, b"a", 1),
        writer.enhanced(1, 1, b"b", 1),
    ]
    .concat();
    assert_eq!(packets(&file), [(2, 1_000, b"b".to_vec())]);
    let whys: Vec<FileFault> = faults(&file).into_iter().map(|(_, _, why)| why).collect();
    assert_eq!(whys, [FileFault::InterfaceDescription, FileFault::Interface]);
}

#[test]
fn interfaces_have_a_limit_and_belong_to_their_section() {
    let writer = Writer(Little);
    let interface = writer.interface(1, 0, &[]);
    let last = MOST_INTERFACES as u32 - 1;
    let file = [
        writer.section(),
        interface.repeat(MOST_INTERFACES + 1),
        writer.enhanced(last, 1, b"a", 1),
        writer.section(),
        writer.enhanced(0, 1, b"b", 1),
    ]
    .concat();
    assert_eq!(packets(&file), [(1, 1_000, b"a".to_vec())]);
    let whys: Vec<FileFault> = faults(&file).into_iter().map(|(_, _, why)| why).collect();
    assert_eq!(whys, [FileFault::Interfaces, FileFault::Interface]);
}

#[test]
fn where_the_place_is_lost_reading_ends() {
    let writer = Writer(Little);
    let begin = [writer.section(), writer.interface(1, 0, &[])].concat();
    let packet = writer.enhanced(0, 1, b"abcd", 4);
    let with = |at: usize, value: u8| {
        let mut block = packet.clone();
        block[at] = value;
        block
    };
    let mut unknown = writer.block(0x8765, b"abcd");
    unknown[12] = 40;
    let mut section = writer.section();
    section[8] = 0;
    let version = [writer.u32(0x1a2b_3c4d), writer.u16(2), writer.u16(0), writer.words(&[!0, !0])].concat();
    for (broken, why) in [
        (with(4, 38), FileFault::BlockLength),
        (with(4, 8), FileFault::BlockLength),
        (with(packet.len() - 4, 0), FileFault::BlockLengthsDiffer),
        (unknown, FileFault::BlockLengthsDiffer),
        (section, FileFault::ByteOrder),
        (writer.block(0x0a0d_0d0a, &writer.words(&[0x1a2b_3c4d])), FileFault::BlockLength),
        (writer.block(0x0a0d_0d0a, &version), FileFault::Version { major: 2, minor: 0 }),
        (writer.block(1, &vec![0; LARGEST_BLOCK]), FileFault::BlockTooLong),
    ] {
        let file = [&begin[..], &broken, &packet].concat();
        assert_eq!(faults(&file), [(0, begin.len() as u64, why)]);
        assert_eq!(packets(&file), [], "{why}");
    }
}

#[test]
fn blocks_that_wireshark_counts_as_packets_are_counted() {
    let writer = Writer(Little);
    let begin = [writer.section(), writer.interface(1, 0, &[])].concat();
    let packet = writer.enhanced(0, 1, b"a", 1);
    for (kind, frame) in [
        (4, 1),
        (5, 1),
        (7, 1),
        (8, 1),
        (9, 2),
        (10, 1),
        (0x204, 2),
        (0x208, 1),
        (0x216, 2),
        (0xbad, 2),
        (0x4000_0bad, 2),
        (0x8000_0001, 1),
    ] {
        let block = writer.block(kind, &writer.words(&[0, 0, 0, 0]));
        let file = [&begin[..], &block, &packet].concat();
        assert_eq!(packets(&file), [(frame, 1_000, b"a".to_vec())], "{kind:#x}");
    }
}

#[test]
fn times_are_in_the_resolution_and_with_the_offset_of_the_interface() {
    for order in [Big, Little] {
        let writer = Writer(order);
        let offset = |seconds: i64| {
            let bytes = if order == Big { seconds.to_be_bytes() } else { seconds.to_le_bytes() };
            writer.option(14, &bytes)
        };
        let cases = [
            (vec![], 1_700_000_000_000_001, 1_700_000_000_000_001_000),
            (writer.option(9, &[9]), 1_700_000_000_000_000_001, 1_700_000_000_000_000_001),
            (writer.option(9, &[0]), 3, 3_000_000_000),
            (writer.option(9, &[3]), 1_500, 1_500_000_000),
            (writer.option(9, &[12]), 1_234_567, 1_234),
            (writer.option(9, &[28]), u64::MAX, 1),
            (writer.option(9, &[127]), u64::MAX, 1),
            (writer.option(9, &[0x80 | 10]), 1_536, 1_500_000_000),
            (writer.option(9, &[0x80 | 32]), 1 << 31, 500_000_000),
            (writer.option(9, &[0xff]), u64::MAX, 0),
            (writer.option(9, &[0]), u64::MAX, u64::MAX),
            ([writer.option(9, &[6]), offset(-1)].concat(), 3_000_001, 2_000_001_000),
            (offset(1_000), 1, 1_000_000_001_000),
            (offset(i64::MIN), 1, 0),
            (offset(i64::MAX), 1, u64::MAX),
            // What stands behind the end of the options is not an option.
            ([writer.option(0, &[]), writer.option(9, &[9])].concat(), 1, 1_000),
        ];
        for (options, ticks, time) in cases {
            let file =
                [writer.section(), writer.interface(1, 0, &options), writer.enhanced(0, ticks, b"a", 1)]
                    .concat();
            assert_eq!(packets(&file), [(1, time, b"a".to_vec())], "{options:?}");
        }
    }
}

#[test]
fn a_simple_packet_is_as_long_as_its_interface_keeps() {
    let writer = Writer(Big);
    let file = [
        writer.section(),
        writer.interface(1, 3, &[]),
        writer.block(3, &[writer.words(&[70]), b"abc".to_vec()].concat()),
        writer.block(3, &[writer.words(&[2]), b"de".to_vec()].concat()),
    ]
    .concat();
    let lengths: Vec<_> = read(&file)
        .into_iter()
        .map(|said| match said {
            Said::Packet { bytes, length, .. } => (bytes, length),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(lengths, [(b"abc".to_vec(), 70), (b"de".to_vec(), 2)]);
}

#[test]
fn secrets_do_not_show() {
    let shown = format!("{:?}", Item::Secrets(b"CLIENT_RANDOM"));
    assert_eq!(shown, "Secrets(13 bytes)");
}

#[test]
fn only_pcapng_may_hold_secrets() {
    let mut reader = Reader::new();
    assert!(!reader.may_hold_secrets());
    reader.push(&everything(), &mut |_| {});
    assert!(reader.may_hold_secrets());
    let mut reader = Reader::new();
    reader.push(&Writer(Big).pcap(0xa1b2_c3d4, 1), &mut |_| {});
    assert!(!reader.may_hold_secrets());
}

proptest! {
    #[test]
    fn changed_files_give_the_same_however_they_are_cut(
        changes in prop::collection::vec((0_usize..600, any::<u8>()), 0..4),
        sizes in prop::collection::vec(0_usize..90, 1..30),
    ) {
        let mut file = everything();
        for (at, value) in changes {
            if let Some(byte) = file.get_mut(at) {
                *byte = value;
            }
        }
        let whole = read(&file);
        let mut rest = &file[..];
        let mut pieces = Vec::new();
        for size in sizes {
            let (piece, behind) = rest.split_at(size.min(rest.len()));
            pieces.push(piece);
            rest = behind;
        }
        pieces.push(rest);
        prop_assert_eq!(read_in(pieces), whole);
    }
}

#[test]
fn nothing_that_is_captured_or_held_shows_in_errors() {
    let secret = b"CLIENT_RANDOM 5e c7";
    let held = format!("{:?}", secret);
    let inner = held.trim_matches(['[', ']']);
    let packet =
        Packet { frame: 1, offset: 2, time: Time(3), link: LinkType::RAW, bytes: secret, length: 99 };
    let datagram = crate::Datagram {
        frame: 1,
        offset: None,
        time: Time(3),
        from: ([10, 0, 0, 1], 1).into(),
        to: ([10, 0, 0, 2], 2).into(),
        payload: secret,
        length: 99,
    };
    let mut reader = Reader::new();
    reader.hold(secret, 40);
    for told in [format!("{packet:?}"), format!("{datagram:?}"), format!("{reader:?}")] {
        assert!(!told.contains(inner), "{told}");
    }
    assert!(format!("{packet:?} {datagram:?}").matches("captured: 19, length: 99").count() == 2);
}
