//! `make bench-codec`: what the codec costs, in ratios and in instructions.
//!
//! ```text
//! rounds:       every way over every document in turns, in this process -> ratios of the fastest turns
//! instructions: this binary once more, under callgrind                  -> instructions of single calls
//! ```
//!
//! Times on a shared machine move by more than half; ratios of ways that take turns repeat to about a tenth;
//! instructions of one binary are the same each time, so the gates of `make test` are about them. Bytes to
//! bytes everywhere, all checks on, buffers reused.

mod documents;
mod figures;
mod hurt;
mod instructions;
mod rounds;
mod ways;

use clap::Parser;
use figures::Figures;
use lowband_e2e::Result;
use std::process::ExitCode;

/// Measures the codec: a table, then one JSON object a line.
///
/// Instructions are counted by valgrind's tool callgrind.
#[derive(Parser)]
#[command(name = "bench-codec", max_term_width = 120)]
struct Options {
    /// Count instructions only, and fail where a gate is exceeded.
    #[arg(long)]
    gates: bool,
    /// Make the calls that are to be counted, and nothing else: what runs under callgrind.
    #[arg(long, hide = true)]
    calls: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    if options.calls {
        instructions::calls();
        return ExitCode::SUCCESS;
    }
    match bench(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("bench-codec: {why}");
            ExitCode::FAILURE
        }
    }
}

fn bench(options: &Options) -> Result<()> {
    let mut figures = Figures::default();
    if !options.gates {
        rounds::ratios(&mut figures);
    }
    instructions::count(&mut figures)?;
    figures.tell();
    if options.gates { figures.check() } else { Ok(()) }
}
