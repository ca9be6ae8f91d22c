//! The request over CoAP and DTLS, by the library.

use super::answer::{Answer, Form, in_http};
use super::bars::Bars;
use super::dial::{NotThis, each_address, in_time};
use super::header::CoapHeaders;
use super::times::Tuning;
use super::verbose::without_secrets;
use super::write_out::Measures;
use super::{Job, Part, trust};
use crate::exit::{Exit, Failure};
use crate::output;
use lowband_client::trace::Traffic;
use lowband_client::{
    ConnectOptions, Error, LastingConnection, Limits, PathReport, Redial, Request, Response, Settings,
    TargetError, Times,
};
use lowband_wire::coap::content_format;
use std::fmt::Write;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The version of the key table by which JSON becomes CBOR here.
const KEY_TABLE: u32 = 1;

/// Settings that only CoAP has.
#[derive(Clone, Debug)]
pub(crate) struct Choices {
    pub(crate) path_codes: bool,
    pub(crate) cbor_version: Option<u32>,
    pub(crate) redial: bool,
    /// Most blocks on their way at once; `None` for the default.
    pub(crate) window: Option<u32>,
    pub(crate) tuning: Option<Tuning>,
    /// Whether a bar may show how far bodies are.
    pub(crate) bar: bool,
}

/// A session, or none as yet.
pub(super) struct Line {
    choices: Choices,
    headers: CoapHeaders,
    connection: Option<LastingConnection>,
    /// What was there before the exchange that is next.
    before: (Traffic, PathReport),
}

impl Line {
    pub(super) fn new(choices: Choices, job: &Job) -> Result<Line, Failure> {
        let headers = job.headers.to_coap(job.body.is_some())?;
        headers.warnings.iter().for_each(|warning| output::message(warning));
        if let Some(version) = choices.cbor_version.filter(|version| *version != KEY_TABLE) {
            output::message(&format!(
                "warning: key table version {version} is announced, but {KEY_TABLE} is the only one that this \
                 program reads and writes"
            ));
        }
        if let Some(tuning) = &choices.tuning {
            job.verbose.note(tuning.times.derived());
        }
        Ok(Line { choices, headers, connection: None, before: Default::default() })
    }

    pub(super) async fn exchange(
        &mut self,
        job: &Job,
        part: &Part,
        measures: &mut Measures,
    ) -> Result<Answer, Failure> {
        let connection = match &self.connection {
            Some(connection) => connection.clone(),
            None => {
                let begin = Instant::now();
                let choices = &self.choices;
                let dial = async |server, time| connect(job, choices, server, time).await;
                let connection = each_address(job, dial).await?;
                measures.connect = begin.elapsed();
                self.connection.insert(connection).clone()
            }
        };
        let request = Request {
            method: job.method,
            target: part.target.clone(),
            access_token: self.headers.access_token.clone(),
            content_format: self.headers.content_format,
            accept: self.headers.accept,
            body: job.body.clone().unwrap_or_default(),
        };
        let first = format!("{} {}", request.method.name(), without_secrets(&request.target));
        job.verbose.request(first, job.headers.iter(), request.body.len());
        let mut bars = Bars::new(self.choices.bar.then(|| part.sink.clone()));
        let begin = Instant::now();
        let requesting = connection.request_with_progress(request, |step| bars.see(step));
        let outcome = in_time(job.deadline, requesting).await;
        measures.answered = begin.elapsed();
        drop(bars);
        self.measure(&connection, measures);
        Ok(answer(outcome?.map_err(|error| failure(&error, None))?))
    }

    /// Counts what has come and gone since the last exchange.
    fn measure(&mut self, connection: &LastingConnection, measures: &mut Measures) {
        let (traffic, path) = (connection.traffic(), connection.path());
        let (before, path_before) = std::mem::replace(&mut self.before, (traffic, path));
        measures.traffic = measures.traffic
            + Traffic {
                datagrams_out: traffic.datagrams_out.saturating_sub(before.datagrams_out),
                bytes_out: traffic.bytes_out.saturating_sub(before.bytes_out),
                datagrams_in: traffic.datagrams_in.saturating_sub(before.datagrams_in),
                bytes_in: traffic.bytes_in.saturating_sub(before.bytes_in),
            };
        let counts = measures.path;
        measures.path = path;
        // A new session counts from the beginning.
        let since = |now: u64, before: u64| now.checked_sub(before).unwrap_or(now);
        measures.path.blocks = counts.blocks + since(path.blocks, path_before.blocks);
        measures.path.blocks_again = counts.blocks_again + since(path.blocks_again, path_before.blocks_again);
        measures.path.lists = counts.lists + since(path.lists, path_before.lists);
    }

    pub(super) fn is_down(&self) -> bool {
        self.connection.is_none()
    }

    pub(super) async fn report(&mut self, job: &Job, mut measures: Measures, is_last: bool) {
        let Some(connection) = self.connection.clone() else { return };
        if is_last {
            self.close().await;
            self.measure(&connection, &mut measures);
        }
        job.verbose.traffic(measures.traffic);
        job.verbose.path(measures.path);
    }

