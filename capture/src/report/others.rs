//! What a capture holds besides CoAP: how many packets of each kind.

use super::json::Object;
use super::text::grouped;
use crate::datagrams::Kind;
use std::collections::BTreeMap;
use std::fmt::Write;

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

    /// Writes a line, if there is something to write.
    pub fn text(&self, out: &mut String) {
        let counts: Vec<_> =
            self.counts().iter().map(|(kind, count)| format!("{} {kind}", grouped(*count))).collect();
        if !counts.is_empty() {
            let _infallible = writeln!(out, "not CoAP: {}", counts.join(", "));
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
}
