//! Instructions of single calls: this binary runs once more under callgrind, which counts inside
//! [`measured`] only and writes down a part after each call of it. The calls before them, which make the
//! buffers grow, do not count.

use crate::figures::{self, Figures, Row};
use crate::ways::{self, Way};
use crate::{documents, hurt};
use lowband_codec::EncodeOptions;
use lowband_e2e::{Error, Result};
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;

/// Name that callgrind has for the function.
const MEASURED: &str = concat!(env!("CARGO_CRATE_NAME"), "::instructions::measured");

#[inline(never)]
fn measured(way: &mut Way<'_>) {
    way();
    // The call must not be the last thing that is done: the function must not be left by a jump.
    black_box(());
}

/// Makes each call of the series, in its order.
pub(crate) fn calls() {
    series(&mut |_, mut way| {
        way();
        measured(&mut way);
    });
}

/// Makes all counted calls, one after the other: a figure of a call over each document, then two calls of
/// each family that is made to hurt, of one size and of twice that.
fn series(call: &mut dyn FnMut(Counted, Way<'_>)) {
    for (document, json) in [
        ("sync_medium", documents::SYNC_MEDIUM),
        ("sync_small", documents::SYNC_SMALL),
        ("event", documents::EVENT),
        ("escaped_event", documents::ESCAPED_EVENT),
    ] {
        let json = json.as_bytes();
        let cbor = lowband_codec::json_to_cbor(json).unwrap_or_default();
        let mut call = |name: &str, way| {
            let row = figures::instructions(&format!("{name}_instructions_{document}"));
            call(Counted::Document(row, json.len()), way);
        };
        call("json_to_cbor", ways::json_to_cbor(json, ways::encode_options()));
        // Without a table, as for a client that has agreed on none.
        call("json_to_cbor_without_table", ways::json_to_cbor(json, EncodeOptions::default()));
        call("cbor_to_json", ways::cbor_to_json(&cbor));
        call("push_json_to_cbor", ways::push_json_to_cbor(json, ways::push_options(), ways::PIECE));
        call("push_cbor_to_json", ways::push_cbor_to_json(&cbor, ways::PIECE));
    }
    for family in hurt::families() {
        let row = figures::growth(&family.name);
        let (once, twice) = ((family.make)(family.size), (family.make)(2 * family.size));
        call(Counted::Once, (family.way)(&once));
        call(Counted::Twice(row), (family.way)(&twice));
    }
}

/// The use of a counted number of instructions.
enum Counted {
    /// The number is divided by the bytes of JSON.
    Document(Row, usize),
    /// The number is kept for the next one.
    Once,
    /// The number is divided by the previous one.
    Twice(Row),
}

pub(crate) fn count(figures: &mut Figures) -> Result<()> {
    let folder = std::env::temp_dir().join(format!("lowband-codec-{}", std::process::id()));
    fs::create_dir_all(&folder).map_err(Error::io(format!("make {}", folder.display())))?;
    let counted = run(&folder).and_then(|()| tell(&folder, figures));
    fs::remove_dir_all(&folder).map_err(Error::io(format!("remove {}", folder.display())))?;
    counted
}

fn run(folder: &Path) -> Result<()> {
    let own = std::env::current_exe().map_err(Error::io("find this program"))?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--dump-line=no", "--collect-atstart=no"])
        .arg(format!("--toggle-collect={MEASURED}"))
        .arg(format!("--dump-after={MEASURED}"))
        .arg(format!("--callgrind-out-file={}", folder.join("part").display()))
        .arg(own)
        .arg("--calls")
        .output()
        .map_err(Error::io("start valgrind, which counts instructions"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Setup(format!("valgrind: {}", String::from_utf8_lossy(&output.stderr))))
}

/// Adds one part after the other to the figures, in the order of the series.
fn tell(folder: &Path, figures: &mut Figures) -> Result<()> {
    let mut part = 0;
    let mut before = 0.0;
    let mut result = Ok(());
    series(&mut |counted, _| {
        part += 1;
        let instructions = total(&folder.join(format!("part.{part}")));
        match (instructions, counted) {
            (Ok(instructions), Counted::Document(row, bytes)) => {
                figures.add(row, instructions / bytes as f64)
            }
            (Ok(instructions), Counted::Once) => before = instructions,
            (Ok(instructions), Counted::Twice(row)) => figures.add(row, instructions / before),
            (Err(why), _) => result = Err(why),
        }
    });
    result
}

fn total(part: &Path) -> Result<f64> {
    let text = fs::read_to_string(part).map_err(Error::io(format!("read {}", part.display())))?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: ")?.trim().parse().ok());
    total.ok_or_else(|| Error::Setup(format!("{} has no total", part.display())))
}
