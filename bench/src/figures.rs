//! The figures: what each is called, what it is compared with, and how it is printed.
//!
//! The bounds ("at most") were set for a machine of the kind that the reference was measured on. Elsewhere
//! the calibration says how much faster or slower everything is.

use lowband_e2e::tell::say;
use lowband_e2e::{Error, Result};

/// One figure, beside that of the reference.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    name: &'static str,
    title: &'static str,
    unit: &'static str,
    decimals: usize,
    reference: &'static str,
    at_most: Option<f64>,
    /// Range of a short run on any machine, from and to. Bytes and datagrams do not depend on the machine:
    /// for them this is what they must not exceed.
    plausible: (f64, f64),
}

const fn row(name: &'static str, title: &'static str, unit: &'static str, decimals: usize) -> Row {
    Row { name, title, unit, decimals, reference: "", at_most: None, plausible: (0.0, f64::MAX) }
}

impl Row {
    const fn beside(self, reference: &'static str, at_most: f64) -> Row {
        Row { reference, at_most: Some(at_most), ..self }
    }

    const fn plausible(self, from: f64, to: f64) -> Row {
        Row { plausible: (from, to), ..self }
    }
}

pub(crate) const SIGNATURES: Row =
    row("calibration_p256", "calibration: P-256 signatures a second", "1/s", 0).plausible(500.0, 1e6);
pub(crate) const SHA256: Row =
    row("calibration_sha256", "calibration: SHA-256, MB a second", "MB/s", 0).plausible(20.0, 1e5);
pub(crate) const ECHOES: Row =
    row("calibration_echo", "calibration: CPU of a mere echo of 125 datagrams", "ms", 2)
        .plausible(0.01, 50.0);

pub(crate) const CONNECT_DATAGRAMS: Row =
    row("connect_put_datagrams", "connect, PUT Hello World, response: datagrams *", "", 0)
        .beside("8", 8.0)
        .plausible(8.0, 8.0);
pub(crate) const CONNECT_BYTES: Row =
    row("connect_put_bytes", "  and UDP payload *", "B", 0).beside("1,535", 1510.0).plausible(1000.0, 1510.0);
pub(crate) const PUT_DATAGRAMS: Row =
    row("put_datagrams", "PUT Hello World on a live session: datagrams *", "", 0)
        .beside("2", 2.0)
        .plausible(2.0, 2.0);
pub(crate) const PUT_BYTES: Row =
    row("put_bytes", "  and UDP payload *", "B", 0).beside("244", 242.0).plausible(100.0, 242.0);

pub(crate) const GET_CPU: Row = row("get_cpu", "CPU: GET in one block, 16 sessions", "ms", 3)
    .beside("0.22-0.25", 0.08)
    .plausible(0.001, 5.0);
pub(crate) const DOWNLOAD_CPU: Row = row("download_cpu", "CPU: response in 125 blocks, one session", "ms", 2)
    .beside("13-15", 2.0)
    .plausible(0.05, 100.0);
pub(crate) const DOWNLOADS_CPU: Row =
    row("downloads_cpu", "CPU: response in 125 blocks, 16 sessions", "ms", 2)
        .beside("13-15", 2.0)
        .plausible(0.05, 100.0);
pub(crate) const PIPELINED_16_CPU: Row =
    row("pipelined_16_cpu", "CPU: the same, 16 blocks on their way, one session", "ms", 2)
        .beside("13-15", 1.0)
        .plausible(0.05, 100.0);
pub(crate) const PIPELINED_64_CPU: Row =
    row("pipelined_64_cpu", "CPU: the same, 64 blocks on their way, one session", "ms", 2)
        .beside("13-15", 1.0)
        .plausible(0.05, 100.0);
pub(crate) const HANDSHAKE_CPU: Row =
    row("handshake_cpu", "CPU: full handshake", "ms", 2).beside("0.7-0.9", 0.5).plausible(0.05, 20.0);
pub(crate) const TEN_CONNECTED: Row =
    row("ten_connected", "ten clients at once, 300 ms round trip: connected", "s", 2).plausible(0.9, 10.0);
