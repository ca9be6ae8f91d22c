//! Decides when to dial again and which requests to repeat. No clock, no socket, no randomness of its own:
//! [`crate::LastingConnection`] brings them.
//!
//! ```text
//! request fails -> repeats()? --no--> the caller is told
//!                     | yes
//!          Dials::next: wait, then a handshake of at most so long --fails--> again, until `patience` is over
//!                     | connected
//!               the request once more
//! ```

use crate::driver::Failed;
use crate::error::Error;
use lowband_wire::coap::{Code, Method};
use std::time::Duration;

/// How a [`crate::LastingConnection`] gets over the loss of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redial {
    /// A session is lost when the server has owed an answer for this long (see [`crate::Settings::silence`]).
    /// 10 s by default.
    pub silence: Duration,
    /// A request fails for good when it has been without a session, or waiting for the Max-Age of a 5.03, for
    /// this long altogether. Time in which the server has the request does not count. 120 s by default; zero:
    /// nothing is ever dialled or sent again.
    pub patience: Duration,
    /// The first dial after a session has ended waits for a random part of this time: many clients may have
    /// lost theirs at the same moment. 250 ms by default.
    pub spread: Duration,
    /// Time between that dial and the next, less a random part of up to a half; doubled with each dial that
    /// follows without an answer to a request in between. 500 ms by default: the first dial may have met a
    /// server that is about to end, before its balancer knew.
    pub first_gap: Duration,
    /// The longest such gap. 30 s by default.
    pub longest_gap: Duration,
    /// A handshake that has not finished in this time, or in four times what the last one took, is begun anew
    /// from another port: a load balancer may have sent it to a server that is gone. Doubled with each dial
    /// that follows; never more than [`crate::ConnectOptions::connect_timeout`]. 2 s by default.
    pub handshake: Duration,
    /// How often a request is made again after a 5.03 with a Max-Age, which is waited for. 2 by default: for
    /// a server that is about to end, and a successor that ends too.
    pub unavailable: u32,
}

impl Default for Redial {
    fn default() -> Self {
        Redial {
            silence: Duration::from_secs(10),
            patience: Duration::from_secs(120),
            spread: Duration::from_millis(250),
            first_gap: Duration::from_millis(500),
            longest_gap: Duration::from_secs(30),
            handshake: Duration::from_secs(2),
            unavailable: 2,
        }
    }
}

impl Redial {
    /// Returns settings with which nothing is dialled or sent again, as on a [`crate::Connection`].
    pub fn never() -> Redial {
        Redial { patience: Duration::ZERO, ..Redial::default() }
    }

    pub(crate) fn is_never(&self) -> bool {
        self.patience.is_zero()
    }
}

/// Returns whether a request without a response is made again on a new session.
pub(crate) fn repeats(method: Method, failed: &Failed) -> bool {
    let of_the_session = matches!(failed.error, Error::Closed(_) | Error::Timeout);
    of_the_session && (!failed.sent || is_idempotent(method))
}

/// Returns how long to wait before making a request again that the server has refused for now. Never for
/// POST: programs behind the sidecar say 5.03 as well, and a homeserver may have died of this very request.
pub(crate) fn waits(method: Method, (code, max_age): (Code, Option<u32>)) -> Option<Duration> {
    let refused = code == Code::new(5, 3) && is_idempotent(method);
    max_age.filter(|_| refused).map(|seconds| Duration::from_secs(seconds.into()))
}

/// Returns whether the method is idempotent (RFC 7252 section 5.1). In Matrix a PUT that sends something
/// carries a transaction id in its path, so that the homeserver recognises the second as a copy of the first.
fn is_idempotent(method: Method) -> bool {
    match method {
        Method::Get | Method::Put | Method::Delete => true,
        Method::Post => false,
    }
}

/// Returns whether a dial that failed may succeed later.
pub(crate) fn may_pass(error: &Error) -> bool {
    match error {
        Error::ConnectTimeout(_)
        | Error::Refused(_)
        | Error::Handshake(_)
        | Error::Unavailable
        | Error::Closed(_)
        | Error::Socket(_) => true,
        // A certificate that is not accepted, and all errors of the caller.
        _ => false,
    }
}

/// One dial to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dial {
    /// Time to wait before the dial, from now on.
    pub(crate) after: Duration,
    /// The longest time that the handshake may take.
    pub(crate) within: Duration,
}

/// The dials of one connection.
#[derive(Debug)]
pub(crate) struct Dials {
    redial: Redial,
    longest_handshake: Duration,
    last_handshake: Duration,
    /// Dials since the last answer to a request: a server that takes handshakes and answers nothing is not
    /// dialled faster and faster.
    in_vain: u32,
    dice: Dice,
}

impl Dials {
    /// Makes the dials of a connection. `handshake`: what the first handshake took. `longest`: what one may
    /// take.
    pub(crate) fn new(redial: Redial, handshake: Duration, longest: Duration, seed: u64) -> Dials {
        Dials { redial, longest_handshake: longest, last_handshake: handshake, in_vain: 0, dice: Dice(seed) }
    }

