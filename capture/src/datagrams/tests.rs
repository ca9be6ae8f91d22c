//! Packets written here, byte by byte; those that real programs wrote are in `tests/`.

use super::*;
use crate::file::LinkType;
use crate::time::Time;
use proptest::prelude::*;

/// What was found, with the bytes it lent.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    Datagram { frame: u64, offset: Option<u64>, from: String, to: String, payload: Vec<u8>, length: usize },
    Other(u64, Kind),
    Unreadable(u64, PacketFault),
}

fn note(said: &mut Vec<Said>) -> impl FnMut(Found<'_>) {
    |found| {
        said.push(match found {
            Found::Datagram(Datagram { frame, offset, from, to, payload, length, .. }) => Said::Datagram {
                frame,
                offset,
                from: from.to_string(),
                to: to.to_string(),
                payload: payload.to_vec(),
                length,
            },
            Found::Other { frame, kind } => Said::Other(frame, kind),
            Found::Unreadable { frame, why } => Said::Unreadable(frame, why),
        });
    }
}

/// Reads packets as frames 1, 2, ..., each at offset 1,000 of its file; they were `cut` bytes longer.
fn read_all(link: LinkType, packets: &[&[u8]], cut: usize) -> Vec<Said> {
    let (mut datagrams, mut said) = (Datagrams::new(), Vec::new());
    for (frame, bytes) in (1..).zip(packets) {
        let length = bytes.len() + cut;
        let packet = Packet { frame, offset: 1_000, time: Time(0), link, bytes, length };
        datagrams.take(&packet, &mut note(&mut said));
    }
    datagrams.finish(&mut note(&mut said));
    said
}

fn read(packet: &[u8]) -> Said {
    read_all(LinkType::RAW, &[packet], 0).swap_remove(0)
}

fn datagram(from: &str, to: &str, payload: &[u8], offset: u64) -> Said {
    let (from, to, payload) = (from.to_owned(), to.to_owned(), payload.to_vec());
    let length = payload.len();
    Said::Datagram { frame: 1, offset: Some(offset), from, to, payload, length }
}

const V4: [&str; 2] = ["10.0.0.1:5000", "10.0.0.2:8008"];
const V6: [&str; 2] = ["[2001:db8::1]:5000", "[2001:db8::2]:8008"];

fn udp(payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u16 + 8).to_be_bytes();
    [&5000_u16.to_be_bytes()[..], &8008_u16.to_be_bytes(), &length, &[0xba, 0xad], payload].concat()
}

/// `position` holds the flags and the offset of a fragment.
fn ipv4(options: &[u8], position: u16, protocol: u8, body: &[u8]) -> Vec<u8> {
    let header = 20 + options.len();
    let total = ((header + body.len()) as u16).to_be_bytes();
    let before = [0x40 | (header / 4) as u8, 0];
    let addresses = [10, 0, 0, 1, 10, 0, 0, 2];
    let rest = [64, protocol, 0, 0];
    [&before[..], &total, &[0, 7], &position.to_be_bytes(), &rest, &addresses, options, body].concat()
}

fn ipv6(next: u8, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u16).to_be_bytes();
    let mut addresses = [0; 32];
    for (at, byte) in [(0, 0x20), (1, 1), (2, 0xd), (3, 0xb8), (15, 1)] {
        addresses[at] = byte;
        addresses[at + 16] = byte;
    }
    addresses[31] = 2;
    [&[0x60, 0, 0, 0][..], &length, &[next, 64], &addresses, body].concat()
}

#[test]
fn ipv4_is_read_with_and_without_options() {
    assert_eq!(read(&ipv4(&[], 0, 17, &udp(b"hello"))), datagram(V4[0], V4[1], b"hello", 1_028));
    assert_eq!(read(&ipv4(&[1; 40], 0, 17, &udp(b"hello"))), datagram(V4[0], V4[1], b"hello", 1_068));
    // Not to be fragmented, which says nothing.
    assert_eq!(read(&ipv4(&[], 0x4000, 17, &udp(b""))), datagram(V4[0], V4[1], b"", 1_028));
}

