//! The figures: what each is called, what it must be, and how it is printed.

use lowband_e2e::tell::say;
use lowband_e2e::{Error, Result};

/// One figure, with its bound.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    name: String,
    title: String,
    unit: &'static str,
    decimals: usize,
    at_most: Option<f64>,
    /// Whether a short run fails over the figure: not where the speed of the machine has a say.
    is_gate: bool,
    note: String,
}

impl Row {
    pub(crate) fn new(
        name: impl Into<String>,
        title: impl Into<String>,
        unit: &'static str,
        decimals: usize,
    ) -> Row {
        let (name, title) = (name.into(), title.into());
        Row { name, title, unit, decimals, at_most: None, is_gate: false, note: String::new() }
    }

    pub(crate) fn at_most(self, most: f64) -> Row {
        Row { at_most: Some(most), ..self }
    }

    pub(crate) fn gate(self) -> Row {
        Row { is_gate: true, ..self }
    }

    /// Adds what stands behind the figure in the table.
    pub(crate) fn note(self, note: String) -> Row {
        Row { note, ..self }
    }

    fn holds(&self, value: f64) -> bool {
        self.at_most.is_none_or(|most| value <= most)
    }
}

/// The figures that have been measured, in the order of measuring.
#[derive(Default)]
pub(crate) struct Figures(Vec<(Row, f64)>);

impl Figures {
    pub(crate) fn add(&mut self, row: Row, value: f64) {
        self.0.push((row, value));
    }

    /// Prints the table, then one JSON object a line.
    pub(crate) fn tell(&self) {
        say(format_args!("\n{:<52}{:>12}{:>12}", "", "at most", "measured"));
        for (row, value) in &self.0 {
            let Row { title, unit, decimals, at_most, note, .. } = row;
            // Three decimals tell a sixth from a quarter.
            let most = at_most.map(|most| ((most * 1e3).round() / 1e3).to_string()).unwrap_or_default();
            let missed = if row.holds(*value) { "" } else { "  missed" };
            let line = format!("{title:<52}{most:>12}{value:>12.decimals$} {unit:<4}{note}{missed}");
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
            expected: list(&|row, _| format!("{} <= {}", row.name, row.at_most.unwrap_or_default())),
            got: list(&|row, value| format!("{} {value}", row.name)),
        })
    }
}

/// Returns the middle one of some values; zero if there is none.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_gates_fail_a_run_and_each_that_does_not_hold_is_named() {
        let row = |name| Row::new(name, name, "", 0).at_most(1.0);
        let mut figures = Figures::default();
        figures.add(row("slow"), 2.0);
        figures.add(row("held").gate(), 1.0);
        assert!(figures.check().is_ok());
        figures.add(row("wrong").gate(), 3.0);
        assert_eq!(figures.check().unwrap_err().to_string(), "figures: expected wrong <= 1, got wrong 3");
    }

    #[test]
    fn the_middle_value_is_no_outlier() {
        assert_eq!(median(vec![3.0, 100.0, 1.0]), 3.0);
        assert_eq!(median(Vec::new()), 0.0);
    }
}
