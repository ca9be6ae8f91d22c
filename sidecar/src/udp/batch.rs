//! Datagrams that leave in one call: the kernel cuts what it is given into datagrams of one length (GSO,
//! `UDP_SEGMENT` in udp(7)). The blocks of a body that were asked for at once are such datagrams.
//!
//! Only datagrams that follow upon one another are put together, so that they leave in the order in which the
//! transport made them, and nobody waits for those of another that came later.

use lowband_transport::Transmit;
use std::net::{IpAddr, SocketAddr};

/// Bytes of a batch: a packet of IPv4 has 65,535, less the headers of IPv6 and UDP.
const MOST_BYTES: usize = 65_535 - 40 - 8;

/// Datagrams to one peer, of one length but for the last one, which may be shorter.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// Address and port that they go to.
    pub peer: SocketAddr,
    /// The local address that they come from, where known.
    pub local: Option<IpAddr>,
    /// The payloads of all of them, one behind the other.
    pub bytes: &'a [u8],
    /// Bytes of each.
    pub each: usize,
}

impl<'a> Batch<'a> {
    /// Returns the number of datagrams; a single one may be empty.
    pub fn count(&self) -> usize {
        self.bytes.len().div_ceil(self.each.max(1)).max(1)
    }

    /// Returns each of them as a batch of its own.
    pub fn singly(self) -> impl Iterator<Item = Batch<'a>> {
        let empty = self.bytes.is_empty().then_some(self.bytes);
        let payloads = self.bytes.chunks(self.each.max(1)).chain(empty);
        payloads.map(move |bytes| Batch { bytes, each: bytes.len(), ..self })
    }
}

/// Puts datagrams together as they come.
#[derive(Debug, Default)]
pub struct Outbox {
    /// The first datagram of the batch.
    first: Option<Transmit>,
    /// All payloads of the batch, if there are several.
    together: Vec<u8>,
    /// The datagram that did not go with the last batch, and begins the next one.
    held: Option<Transmit>,
}

impl Outbox {
    /// Returns the next batch of at most `most` datagrams, out of those that `next` returns.
    pub fn batch(&mut self, most: usize, mut next: impl FnMut() -> Option<Transmit>) -> Option<Batch<'_>> {
        self.together.clear();
        let first = self.held.take().or_else(&mut next)?;
        let each = first.bytes.len();
        let mut count = 1;
        while count < most && each > 0 && (count + 1) * each <= MOST_BYTES {
            let Some(further) = next() else { break };
            let goes_with = further.peer == first.peer
                && further.local == first.local
                && (1..=each).contains(&further.bytes.len());
            if !goes_with {
                self.held = Some(further);
                break;
            }
            if count == 1 {
                self.together.extend_from_slice(&first.bytes);
            }
            self.together.extend_from_slice(&further.bytes);
            count += 1;
            if further.bytes.len() < each {
                break;
            }
        }
        let first = self.first.insert(first);
        let bytes = if count == 1 { &first.bytes } else { &self.together };
        Some(Batch { peer: first.peer, local: first.local, bytes, each })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    fn datagram(peer: u16, length: usize, fill: u8) -> Transmit {
        Transmit {
            peer: SocketAddr::from(([192, 0, 2, 1], peer)),
            local: Some(IpAddr::from([192, 0, 2, (peer % 3) as u8])),
            bytes: vec![fill; length],
        }
    }

    /// Returns the lengths of the datagrams of each batch.
    fn lengths(datagrams: impl IntoIterator<Item = Transmit>, most: usize) -> Vec<Vec<usize>> {
        let (mut outbox, mut queue) = (Outbox::default(), datagrams.into_iter());
        let mut batches = Vec::new();
        while let Some(batch) = outbox.batch(most, || queue.next()) {
            assert_eq!(batch.count(), batch.singly().count());
            batches.push(batch.singly().map(|each| each.bytes.len()).collect());
        }
        batches
    }

    #[test]
    fn blocks_for_one_peer_leave_together_up_to_the_one_that_is_shorter() {
        let blocks = |peer, lengths: &[usize]| {
            lengths.iter().map(|length| datagram(peer, *length, 0)).collect::<Vec<_>>()
        };
        let all = [blocks(1, &[40, 1100, 1100, 1100, 300]), blocks(1, &[300, 301]), blocks(2, &[301, 0])];
        let expected = [&[40][..], &[1100, 1100, 1100, 300], &[300], &[301], &[301], &[0]];
        assert_eq!(lengths(all.concat(), 64), expected);
        assert_eq!(lengths(blocks(1, &[9; 5]), 2), [&[9, 9][..], &[9, 9], &[9]]);
        assert_eq!(lengths(blocks(1, &[9; 2]), 1), [[9], [9]]);
    }

    #[test]
    fn the_datagrams_of_another_peer_or_address_are_not_waited_for_and_not_overtaken() {
        let mut elsewhere = datagram(1, 9, 0);
        elsewhere.local = None;
        let one = |peer| datagram(peer, 9, 0);
        let order = [one(1), one(1), one(2), one(1), elsewhere, one(1)];
        assert_eq!(lengths(order, 64), [&[9, 9][..], &[9], &[9], &[9], &[9]]);
    }

    #[test]
    fn a_batch_is_never_longer_than_a_packet() {
        let batches = lengths(std::iter::repeat_n(datagram(1, 1100, 0), 64), 128);
        assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [59, 5]);
        assert_eq!(lengths([datagram(1, MOST_BYTES + 9, 0), datagram(1, 9, 0)], 64).len(), 2);
    }

    proptest! {
        #[test]
        fn every_datagram_leaves_once_in_its_order(
            kinds in prop::collection::vec((0..3_u16, 0..4_usize), 0..60),
            most in 1..8_usize,
        ) {
            let all: Vec<_> = kinds
                .iter()
                .enumerate()
                .map(|(at, (peer, length))| datagram(*peer, 100 * length, at as u8))
                .collect();
            let (mut outbox, mut queue) = (Outbox::default(), VecDeque::from(all.clone()));
            let mut sent = Vec::new();
            while let Some(batch) = outbox.batch(most, || queue.pop_front()) {
                prop_assert!(batch.count() <= most);
                sent.extend(batch.singly().map(|one| {
                    Transmit { peer: one.peer, local: one.local, bytes: one.bytes.to_vec() }
                }));
            }
            prop_assert_eq!(sent, all);
        }
    }
}
