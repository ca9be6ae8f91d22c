//! `make bench-client`: what a server without Envoy costs beside a proxy on the reference's stack.
//!
//! ```text
//! fleet --DTLS, CoAP--> lowband-sidecar --homeserver, or the stand-in --HTTP--> stub
//! ```
//!
//! A table and then one JSON object a line, as the other benchmarks have it. What is compared takes turns in
//! short rounds, and the middle of all rounds counts.

mod figures;
mod server;

use clap::Parser;
use figures::Figures;
use lowband_e2e::{Error, Result};
use std::process::ExitCode;

/// Measures a server without Envoy: a table, then one JSON object a line.
///
/// The programs are the release binaries in target/release, or in LOWBAND_BIN_DIR.
#[derive(Parser)]
#[command(name = "bench-client", max_term_width = 120)]
struct Options {
    /// A run of seconds with small numbers, in which times are only told.
    #[arg(long)]
    quick: bool,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("bench-client: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    let mut figures = Figures::default();
    // One thread, so that the other core of a small machine is the server's.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Error::io("start a runtime"))?;
    runtime.block_on(server::measure(options.quick, &mut figures))?;
    figures.tell();
    Ok(())
}
