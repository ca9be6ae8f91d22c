//! `lowband coap`: one request to a low-bandwidth server, as curl would make it.
//!
//! ```text
//! arguments -> url, header, body -> dtls (or http with --http) -> answer -> stdout or FILE, exit status
//! ```
//!
//! Absent on purpose: redirects, cookies and proxies.

mod answer;
mod bars;
mod body;
mod dial;
mod dtls;
mod header;
mod http;
mod times;
mod trust;
mod url;
mod verbose;

use super::exit::{Exit, Failure};
use super::input::Source;
use super::output::{self, Sink};
use answer::View;
use body::Given;
use header::Headers;
use lowband_client::{Method, Verification};
use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use times::Tuning;
use url::Destination;
use verbose::Verbose;

/// Most bytes that are read for -d. Servers refuse far less: 8 MiB by default.
const MAX_DATA: usize = 64 << 20;

/// Make one request over CoAP and DTLS, and write the body of the answer to stdout.
///
/// With stdout on a terminal, bodies are JSON on this side and CBOR on the wire: JSON of -d goes out as CBOR, and
/// the answer is shown as JSON. Into a pipe or a file everything goes as it came, unless --json asks for JSON.
///
/// The URL's host and port are dialled by DTLS over UDP, whether it says coaps, https, http or no scheme at
/// all; without a port it is 8008. `coap://` (clear text) is refused.
#[derive(Debug, clap::Args)]
#[command(after_long_help = after_help())]
pub(crate) struct CoapArgs {
    /// `coaps://HOST[:PORT]/PATH[?QUERY]`; paths of MSC3079's table are sent as their one-character codes
    #[arg(value_name = "URL")]
    url: String,
    /// GET, POST, PUT or DELETE [default: GET, with -d POST]
    #[arg(short = 'X', long = "request", value_name = "METHOD", value_parser = parse_method)]
    method: Option<Method>,
    /// The body: DATA itself, `@FILE`, or `-` for stdin; sent as it is, and labelled CBOR unless
    /// -H says otherwise. With stdout on a terminal, JSON is sent as CBOR
    #[arg(short, long, visible_alias = "data-binary", value_name = "DATA", allow_hyphen_values = true)]
    data: Option<OsString>,
    /// The body, in which `@` and `-` mean nothing
    #[arg(long, value_name = "DATA", allow_hyphen_values = true, conflicts_with = "data")]
    data_raw: Option<OsString>,
    /// The body as -d takes it, in JSON: it is sent as CBOR with the integer keys of Matrix, and the answer is
    /// written as JSON, an error's too. -H with another Content-Type sends it as it stands
    #[arg(long, value_name = "BODY", allow_hyphen_values = true, conflicts_with_all = ["data", "data_raw"])]
    json: Option<OsString>,
    /// Send the body as it stands, also if it is JSON and stdout a terminal
    #[arg(long, conflicts_with = "json")]
    as_is: bool,
    /// Write the bytes of the answer, also to a terminal and with --json
    #[arg(short, long)]
    raw: bool,
    /// `Authorization`, `Content-Type` or `Accept`, the headers that CoAP can carry; `@FILE` reads them
    /// from a file, one a line. Of the types that Accept lists the most wanted is asked for that CoAP has
    /// a number for
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// Do not verify the server's certificate
    #[arg(short = 'k', long)]
    insecure: bool,
    /// Trust the CA certificates of this PEM file instead of the system's
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,
    /// Write no body when the server answers with an error
    #[arg(short, long)]
    fail: bool,
    /// Show no progress. Else stderr has a bar for bodies that take their time, if it is a terminal
    /// and nothing else goes there
    #[arg(short, long)]
    silent: bool,
    /// Accepted for compatibility with curl; has no effect
    #[arg(short = 'S', long)]
    show_error: bool,
    /// Accepted for compatibility with curl; CoAP has no redirections
    #[arg(short = 'L', long, conflicts_with = "http")]
    location: bool,
    /// Write code and options before the body
    #[arg(short, long)]
    include: bool,
    /// Print the traffic to stderr, without the access token; at the end what the path was like, and the time
    /// from the request to the whole answer
    #[arg(short, long)]
    verbose: bool,
    /// Write to FILE, which is there whole or not at all; `-` is stdout
    #[arg(short, long, value_name = "FILE", allow_hyphen_values = true)]
    output: Option<OsString>,
    /// Give up when no connection has come about, over all addresses of the host together
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = parse_seconds)]
    connect_timeout: Duration,
    /// Give up when all together takes longer
    #[arg(short, long, value_name = "SECONDS", value_parser = parse_seconds)]
    max_time: Option<Duration>,
    /// Send the whole path instead of its one-character code
    #[arg(long)]
    no_path_codes: bool,
    /// End with an error when the session ends, or the server is silent, before the answer has come. Else a
    /// new session is begun and GET, PUT and DELETE are made again on it, for two minutes at most
    #[arg(long, conflicts_with = "http")]
    no_redial: bool,
    /// Most blocks of bodies on their way at once, 1 to 64; 1 sends one after the other. How many are, the
    /// measured delay decides [default: 64]
    #[arg(long, value_name = "BLOCKS", value_parser = clap::value_parser!(u32).range(1..=64), conflicts_with = "http")]
    window: Option<u32>,
    /// Parameters of RFC 7252 section 4.8, times in seconds: `ACK_TIMEOUT=2,NSTART=8`, and
    /// ACK_RANDOM_FACTOR, MAX_RETRANSMIT, PROBING_RATE, EXCHANGE_LIFETIME. `rfc7252` before them takes the
    /// values of the RFC, and does not measure the round trip; -v tells what follows from them
    #[arg(long, value_name = "LIST", value_parser = times::parse, conflicts_with = "http")]
    times: Option<Tuning>,
    /// Announce this key table version (option 257). Servers other than low-bandwidth ones refuse the option
    #[arg(long, value_name = "VERSION", conflicts_with = "http")]
    cbor_version: Option<u32>,
    /// Speak HTTPS with CBOR to the same host and port instead of CoAP; HTTP to an http:// URL
    #[arg(long)]
    http: bool,
}

