//! `make bench-client`: what a server without Envoy costs beside a proxy on the reference's stack, and what
//! the local proxy costs and saves a client that knows nothing of it.
//!
//! ```text
//! server  fleet --DTLS, CoAP--> lowband-sidecar --homeserver, or the stand-in --HTTP--> stub
//! corpus  corpus --HTTP--> lowband proxy --DTLS, CoAP--> chain --> Synapse; and corpus --HTTP--> Synapse
//! day     matrix-nio --HTTP--> lowband proxy --UDP and TCP relays--> chain --> Synapse;
//!         and matrix-nio --HTTPS, TCP relay--> Envoy --> Synapse
//! idle    accounts --HTTP--> lowband proxy --DTLS, CoAP--> chain --> Synapse
//! ```
//!
//! A table and then one JSON object a line, as the other benchmarks have it. What is compared takes turns in
//! short rounds, and the middle of all rounds counts. Bytes are those of IPv4 packets, headers included.

mod day;
mod figures;
mod idle;
mod server;

use clap::{Parser, ValueEnum};
use figures::{Figures, Row};
use lowband_e2e::fixture::Fixture;
use lowband_e2e::local_proxy::LocalProxy;
use lowband_e2e::parts::Parts;
use lowband_e2e::replay::{Pace, Side, replay};
use lowband_e2e::synapse::{RateLimits, Synapse};
use lowband_e2e::tell::say;
use lowband_e2e::{Error, Result};
use std::process::ExitCode;

/// Measures a server without Envoy, and the local proxy: a table, then one JSON object a line.
///
/// The programs are the release binaries in target/release, or in LOWBAND_BIN_DIR.
#[derive(Parser)]
#[command(name = "bench-client", max_term_width = 120)]
struct Options {
    /// A short run with small numbers, which fails when an answer is not as it must be; all else is only
    /// told.
    #[arg(long)]
    quick: bool,
    /// Only some parts.
    #[arg(long, value_name = "PART", value_delimiter = ',')]
    only: Vec<Part>,
}

/// One part of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Processor time of the server without Envoy, beside the stand-in for the reference's proxy.
    Server,
    /// The corpus through the local proxy and the chain, beside the corpus straight to a homeserver.
    Corpus,
    /// Bytes of a day of matrix-nio.
    Day,
    /// Memory and processor time of the local proxy while nothing happens.
    Idle,
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
    let wanted = |part| options.only.is_empty() || options.only.contains(&part);
    let mut figures = Figures::default();
    if wanted(Part::Server) {
        // One thread, so that the other core of a small machine is the server's.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(Error::io("start a runtime"))?;
        runtime.block_on(server::measure(options.quick, &mut figures))?;
    }
    if wanted(Part::Idle) {
        idle::measure(options.quick, &mut figures)?;
    }
    if wanted(Part::Corpus) {
        corpus(&mut figures)?;
    }
    if wanted(Part::Day) {
        day::measure(&mut figures)?;
    }
    figures.tell();
    if options.quick { figures.check() } else { Ok(()) }
}

/// Starts the chain, a second homeserver, and the local proxy before the chain. All are ready.
fn chain_and_second(name: &str) -> Result<(Fixture, Synapse, LocalProxy)> {
    let fixture = Fixture::start(&format!("client-{name}"), RateLimits::Lifted, &[])?;
    let folder = fixture.parts.test_folder(&format!("client-{name}-plain"))?;
    let second = Synapse::start(&fixture.parts, &folder, RateLimits::Lifted)?;
    let proxy = local_proxy(&fixture.parts, &fixture)?;
    fixture.run(async { tokio::try_join!(second.ready(), proxy.ready()) })?;
    Ok((fixture, second, proxy))
}

fn local_proxy(parts: &Parts, fixture: &Fixture) -> Result<LocalProxy> {
    let (server, certificate) = (fixture.chain.address(), &fixture.chain.certificate.certificate);
    LocalProxy::start(parts, fixture.chain.folder(), server, certificate, &[])
}

/// Replays the corpus on both sides, one request after the other.
fn corpus(figures: &mut Figures) -> Result<()> {
    say("the corpus through the local proxy, and straight");
    let (fixture, second, proxy) = chain_and_second("corpus")?;
    let mut through = Side::http(proxy.address(), fixture.synapse()?.address());
    let mut straight = Side::http(second.address(), second.address());
    let (asked, differences) = fixture.run(replay(&mut through, &mut straight, Pace::InTurn))?;
    differences.iter().for_each(|difference| say(format_args!("  {difference}")));
    figures
        .add(Row::new("corpus_asked", "the corpus through the local proxy: requests", "", 0), asked as f64);
    let unexpected = Row::new("corpus_unexpected", "  unexpected answers", "", 0).at_most(0.0).gate();
    figures.add(unexpected, differences.len() as f64);
    let [took, beside] = [&through, &straight].map(|side| side.took().as_secs_f64());
    let note = format!("{took:.2} s over {beside:.2} s");
    // Refused requests for news are told late on purpose.
    let title = "  time over that of the homeserver itself, refused syncs left out";
    let row = Row::new("corpus_time", title, "", 2).at_most(1.5);
    figures.add(row.note(note), took / beside);
    Ok(())
}
