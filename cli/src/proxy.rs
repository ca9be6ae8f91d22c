//! `lowband proxy`: the local proxy, for clients that know nothing of low bandwidth.
//!
//! ```text
//! arguments -> settings -> listener -> lowband_proxy::run, until SIGINT or SIGTERM -> the line of stats
//!                                           |-> log on stderr       SIGUSR1, --stats -> the same line meanwhile
//! ```

mod args;
mod places;
mod state;

use crate::exit::{Exit, Failure};
pub(crate) use args::{ProxyArgs, misspelled};
use lowband_proxy::{Error, Settings, Stats, Summary};
use std::io::{self, IsTerminal};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

pub(crate) fn run(arguments: ProxyArgs) -> Result<(), Failure> {
    begin_log(arguments.verbose)?;
    for line in misspelled() {
        tracing::warn!("{line}");
    }
    let every = arguments.stats;
    let settings = arguments.settings()?;
    if let Some((path, Err(error))) = settings.state.as_deref().map(|path| (path, state::probe(path))) {
        tracing::warn!("{}: {error}: nothing can be remembered for the next start", path.display());
    }
    // One thread does nearly all the work; those that resolve names need no heaps of their own.
    lowband_system::heap::share_one();
    lowband_system::heap::give_back_large();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Connect, format!("no runtime: {error}")))?;
    let outcome = runtime.block_on(serve(settings, every));
    // A name that is still being resolved is not waited for.
    runtime.shutdown_background();
    outcome
}

async fn serve(settings: Settings, every: Option<Duration>) -> Result<(), Failure> {
    // Before everything that takes time: a signal that comes early must not end the process.
    let signals = Signals::new().map_err(|error| Failure::new(Exit::Connect, format!("signals: {error}")))?;
    let listener = lowband_proxy::bind(&settings).await.map_err(failure)?;
    let address = listener.local_addr().map_err(|error| failure(Error::Io(error)))?;
    let scheme = if settings.identity.is_some() { "https" } else { "http" };
    tracing::info!(
        "{scheme}://{address} stands for {}: name it as the homeserver in your client",
        settings.homeserver
    );
    let stats = Stats::default();
    let Signals { mut ending, mut again, mut asked } = signals;
    let ended = async move {
        tokio::select! { _ = ending.recv() => {} _ = again.recv() => {} }
        tracing::info!("ends when the requests under way have; a second signal ends it at once");
        // What is under way is not waited for any more.
        tokio::spawn(async move {
            tokio::select! { _ = ending.recv() => {} _ = again.recv() => {} }
            std::process::exit(i32::from(Exit::Success.status()));
        });
    };
    let telling = tell(&stats, &mut asked, every);
    // The flags and the system's roots are read at the start alone, and took a third of the heap.
    let tidying = async {
        lowband_system::heap::give_back_free();
        std::future::pending().await
    };
    let summary = tokio::select! {
        biased;
        summary = lowband_proxy::run(settings, listener, stats.clone(), ended) => summary.map_err(failure)?,
        () = tidying => stats.summary(),
        () = telling => stats.summary(),
    };
    tracing::info!("{summary}");
    Ok(())
}

/// Writes the line of stats whenever it is asked for, and each time that `every` is over, if anything has
/// moved since.
async fn tell(stats: &Stats, asked: &mut Signal, every: Option<Duration>) {
    let mut told = Summary::default();
    let mut ticks = every.map(interval);
    if let Some(ticks) = &mut ticks {
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    }
    loop {
        let tick = async {
            match &mut ticks {
                Some(ticks) => ticks.tick().await,
                None => std::future::pending().await,
            }
        };
        let is_asked = tokio::select! { _ = tick => false, _ = asked.recv() => true };
        let summary = stats.summary();
        if is_asked || summary != told {
            tracing::info!("{summary}");
            told = summary;
        }
    }
}

/// The signals that mean something here.
struct Signals {
    ending: Signal,
    again: Signal,
    asked: Signal,
}

impl Signals {
    fn new() -> io::Result<Signals> {
        Ok(Signals {
            ending: signal(SignalKind::terminate())?,
            again: signal(SignalKind::interrupt())?,
            asked: signal(SignalKind::user_defined1())?,
        })
    }
}

/// Begins the log on stderr: changes of way and mistakes, with -v each request.
fn begin_log(verbose: u8) -> Result<(), Failure> {
    let level = if verbose > 0 { LevelFilter::DEBUG } else { LevelFilter::INFO };
    // Only lines of our own: hyper and h2 would log header fields.
    let ours = Targets::new().with_target("lowband", level).with_target("lowband_proxy", level);
    let in_colours =
        io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    // Under systemd the journal has the time.
    let in_journal = std::env::var_os("JOURNAL_STREAM").is_some();
    let lines =
        tracing_subscriber::fmt::layer().with_writer(io::stderr).with_target(false).with_ansi(in_colours);
    let registry = tracing_subscriber::registry().with(ours);
    let begun = if in_journal {
        registry.with(lines.without_time()).try_init()
    } else {
        registry.with(lines).try_init()
    };
    begun.map_err(|error| Failure::new(Exit::Write, format!("the log: {error}")))
}

fn failure(error: Error) -> Failure {
    let (exit, hint) = match &error {
        Error::Homeserver { .. } => (Exit::Url, None),
        Error::Remote(_) => {
            (Exit::Usage, Some("--allow-remote does, with --host for the name that clients use"))
        }
        Error::Listen { .. } => (Exit::Connect, Some("--listen ADDRESS:PORT takes another")),
        Error::Identity { .. } | Error::Pair { .. } | Error::Tls(_) | Error::KeyLog(_) => {
            (Exit::CaFile, None)
        }
        _ => (Exit::Transfer, None),
    };
    Failure::new(exit, error).with_hint(hint)
}