    /// Returns the next dial.
    pub(crate) fn next(&mut self) -> Dial {
        let Redial { spread, first_gap, longest_gap, handshake, .. } = self.redial;
        // Beyond this both times are at their bounds.
        let doubled = 2_u32.saturating_pow(self.in_vain.min(16));
        let after = match self.in_vain {
            0 => spread.mul_f64(self.dice.share()),
            _ => {
                first_gap.saturating_mul(doubled / 2).min(longest_gap).mul_f64(1.0 - self.dice.share() / 2.0)
            }
        };
        let least = handshake.max(self.last_handshake.saturating_mul(4));
        self.in_vain = self.in_vain.saturating_add(1);
        Dial { after, within: least.saturating_mul(doubled).min(self.longest_handshake) }
    }

    /// Notes that a dial has made a session.
    pub(crate) fn connected(&mut self, took: Duration) {
        self.last_handshake = took;
    }

    /// Notes that a request has been answered.
    pub(crate) fn answered(&mut self) {
        self.in_vain = 0;
    }
}

/// SplitMix64, which is random enough to spread dials.
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    /// Draws a number from 0 up to, but not including, 1.
    fn share(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let upper = u32::try_from((z ^ (z >> 31)) >> 32).unwrap_or_default();
        f64::from(upper) / (f64::from(u32::MAX) + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowband_transport::coap::ProtocolError;
    use lowband_transport::dtls::{CertificateFailure, CloseReason};

    const SECOND: Duration = Duration::from_secs(1);

    fn dials(seed: u64) -> Dials {
        Dials::new(Redial::default(), SECOND / 10, 30 * SECOND, seed)
    }

    #[test]
    fn what_the_server_cannot_have_seen_is_always_repeated_and_post_never_else() {
        let closed = || Error::Closed(CloseReason::CloseNotify);
        for method in [Method::Get, Method::Put, Method::Delete, Method::Post] {
            assert!(repeats(method, &Failed { error: closed(), sent: false }));
            for error in [closed(), Error::Closed(CloseReason::Idle), Error::Timeout] {
                assert_eq!(
                    repeats(method, &Failed { error, sent: true }),
                    method != Method::Post,
                    "{method:?}"
                );
            }
            for error in [Error::Reset, Error::Protocol(ProtocolError::BodyChanged), Error::AccessToken(0)] {
                assert!(!repeats(method, &Failed { error, sent: true }), "the session is all right");
            }
        }
    }

    #[test]
    fn only_5_03_with_a_max_age_is_waited_for_and_never_by_post() {
        let unavailable = (Code::new(5, 3), Some(7));
        for method in [Method::Get, Method::Put, Method::Delete] {
            assert_eq!(waits(method, unavailable), Some(7 * SECOND));
        }
        assert_eq!(waits(Method::Post, unavailable), None);
        assert_eq!(waits(Method::Get, (Code::new(5, 3), None)), None);
        assert_eq!(waits(Method::Get, (Code::new(4, 29), Some(7))), None);
        assert_eq!(waits(Method::Get, (Code::new(2, 5), Some(7))), None);
    }

    #[test]
    fn a_certificate_that_is_not_accepted_will_not_be_later() {
        assert!(may_pass(&Error::Refused(([127, 0, 0, 1], 1).into())));
        assert!(may_pass(&Error::ConnectTimeout(SECOND)));
        assert!(may_pass(&Error::Unavailable));
        let expired = CertificateFailure { code: CertificateFailure::EXPIRED, text: "expired" };
        assert!(!may_pass(&Error::Certificate(expired)));
    }

    #[test]
    fn the_first_dial_is_soon_and_the_others_are_ever_later_up_to_a_bound() {
        for seed in 0..100 {
            let mut dials = dials(seed);
            assert!(dials.next().after < SECOND / 4, "seed {seed}");
            for most in [1, 2, 4, 8, 16, 32, 60, 60].map(|most| most * SECOND / 2) {
                let after = dials.next().after;
                assert!(after > most / 2 && after <= most, "seed {seed}: {after:?} of {most:?}");
            }
            for _ in 0..100 {
                assert!(dials.next().after <= 30 * SECOND);
            }
            dials.answered();
            assert!(dials.next().after < SECOND / 4, "seed {seed}");
        }
    }

    #[test]
    fn dials_of_many_clients_are_spread_and_those_of_one_seed_are_the_same() {
        let mut first: Vec<_> = (0..1000).map(|seed| dials(seed).next().after).collect();
        first.sort_unstable();
        for (part, after) in [(100, 25), (500, 125), (900, 225)] {
            let found = first[part].as_millis();
            assert!(found.abs_diff(after) < 20, "{part} of 1,000 dial within {found} ms");
        }
        let all = |seed| {
            let mut dials = dials(seed);
            (0..10).map(|_| dials.next()).collect::<Vec<_>>()
        };
        assert_eq!(all(7), all(7));
        assert_ne!(all(7), all(8));
    }

    #[test]
    fn a_handshake_gets_more_time_with_each_dial_and_where_the_last_one_was_slow() {
        let times = |dials: &mut Dials| [0; 5].map(|_| dials.next().within.as_secs());
        assert_eq!(times(&mut dials(1)), [2, 4, 8, 16, 30]);
        let mut slow = dials(1);
        slow.connected(5 * SECOND);
        assert_eq!(times(&mut slow), [20, 30, 30, 30, 30]);
        let mut short = Dials::new(Redial::default(), SECOND, SECOND, 1);
        assert_eq!(times(&mut short), [1; 5]);
    }
}