#[test]
fn ipv6_is_read_with_its_extension_headers() {
    let hello = udp(b"hello");
    assert_eq!(read(&ipv6(17, &hello)), datagram(V6[0], V6[1], b"hello", 1_048));
    // Hop-by-hop of 8 bytes, routing of 16, authentication of 12, a fragment that is the whole, destination.
    let headers = [
        &[43, 0, 5, 2, 0, 0, 0, 0][..],
        &[51, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[44, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[60, 0, 0, 0, 0, 0, 0, 9],
        &[135, 0, 0, 0, 0, 0, 0, 0],
        &[17, 0, 0, 0, 0, 0, 0, 0],
        &hello,
    ];
    assert_eq!(read(&ipv6(0, &headers.concat())), datagram(V6[0], V6[1], b"hello", 1_108));
}

#[test]
fn padding_behind_the_datagram_is_left_out() {
    let mut packet = ipv4(&[], 0, 17, &udp(b"hi"));
    packet.extend([0; 16]);
    assert_eq!(read(&packet), datagram(V4[0], V4[1], b"hi", 1_028));
    let mut packet = ipv6(17, &udp(b"hi"));
    packet.extend([0; 16]);
    assert_eq!(read(&packet), datagram(V6[0], V6[1], b"hi", 1_048));
    // IP carries more than UDP tells.
    let body = [udp(b"hi"), vec![9; 3]].concat();
    assert_eq!(read(&ipv4(&[], 0, 17, &body)), datagram(V4[0], V4[1], b"hi", 1_028));
}

#[test]
fn lengths_that_a_network_card_was_to_fill_in_are_those_of_the_packet() {
    let mut packet = ipv4(&[], 0, 17, &udp(b"hello"));
    packet[2..4].copy_from_slice(&[0, 0]);
    packet[24..26].copy_from_slice(&[0, 0]);
    assert_eq!(read(&packet), datagram(V4[0], V4[1], b"hello", 1_028));
    let mut packet = ipv6(17, &udp(b"hello"));
    packet[4..6].copy_from_slice(&[0, 0]);
    assert_eq!(read(&packet), datagram(V6[0], V6[1], b"hello", 1_048));
}

#[test]
fn of_a_cut_packet_the_length_is_told() {
    let packet = ipv4(&[], 0, 17, &udp(b"hello"));
    let said = read_all(LinkType::RAW, &[&packet[..30]], packet.len() - 30);
    let [Said::Datagram { payload, length, .. }] = &said[..] else { panic!("{said:?}") };
    assert_eq!((&payload[..], *length), (&b"he"[..], 5));
    for kept in 0..28 {
        let said = read_all(LinkType::RAW, &[&packet[..kept]], packet.len() - kept);
        assert_eq!(said, [Said::Unreadable(1, PacketFault::CutShort)], "{kept}");
    }
    let ethernet = [&[2; 12][..], &[8, 0], &packet].concat();
    for kept in 0..42 {
        let said = read_all(LinkType::ETHERNET, &[&ethernet[..kept]], ethernet.len() - kept);
        assert_eq!(said, [Said::Unreadable(1, PacketFault::CutShort)], "{kept}");
    }
    let packet = ipv6(17, &udp(b"hello"));
    for kept in 0..48 {
        let said = read_all(LinkType::RAW, &[&packet[..kept]], packet.len() - kept);
        assert_eq!(said, [Said::Unreadable(1, PacketFault::CutShort)], "{kept}");
    }
}

#[test]
fn what_is_not_udp_is_named() {
    for (packet, name) in [
        (ipv4(&[], 0, 6, b""), "TCP"),
        (ipv4(&[], 0, 1, b""), "ICMP"),
        (ipv4(&[], 0x2000, 2, b""), "IGMP"),
        (ipv6(58, b""), "ICMPv6"),
        (ipv6(59, b""), "IP protocol 59"),
        (ipv6(0, &[132, 0, 0, 0, 0, 0, 0, 0]), "SCTP"),
    ] {
        let Said::Other(1, kind) = read(&packet) else { panic!("{name}: {:?}", read(&packet)) };
        assert_eq!(kind.to_string(), name);
    }
    let arp = [&[2; 12][..], &[8, 6], &[0; 28]].concat();
    assert_eq!(read_all(LinkType::ETHERNET, &[&arp], 0), [Said::Other(1, Kind::Arp)]);
    assert_eq!(Kind::Llc.to_string(), "802.3");
    assert_eq!(Kind::EtherType(0x88cc).to_string(), "Ethernet type 0x88cc");
    assert_eq!(Kind::Family(16).to_string(), "address family 16");
}

#[test]
fn broken_packets_say_why() {
    let change = |at: usize, value: u8| {
        let mut packet = ipv4(&[], 0, 17, &udp(b"hello"));
        packet[at] = value;
        packet
    };
    let long = {
        let mut packet = ipv6(17, &udp(b"hello"));
        packet[5] += 1;
        packet
    };
    for (packet, why) in [
        (vec![], PacketFault::TooShort),
        (change(0, 0x55), PacketFault::IpVersion),
        (change(0, 0x44), PacketFault::IpLength),
        (change(3, 19), PacketFault::IpLength),
        (change(3, 34), PacketFault::IpLength),
        (change(3, 25), PacketFault::TooShort),
        (change(3, 27), PacketFault::UdpLength),
        (change(25, 7), PacketFault::UdpLength),
        (change(25, 14), PacketFault::UdpLength),
        (long, PacketFault::IpLength),
        (ipv6(0, &[17, 1, 0, 0, 0, 0, 0, 0]), PacketFault::TooShort),
        (ipv6(17, b"short"), PacketFault::TooShort),
    ] {
        assert_eq!(read(&packet), Said::Unreadable(1, why), "{packet:?}");
    }
    // The link says IPv6, and IPv4 follows.
    let packet = [&[2; 12][..], &[0x86, 0xdd], &ipv4(&[], 0, 17, &udp(b""))].concat();
    let said = read_all(LinkType::ETHERNET, &[&packet], 0);
    assert_eq!(said, [Said::Unreadable(1, PacketFault::IpVersion)]);
    let said = read_all(LinkType(105), &[&packet], 0);
    assert_eq!(said, [Said::Unreadable(1, PacketFault::LinkType(LinkType(105)))]);
}

/// Cuts what IP carries into fragments of 16 bytes, of IPv4 or of IPv6.
fn fragments(is_ipv4: bool, next: u8, body: &[u8]) -> Vec<Vec<u8>> {
    let count = body.chunks(16).count();
    let fragment = |(number, piece): (usize, &[u8])| {
        let has_more = number + 1 < count;
        if is_ipv4 {
            return ipv4(&[], (number as u16 * 2) | if has_more { 0x2000 } else { 0 }, next, piece);
        }
        let position = ((number as u16 * 16) | u16::from(has_more)).to_be_bytes();
        ipv6(44, &[&[next, 0][..], &position, &[0, 0, 0, 7], piece].concat())
    };
    body.chunks(16).enumerate().map(fragment).collect()
}

#[test]
fn fragments_become_one_datagram_of_the_last_frame() {
    let payload: Vec<u8> = (0..100).collect();
    for (is_ipv4, [from, to]) in [(true, V4), (false, V6)] {
        let packets = fragments(is_ipv4, 17, &udp(&payload));
        let packets: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
        let (from, to) = (from.to_owned(), to.to_owned());
        let frame = packets.len() as u64;
        let expected =
            Said::Datagram { frame, offset: None, from, to, payload: payload.clone(), length: 100 };
        assert_eq!(read_all(LinkType::RAW, &packets, 0), [expected]);
    }
}

#[test]
fn headers_behind_a_fragment_header_are_in_the_fragments() {
    let body = [vec![17, 0, 1, 4, 0, 0, 0, 0], udp(b"sixteen bytes, and more")].concat();
    let packets = fragments(false, 60, &body);
    let packets: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
    let said = read_all(LinkType::RAW, &packets, 0);
    let [Said::Datagram { payload, .. }] = &said[..] else { panic!("{said:?}") };
    assert_eq!(payload, b"sixteen bytes, and more");
}

#[test]
fn fragments_of_something_else_are_counted_as_that() {
    let tcp = fragments(true, 6, &[0; 32]);
    let tcp: Vec<&[u8]> = tcp.iter().map(Vec::as_slice).collect();
    let kind = Kind::Protocol(6);
    assert_eq!(read_all(LinkType::RAW, &tcp, 0), [Said::Other(1, kind), Said::Other(2, kind)]);
    let tcp = fragments(false, 6, &[0; 32]);
    let tcp: Vec<&[u8]> = tcp.iter().map(Vec::as_slice).collect();
    assert_eq!(read_all(LinkType::RAW, &tcp, 0), [Said::Other(2, kind)]);
}

#[test]
fn fragments_that_cannot_be_put_together_are_told() {
    let packets = fragments(true, 17, &udp(&[7; 30]));
    let missing = PacketFault::FragmentsMissing;
    let some: Vec<&[u8]> = [&packets[0], &packets[2]].map(Vec::as_slice).into();
    let expected = [Said::Unreadable(1, missing), Said::Unreadable(2, missing)];
    assert_eq!(read_all(LinkType::RAW, &some, 0), expected);
    // The first one is cut.
    let said = read_all(LinkType::RAW, &[&packets[0]], 0);
    assert_eq!(said, [Said::Unreadable(1, missing)]);
    let said = read_all(LinkType::RAW, &[&packets[0][..30], &packets[1][..30]], 6);
    assert_eq!(
        said,
        [Said::Unreadable(1, PacketFault::CutShort), Said::Unreadable(2, PacketFault::CutShort)]
    );
    // One in the middle is cut: those before and behind it are given up with it.
    let mut datagrams = Datagrams::new();
    let mut said = Vec::new();
    for (frame, cut) in [(1, 0), (2, 6), (3, 0)] {
        let bytes = &packets[frame as usize - 1];
        let kept = &bytes[..bytes.len() - cut];
        let (time, link, length) = (Time(0), LinkType::RAW, bytes.len());
        datagrams.take(&Packet { frame, offset: 0, time, link, bytes: kept, length }, &mut note(&mut said));
    }
    let given_up = PacketFault::FragmentGivenUp;
    let expected = [(1, given_up), (2, PacketFault::CutShort), (3, given_up)];
    assert_eq!(said, expected.map(|(frame, why)| Said::Unreadable(frame, why)));
    // Put together, they are too short for what UDP tells.
    let mut body = udp(&[7; 30]);
    body[5] += 1;
    let packets = fragments(true, 17, &body);
    let packets: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
    let said = read_all(LinkType::RAW, &packets, 0);
    assert_eq!(said, [Said::Unreadable(3, PacketFault::UdpLength)]);
    // Fragments within fragments.
    let packets = fragments(false, 44, &[[17, 0, 0, 1, 0, 0, 0, 1], [0; 8], [0; 8]].concat());
    let packets: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
    let said = read_all(LinkType::RAW, &packets, 0);
    assert_eq!(said, [Said::Unreadable(2, PacketFault::FragmentLength)]);
}

proptest! {
    #[test]
    fn whatever_comes_is_found_once(
        bytes in prop::collection::vec(any::<u8>(), 0..120),
        begin in prop::sample::select(vec![
            (1_u32, vec![2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 8, 0, 0x45]),
            (101, vec![0x46]),
            (101, vec![0x60, 0, 0, 0, 0, 40, 0]),
            (0, vec![2, 0, 0, 0, 0x45]),
            (276, vec![0x81, 0]),
        ]),
        cut in 0_usize..3,
    ) {
        let bytes = [begin.1, bytes].concat();
        let said = read_all(LinkType(begin.0), &[&bytes], cut);
        prop_assert_eq!(said.len(), 1);
        if let Said::Datagram { payload, length, offset, .. } = &said[0] {
            let begin = offset.unwrap() as usize - 1_000;
            prop_assert_eq!(&bytes[begin..begin + payload.len()], payload);
            prop_assert!(*length >= payload.len() && begin + length <= bytes.len() + cut);
        }
    }
}
