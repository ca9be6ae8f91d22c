//! The program `lowband-sidecar`: parses options, runs, and sets the exit code (0 in order, 1 failed while
//! running, 2 wrong configuration).

use lowband_sidecar::config::{self, Config, Environment, LogFormat, Mistake, Task, now};
use lowband_sidecar::notes::Note;
use lowband_sidecar::{Error, Sockets, check_limits, envoy, logging, man, metrics, notes, run};
use lowband_system::heap;
use std::io::{self, Write};
use std::process::ExitCode;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, mpsc};

const FAILED: u8 = 1;
const WRONG_CONFIGURATION: u8 = 2;
/// What the parser of the command line calls itself at the beginning of a message.
const PARSERS_NAME: &str = "error:";

fn main() -> ExitCode {
    let (options, environment) = match config::read() {
        Ok(read) => read,
        Err(error) => return refuse_arguments(&error),
    };
    let format = options.log_format();
    let refuse = |mistakes: &[Mistake]| {
        mistakes.iter().for_each(|mistake| logging::print(format, &environment.describe(mistake)));
        ExitCode::from(WRONG_CONFIGURATION)
    };
    match &options.task {
        None => {}
        Some(Task::RenderEnvoy(options)) => {
            return match envoy::write(options) {
                Ok(()) => ExitCode::SUCCESS,
                Err(envoy::Error::Options(mistakes)) => refuse(&mistakes),
                Err(error) => fail(format, &error),
            };
        }
        Some(Task::Man(destination)) => {
            return match man::write(destination) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => fail(format, &error),
            };
        }
    }
    let config = match options.check() {
        Ok(config) => config,
        Err(mistakes) => {
            environment.notes().iter().for_each(|note| logging::print(format, &note.text));
            return refuse(&mistakes);
        }
    };
    if options.check_config {
        return check(&config, &environment, format);
    }
    // Where these two calls do not work, more memory is in use.
    let _ = heap::give_back_large();
    if config.threads == 1 {
        // The other threads, which sign and write logs, take little.
        let _ = heap::share_one();
    }
    // Dropped at the end, and by a panic as well: then the last lines are written.
    let log = match logging::init(&config) {
        Ok(log) => log,
        Err(error) => return fail(format, &error),
    };
    metrics::count_panics();
    environment.notes().iter().for_each(Note::log);
    match serve(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if tracing::enabled!(tracing::Level::ERROR) {
                tracing::error!("{error}");
            } else {
                log.tell(&error.to_string());
            }
            ExitCode::from(FAILED)
        }
    }
}

/// Says what the start would say, and whether it would fail.
fn check(config: &Config, environment: &Environment, format: LogFormat) -> ExitCode {
    environment.notes().iter().for_each(|note| logging::print(format, &note.text));
    notes::before_the_start(config).iter().for_each(|note| logging::print(format, &note.text));
    if let Err(error) = lowband_sidecar::check(config) {
        return fail(format, &error);
    }
    println!("the configuration is in order; the certificate is {}", config.identity.validity.tell(now()));
    ExitCode::SUCCESS
}

fn fail(format: LogFormat, error: &dyn std::error::Error) -> ExitCode {
    logging::print(format, &error.to_string());
    ExitCode::from(FAILED)
}

/// Reports what cannot be parsed at all. The form of the log is not known then, unless the environment says
/// it.
fn refuse_arguments(error: &clap::Error) -> ExitCode {
    let is_json = std::env::var_os("LOWBAND_LOG_FORMAT").is_some_and(|format| format == "json");
    if !error.use_stderr() {
        error.exit();
    }
    let rendered = error.render();
    let text = rendered.to_string();
    if is_json {
        let first = text.lines().next().unwrap_or_default();
        logging::print(LogFormat::Json, first.strip_prefix("error: ").unwrap_or(first));
    } else {
        let is_mistake = text.starts_with(PARSERS_NAME);
        let text = if logging::is_coloured() { rendered.ansi().to_string() } else { text };
        // What is told where arguments are missing altogether is the help.
        let text = if is_mistake { text.replacen(PARSERS_NAME, "lowband-sidecar:", 1) } else { text };
        let _ = io::stderr().write_all(text.as_bytes());
    }
    ExitCode::from(WRONG_CONFIGURATION)
}

fn serve(config: Config) -> Result<(), Error> {
    // With too few files the runtime would panic.
    check_limits()?;
    let runtime = runtime(config.threads)?;
    let result = runtime.block_on(async {
        // Before everything that takes time: a signal that comes early must not end the process.
        let (mut signals, hangups) = (Signals::new()?, hangups()?);
        let sockets = Sockets::bind(&config)?;
        let (first, second) = (Notify::new(), Notify::new());
        let running = run(config, sockets, first.notified(), second.notified(), hangups);
        let signalled = async {
            for each in [&first, &second] {
                signals.next().await;
                each.notify_one();
            }
            signals.next().await;
        };
        tokio::select! {
            result = running => result,
            // The third signal does not even wait for a socket that takes nothing.
            () = signalled => Ok(()),
        }
    });
    // A disk that hangs while a certificate is looked for must not keep the process from ending.
    runtime.shutdown_background();
    result
}

/// Returns a channel that gets a message for each SIGHUP, which asks for another look at the files and never
/// ends the process. Several signals at the same time count as one.
fn hangups() -> io::Result<mpsc::Receiver<()>> {
    let mut hangup = signal(SignalKind::hangup())?;
    let (tell, told) = mpsc::channel(1);
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            let _ = tell.try_send(());
        }
    });
    Ok(told)
}

fn runtime(threads: usize) -> io::Result<Runtime> {
    match threads {
        // Everything on one thread saves a switch between threads on each request.
        1 => Builder::new_current_thread().enable_all().build(),
        more => Builder::new_multi_thread().worker_threads(more).enable_all().build(),
    }
}

/// The signals SIGTERM and SIGINT, which mean the same thing. SIGUSR1 and SIGUSR2, which would end the
/// process by default, mean nothing.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    _unused: [Signal; 2],
}

impl Signals {
    fn new() -> io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            _unused: [signal(SignalKind::user_defined1())?, signal(SignalKind::user_defined2())?],
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
