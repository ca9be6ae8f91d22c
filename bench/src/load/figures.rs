//! The figures: what each is called, what it must be, and how it is printed.

use lowband_e2e::tell::say;
use lowband_e2e::{Error, Result};

/// One figure, with its gate.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    name: &'static str,
    title: &'static str,
    unit: &'static str,
    decimals: usize,
    must: Option<Bound>,
    /// Whether a short run fails over the figure: not where the speed of the machine has a say.
    is_gate: bool,
}

#[derive(Clone, Copy)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

const fn row(name: &'static str, title: &'static str, unit: &'static str, decimals: usize) -> Row {
    Row { name, title, unit, decimals, must: None, is_gate: false }
}

impl Row {
    const fn at_most(self, most: f64) -> Row {
        Row { must: Some(Bound::AtMost(most)), ..self }
    }

    const fn at_least(self, least: f64) -> Row {
        Row { must: Some(Bound::AtLeast(least)), ..self }
    }

    const fn gate(self) -> Row {
        Row { is_gate: true, ..self }
    }

    fn holds(&self, value: f64) -> bool {
        match self.must {
            None => true,
            Some(Bound::AtMost(most)) => value <= most,
            Some(Bound::AtLeast(least)) => value >= least,
        }
    }

    fn must(&self) -> String {
        match self.must {
            None => String::new(),
            Some(Bound::AtMost(most)) => format!("<= {most}"),
            Some(Bound::AtLeast(least)) => format!(">= {least}"),
        }
    }
}

pub(crate) const STEADY_RATE: Row = row("steady_answered", "steady: requests answered", "1/s", 0);
pub(crate) const STEADY_REFUSED: Row = row("steady_refused", "  refused (5.03)", "", 0).at_most(0.0).gate();
pub(crate) const STEADY_FAILED: Row =
    row("steady_failed", "  failed or not answered", "", 0).at_most(0.0).gate();
pub(crate) const STEADY_COPIES: Row =
    row("steady_copies", "  copies of messages, for each request", "", 3).at_most(0.1);
pub(crate) const STEADY_MEMORY: Row = row("steady_memory", "  memory of the process", "MB", 0).at_most(250.0);
pub(crate) const STEADY_OWN_P50: Row = row("steady_own_p50", "  the sidecar's own time, p50", "ms", 2);
pub(crate) const STEADY_OWN_P99: Row = row("steady_own_p99", "  and p99", "ms", 2).at_most(20.0);
pub(crate) const STEADY_P50: Row = row("steady_p50", "  the client's wait, p50", "ms", 2);
pub(crate) const STEADY_P99: Row = row("steady_p99", "  and p99", "ms", 2);
pub(crate) const STEADY_CPU: Row = row("steady_cpu", "  processor time of a request", "ms", 3);
pub(crate) const GENERATOR_COST: Row =
    row("generator_cpu", "  and what the generator itself takes for it", "ms", 3);
pub(crate) const GENERATOR_LATE: Row = row("generator_late_p99", "  how late the generator is, p99", "ms", 2);

pub(crate) const GREEDY_RATE: Row =
    row("greedy_answered", "beside greedy clients: modest requests answered", "1/s", 0);
pub(crate) const GREEDY_REFUSED: Row = row("greedy_refused", "  refused (5.03)", "", 0).at_most(0.0).gate();
pub(crate) const GREEDY_UPLOADS_REFUSED: Row =
    row("greedy_uploads_refused", "  uploads among them, of one in 50", "", 0).at_most(0.0).gate();
pub(crate) const GREEDY_FAILED: Row =
    row("greedy_failed", "  failed or not answered", "", 0).at_most(0.0).gate();
pub(crate) const GREEDY_OWN_P99: Row = row("greedy_own_p99", "  the sidecar's own time, p99", "ms", 2);
pub(crate) const GREEDY_OWN_RATIO: Row =
    row("greedy_own_ratio", "  and how many times as long", "", 2).at_most(2.0);
pub(crate) const GREEDY_P99: Row = row("greedy_p99", "  the client's wait, p99", "ms", 2);
pub(crate) const GREEDY_RATIO: Row = row("greedy_ratio", "  and how many times as long", "", 2).at_most(2.0);
pub(crate) const GREEDY_ASKER: Row =
    row("greedy_asker", "  the one that asks as fast as it can: answered", "1/s", 0);
pub(crate) const GREEDY_ASKER_REFUSED: Row = row("greedy_asker_refused", "  and refused", "1/s", 0);
pub(crate) const GREEDY_MEMORY: Row = row("greedy_memory", "  memory of the process", "MB", 0).at_most(250.0);

