//! What a capture holds besides CoAP: how many packets of each kind.

use super::json::Object;
use super::text::{counted, grouped};
use crate::datagrams::Kind;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Most kinds that are named on a line.
const MOST_NAMED: usize = 10;

/// Counts of packets that are not CoAP.
///
/// A capture has at most some 66,000 kinds, which the numbers of Ethernet's types bound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Others {
    kinds: BTreeMap<Kind, u64>,
    udp: u64,
}

impl Others {
    /// Counts a packet that is not UDP.
    pub fn add(&mut self, kind: Kind) {
        *self.kinds.entry(kind).or_default() += 1;
    }

    /// Counts a datagram of UDP that is neither DTLS nor CoAP.
    pub fn add_udp(&mut self) {
        self.udp += 1;
    }

    /// Returns kinds and counts, the most frequent first.
    fn counts(&self) -> Vec<(String, u64)> {
        let mut counts: Vec<_> = self.kinds.iter().map(|(kind, count)| (kind.to_string(), *count)).collect();
        counts.push(("other UDP".to_owned(), self.udp));
        counts.retain(|(_, count)| *count > 0);
        counts.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
        counts
    }

    /// Writes a line, if there is something to write. It names the most frequent kinds.
    pub fn text(&self, out: &mut String) {
        let counts = self.counts();
        let (named, rest) = counts.split_at(counts.len().min(MOST_NAMED));
        let mut all: Vec<_> =
            named.iter().map(|(kind, count)| format!("{} {kind}", grouped(*count))).collect();
        if !rest.is_empty() {
            let count = rest.iter().map(|(_, count)| count).sum();
            all.push(format!("{} of {}", grouped(count), counted(rest.len() as u64, "other kind")));
        }
        if !all.is_empty() {
            let _infallible = writeln!(out, "not CoAP: {}", all.join(", "));
        }
    }

    /// Writes an object on a line, if there is something to write.
    ///
    /// ```text
    /// {"not_coap":{"TCP":120,"ARP":3,"other UDP":1}}
    /// ```
    pub fn json(&self, out: &mut String) {
        let counts = self.counts();
        if counts.is_empty() {
            return;
        }
        let mut object = Object::begin(out);
        object.object("not_coap", |object| {
            counts.iter().for_each(|(kind, count)| object.bare(kind, count));
        });
        object.end();
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_counted_and_the_most_frequent_comes_first() {
        let mut others = Others::default();
        let (mut text, mut json) = (String::new(), String::new());
        others.text(&mut text);
        others.json(&mut json);
        assert_eq!((&*text, &*json), ("", ""));
        others.add(Kind::Arp);
        (0..2_000).for_each(|_| others.add(Kind::Protocol(6)));
        others.add_udp();
        others.text(&mut text);
        others.json(&mut json);
        assert_eq!(text, "not CoAP: 2,000 TCP, 1 ARP, 1 other UDP\n");
        assert_eq!(json, "{\"not_coap\":{\"TCP\":2000,\"ARP\":1,\"other UDP\":1}}\n");
    }

    #[test]
    fn of_many_kinds_the_most_frequent_are_named() {
        let mut others = Others::default();
        for kind in 0..12 {
            (0..=kind).for_each(|_| others.add(Kind::EtherType(0x9000 + kind)));
        }
        let mut text = String::new();
        others.text(&mut text);
        assert!(text.starts_with("not CoAP: 12 Ethernet type 0x900b, 11 "), "{text}");
        assert!(text.ends_with(", 3 Ethernet type 0x9002, 3 of 2 other kinds\n"), "{text}");
    }
}
