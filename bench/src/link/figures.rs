//! The figures: put together from runs, and printed as a table and as one JSON object a line.

use crate::cells::{Cell, Work};
use crate::run::{Kind, Run};
use lowband_e2e::link::Fate;
use lowband_e2e::loss::From;
use lowband_e2e::tell::say;
use serde_json::{Value, json};
use std::time::Duration;

/// The most that waits in the queue of link d: seconds.
const MUST_QUEUE: f64 = 4.0;
/// The most processor time of the sidecar for 125 blocks over loopback: milliseconds, and the ratio to the
/// time for blocks that are asked for one after the other.
const LOOPBACK: (f64, f64) = (2.75, 0.5);

/// One line of the table.
#[derive(Debug)]
pub(crate) struct Row {
    link: String,
    title: String,
    unit: &'static str,
    /// The least time that the link allows, in seconds.
    least: Option<f64>,
    before: Option<f64>,
    must: Option<f64>,
    /// Whether more is better.
    more: bool,
    /// One for each run, the best first; pooled ones are a single value.
    values: Vec<f64>,
    /// Number of runs that failed.
    failed: usize,
}

impl Row {
    fn new(link: char, title: String, unit: &'static str, values: Vec<f64>) -> Row {
        let (link, failed) = (link.to_string(), 0);
        Row { link, title, unit, least: None, before: None, must: None, more: false, values, failed }
    }

    fn sorted(mut self) -> Row {
        self.values.sort_by(f64::total_cmp);
        if self.more {
            self.values.reverse();
        }
        self
    }

    /// Returns the value in the middle; of an even number the worse one.
    fn median(&self) -> Option<f64> {
        self.values.get(self.values.len() / 2).copied()
    }

    fn worst(&self) -> Option<f64> {
        self.values.last().copied()
    }

    fn is_missed(&self) -> bool {
        let beyond = |value: f64, must: f64| if self.more { value < must } else { value > must };
        match (self.median(), self.must) {
            (Some(median), Some(must)) => beyond(median, must),
            (None, Some(_)) => true,
            _ => false,
        }
    }

    fn json(&self) -> Value {
        json!({
            "link": self.link, "what": self.title, "unit": self.unit, "least_seconds": self.least,
            "before": self.before, "must": self.must, "median": self.median(), "worst": self.worst(),
            "runs": self.values.len(), "failed": self.failed, "missed": self.is_missed(),
        })
    }
}

/// Returns the side that sends the body of a cell.
fn sender(cell: &Cell) -> From {
    if cell.work == Work::Upload { From::Client } else { From::Server }
}

fn least(cell: &Cell) -> f64 {
    cell.link.least_time(sender(cell), cell.body).as_secs_f64()
}

/// Returns the values of this kind of a run.
fn values_of(run: &Run, kind: Kind) -> impl Iterator<Item = f64> {
    let values = run.values.as_deref().unwrap_or_default();
    values.iter().filter(move |(of, _)| *of == kind).map(|(_, value)| *value)
}

/// Returns the longest time that a datagram of the body's direction waited in the queue, in seconds.
fn longest_queue(cell: &Cell, run: &Run) -> f64 {
    let sent = run.log.iter().filter(|passed| passed.from == sender(cell));
    sent.map(|passed| passed.passage.queued).max().unwrap_or_default().as_secs_f64()
}

/// Returns the value that 95 of 100 do not exceed.
fn percentile_95(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get((values.len() * 95).div_ceil(100).saturating_sub(1)).copied()
}

/// Returns the figure of one run, for progress and for the record. `None` when only several runs together
/// have one.
pub(crate) fn of_run(cell: &Cell, run: &Run) -> Option<f64> {
    match cell.work {
        Work::Puts => None,
        Work::TwoOnOneSession | Work::TwoSessions => values_of(run, Kind::Share).next(),
        Work::Download(_) | Work::Upload | Work::Warm => {
            values_of(run, Kind::Seconds).next().map(|seconds| seconds / least(cell))
        }
    }
}

/// Returns whether a run has failed, or is by itself beyond what the median must be.
pub(crate) fn misses(cell: &Cell, run: &Run) -> bool {
    match (of_run(cell, run), cell.must) {
        (Some(figure), Some(must)) if is_share(cell) => figure < must,
        (Some(figure), Some(must)) => figure > must,
        _ => run.values.is_err(),
    }
}

fn is_share(cell: &Cell) -> bool {
    matches!(cell.work, Work::TwoOnOneSession | Work::TwoSessions)
}

