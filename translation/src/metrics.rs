//! The series that are counted, and their names. Envoy keeps the numbers; `stats_config` of envoy.yaml turns
//! the parts of a name into labels.
//!
//! `lowband_messages.direction.response.result.translated` becomes
//! `lowband_messages{direction="response",result="translated"}`. Every series exists from the start, so that
//! "none yet" and "not measured" look different.
//!
//! A stream counts into its [`Tally`], which is added to the [`Totals`] of all streams after each phase. The
//! totals are reported to the host from time to time, not for each message: half a dozen calls would be a
//! tenth of the filter's cost for a short one.

use crate::discovery::{Document, Miss};
use lowband_codec::Repairs;

/// The direction of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// Towards the homeserver.
    Request,
    /// Towards the client.
    Response,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The message went on in the other form, whole or chunk by chunk.
    Translated,
    /// A discovery document, in which values were exchanged for an answer in JSON.
    Exchanged,
    /// The message went on unchanged.
    Passed,
    /// The client got an error in place of the message.
    Refused,
    /// The message broke off after its beginning had left.
    Cut,
}

/// Why a message was refused or cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The message is CBOR without a JSON equivalent, or not JSON.
    Malformed,
    /// The message is above a limit.
    TooLarge,
    /// The message is CBOR with a Content-Encoding.
    Compressed,
    /// The path has a segment `.` or `..`.
    DotSegment,
    /// The message ended before its last bracket.
    Incomplete,
    /// The host refused a call.
    Host,
    /// The message had not ended, and others needed the room.
    NoRoom,
}

/// The kind of a repair in an answer; see [`Repairs`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the codec explains them")]
pub enum Repair {
    BigInteger,
    HugeNumber,
    RepeatedKey,
    LoneSurrogate,
    TooDeep,
}

/// A series: a family with a value for each of its labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// Messages that have come, by what became of them.
    Messages(Direction, Outcome),
    /// The refused and the cut messages, by reason.
    Refused(Direction, Reason),
    /// Repairs of answers.
    Repaired(Repair),
    /// Documents that lack the advertised values.
    Unadvertised(Document, Miss),
    /// Bytes of translated bodies as they came.
    BytesIn(Direction),
    /// Bytes of translated bodies as they left.
    BytesOut(Direction),
    /// A histogram of the sizes of translated bodies as they came.
    BodySize(Direction),
}

const DIRECTIONS: [(Direction, &str); 2] =
    [(Direction::Request, "request"), (Direction::Response, "response")];
const OUTCOMES: [(Outcome, &str); 5] = [
    (Outcome::Translated, "translated"),
    (Outcome::Exchanged, "exchanged"),
    (Outcome::Passed, "passed"),
    (Outcome::Refused, "refused"),
    (Outcome::Cut, "cut"),
];
const REASONS: [(Reason, &str); 7] = [
    (Reason::Malformed, "malformed"),
    (Reason::TooLarge, "too_large"),
    (Reason::Compressed, "compressed"),
    (Reason::DotSegment, "dot_segment"),
    (Reason::Incomplete, "incomplete"),
    (Reason::Host, "host"),
    (Reason::NoRoom, "no_room"),
];
const REPAIRS: [(Repair, &str); 5] = [
    (Repair::BigInteger, "big_integer"),
    (Repair::HugeNumber, "huge_number"),
    (Repair::RepeatedKey, "repeated_key"),
    (Repair::LoneSurrogate, "lone_surrogate"),
    (Repair::TooDeep, "too_deep"),
];
const DOCUMENTS: [(Document, &str); 3] =
    [(Document::Versions, "versions"), (Document::WellKnown, "well_known"), (Document::Session, "session")];
const MISSES: [(Miss, &str); 5] = [
    (Miss::Encoded, "encoded"),
    (Miss::NotJson, "not_json"),
    (Miss::TooLong, "too_long"),
    (Miss::Partial, "partial"),
    (Miss::NoMember, "no_member"),
];

const OF_A_DIRECTION: usize = OUTCOMES.len() + REASONS.len() + 3;

impl Metric {
    /// Number of series.
    pub const COUNT: usize = 2 * OF_A_DIRECTION + REPAIRS.len() + DOCUMENTS.len() * MISSES.len();