pub(crate) const TEN_ANSWERED: Row =
    row("ten_answered", "  and each with its first answer", "s", 2).beside("6.7", 1.3).plausible(1.2, 10.0);

pub(crate) const IDLE_CPU: Row = row("idle_cpu", "CPU: idle sessions, one minute", "s", 2)
    .beside("10 (2,000 sessions)", 0.05)
    .plausible(0.0, 5.0);
pub(crate) const SESSION_MEMORY: Row =
    row("session_memory", "resident memory: each further idle session", "kB", 2)
        .beside("163-180", 0.8)
        .plausible(-10.0, 50.0);
pub(crate) const RESIDENT: Row =
    row("resident", "  and all of the process with all sessions", "kB", 0).plausible(2000.0, 1e6);

pub(crate) const CHAIN_ONE: Row =
    row("chain_cpu", "CPU: 200 kB of JSON, one session", "ms", 2).beside("13-15", 4.3).plausible(0.05, 100.0);
pub(crate) const CHAIN_MANY: Row = row("chains_cpu", "CPU: 200 kB of JSON, 16 sessions", "ms", 2)
    .beside("13-15", 4.3)
    .plausible(0.05, 100.0);
pub(crate) const CHAIN_ENVOY: Row =
    row("chains_envoy_cpu", "  and of that Envoy with the filter", "ms", 2).plausible(0.01, 100.0);

/// The figures that have been measured, in the order of measuring.
#[derive(Default)]
pub(crate) struct Figures(Vec<(Row, f64)>);

impl Figures {
    pub(crate) fn add(&mut self, row: Row, value: f64) {
        self.0.push((row, value));
    }

    /// Prints the table, then one JSON object a line.
    pub(crate) fn tell(&self) {
        say(format_args!("\n{:<52}{:>20}{:>10}{:>12}", "", "the reference", "at most", "measured"));
        for (row, value) in &self.0 {
            let Row { title, unit, decimals, reference, at_most, .. } = row;
            let most = at_most.map(|most| most.to_string()).unwrap_or_default();
            let missed = if at_most.is_some_and(|most| *value > most) { "  missed" } else { "" };
            let line = format!("{title:<52}{reference:>20}{most:>10}{value:>12.decimals$} {unit:<4}{missed}");
            say(line.trim_end());
        }
        say(
            "* by our client, with a certificate of some 430 bytes; the reference by its own, with one of 413 bytes\n",
        );
        for (Row { name, unit, .. }, value) in &self.0 {
            say(serde_json::json!({ "name": name, "value": value, "unit": unit }));
        }
    }

    /// Returns an error that names each figure that cannot be.
    pub(crate) fn check(&self) -> Result<()> {
        let wrong: Vec<_> = self.0.iter().filter(|(row, value)| !is_plausible(row, *value)).collect();
        if wrong.is_empty() {
            return Ok(());
        }
        let list = |each: &dyn Fn(&Row, f64) -> String| {
            wrong.iter().map(|(row, value)| each(row, *value)).collect::<Vec<_>>().join(", ")
        };
        Err(Error::Wrong {
            what: "figures".to_owned(),
            expected: list(&|Row { name, plausible: (from, to), .. }, _| format!("{name} {from} to {to}")),
            got: list(&|row, value| format!("{} {value}", row.name)),
        })
    }
}

fn is_plausible(Row { plausible: (from, to), .. }: &Row, value: f64) -> bool {
    (*from..=*to).contains(&value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_that_cannot_be_is_named_with_its_range_and_no_other() {
        let mut figures = Figures::default();
        figures.add(GET_CPU, 0.1);
        assert!(figures.check().is_ok());
        figures.add(PUT_BYTES, 243.0);
        figures.add(HANDSHAKE_CPU, f64::NAN);
        let told = figures.check().unwrap_err().to_string();
        assert_eq!(
            told,
            "figures: expected put_bytes 100 to 242, handshake_cpu 0.05 to 20, got put_bytes 243, handshake_cpu NaN"
        );
    }
}
