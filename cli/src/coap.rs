//! `lowband coap`: requests to a low-bandwidth server, as curl would make them.
//!
//! ```text
//! arguments -> urls, header, body -> for each URL: dtls (or http with --http), retry -> answer -> stdout or FILE
//!           -> exit status
//! ```
//!
//! Absent on purpose: redirects, cookies and proxies.

pub(crate) mod address;
pub(crate) mod answer;
pub(crate) mod args;
mod bars;
mod body;
pub(crate) mod dial;
pub(crate) mod dtls;
pub(crate) mod header;
pub(crate) mod http;
mod line;
mod retry;
mod times;
pub(crate) mod trust;
pub(crate) mod url;
mod urls;
pub(crate) mod verbose;
pub(crate) mod write_out;

use super::exit::{Exit, Failure};
use super::input::Source;
use super::output::{self, Sink};
use address::{Choice, Family};
use answer::{Answer, View};
pub(crate) use args::CoapArgs;
use body::Given;
use header::Headers;
use line::Line;
use lowband_client::{Method, Verification};
use std::ffi::OsStr;
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};
use url::Destination;
use verbose::{Verbose, without_secrets};
use write_out::{Format, Measures, Transfer};

/// Most bytes that are read for -d. Servers refuse far less: 8 MiB by default.
const MAX_DATA: usize = 64 << 20;

/// What is the same for all URLs of a command.
pub(crate) struct Job {
    /// Host and port; the target is that of the first URL.
    pub(crate) destination: Destination,
    pub(crate) addresses: Choice,
    pub(crate) method: Method,
    pub(crate) headers: Headers,
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) verification: Verification,
    pub(crate) verbose: Verbose,
    /// Time for all addresses of the host together.
    pub(crate) connect_timeout: Duration,
    /// When the whole command must be over. `None`: no limit.
    pub(crate) deadline: Option<Instant>,
}

/// One of the URLs of a command, and what becomes of its answer.
pub(crate) struct Part {
    /// Path and query.
    pub(crate) target: String,
    /// Where its answer goes.
    pub(crate) sink: Sink,
}

/// What is done with answers and failures.
struct Aftermath {
    include: bool,
    fail: bool,
    json: bool,
    raw: bool,
    silent: bool,
    write_out: Option<Format>,
    /// Most tries after the first.
    retries: u32,
}

pub(crate) fn run(mut arguments: CoapArgs) -> Result<(), Failure> {
    let choices = dtls::Choices {
        path_codes: !arguments.no_path_codes,
        cbor_version: arguments.cbor_version,
        redial: !arguments.no_redial,
        window: arguments.window,
        tuning: arguments.times.take(),
        // With -v each datagram has a line on stderr already.
        bar: !arguments.silent && arguments.verbose == 0,
    };
    let aftermath = Aftermath {
        include: arguments.include,
        fail: arguments.fail,
        json: arguments.as_json || arguments.json.is_some(),
        raw: arguments.raw,
        silent: arguments.silent,
        write_out: arguments.write_out.take(),
        retries: arguments.retry,
    };
    let use_http = arguments.http;
    let (job, parts) = prepare(arguments)?;
    let line = if use_http { Line::http() } else { Line::coap(choices, &job)? };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Connect, format!("no runtime: {error}")))?;
    let outcome = runtime.block_on(ask_for_all(&job, &parts, line, &aftermath));
    // A name that is still being resolved after its time is not waited for.
    runtime.shutdown_background();
    outcome
}

/// Asks for one URL after the other. The failure returned is the first; with several URLs it has been told.
async fn ask_for_all(
    job: &Job,
    parts: &[Part],
    mut line: Line,
    aftermath: &Aftermath,
) -> Result<(), Failure> {
    let mut first = Ok(());
    for (at, part) in parts.iter().enumerate() {
        let mut measures = Measures { body: job.body.as_ref().map_or(0, Vec::len), ..Measures::default() };
        let begin = Instant::now();
        let outcome = ask_for(job, part, &mut line, aftermath, &mut measures).await;
        measures.total = begin.elapsed();
        let is_lost = outcome.is_err() && line.is_down();
        line.report(job, outcome.as_ref().ok(), &measures, at + 1 == parts.len()).await;
        let (answer, failure) = match outcome {
            Ok(answer) => {
                let written = write(&answer, part, aftermath);
                (Some(answer), written.err())
            }
            Err(failure) => (None, Some(failure)),
        };
        let mut told = Ok(());
        if let Some(format) = &aftermath.write_out {
            let transfer = Transfer {
                url: &part.target,
                method: job.method.name(),
                measures: &measures,
                answer: answer.as_ref(),
                failure: failure.as_ref(),
            };
            told = Sink::Stdout.write(format.fill(&transfer).as_bytes());
        }
        let Some(failure) = failure.or(told.err()) else { continue };
        if parts.len() == 1 || failure.exit == Exit::Success {
            // Success is how a reader that went away is told: it wants nothing more.
            return first.and(Err(failure));
        }
        if let Some(message) = &failure.message {
            output::message(&format!("{}: {message}", without_secrets(&part.target)));
        }
        first = first.and(Err(Failure::silent(failure.exit)));
        if is_lost || job.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            break;
        }
    }
    line.close().await;
    first
}

