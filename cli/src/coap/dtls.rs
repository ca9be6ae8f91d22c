//! The request over CoAP and DTLS, by the library.

use super::answer::{Answer, Form};
use super::bars::Bars;
use super::dial::{NotThis, each_address, in_time};
use super::times::Tuning;
use super::verbose::without_secrets;
use super::{Job, trust};
use crate::exit::{Exit, Failure};
use crate::output::{self, Sink};
use lowband_client::{
    ConnectOptions, Error, LastingConnection, Limits, Redial, Request, Response, Settings, TargetError, Times,
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
    /// Where the answer goes, if a bar is to show how far it is.
    pub(crate) bar: Option<Sink>,
}

pub(crate) async fn exchange(mut job: Job, choices: Choices) -> Result<Answer, Failure> {
    let headers = job.headers.to_coap(job.body.is_some())?;
    headers.warnings.iter().for_each(|warning| output::message(warning));
    let request = Request {
        method: job.method,
        target: job.destination.target.clone(),
        access_token: headers.access_token,
        content_format: headers.content_format,
        accept: headers.accept,
        body: job.body.take().unwrap_or_default(),
    };
    if let Some(version) = choices.cbor_version.filter(|version| *version != KEY_TABLE) {
        output::message(&format!(
            "warning: key table version {version} is announced, but {KEY_TABLE} is the only one that this program \
             reads and writes"
        ));
    }
    if let Some(tuning) = &choices.tuning {
        job.verbose.note(tuning.times.derived());
    }
    let connection =
        each_address(&job, async |server, time| connect(&job, &choices, server, time).await).await?;
    let method = request.method.name();
    let first = format!("{method} {}", without_secrets(&request.target));
    job.verbose.request(first, job.headers.iter(), request.body.len());
    let mut bars = Bars::new(choices.bar);
    let begin = Instant::now();
    let requesting = connection.request_with_progress(request, |step| bars.see(step));
    let outcome = in_time(job.deadline, requesting).await;
    let took = begin.elapsed();
    drop(bars);
    let ended = connection.clone();
    connection.close().await;
    job.verbose.traffic(ended.traffic());
    job.verbose.path(ended.path());
    let response = outcome?.map_err(|error| failure(&error, None))?;
    job.verbose.answered(took);
    let answer = answer(response);
    job.verbose.answer(&answer.head, answer.body.len());
    Ok(answer)
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
        let failure = match &error {
            Error::Certificate(why) => trust::not_trusted(&job.destination.host, *why),
            _ => failure(&error, Some(server)),
        };
        match error {
            Error::ConnectTimeout(_) | Error::Refused(_) | Error::Socket(_) => NotThis::Next(failure),
            _ => NotThis::Never(failure),
        }
    })
}

fn failure(error: &Error, server: Option<SocketAddr>) -> Failure {
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

fn answer(response: Response) -> Answer {
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
