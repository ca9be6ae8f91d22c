//! The end of the process for connections over TCP: each is asked to leave at its turn, and cut some time
//! after it, as sessions are ([`crate::drain`]).
//!
//! A client that was asked (GOAWAY, `connection: close`) connects anew, and reaches another process where
//! there is one. No clock and no I/O.

use super::places::Id;
use crate::drain::{MOST_APART, Settings};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What a connection is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// To end after the requests that are open.
    Leave(Id),
    /// To end at once.
    Cut(Id),
    /// The time of all is over, also of those that have come meanwhile.
    CutAll,
}

/// The course of one end.
#[derive(Debug)]
pub(super) struct Leaving {
    /// Those that wait for their turn, each with its time.
    waiting: VecDeque<(Instant, Id)>,
    /// Those that were asked, and when each is cut.
    asked: VecDeque<(Instant, Id)>,
    grace: Duration,
    /// When everything is over; `None` once that was told.
    deadline: Option<Instant>,
}

impl Leaving {
    /// Begins the end for these connections.
    pub(super) fn begin(now: Instant, settings: &Settings, all: Vec<Id>) -> Leaving {
        let count = u32::try_from(all.len()).unwrap_or(u32::MAX);
        let apart = MOST_APART.min(settings.close_within.checked_div(count).unwrap_or_default());
        let turns = std::iter::successors(Some(now), |turn| Some(*turn + apart));
        Leaving {
            waiting: turns.zip(all).collect(),
            asked: VecDeque::new(),
            grace: settings.grace_period,
            deadline: Some(now + settings.close_within + settings.grace_period),
        }
    }

    /// Returns what is to be done now; callers ask again until it is `None`.
    pub(super) fn step(&mut self, now: Instant) -> Option<Order> {
        if let Some(id) = take_due(&mut self.waiting, now) {
            self.asked.push_back((now + self.grace, id));
            return Some(Order::Leave(id));
        }
        if let Some(id) = take_due(&mut self.asked, now) {
            return Some(Order::Cut(id));
        }
        self.deadline.take_if(|deadline| *deadline <= now).map(|_| Order::CutAll)
    }

    /// Returns true if the time of all is over.
    pub(super) fn is_over(&self) -> bool {
        self.deadline.is_none()
    }

    /// Returns when [`Leaving::step`] has something to do.
    pub(super) fn due(&self) -> Option<Instant> {
        let first = |queue: &VecDeque<(Instant, Id)>| queue.front().map(|(at, _)| *at);
        [first(&self.waiting), first(&self.asked), self.deadline].into_iter().flatten().min()
    }
}

fn take_due(queue: &mut VecDeque<(Instant, Id)>, now: Instant) -> Option<Id> {
    let (at, id) = *queue.front()?;
    if at > now {
        return None;
    }
    queue.pop_front();
    Some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_turn_and_its_grace_and_all_have_a_deadline() {
        let start = Instant::now();
        let seconds = Duration::from_secs;
        let settings = Settings { grace_period: seconds(10), close_within: seconds(1), linger: seconds(0) };
        let mut leaving = Leaving::begin(start, &settings, (0..100).collect());
        let (mut orders, mut now) = (Vec::new(), start);
        loop {
            while let Some(order) = leaving.step(now) {
                orders.push((now.duration_since(start), order));
            }
            let Some(due) = leaving.due() else { break };
            assert!(due > now && !leaving.is_over());
            now = due;
        }
        assert_eq!(orders.len(), 201);
        assert_eq!(orders[0], (seconds(0), Order::Leave(0)));
        assert_eq!(orders[1], (Duration::from_millis(10), Order::Leave(1)));
        assert_eq!(orders[100], (seconds(10), Order::Cut(0)));
        assert_eq!(orders[200], (seconds(11), Order::CutAll));
        assert!(leaving.is_over());
    }

    #[test]
    fn few_are_not_kept_waiting() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let settings = Settings { grace_period: second, close_within: 60 * second, linger: second };
        let mut leaving = Leaving::begin(start, &settings, vec![7, 9]);
        assert_eq!((leaving.step(start), leaving.step(start)), (Some(Order::Leave(7)), None));
        assert_eq!(leaving.due(), Some(start + MOST_APART));
    }
}