/// The figures of one kind of strangers.
pub(crate) struct Hellos {
    pub(crate) sent: Row,
    pub(crate) connected_alone: Row,
    pub(crate) connected: Row,
    pub(crate) connect_p95: Row,
    pub(crate) connect_ratio: Row,
    pub(crate) live_answered: Row,
    pub(crate) live_p99: Row,
    pub(crate) live_ratio: Row,
    pub(crate) own_ratio: Row,
    pub(crate) cpu: Row,
}

macro_rules! hellos {
    ($prefix:literal, $title:literal) => {
        Hellos {
            sent: row(concat!($prefix, "_sent"), concat!("hellos from ", $title), "1/s", 0),
            connected_alone: row(
                concat!($prefix, "_connected_alone"),
                "  newcomers connected, without them",
                "",
                0,
            ),
            connected: row(concat!($prefix, "_connected"), "  and beside them", "%", 0)
                .at_least(100.0)
                .gate(),
            connect_p95: row(concat!($prefix, "_connect_p95"), "  a newcomer's way in, p95", "ms", 1),
            connect_ratio: row(concat!($prefix, "_connect_ratio"), "  and how many times as long", "", 2)
                .at_most(2.0),
            live_answered: row(concat!($prefix, "_live_answered"), "  live sessions: answered", "%", 2)
                .at_least(100.0)
                .gate(),
            live_p99: row(concat!($prefix, "_live_p99"), "  the wait of live sessions, p99", "ms", 2),
            live_ratio: row(concat!($prefix, "_live_ratio"), "  and how many times as long", "", 2)
                .at_most(2.0),
            own_ratio: row(concat!($prefix, "_own_ratio"), "  own time, p99: how many times as long", "", 2)
                .at_most(2.0),
            cpu: row(concat!($prefix, "_cpu"), "  processor time for strangers", "cores", 2).at_most(0.5),
        }
    };
}

pub(crate) const ONE_PORT: Hellos = hellos!("one_port", "one port");
pub(crate) const MANY_ADDRESSES: Hellos = hellos!("many_addresses", "64 addresses");

/// The figures that have been measured, in the order of measuring.
#[derive(Default)]
pub(crate) struct Figures(Vec<(Row, f64)>);

impl Figures {
    pub(crate) fn add(&mut self, row: Row, value: f64) {
        self.0.push((row, value));
    }

    /// Prints the table, then one JSON object a line.
    pub(crate) fn tell(&self) {
        say(format_args!("\n{:<52}{:>12}{:>12}", "", "must be", "measured"));
        for (row, value) in &self.0 {
            let missed = if row.holds(*value) { "" } else { "  missed" };
            let Row { title, unit, decimals, .. } = row;
            let line = format!("{title:<52}{:>12}{value:>12.decimals$} {unit:<5}{missed}", row.must());
            say(line.trim_end());
        }
        say("");
        for (Row { name, unit, .. }, value) in &self.0 {
            say(serde_json::json!({ "name": name, "value": value, "unit": unit }));
        }
    }

    /// Returns an error that names each gate that does not hold.
    pub(crate) fn check(&self) -> Result<()> {
        let wrong: Vec<_> = self.0.iter().filter(|(row, value)| row.is_gate && !row.holds(*value)).collect();
        if wrong.is_empty() {
            return Ok(());
        }
        let list = |each: &dyn Fn(&Row, f64) -> String| {
            wrong.iter().map(|(row, value)| each(row, *value)).collect::<Vec<_>>().join(", ")
        };
        Err(Error::Wrong {
            what: "figures".to_owned(),
            expected: list(&|row, _| format!("{} {}", row.name, row.must())),
            got: list(&|row, value| format!("{} {value}", row.name)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_gates_fail_a_run_and_each_that_does_not_hold_is_named() {
        let mut figures = Figures::default();
        figures.add(STEADY_OWN_P99, 1e6);
        figures.add(STEADY_REFUSED, 0.0);
        figures.add(ONE_PORT.connected, 100.0);
        assert!(figures.check().is_ok());
        figures.add(GREEDY_REFUSED, 3.0);
        figures.add(MANY_ADDRESSES.connected, 99.0);
        let told = figures.check().unwrap_err().to_string();
        assert_eq!(
            told,
            "figures: expected greedy_refused <= 0, many_addresses_connected >= 100, got greedy_refused 3, \
             many_addresses_connected 99"
        );
    }
}
