//! What a link does to datagrams: rate, queue, delay, jitter and loss. No clock and no sockets:
//! [`crate::link_relay`] is the link in real time.
//!
//! ```text
//! datagram -> queue (drop tail) -> sender (rate) -> loss, gaps -> delay + jitter -> the other end
//! ```
//!
//! A rate counts UDP payload and [`HEADERS`] bytes of IPv4 and UDP for each datagram. What is lost has
//! been sent and takes its time at the sender; only what finds no room in the queue does not. Jitter is drawn
//! for each datagram by itself, so that it also changes their order. The two directions share nothing but the
//! gaps. The same seed loses the same: random loss by the number of the datagram in its direction, bursts and
//! gaps by the time since the link began.

use crate::loss::From;
use std::collections::VecDeque;
use std::time::Duration;

/// Bytes of the headers of IPv4 and UDP.
pub const HEADERS: usize = 20 + 8;
/// Bytes that a block of 1,024 bytes costs besides its content: headers of IPv4, UDP, DTLS and CoAP.
const PER_BLOCK: usize = 79;
const BLOCK: usize = 1024;

/// One direction of a link.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Way {
    /// Bits a second.
    pub rate: u64,
    /// Delay of propagation.
    pub delay: Duration,
    /// The most that is added to the delay of a datagram, evenly distributed.
    pub jitter: Duration,
    /// Bytes that wait for the sender at most, those being sent included.
    pub queue: usize,
    /// What gets lost.
    pub loss: Loss,
}

/// What gets lost on the way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Loss {
    /// This share of all datagrams, each by itself.
    Share(f64),
    /// Bursts (Gilbert's model): times of exponential length, in each of which `share` is lost.
    Bursts {
        /// Mean length of a burst.
        mean: Duration,
        /// Mean time from the end of a burst to the next.
        apart: Duration,
        /// Share that is lost within a burst.
        share: f64,
    },
}

/// Times in which everything is lost, both ways. The seed says when the first one begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gaps {
    /// Length of a gap.
    pub length: Duration,
    /// Time from the beginning of a gap to the next.
    pub every: Duration,
}

/// A link between a client and a server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    /// Its letter in tables.
    pub name: char,
    /// From the server to the client.
    pub down: Way,
    /// From the client to the server.
    pub up: Way,
    /// When it is away altogether. `None`: never.
    pub gaps: Option<Gaps>,
}

impl Link {
    /// Makes a link with a queue of 64,000 bytes each way; `round_trip` is half delay down, half up.
    const fn new(name: char, rate_down: u64, rate_up: u64, round_trip: u64, loss: Loss) -> Link {
        let delay = Duration::from_millis(round_trip / 2);
        let down = Way { rate: rate_down, delay, jitter: Duration::ZERO, queue: 64_000, loss };
        Link { name, down, up: Way { rate: rate_up, ..down }, gaps: None }
    }

    /// A satellite telephone: 40 and 20 kbit/s, 700 ms.
    pub const A: Link = Link::new('a', 40_000, 20_000, 700, Loss::Share(0.0));
    /// 100 kbit/s, 600 ms, 2 % lost each way.
    pub const B: Link = Link::new('b', 100_000, 100_000, 600, Loss::Share(0.02));
    /// 500 kbit/s, 600 ms, 1 % lost each way.
    pub const C: Link = Link::new('c', 500_000, 500_000, 600, Loss::Share(0.01));
    /// 9.6 kbit/s, 1.5 s, 5 % lost each way.
    pub const D: Link = Link::new('d', 9_600, 9_600, 1_500, Loss::Share(0.05));
    /// 2 and 1 Mbit/s, 80 ms, bursts of 120 ms in which half is lost, 3 % in all.
    pub const E: Link = Link::new('e', 2_000_000, 1_000_000, 80, BURSTS);
    /// As b, with 20 % lost each way.
    pub const G: Link = Link::new('g', 100_000, 100_000, 600, Loss::Share(0.2));
    /// As b, with gaps of 3 s every 30 s.
    pub const H: Link = Link {
        name: 'h',
        gaps: Some(Gaps { length: Duration::from_secs(3), every: Duration::from_secs(30) }),
        ..Link::B
    };
    /// As b, with 0 to 300 ms more for each datagram.
    pub const J: Link = Link {
        name: 'j',
        down: Way { jitter: Duration::from_millis(300), ..Link::B.down },
        up: Way { jitter: Duration::from_millis(300), ..Link::B.up },
        ..Link::B
    };

