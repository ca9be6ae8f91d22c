//! Ratios: all ways over all documents take turns, so that other work of the machine meets all of them alike.

use crate::documents;
use crate::figures::{self, Figures};
use crate::ways::{self, Way};
use std::time::{Duration, Instant};

/// Turns of each way. The fastest turn counts: it was disturbed least.
const ROUNDS: usize = 100;
/// Wanted length of a turn: long against the clock's steps, short against what the machine does meanwhile.
const TURN: Duration = Duration::from_millis(2);

pub(crate) fn ratios(figures: &mut Figures) {
    let documents = [
        ("sync_medium", documents::SYNC_MEDIUM.to_owned()),
        ("sync_small", documents::SYNC_SMALL.to_owned()),
        ("event", documents::EVENT.to_owned()),
        ("escaped_event", documents::ESCAPED_EVENT.to_owned()),
        ("small_objects", documents::small_objects()),
        ("deep_nests", documents::deep_nests()),
        ("long_escapes", documents::long_escapes()),
        ("numbers", documents::numbers()),
        ("long_string", documents::long_string()),
    ];
    let items = documents.each_ref().map(|(_, json)| {
        // If one of our documents were refused, the figures would show it: that takes no time.
        lowband_codec::json_to_cbor(json.as_bytes()).unwrap_or_default()
    });
    let mut contests: Vec<Contest> = Vec::new();
    for ((name, json), cbor) in documents.iter().zip(&items) {
        let json = json.as_bytes();
        contests.push(Contest {
            document: name,
            turns: [
                ways::json_to_cbor(json, ways::encode_options()),
                ways::dom_json_to_cbor(json),
                ways::cbor_to_json(cbor),
                ways::dom_cbor_to_json(cbor),
                ways::simd_json_parse(json),
                ways::push_json_to_cbor(json, ways::push_options(), ways::PIECE),
                ways::push_cbor_to_json(cbor, ways::PIECE),
            ]
            .map(Turns::new),
        });
    }
    for _ in 0..ROUNDS {
        contests.iter_mut().flat_map(|contest| &mut contest.turns).for_each(Turns::take);
    }
    for Contest { document, turns } in contests {
        let [encode, dom_encode, decode, dom_decode, simd, push_encode, push_decode] =
            turns.map(|turns| turns.fastest);
        let mut add = |name: &str, slower: f64, faster: f64| {
            figures.add(figures::ratio(&format!("{name}_{document}")), slower / faster);
        };
        add("json_to_cbor_over_dom", dom_encode, encode);
        add("cbor_to_json_over_dom", dom_decode, decode);
        add("json_to_cbor_over_simd_json_parse", simd, encode);
        add("push_json_to_cbor_over_one_shot", encode, push_encode);
        add("push_cbor_to_json_over_one_shot", decode, push_decode);
    }
}

struct Contest<'d> {
    document: &'static str,
    turns: [Turns<'d>; 7],
}

struct Turns<'d> {
    way: Way<'d>,
    calls: u32,
    /// Seconds for a call in the fastest turn.
    fastest: f64,
}

impl<'d> Turns<'d> {
    /// Finds out how many calls fill a turn; the first call makes the buffers grow.
    fn new(mut way: Way<'d>) -> Self {
        way();
        let mut calls = 1;
        loop {
            let took = time(&mut way, calls);
            if took >= TURN / 2 {
                let fastest = took.as_secs_f64() / f64::from(calls);
                return Turns { way, calls: calls.max((TURN.as_secs_f64() / fastest) as u32), fastest };
            }
            calls *= 2;
        }
    }

    fn take(&mut self) {
        let took = time(&mut self.way, self.calls);
        self.fastest = self.fastest.min(took.as_secs_f64() / f64::from(self.calls));
    }
}

fn time(way: &mut Way<'_>, calls: u32) -> Duration {
    let begin = Instant::now();
    for _ in 0..calls {
        way();
    }
    begin.elapsed()
}