    /// Returns the series' index in [`Metric::all`].
    pub fn index(self) -> usize {
        let of = |direction: Direction| direction as usize * OF_A_DIRECTION;
        match self {
            Metric::Messages(direction, outcome) => of(direction) + outcome as usize,
            Metric::Refused(direction, reason) => of(direction) + OUTCOMES.len() + reason as usize,
            Metric::BytesIn(direction) => of(direction) + OF_A_DIRECTION - 3,
            Metric::BytesOut(direction) => of(direction) + OF_A_DIRECTION - 2,
            Metric::BodySize(direction) => of(direction) + OF_A_DIRECTION - 1,
            Metric::Repaired(repair) => 2 * OF_A_DIRECTION + repair as usize,
            Metric::Unadvertised(document, miss) => {
                2 * OF_A_DIRECTION + REPAIRS.len() + document as usize * MISSES.len() + miss as usize
            }
        }
    }

    /// Returns every series with its name.
    pub fn all() -> Vec<(Metric, String)> {
        let mut all = Vec::new();
        for (direction, of) in DIRECTIONS {
            let of = format!(".direction.{of}");
            for (outcome, result) in OUTCOMES {
                all.push((
                    Metric::Messages(direction, outcome),
                    format!("lowband_messages{of}.result.{result}"),
                ));
            }
            for (reason, kind) in REASONS {
                all.push((Metric::Refused(direction, reason), format!("lowband_refused{of}.kind.{kind}")));
            }
            all.push((Metric::BytesIn(direction), format!("lowband_bytes_in{of}")));
            all.push((Metric::BytesOut(direction), format!("lowband_bytes_out{of}")));
            all.push((Metric::BodySize(direction), format!("lowband_body_size{of}")));
        }
        all.extend(
            REPAIRS.map(|(repair, kind)| (Metric::Repaired(repair), format!("lowband_repaired.kind.{kind}"))),
        );
        for (document, of) in DOCUMENTS {
            all.extend(MISSES.map(|(miss, kind)| {
                let name = format!("lowband_unadvertised.document.{of}.kind.{kind}");
                (Metric::Unadvertised(document, miss), name)
            }));
        }
        all
    }

    /// Returns true if the values are sizes to be recorded, and not numbers to be added.
    pub fn is_histogram(self) -> bool {
        matches!(self, Metric::BodySize(_))
    }

    /// Returns the same for the series at this [`Metric::index`].
    pub fn is_histogram_at(index: usize) -> bool {
        DIRECTIONS.iter().any(|(direction, _)| Metric::BodySize(*direction).index() == index)
    }
}

/// The events on one stream since its last phase.
#[derive(Debug, Default)]
pub struct Tally {
    counts: Vec<(Metric, u64)>,
}

impl Tally {
    pub(crate) fn add(&mut self, metric: Metric, value: u64) {
        if value > 0 || metric.is_histogram() {
            self.counts.push((metric, value));
        }
    }

    /// Counts one message and its outcome.
    pub(crate) fn message(&mut self, direction: Direction, outcome: Outcome) {
        self.add(Metric::Messages(direction, outcome), 1);
    }

    /// Counts a message that did not go on, or not to its end.
    pub(crate) fn failure(&mut self, direction: Direction, outcome: Outcome, reason: Reason) {
        self.message(direction, outcome);
        self.add(Metric::Refused(direction, reason), 1);
    }

    /// Counts a translated body, once all of it has left.
    pub(crate) fn translated(&mut self, direction: Direction, bytes_in: u64, bytes_out: u64) {
        self.message(direction, Outcome::Translated);
        self.add(Metric::BytesIn(direction), bytes_in);
        self.add(Metric::BytesOut(direction), bytes_out);
        self.add(Metric::BodySize(direction), bytes_in);
    }

    /// Counts an answer that leads clients past this proxy, or does not mention it.
    pub(crate) fn unadvertised(&mut self, document: Document, miss: Miss) {
        self.add(Metric::Unadvertised(document, miss), 1);
    }

    pub(crate) fn repairs(&mut self, repairs: Repairs) {
        let Repairs { big_integers, huge_numbers, repeated_keys, lone_surrogates, too_deep } = repairs;
        for (repair, count) in [
            (Repair::BigInteger, big_integers),
            (Repair::HugeNumber, huge_numbers),
            (Repair::RepeatedKey, repeated_keys),
            (Repair::LoneSurrogate, lone_surrogates),
            (Repair::TooDeep, too_deep),
        ] {
            self.add(Metric::Repaired(repair), count);
        }
    }