/// Makes the rows of a cell from its runs.
pub(crate) fn rows(cell: &Cell, runs: &[&Run]) -> Vec<Row> {
    let failed = runs.iter().filter(|run| run.values.is_err()).count();
    let pooled = |kind| runs.iter().flat_map(|run| values_of(run, kind)).collect::<Vec<_>>();
    let link = cell.link.name;
    if cell.work == Work::Puts {
        let (alone, beside) = (percentile_95(pooled(Kind::Alone)), percentile_95(pooled(Kind::Beside)));
        let ratio = alone.zip(beside).map(|(alone, beside)| beside / alone);
        let row = |what: &str, unit, value: Option<f64>| {
            let title = format!("{}{what}", cell.title());
            Row::new(link, title, unit, value.into_iter().collect())
        };
        return vec![
            row(": p95 over that alone", "x", ratio).must_be(cell.must, failed),
            row(": p95", "s", beside),
            row(": p95 alone", "s", alone),
        ];
    }
    let figures = runs.iter().filter_map(|run| of_run(cell, run)).collect();
    let unit = if is_share(cell) { "share" } else { "x" };
    let row = Row {
        least: (!is_share(cell)).then(|| least(cell)),
        before: cell.before,
        more: is_share(cell),
        ..Row::new(link, cell.title(), unit, figures)
    };
    let mut rows = vec![row.must_be(cell.must, failed).sorted()];
    if link == 'd' {
        let queues = runs.iter().map(|run| longest_queue(cell, run)).collect();
        let row = Row::new(link, "  longest wait in its queue".to_owned(), "s", queues);
        rows.push(row.must_be(Some(MUST_QUEUE), failed).sorted());
    }
    rows
}

impl Row {
    fn must_be(self, must: Option<f64>, failed: usize) -> Row {
        Row { must, failed, ..self }
    }
}

/// Makes the rows of the processor time over loopback, from milliseconds for each body: several blocks at a
/// time, and one.
pub(crate) fn loopback([several, one]: [Vec<f64>; 2]) -> Vec<Row> {
    let title = "CPU: body of 125 blocks over loopback".to_owned();
    let one = Row::new('-', String::new(), "ms", one).sorted();
    let several = Row { before: one.median(), ..Row::new('-', title, "ms", several) }.sorted();
    let ratio = several.median().zip(one.median()).map(|(several, one)| several / one);
    let title = "  over that of one block at a time".to_owned();
    let ratio = Row::new('-', title, "x", ratio.into_iter().collect());
    let (milliseconds, times) = LOOPBACK;
    vec![several.must_be(Some(milliseconds), 0), ratio.must_be(Some(times), 0)]
}

/// Prints the table, then one JSON object a line.
pub(crate) fn tell(rows: &[Row]) {
    let number = |value: Option<f64>| value.map(|value| format!("{value:.2}")).unwrap_or_default();
    let head = ["least s", "before", "must", "median", "worst"];
    let [least, before, must, median, worst] = head;
    say(format_args!("\n     {:<48}{least:>9}{before:>8}{must:>7}{median:>9}{worst:>9}", ""));
    for row in rows {
        let missed = if row.is_missed() { "  missed" } else { "" };
        let failed = if row.failed > 0 { format!("  {} failed", row.failed) } else { String::new() };
        let line = format!(
            "  {}  {:<48}{:>9}{:>8}{:>7}{:>9}{:>9} {:<5}{missed}{failed}",
            row.link,
            row.title,
            number(row.least),
            number(row.before),
            number(row.must),
            number(row.median()),
            number(row.worst()),
            row.unit
        );
        say(line.trim_end());
    }
    say(
        "x: times the least that the link allows (body and 79 B a block at its rate, and a round trip). must: of \
         the median.\nbefore: one block at a time. share: of the slower one of two.\n",
    );
    for row in rows {
        say(row.json());
    }
}

/// Returns a run as JSON: what is needed to make it again, and what went over the link.
pub(crate) fn record(cell: &Cell, run: &Run) -> Value {
    let values = match &run.values {
        Ok(values) => {
            json!(values.iter().map(|(kind, value)| json!([format!("{kind:?}"), value])).collect::<Vec<_>>())
        }
        Err(why) => json!({ "failed": why.to_string() }),
    };
    let way = |from| {
        let passed = || run.log.iter().filter(move |passed| passed.from == from);
        let fates = |fate: Fate| passed().filter(|passed| passed.passage.fate == fate).count();
        json!({
            "datagrams": passed().count(),
            "payload": passed().map(|passed| passed.bytes).sum::<usize>(),
            "lost": fates(Fate::Lost), "in_gaps": fates(Fate::InGap), "queue_full": fates(Fate::QueueFull),
            "longest_queue": passed().map(|passed| passed.passage.queued).max().unwrap_or_default().as_secs_f64(),
        })
    };
    json!({
        "link": cell.link.name.to_string(), "what": cell.title(), "seed": run.seed, "figure": of_run(cell, run),
        "least_seconds": least(cell), "values": values, "up": way(From::Client), "down": way(From::Server),
    })
}