    /// Returns the direction in which datagrams of this side travel.
    pub fn way(&self, from: From) -> &Way {
        match from {
            From::Client => &self.up,
            From::Server => &self.down,
        }
    }

    /// Returns the time that a body of this many bytes takes at least when it comes from this side, in blocks
    /// of 1,024 bytes: all of them at the rate, and one round trip.
    pub fn least_time(&self, from: From, body: usize) -> Duration {
        let bytes = body + PER_BLOCK * body.div_ceil(BLOCK);
        self.way(from).time_to_send(bytes) + self.down.delay + self.up.delay
    }
}

/// 3 % are lost when a burst takes 6 % of the time: 120 ms of 2 s.
const BURSTS: Loss =
    Loss::Bursts { mean: Duration::from_millis(120), apart: Duration::from_millis(1_880), share: 0.5 };

impl Way {
    fn time_to_send(&self, bytes: usize) -> Duration {
        Duration::from_secs_f64(bytes as f64 * 8.0 / self.rate as f64)
    }
}

/// What became of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrives at this time after the link began.
    Arrives(Duration),
    /// There was no room in the queue.
    QueueFull,
    /// It was lost on the way.
    Lost,
    /// It was lost in a gap.
    InGap,
}

/// A datagram's passage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passage {
    /// What became of it.
    pub fate: Fate,
    /// Time it waited until its sending began.
    pub queued: Duration,
}

/// A link at work.
#[derive(Debug)]
pub struct Emulator {
    link: Link,
    down: Direction,
    up: Direction,
    /// When the first gap begins, counted from one period before the link.
    first_gap: Duration,
}

impl Emulator {
    /// Begins the link's time.
    pub fn new(link: Link, seed: u64) -> Emulator {
        let mut own = Random(mixed(seed));
        let every = link.gaps.map_or(Duration::ZERO, |gaps| gaps.every);
        let first_gap = every.mul_f64(own.share());
        let (down, up) = (Direction::new(own.next()), Direction::new(own.next()));
        Emulator { link, down, up, first_gap }
    }

    /// Takes a datagram with this much UDP payload that comes from this side `now`, counted from the link's
    /// beginning; earlier than a datagram before it counts as at the same time.
    pub fn pass(&mut self, from: From, now: Duration, payload: usize) -> Passage {
        let way = *self.link.way(from);
        let direction = match from {
            From::Client => &mut self.up,
            From::Server => &mut self.down,
        };
        let Some((queued, sent)) = direction.send(&way, now, payload + HEADERS) else {
            return Passage { fate: Fate::QueueFull, queued: Duration::ZERO };
        };
        let lost = direction.loses(way.loss, sent);
        let jitter = way.jitter.mul_f64(direction.random.share());
        let fate = if self.link.gaps.is_some_and(|gaps| gaps.contains(self.first_gap, sent)) {
            Fate::InGap
        } else if lost {
            Fate::Lost
        } else {
            Fate::Arrives(sent + way.delay + jitter)
        };
        Passage { fate, queued }
    }
}

impl Gaps {
    fn contains(self, first: Duration, at: Duration) -> bool {
        let every = self.every.as_nanos().max(1);
        (at + self.every).saturating_sub(first).as_nanos() % every < self.length.as_nanos()
    }
}

/// The state of one direction.
#[derive(Debug)]
struct Direction {
    random: Random,
    /// Generates the bursts, apart from `random` so that they do not depend on what is sent.
    bursts: Random,
    in_burst: bool,
    /// When the burst, or the time between two of them, ends.
    until: Duration,
    /// When the sending of each waiting datagram ends, and its length.
    waiting: VecDeque<(Duration, usize)>,
    /// When the sender has nothing more to send.
    free: Duration,
}