    /// Takes out what has been counted, oldest first.
    pub fn drain(&mut self) -> impl Iterator<Item = (Metric, u64)> {
        self.counts.drain(..)
    }
}

/// The most values of histograms that wait for the host: some kilobytes.
const MAX_SIZES: usize = 256;

/// Counts of all streams that have not been reported to the host.
#[derive(Debug)]
pub struct Totals {
    /// A sum for each series, at its [`Metric::index`].
    sums: [u64; Metric::COUNT],
    /// Values of histograms, which are reported one by one and not added up.
    sizes: Vec<(usize, u64)>,
}

impl Default for Totals {
    fn default() -> Self {
        Totals { sums: [0; Metric::COUNT], sizes: Vec::new() }
    }
}

impl Totals {
    /// Adds to a series, or notes a value of a histogram.
    pub fn add(&mut self, metric: Metric, value: u64) {
        let index = metric.index();
        if metric.is_histogram() {
            self.sizes.push((index, value));
        } else if let Some(sum) = self.sums.get_mut(index) {
            *sum = sum.saturating_add(value);
        }
    }

    /// Returns true if the counts must be reported to the host before any more is counted.
    pub fn is_full(&self) -> bool {
        self.sizes.len() >= MAX_SIZES
    }

    /// Takes out everything: [`Metric::index`] and the number to be added there, or the value to be recorded.
    pub fn drain(&mut self) -> impl Iterator<Item = (usize, u64)> {
        let sums = std::mem::replace(&mut self.sums, [0; Metric::COUNT]).into_iter().enumerate();
        sums.filter(|(_, sum)| *sum > 0).chain(self.sizes.drain(..))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_series_has_a_name_of_its_own_under_one_prefix() {
        let all = Metric::all();
        assert_eq!(all.iter().map(|(metric, _)| *metric).collect::<BTreeSet<_>>().len(), all.len());
        assert_eq!(all.iter().map(|(_, name)| name).collect::<BTreeSet<_>>().len(), all.len());
        assert!(all.iter().all(|(_, name)| name.starts_with("lowband_")));
        assert_eq!(all.len(), 2 * (5 + 7 + 3) + 5 + 3 * 5);
        assert_eq!(all.len(), Metric::COUNT);
    }

    #[test]
    fn each_series_has_its_index() {
        for (index, (metric, name)) in Metric::all().iter().enumerate() {
            assert_eq!(metric.index(), index, "{name}");
        }
    }

    #[test]
    fn totals_add_up_but_for_histograms_and_are_taken_out_once() {
        use Direction::{Request, Response};
        let mut totals = Totals::default();
        assert_eq!(totals.drain().count(), 0);
        for (metric, value) in [
            (Metric::BytesIn(Response), 3),
            (Metric::BodySize(Response), 3),
            (Metric::BytesIn(Request), u64::MAX),
            (Metric::BodySize(Request), 0),
            (Metric::BytesIn(Response), 4),
            (Metric::BodySize(Response), 4),
            (Metric::BytesIn(Request), 1),
        ] {
            totals.add(metric, value);
        }
        let index = |metric: fn(Direction) -> Metric, direction| metric(direction).index();
        assert_eq!(
            totals.drain().collect::<Vec<_>>(),
            [
                (index(Metric::BytesIn, Request), u64::MAX),
                (index(Metric::BytesIn, Response), 7),
                (index(Metric::BodySize, Response), 3),
                (index(Metric::BodySize, Request), 0),
                (index(Metric::BodySize, Response), 4),
            ]
        );
        assert_eq!(totals.drain().count(), 0);
    }

    #[test]
    fn totals_are_full_at_their_limit() {
        let mut totals = Totals::default();
        for _ in 0..MAX_SIZES {
            assert!(!totals.is_full());
            totals.add(Metric::BodySize(Direction::Request), 1);
        }
        assert!(totals.is_full());
        assert_eq!(totals.drain().count(), MAX_SIZES);
        assert!(!totals.is_full());
    }
}