fn after_help() -> String {
    format!(
        r#"Examples:
  lowband coap -k coaps://localhost/_matrix/client/versions
  lowband coap -X PUT --json '{{"msgtype":"m.text","body":"Hello World"}}' --cacert ca.pem -H @token.txt \
    'coaps://matrix.example.org/_matrix/client/r0/rooms/!room:example.org/send/m.room.message/1'
  lowband coap coaps://matrix.example.org/_matrix/client/versions | lowband jc -c2j
  lowband coap -i -H 'Accept: application/json' coaps://matrix.example.org/_matrix/client/versions

With SSLKEYLOGFILE set, the secrets of the session are appended to that file, for Wireshark. The session then takes AES-GCM,
8 bytes more a record, because Wireshark cannot read ChaCha20-Poly1305 in DTLS.

{}"#,
        Exit::help_of_coap()
    )
}

/// A request, ready to be sent by either protocol.
struct Job {
    destination: Destination,
    method: Method,
    headers: Headers,
    body: Option<Vec<u8>>,
    verification: Verification,
    verbose: Verbose,
    /// Time for all addresses of the host together.
    connect_timeout: Duration,
    /// When the whole command must be over. `None`: no limit.
    deadline: Option<Instant>,
}

pub(crate) fn run(mut arguments: CoapArgs) -> Result<(), Failure> {
    let (include, fail) = (arguments.include, arguments.fail);
    let sink = Sink::parse(arguments.output.as_deref());
    let view = View::of(&sink, arguments.json.is_some(), arguments.raw);
    let use_http = arguments.http;
    let settings = dtls::Choices {
        path_codes: !arguments.no_path_codes,
        cbor_version: arguments.cbor_version,
        redial: !arguments.no_redial,
        window: arguments.window,
        tuning: arguments.times.take(),
        // With -v each datagram has a line on stderr already.
        bar: (!arguments.silent && !arguments.verbose).then(|| sink.clone()),
    };
    let job = prepare(arguments)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Connect, format!("no runtime: {error}")))?;
    let outcome = runtime.block_on(async {
        if use_http { http::exchange(job).await } else { dtls::exchange(job, settings).await }
    });
    // A name that is still being resolved after its time is not waited for.
    runtime.shutdown_background();
    let answer = outcome?;
    let head = if include { answer.head.as_bytes() } else { &[] };
    let written = if fail && answer.error.is_some() {
        Ok(())
    } else {
        answer.body(view).and_then(|body| sink.write(&[head, &body].concat()))
    };
    match (&answer.error, written) {
        (None, written) => written,
        (Some(error), written) => {
            // The status is that of the answer; what else went wrong is told before it.
            written
                .err()
                .and_then(|failure| failure.message)
                .iter()
                .for_each(|message| output::message(message));
            Err(Failure::new(Exit::ErrorCode, format!("the server answered {error}")))
        }
    }
}

fn prepare(arguments: CoapArgs) -> Result<Job, Failure> {
    let destination = url::parse(&arguments.url)?;
    let headers = Headers::parse(&arguments.headers)?;
    let data = arguments.data.as_deref().or(arguments.json.as_deref()).map(Source::parse);
    let data = data.or(arguments.data_raw.as_deref().map(Source::Inline));
    let given = match (arguments.json.is_some(), arguments.as_is) {
        (true, _) => Given::Json,
        (_, true) => Given::AsIs,
        _ if io::stdout().is_terminal() => Given::Typed,
        _ => Given::Piped,
    };
    let to_send = |data: Source<'_>| body::to_send(given, data.read(MAX_DATA)?, &data.to_string(), &headers);
    let body = data.map(to_send).transpose()?;
    Ok(Job {
        destination,
        method: arguments.method.unwrap_or(if body.is_some() { Method::Post } else { Method::Get }),
        headers,
        body,
        verification: trust::verification(arguments.insecure, arguments.cacert)?,
        verbose: Verbose::new(arguments.verbose),
        connect_timeout: arguments.connect_timeout,
        deadline: arguments.max_time.map(|time| Instant::now() + time),
    })
}

fn parse_method(text: &str) -> Result<Method, String> {
    Method::from_name(text).ok_or_else(|| "the methods are GET, POST, PUT and DELETE".into())
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    match Duration::try_from_secs_f64(seconds) {
        // A year bounds the time, so that adding it to the present cannot overflow.
        Ok(time) if !time.is_zero() && time <= Duration::from_secs(365 * 24 * 3600) => Ok(time),
        _ => Err("must be more than 0 and at most a year".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_known_in_any_case() {
        assert_eq!(parse_method("put"), Ok(Method::Put));
        assert_eq!(parse_method("DELETE"), Ok(Method::Delete));
        assert!(parse_method("PATCH").is_err());
    }

    #[test]
    fn times_are_positive_and_bounded() {
        assert_eq!(parse_seconds("1.5"), Ok(Duration::from_millis(1500)));
        for wrong in ["0", "-1", "NaN", "inf", "1e300", "", "5s"] {
            assert!(parse_seconds(wrong).is_err(), "{wrong}");
        }
    }
}