impl Direction {
    fn new(seed: u64) -> Direction {
        let mut random = Random(seed);
        let bursts = Random(random.next());
        Direction {
            random,
            bursts,
            in_burst: true,
            until: Duration::ZERO,
            waiting: VecDeque::new(),
            free: Duration::ZERO,
        }
    }

    /// Returns how long the datagram waits and when its sending ends; `None` when it finds no room.
    fn send(&mut self, way: &Way, now: Duration, bytes: usize) -> Option<(Duration, Duration)> {
        while self.waiting.front().is_some_and(|(sent, _)| *sent <= now) {
            self.waiting.pop_front();
        }
        let waiting: usize = self.waiting.iter().map(|(_, bytes)| bytes).sum();
        if waiting + bytes > way.queue {
            return None;
        }
        let begins = self.free.max(now);
        self.free = begins + way.time_to_send(bytes);
        self.waiting.push_back((self.free, bytes));
        Some((begins - now, self.free))
    }

    fn loses(&mut self, loss: Loss, at: Duration) -> bool {
        let drawn = self.random.share();
        match loss {
            Loss::Share(share) => drawn < share,
            Loss::Bursts { mean, apart, share } => {
                while self.until <= at {
                    self.in_burst = !self.in_burst;
                    let mean = if self.in_burst { mean } else { apart };
                    self.until += mean.mul_f64(self.bursts.exponential());
                }
                self.in_burst && drawn < share
            }
        }
    }
}

/// A generator of random numbers by the method SplitMix64.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.0)
    }

    /// Draws from 0 to 1, 1 excluded.
    fn share(&mut self) -> f64 {
        const BITS: u32 = 53;
        (self.next() >> (u64::BITS - BITS)) as f64 / (1u64 << BITS) as f64
    }

    /// Draws from the exponential distribution of mean 1.
    fn exponential(&mut self) -> f64 {
        -(1.0 - self.share()).ln()
    }
}