    pub(super) async fn close(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.close().await;
        }
    }
}

async fn connect(
    job: &Job,
    choices: &Choices,
    server: SocketAddr,
    time: Duration,
) -> Result<LastingConnection, NotThis> {
    let options = ConnectOptions {
        server,
        server_name: job.destination.host.clone(),
        verification: job.verification.clone(),
        connect_timeout: time,
    };
    let mut limits = Limits::default();
    limits.body_window = choices.window.unwrap_or(limits.body_window);
    limits.window = choices.tuning.as_ref().and_then(|tuning| tuning.nstart).unwrap_or(limits.window);
    let times = choices.tuning.as_ref().map_or_else(Times::measured, |tuning| tuning.times.clone());
    let settings = Settings {
        times,
        limits,
        path_codes: choices.path_codes,
        cbor_version: choices.cbor_version,
        tracer: job.verbose.tracer(),
        ..Settings::from_environment()
    };
    // A 5.03 is an answer, which the user of a command wants to see at once.
    let redial =
        if choices.redial { Redial { unavailable: 0, ..Redial::default() } } else { Redial::never() };
    LastingConnection::connect_with(options, settings, redial).await.map_err(|error| {
        let failure = not_connected(&error, &job.destination.host, server);
        match error {
            Error::ConnectTimeout(_) | Error::Refused(_) | Error::Socket(_) => NotThis::Next(failure),
            _ => NotThis::Never(failure),
        }
    })
}

/// Makes the failure of a connection that did not come about.
pub(crate) fn not_connected(error: &Error, host: &str, server: SocketAddr) -> Failure {
    match error {
        Error::Certificate(why) => trust::not_trusted(host, *why),
        _ => failure(error, Some(server)),
    }
}

pub(crate) fn failure(error: &Error, server: Option<SocketAddr>) -> Failure {
    let exit = match error {
        Error::ConnectTimeout(_) | Error::Timeout => Exit::Timeout,
        Error::Refused(_) | Error::Socket(_) => Exit::Connect,
        Error::Handshake(_) | Error::Unavailable => Exit::Handshake,
        Error::Target(_) | Error::Unsendable(_) => Exit::Url,
        Error::AccessToken(_) => Exit::Usage,
        Error::Setup(_) | Error::Randomness(_) | Error::KeyLog { .. } => Exit::CaFile,
        _ => Exit::Transfer,
    };
    let text = match (error, server) {
        (Error::ConnectTimeout(time), Some(server)) => format!(
            "no answer from {server} within {time:.1?}: is there a DTLS server on that UDP port, and no firewall on the way?"
        ),
        (Error::Target(TargetError::LooksLikeCode(_)), _) => {
            format!("{error}; if that is what you want, --no-path-codes sends it as it stands")
        }
        (Error::Socket(_), Some(server)) => format!("{server}: {error}"),
        _ => error.to_string(),
    };
    Failure::new(exit, text)
}

pub(crate) fn answer(response: Response) -> Answer {
    let status = response.code.with_reason();
    let mut head = format!("{status}\n");
    if let Some(number) = response.content_format {
        let name = content_format::media_type(number).map(|name| format!(" ({name})")).unwrap_or_default();
        let _infallible = writeln!(head, "Content-Format: {number}{name}");
    }
    if let Some(seconds) = response.max_age {
        let _infallible = writeln!(head, "Max-Age: {seconds}");
    }
    head.push('\n');
    Answer {
        head,
        error: (response.code.class() >= 4).then_some(status),
        code: response.code.to_string(),
        http_code: in_http(response.code),
        ask_again: response.max_age.map(|seconds| Duration::from_secs(seconds.into())),
        form: Form::of_number(response.content_format),
        body: response.body,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowband_client::{Code, Unsendable};

    #[test]
    fn what_fits_into_no_message_is_the_fault_of_the_url() {
        let found = failure(&Error::Unsendable(Unsendable::Message { most: 16_384 }), None);
        assert_eq!(found.exit, Exit::Url);
        let message = found.message.unwrap();
        assert!(message.contains("path, query and access token do not fit"), "{message}");
    }

    #[test]
    fn codes_from_4_00_on_are_errors_and_options_are_shown() {
        let response =
            |code, content_format, max_age| Response { code, content_format, max_age, body: b"x".to_vec() };
        let found = answer(response(Code::new(2, 5), Some(60), None));
        assert_eq!(found.head, "2.05 Content\nContent-Format: 60 (application/cbor)\n\n");
        assert_eq!(found.error, None);
        let found = answer(response(Code::new(4, 29), Some(112), Some(7)));
        assert_eq!(found.head, "4.29 Too Many Requests\nContent-Format: 112\nMax-Age: 7\n\n");
        assert_eq!(found.error.as_deref(), Some("4.29 Too Many Requests"));
        assert_eq!(found.body, b"x");
        for (class, is_error) in [(2, false), (3, false), (4, true), (5, true)] {
            assert_eq!(answer(response(Code::new(class, 0), None, None)).error.is_some(), is_error);
        }
    }
}