/// Writes what came to the relay, one datagram a line: seconds, direction, client's port, bytes of payload,
/// first byte, seconds in the queue, and what became of it.
pub(crate) fn log_of(run: &Run) -> String {
    let seconds = |time: Duration| format!("{:.4}", time.as_secs_f64());
    let line = |passed: &lowband_e2e::link_relay::Passed| {
        let fate = match passed.passage.fate {
            Fate::Arrives(at) => format!("arrives {}", seconds(at)),
            Fate::QueueFull => "queue full".to_owned(),
            Fate::Lost => "lost".to_owned(),
            Fate::InGap => "in a gap".to_owned(),
        };
        let direction = if passed.from == From::Client { "up  " } else { "down" };
        let (port, bytes, first) = (passed.client.port(), passed.bytes, passed.first);
        let queued = seconds(passed.passage.queued);
        format!("{:>10} {direction} {port} {bytes:>5} {first:>3} {queued:>8} {fate}\n", seconds(passed.at))
    };
    run.log.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cells;
    use lowband_e2e::Error;

    fn run(values: lowband_e2e::Result<Vec<(Kind, f64)>>) -> Run {
        Run { cell: 0, seed: 1, values, log: Vec::new(), folder: "x".into() }
    }

    fn cell(title: &str) -> Cell {
        cells::all().into_iter().find(|cell| cell.title() == title).unwrap()
    }

    #[test]
    fn the_median_is_held_against_what_it_must_be_and_the_worst_is_shown() {
        let cell = cell("100 kB up");
        let runs = [1.0, 1.6, 1.2].map(|times| run(Ok(vec![(Kind::Seconds, times * least(&cell))])));
        let row = &rows(&cell, &runs.each_ref())[0];
        assert_eq!((row.median(), row.worst(), row.is_missed()), (Some(1.2), Some(1.6), false));
        assert!(misses(&cell, &runs[1]) && !misses(&cell, &runs[2]));
    }

    #[test]
    fn of_shares_the_least_is_the_worst() {
        let cell = cell("2 x 300 kB down, one session");
        let runs = [0.5, 0.2, 0.39].map(|share| run(Ok(vec![(Kind::Share, share)])));
        let row = &rows(&cell, &runs.each_ref())[0];
        assert_eq!((row.median(), row.worst(), row.is_missed()), (Some(0.39), Some(0.2), true));
    }

    #[test]
    fn runs_that_failed_are_counted_and_none_at_all_is_a_miss() {
        let cell = cell("100 kB up");
        let runs = [run(Err(Error::Setup("broken".to_owned())))];
        let row = &rows(&cell, &runs.each_ref())[0];
        assert_eq!((row.median(), row.failed, row.is_missed()), (None, 1, true));
        assert!(misses(&cell, &runs[0]));
    }

    #[test]
    fn processor_time_is_held_against_that_of_one_block_at_a_time() {
        let rows = loopback([vec![1.5, 1.0, 2.0], vec![2.0, 2.5, 5.0]]);
        assert_eq!((rows[0].before, rows[0].median(), rows[0].is_missed()), (Some(2.5), Some(1.5), false));
        assert_eq!((rows[1].median(), rows[1].is_missed()), (Some(0.6), true));
    }

    #[test]
    fn puts_of_all_seeds_are_pooled_for_their_95th_percentile() {
        let cell = cell("PUTs beside 1 MB down");
        let values = |slow: f64| {
            let alone = (1..=50).map(|number| (Kind::Alone, f64::from(number)));
            alone.chain((1..=50).map(|number| (Kind::Beside, slow * f64::from(number)))).collect::<Vec<_>>()
        };
        let (one, other) = (run(Ok(values(3.0))), run(Ok(values(1.0))));
        let rows = rows(&cell, &[&one, &other]);
        let medians: Vec<_> = rows.iter().filter_map(Row::median).collect();
        assert_eq!(medians, [135.0 / 48.0, 135.0, 48.0]);
        assert!(rows[0].is_missed());
    }
}