fn mixed(state: u64) -> u64 {
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    /// UDP payload of a datagram that has 1,250 bytes with its headers: 0.1 s at 100 kbit/s.
    const PAYLOAD: usize = 1250 - HEADERS;

    fn lossless(link: Link) -> Link {
        let loss = Loss::Share(0.0);
        Link { down: Way { loss, ..link.down }, up: Way { loss, ..link.up }, ..link }
    }

    /// Returns the numbers of the datagrams that are lost of `count`, one a second.
    fn lost(link: Link, seed: u64, from: From, count: u32) -> Vec<u32> {
        let mut emulator = Emulator::new(link, seed);
        let mut passes = |number: u32| emulator.pass(from, 1000 * MS * number, PAYLOAD).fate;
        (0..count).filter(|number| !matches!(passes(*number), Fate::Arrives(_))).collect()
    }

    #[test]
    fn datagrams_that_come_together_arrive_at_the_rate_after_the_delay() {
        let mut emulator = Emulator::new(lossless(Link::B), 1);
        for number in 1..=50 {
            let passage = emulator.pass(From::Server, 7 * MS, PAYLOAD);
            let sent = 7 * MS + 100 * MS * number;
            assert_eq!(passage, Passage { fate: Fate::Arrives(sent + 300 * MS), queued: sent - 107 * MS });
        }
        // The other direction has a rate and a queue of its own.
        let up = emulator.pass(From::Client, 7 * MS, PAYLOAD);
        assert_eq!(up, Passage { fate: Fate::Arrives(407 * MS), queued: Duration::ZERO });
    }

    #[test]
    fn a_full_queue_takes_the_next_one_when_the_first_has_been_sent() {
        let mut emulator = Emulator::new(lossless(Link::B), 1);
        let mut pass = |at| emulator.pass(From::Server, at, PAYLOAD).fate;
        let room = 64_000 / 1250;
        assert!((0..room).all(|_| pass(Duration::ZERO) != Fate::QueueFull));
        assert_eq!(pass(99 * MS), Fate::QueueFull);
        assert_ne!(pass(100 * MS), Fate::QueueFull);
        assert_eq!(pass(100 * MS), Fate::QueueFull);
    }

    #[test]
    fn the_share_is_lost_and_the_seed_alone_says_what() {
        let first = lost(Link::G, 1, From::Server, 5_000);
        assert!((900..1_100).contains(&first.len()), "{}", first.len());
        assert_eq!(lost(Link::G, 1, From::Server, 5_000), first);
        assert_ne!(lost(Link::G, 2, From::Server, 5_000), first);
        assert_ne!(lost(Link::G, 1, From::Client, 5_000), first);
        assert!(lost(Link::A, 1, From::Server, 5_000).is_empty());
        // What is lost does not depend on when it is sent.
        let mut emulator = Emulator::new(Link::G, 1);
        let mut passes = |number: u32| emulator.pass(From::Server, 333 * MS * number, PAYLOAD).fate;
        let sooner: Vec<u32> = (0..5_000).filter(|number| passes(*number) == Fate::Lost).collect();
        assert_eq!(sooner, first);
    }

    #[test]
    fn bursts_lose_half_while_they_last_and_three_in_a_hundred_in_all() {
        let count = 2_000_000;
        let mut emulator = Emulator::new(Link::E, 1);
        let mut passes = |number: u32| emulator.pass(From::Server, MS * number, 10).fate;
        let lost: Vec<bool> = (0..count).map(|number| passes(number) == Fate::Lost).collect();
        let share = lost.iter().filter(|lost| **lost).count() as f64 / f64::from(count);
        assert!((0.025..0.035).contains(&share), "{share}");
        // 12 ms after a loss a burst of 120 ms still lasts in 9 of 10 cases, and then half is lost.
        let (both, first) =
            lost.iter().zip(lost.iter().skip(12)).fold((0, 0), |(both, first), (one, next)| {
                (both + usize::from(*one && *next), first + usize::from(*one))
            });
        let again = both as f64 / first as f64;
        assert!((0.40..0.50).contains(&again), "{again}");
    }

    #[test]
    fn gaps_come_every_30_seconds_both_ways_and_the_seed_says_when() {
        let link = lossless(Link::H);
        let gaps = lost(link, 1, From::Server, 300);
        assert_eq!(gaps.len(), 30, "{gaps:?}");
        assert!(gaps.iter().zip(gaps.iter().skip(3)).all(|(one, next)| next - one == 30), "{gaps:?}");
        assert_eq!(lost(link, 1, From::Client, 300), gaps);
        assert_ne!(lost(link, 2, From::Server, 300), gaps);
    }

    #[test]
    fn jitter_adds_up_to_its_most_and_changes_the_order() {
        let mut emulator = Emulator::new(lossless(Link::J), 1);
        let mut delays = Vec::new();
        let mut overtaken = 0;
        let mut latest = Duration::ZERO;
        for number in 0..1_000 {
            let sent = 100 * MS * (number + 1);
            let passage = emulator.pass(From::Server, 100 * MS * number, PAYLOAD);
            let Fate::Arrives(at) = passage.fate else { panic!("{passage:?}") };
            overtaken += usize::from(at < latest);
            latest = latest.max(at);
            delays.push(at - sent);
        }
        let (least, most) = (delays.iter().min().unwrap(), delays.iter().max().unwrap());
        assert!(*least >= 300 * MS && *least < 310 * MS, "{least:?}");
        assert!(*most < 600 * MS && *most > 590 * MS, "{most:?}");
        assert!(overtaken > 100, "{overtaken}");
    }

    #[test]
    fn the_least_time_is_the_body_at_the_rate_and_a_round_trip() {
        // 977 blocks: (1,000,000 + 977 * 79) * 8 / 100,000 = 86.17 s.
        let seconds = |time: Duration| (time.as_secs_f64() * 100.0).round() / 100.0;
        assert_eq!(seconds(Link::B.least_time(From::Server, 1_000_000)), 86.77);
        assert_eq!(seconds(Link::A.least_time(From::Client, 1_000)), 0.43 + 0.7);
    }
}
