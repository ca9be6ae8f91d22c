//! What could not be read, by its reason: how often, and in which frames.

use super::json::Object;
use super::text::grouped;
use std::collections::BTreeMap;
use std::fmt::{Display, Write};

/// Most reasons that are told apart; what comes with another one is counted with "other reasons".
pub const MOST_REASONS: usize = 100;
/// Most runs of frames that are remembered for one reason.
pub const MOST_FRAMES: usize = 10_000;

/// Runs of frames that are named where not all are wanted.
const SOME: usize = 5;

/// What could not be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    reasons: BTreeMap<String, Frames>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Frames {
    count: u64,
    /// First and last of frames that follow one another.
    runs: Vec<(u64, u64)>,
}

impl Faults {
    /// Adds a frame that cannot be read, and why.
    pub fn add(&mut self, frame: u64, why: &dyn Display) {
        let why = &*why.to_string();
        let is_known = self.reasons.contains_key(why);
        let why = if is_known || self.reasons.len() < MOST_REASONS { why } else { "other reasons" };
        let frames = match self.reasons.get_mut(why) {
            Some(frames) => frames,
            None => self.reasons.entry(why.to_owned()).or_default(),
        };
        frames.count += 1;
        let has_room = frames.runs.len() < MOST_FRAMES;
        match frames.runs.last_mut() {
            Some((_, last)) if frame == *last => {}
            Some((_, last)) if frame == *last + 1 => *last = frame,
            _ if has_room => frames.runs.push((frame, frame)),
            _ => {}
        }
    }

    /// Returns true if all could be read.
    pub fn is_empty(&self) -> bool {
        self.reasons.is_empty()
    }

    /// Writes a line for each reason, with its first frames or with all that are remembered.
    pub fn text(&self, out: &mut String, all: bool) {
        for (why, frames) in &self.reasons {
            let count = grouped(frames.count);
            let _infallible = writeln!(out, "unread: {why}: {count} x, frame {}", frames.list(all));
        }
    }

    /// Writes an object for each reason, each on a line of its own.
    ///
    /// ```text
    /// {"unread":"the key log has no line for the session","count":3,"frames":"7-8, 12"}
    /// ```
    pub fn json(&self, out: &mut String) {
        for (why, frames) in &self.reasons {
            let mut object = Object::begin(out);
            object.text("unread", why);
            object.bare("count", frames.count);
            object.plain("frames", frames.list(true));
            object.end();
            out.push('\n');
        }
    }
}

impl Frames {
    fn list(&self, all: bool) -> String {
        let most = if all { MOST_FRAMES } else { SOME };
        let run = |(first, last): &(u64, u64)| {
            if first == last { first.to_string() } else { format!("{first}-{last}") }
        };
        let mut list = self.runs.iter().take(most).map(run).collect::<Vec<_>>().join(", ");
        let is_cut = self.runs.len() > most || self.runs.len() == MOST_FRAMES;
        if is_cut {
            list.push_str(", ...");
        }
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(faults: &Faults, all: bool) -> String {
        let mut out = String::new();
        faults.text(&mut out, all);
        out
    }

    #[test]
    fn frames_are_listed_by_reason_and_in_runs() {
        let mut faults = Faults::default();
        assert!(faults.is_empty());
        for frame in [3, 4, 5, 5, 9] {
            faults.add(frame, &"no key");
        }
        faults.add(7, &"too \"short\"");
        assert_eq!(
            text(&faults, false),
            "unread: no key: 5 x, frame 3-5, 9\nunread: too \"short\": 1 x, frame 7\n"
        );
        let mut json = String::new();
        faults.json(&mut json);
        assert_eq!(
            json,
            "{\"unread\":\"no key\",\"count\":5,\"frames\":\"3-5, 9\"}\n\
             {\"unread\":\"too \\\"short\\\"\",\"count\":1,\"frames\":\"7\"}\n"
        );
    }

    #[test]
    fn of_many_frames_the_first_are_named_unless_all_are_wanted() {
        let mut faults = Faults::default();
        (1..=9).for_each(|number| faults.add(number * 2, &"no key"));
        assert_eq!(text(&faults, false), "unread: no key: 9 x, frame 2, 4, 6, 8, 10, ...\n");
        assert_eq!(text(&faults, true), "unread: no key: 9 x, frame 2, 4, 6, 8, 10, 12, 14, 16, 18\n");
    }

    #[test]
    fn reasons_and_frames_have_limits() {
        let mut faults = Faults::default();
        (0..MOST_REASONS + 5).for_each(|number| faults.add(1, &format_args!("reason {number}")));
        assert_eq!(faults.reasons.len(), MOST_REASONS + 1);
        assert!(text(&faults, false).contains("unread: other reasons: 5 x, frame 1\n"));
        let mut faults = Faults::default();
        (0..MOST_FRAMES as u64 + 5).for_each(|number| faults.add(number * 2, &"x"));
        assert_eq!(faults.reasons["x"].runs.len(), MOST_FRAMES);
        assert_eq!(faults.reasons["x"].count, MOST_FRAMES as u64 + 5);
        assert!(text(&faults, true).ends_with(", ...\n"));
    }
}
