//! The figures: what each is called, what is wanted of it, what it must not exceed, and how it is printed.

use lowband_e2e::tell::say;
use lowband_e2e::{Error, Result};

/// One figure of the codec, with its gate.
pub(crate) struct Row {
    name: String,
    unit: &'static str,
    decimals: usize,
    wanted: Option<Bound>,
    /// Bound beyond which `make test` fails: with room for another compiler, but not for another algorithm.
    /// `None`: no bound.
    gate: Option<f64>,
}

#[derive(Clone, Copy)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

/// Returns the figure of how many times faster ours is than another way.
pub(crate) fn ratio(name: &str) -> Row {
    let wanted = match name {
        "json_to_cbor_over_dom_sync_medium" => Some(10.0),
        "json_to_cbor_over_dom_event" | "json_to_cbor_over_dom_escaped_event" => Some(6.0),
        "cbor_to_json_over_dom_sync_medium" => Some(20.0),
        "cbor_to_json_over_dom_event" | "cbor_to_json_over_dom_escaped_event" => Some(13.0),
        "json_to_cbor_over_simd_json_parse_sync_medium" => Some(1.05),
        "push_json_to_cbor_over_one_shot_sync_medium" => Some(0.65),
        "push_cbor_to_json_over_one_shot_sync_medium" => Some(0.7),
        // Ours must never be slower.
        other if other.contains("_over_dom_") => Some(1.0),
        _ => None,
    };
    Row { name: name.to_owned(), unit: "ratio", decimals: 2, wanted: wanted.map(Bound::AtLeast), gate: None }
}

/// Returns the figure of instructions for each byte of JSON.
pub(crate) fn instructions(name: &str) -> Row {
    let (wanted, gate) = match name {
        "json_to_cbor_instructions_sync_medium" => (Some(12.0), Some(13.0)),
        "json_to_cbor_without_table_instructions_sync_medium" => (None, Some(10.0)),
        "cbor_to_json_instructions_sync_medium" => (Some(8.0), Some(9.0)),
        "push_json_to_cbor_instructions_sync_medium" => (Some(14.5), Some(16.0)),
        "push_cbor_to_json_instructions_sync_medium" => (Some(10.5), Some(12.0)),
        _ => (None, None),
    };
    let wanted = wanted.map(Bound::AtMost);
    Row { name: name.to_owned(), unit: "instructions/byte", decimals: 2, wanted, gate }
}

/// Returns the figure of how much more an input made to hurt costs when it is twice as large: 2 is linear.
pub(crate) fn growth(family: &str) -> Row {
    const MOST: f64 = 2.3;
    let name = format!("growth_{family}");
    Row { name, unit: "ratio", decimals: 2, wanted: Some(Bound::AtMost(MOST)), gate: Some(MOST) }
}

impl Row {
    fn missed(&self, value: f64) -> bool {
        match self.wanted {
            Some(Bound::AtLeast(least)) => value < least,
            Some(Bound::AtMost(most)) => value > most,
            None => false,
        }
    }

    /// Returns whether the value is beyond the gate. A NaN is beyond every gate.
    fn is_beyond_gate(&self, value: f64) -> bool {
        self.gate.is_some_and(|gate| value.is_nan() || value > gate)
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
        say(format_args!("\n{:<56}{:>14}{:>8}{:>12}", "", "wanted", "gate", "measured"));
        for (row, value) in &self.0 {
            let Row { name, unit, decimals, wanted, gate } = row;
            let wanted = match wanted {
                Some(Bound::AtLeast(least)) => format!("at least {least}"),
                Some(Bound::AtMost(most)) => format!("at most {most}"),
                None => String::new(),
            };
            let gate = gate.map(|gate| gate.to_string()).unwrap_or_default();
            let missed = if row.missed(*value) { "  missed" } else { "" };
            say(format_args!("{name:<56}{wanted:>14}{gate:>8}{value:>12.decimals$} {unit}{missed}"));
        }
        say("");
        for (Row { name, unit, .. }, value) in &self.0 {
            say(serde_json::json!({ "name": name, "value": value, "unit": unit }));
        }
    }

    /// Returns an error that names each figure beyond its gate.
    pub(crate) fn check(&self) -> Result<()> {
        let beyond: Vec<_> = self.0.iter().filter(|(row, value)| row.is_beyond_gate(*value)).collect();
        if beyond.is_empty() {
            return Ok(());
        }
        let list = |each: &dyn Fn(&Row, f64) -> String| {
            beyond.iter().map(|(row, value)| each(row, *value)).collect::<Vec<_>>().join(", ")
        };
        Err(Error::Wrong {
            what: "figures".to_owned(),
            expected: list(&|row, _| format!("{} at most {}", row.name, row.gate.unwrap_or_default())),
            got: list(&|row, value| format!("{} {value}", row.name)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_beyond_its_gate_is_named_and_no_other() {
        let mut figures = Figures::default();
        figures.add(ratio("json_to_cbor_over_dom_event"), 0.1);
        figures.add(instructions("json_to_cbor_instructions_event"), 100.0);
        figures.add(growth("brackets"), 2.3);
        assert!(figures.check().is_ok());
        figures.add(instructions("json_to_cbor_instructions_sync_medium"), 13.5);
        figures.add(growth("escapes"), f64::NAN);
        let told = figures.check().unwrap_err().to_string();
        assert_eq!(
            told,
            "figures: expected json_to_cbor_instructions_sync_medium at most 13, growth_escapes at most 2.3, \
             got json_to_cbor_instructions_sync_medium 13.5, growth_escapes NaN"
        );
    }
}
