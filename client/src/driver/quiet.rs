//! Decides when to ask the server whether it is still there: what has been silent for how long.
//!
//! Only authentic data counts as heard. Anyone can send datagrams that look as if they came from the server,
//! and could otherwise hide from the client that the server is gone.

use std::time::{Duration, Instant};

#[derive(Debug)]
pub(super) struct Quiet {
    keep_alive: Option<Duration>,
    silence: Option<Duration>,
    began: Instant,
    sent: Instant,
    pinged: Instant,
}

impl Quiet {
    /// Makes the times of a connection. `keep_alive`: silence after which the server is asked; `silence`:
    /// half of it is as long as the server may owe an answer.
    pub(super) fn new(now: Instant, keep_alive: Option<Duration>, silence: Option<Duration>) -> Quiet {
        Quiet { keep_alive, silence, began: now, sent: now, pinged: now }
    }

    /// Notes that a datagram has gone out.
    pub(super) fn sent(&mut self, now: Instant) {
        self.sent = now;
    }

    pub(super) fn pinged(&mut self, now: Instant) {
        self.pinged = now;
        self.sent = now;
    }

    /// Returns when the next ping is due. `heard`: when the server was last heard, if ever;
    /// `asks_for_a_sign`: the server owes an answer soon.
    pub(super) fn ping_at(
        &self,
        heard: Option<Instant>,
        somebody_waits: bool,
        asks_for_a_sign: bool,
    ) -> Option<Instant> {
        let heard = heard.unwrap_or(self.began);
        // Copies of other requests are not a sign of the server.
        let since = heard.max(if somebody_waits { self.pinged } else { self.sent });
        let keep_alive_at = self.keep_alive.and_then(|interval| since.checked_add(interval));
        let sign_at =
            self.silence.filter(|_| asks_for_a_sign).and_then(|longest| heard.checked_add(longest / 2));
        [keep_alive_at, sign_at].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_puts_a_ping_off_is_what_was_heard_and_where_nobody_waits_what_was_sent() {
        let start = Instant::now();
        let at = |seconds: u32| start + seconds * SECOND;
        let mut quiet = Quiet::new(start, Some(50 * SECOND), Some(20 * SECOND));
        assert_eq!(quiet.ping_at(None, true, false), Some(at(50)));
        assert_eq!(quiet.ping_at(Some(at(5)), false, false), Some(at(55)));
        quiet.sent(at(7));
        assert_eq!(quiet.ping_at(Some(at(5)), false, false), Some(at(57)));
        assert_eq!(quiet.ping_at(Some(at(5)), true, false), Some(at(55)), "copies are no sign of the server");
        assert_eq!(quiet.ping_at(Some(at(5)), true, true), Some(at(15)), "it owes an answer");
        quiet.pinged(at(15));
        assert_eq!(quiet.ping_at(Some(at(5)), true, false), Some(at(65)));
        let never = Quiet::new(start, None, None);
        assert_eq!(never.ping_at(Some(at(5)), true, true), None);
    }
}
