//! What is counted, under which name. Envoy keeps the numbers; `stats_config` of envoy.yaml turns the parts of a name into labels.
//!
//! `lowband_messages.direction.response.result.translated` becomes `lowband_messages{direction="response",result="translated"}`.
//! Every series exists from the start, so that "none yet" and "not measured" look different.

use lowband_codec::Repairs;

/// Which half of a stream.
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
    /// It went on in the other form, whole or chunk by chunk.
    Translated,
    /// A discovery document, in which values were exchanged for an answer in JSON.
    Exchanged,
    /// It went on as it was.
    Passed,
    /// The client got an error in its place.
    Refused,
    /// It broke off after its beginning had left.
    Cut,
}

/// Why a message was refused or cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// No CBOR that stands for JSON, or no JSON.
    Malformed,
    /// Above a limit.
    TooLarge,
    /// CBOR with a Content-Encoding.
    Compressed,
    /// It ended before its last bracket.
    Incomplete,
    /// The host refused a call.
    Host,
}

/// What was repaired in an answer; see [`Repairs`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the codec explains them")]
pub enum Repair {
    BigInteger,
    HugeNumber,
    RepeatedKey,
    LoneSurrogate,
    TooDeep,
}

/// One series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// Messages that have come, by what became of them.
    Messages(Direction, Outcome),
    /// The refused and the cut ones, by reason.
    Refused(Direction, Reason),
    /// Repairs of answers.
    Repaired(Repair),
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
const REASONS: [(Reason, &str); 5] = [
    (Reason::Malformed, "malformed"),
    (Reason::TooLarge, "too_large"),
    (Reason::Compressed, "compressed"),
    (Reason::Incomplete, "incomplete"),
    (Reason::Host, "host"),
];
const REPAIRS: [(Repair, &str); 5] = [
    (Repair::BigInteger, "big_integer"),
    (Repair::HugeNumber, "huge_number"),
    (Repair::RepeatedKey, "repeated_key"),
    (Repair::LoneSurrogate, "lone_surrogate"),
    (Repair::TooDeep, "too_deep"),
];

impl Metric {
    /// Every series with its name.
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
        all
    }

    /// Whether its values are sizes to be recorded, and not numbers to be added.
    pub fn is_histogram(self) -> bool {
        matches!(self, Metric::BodySize(_))
    }
}

/// What has happened on one stream and has not yet been told to the host.
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

    /// One message and what became of it.
    pub(crate) fn message(&mut self, direction: Direction, outcome: Outcome) {
        self.add(Metric::Messages(direction, outcome), 1);
    }

    /// A message that did not go on, or not to its end.
    pub(crate) fn failure(&mut self, direction: Direction, outcome: Outcome, reason: Reason) {
        self.message(direction, outcome);
        self.add(Metric::Refused(direction, reason), 1);
    }

    /// A translated body, when all of it has left.
    pub(crate) fn translated(&mut self, direction: Direction, bytes_in: u64, bytes_out: u64) {
        self.message(direction, Outcome::Translated);
        self.add(Metric::BytesIn(direction), bytes_in);
        self.add(Metric::BytesOut(direction), bytes_out);
        self.add(Metric::BodySize(direction), bytes_in);
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
        assert_eq!(all.len(), 2 * (5 + 5 + 3) + 5);
    }
}