/// Asks for one URL, more than once where that may help.
async fn ask_for(
    job: &Job,
    part: &Part,
    line: &mut Line,
    aftermath: &Aftermath,
    measures: &mut Measures,
) -> Result<Answer, Failure> {
    loop {
        let outcome = line.exchange(job, part, measures).await;
        let wait = retry::wait(&outcome, measures.retries)
            .filter(|wait| measures.retries < aftermath.retries && retry::is_in_time(*wait, job.deadline));
        let Some(wait) = wait else { return outcome };
        measures.retries += 1;
        if !aftermath.silent {
            let why = match &outcome {
                Ok(answer) => answer.error.clone().unwrap_or_else(|| answer.code.clone()),
                Err(failure) => failure.to_string(),
            };
            let left = aftermath.retries - measures.retries;
            output::message(&format!("{why}; asked again in {:.0} s, {left} left", wait.as_secs_f64()));
        }
        tokio::time::sleep(wait).await;
    }
}

/// Writes an answer where it is wanted. An answer that is an error is a failure, too.
fn write(answer: &Answer, part: &Part, aftermath: &Aftermath) -> Result<(), Failure> {
    let view = View::of(&part.sink, aftermath.json, aftermath.raw);
    let head = if aftermath.include { answer.head.as_bytes() } else { &[] };
    let written = if aftermath.fail && answer.error.is_some() {
        Ok(())
    } else {
        answer.body(view).and_then(|body| part.sink.write(&[head, &body].concat()))
    };
    let Some(error) = &answer.error else { return written };
    // The status is that of the answer; what else went wrong is told before it.
    if let Some(message) = written.err().and_then(|failure| failure.message) {
        output::message(&message);
    }
    Err(Failure::new(Exit::ErrorCode, format!("the server answered {error}")))
}

fn prepare(arguments: CoapArgs) -> Result<(Job, Vec<Part>), Failure> {
    let destinations = arguments.urls.destinations()?;
    let outputs = arguments.output.iter().map(|path| Some(path.as_os_str()));
    if outputs.len() > destinations.len() {
        return Err(Failure::new(Exit::Usage, "there are more -o than URLs"));
    }
    let parts = destinations
        .iter()
        .zip(outputs.chain(std::iter::repeat(None::<&OsStr>)))
        .map(|(destination, output)| Part { target: destination.target.clone(), sink: Sink::parse(output) })
        .collect();
    let destination =
        destinations.into_iter().next().ok_or_else(|| Failure::new(Exit::Url, "there is no URL"))?;
    let headers = Headers::parse(&arguments.headers)?;
    let data = arguments.data.as_deref().map(|data| ("-d", Source::parse(data)));
    let data = data.or(arguments.data_raw.as_deref().map(|data| ("--data-raw", Source::Inline(data))));
    let data = data.or(arguments.json.as_deref().map(|json| ("--json", Source::parse(json))));
    let given = match (arguments.json.is_some(), arguments.as_is) {
        (true, _) => Given::Json,
        (_, true) => Given::AsIs,
        _ if io::stdout().is_terminal() => Given::Typed,
        _ => Given::Piped,
    };
    let to_send = |(flag, data): (&str, Source<'_>)| {
        let name = match data {
            Source::Inline(_) => format!("the argument of {flag}"),
            _ => data.to_string(),
        };
        body::to_send(given, data.read(MAX_DATA)?, &name, &headers)
    };
    let body = data.map(to_send).transpose()?;
    let family = match (arguments.ipv4, arguments.ipv6) {
        (true, _) => Family::Ipv4,
        (_, true) => Family::Ipv6,
        _ => Family::Any,
    };
    let job = Job {
        destination,
        addresses: Choice { family, fixed: arguments.resolve },
        method: arguments.method.unwrap_or(if body.is_some() { Method::Post } else { Method::Get }),
        headers,
        body,
        verification: trust::verification(arguments.insecure, arguments.cacert)?,
        verbose: Verbose::new(arguments.verbose),
        connect_timeout: arguments.connect_timeout,
        deadline: arguments.max_time.map(|time| Instant::now() + time),
    };
    Ok((job, parts))
}
