//! The bars of one request: while its body goes up, and while that of the answer comes down.

use crate::output::Sink;
use crate::progress::Progress;
use lowband_client::{self as client, Direction};

/// Shows what is on its way; dropped, it leaves nothing on the terminal.
pub(super) struct Bars {
    /// Where the answer goes. `None`: no bar is wanted.
    sink: Option<Sink>,
    current: Option<(Direction, Progress)>,
}

impl Bars {
    pub(super) fn new(sink: Option<Sink>) -> Bars {
        Bars { sink, current: None }
    }

    /// Notes how far a body is.
    pub(super) fn see(&mut self, step: client::Progress) {
        let Some(sink) = &self.sink else { return };
        if self.current.as_ref().is_none_or(|(direction, _)| *direction != step.direction) {
            let what = match step.direction {
                Direction::Upload => "sending ",
                Direction::Download => "receiving ",
            };
            // The old bar has to leave the terminal before the new one is drawn.
            self.current = None;
            let bar = Progress::new(step.total, sink == &Sink::Stdout).with_prefix(what);
            self.current = Some((step.direction, bar));
        }
        if let Some((_, bar)) = &mut self.current {
            bar.stands_at(step.moved, step.total);
        }
    }
}
