//! What the server says over HTTPS and over CoAP, and whether that agrees.

use super::check::{Check, Report};
use super::dial::{Line, too_late};
use crate::coap::answer::{Answer, View};
use crate::coap::url::Destination;
use crate::coap::write_out::Measures;
use crate::coap::{Job, Part, dtls, http};
use crate::exit::{Exit, Failure};
use crate::output::Sink;
use crate::words::counted;
use lowband_client::{Limits, Request};
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const VERSIONS: &str = "/_matrix/client/versions";
const WELL_KNOWN: &str = "/.well-known/matrix/client";
/// The list of resources that a sidecar answers by itself (RFC 6690), of several blocks.
const RESOURCES: &str = "/.well-known/core";
/// Answers that the round trip is measured by.
const ROUNDS: usize = 5;

/// What /versions says.
struct Versions {
    versions: BTreeSet<String>,
    /// The UDP port that is advertised.
    port: Option<u64>,
}

/// What /versions says on both ways; `None` where there was no answer to read.
#[derive(Default)]
pub(crate) struct Ways {
    https: Option<Versions>,
    coap: Option<Versions>,
}

impl Ways {
    pub(crate) fn https_answers(&self) -> bool {
        self.https.is_some()
    }

    pub(crate) fn advertised_over_https(&self) -> Option<u64> {
        self.https.as_ref()?.port
    }
}

/// Returns what the way over TCP is called, as a check and in a sentence.
pub(crate) fn over_tcp(job: &Job) -> (&'static str, &'static str) {
    if job.destination.clear_text { ("http", "HTTP") } else { ("https", "HTTPS") }
}

/// Asks over HTTPS, which clients fall back to.
pub(crate) async fn over_https(job: &Job, ways: &mut Ways, report: &mut Report) -> Result<(), Failure> {
    let (name, way) = over_tcp(job);
    let begin = Instant::now();
    let answer = ask_https(job, VERSIONS).await;
    let status = answer.as_ref().map_or(0, |answer| answer.http_code);
    let outcome = answer.and_then(|answer| versions(&answer));
    let authority = &job.destination.authority;
    report.add(match outcome {
        Ok(found) => {
            let text =
                format!("{way} at {authority} answers in {} ms, {}", milliseconds(begin), found.in_words());
            let check = found.with_facts(Check::ok(name, text));
            ways.https = Some(found);
            check
        }
        Err(failure) => {
            let failure = placed(way, job, &failure);
            let check = Check::failed(name, &failure);
            match cure_of_https(failure.exit, status) {
                Some(cure) => check.cure(cure),
                None => check,
            }
        }
    })
}

/// Says where a failure was, if it does not say that by itself.
fn placed(way: &str, job: &Job, failure: &Failure) -> Failure {
    let (Destination { host, port, authority, .. }, told) = (&job.destination, failure.to_string());
    let place = if told.contains(authority.as_str()) {
        way.to_owned()
    } else if told.split_whitespace().any(|word| word == host) {
        format!("{way} on port {port}")
    } else {
        format!("{way} at {authority}")
    };
    Failure::new(failure.exit, format!("{place}: {told}"))
}

/// Says what to do about a failure over HTTPS, which may have come with an answer of this status.
fn cure_of_https(exit: Exit, status: u16) -> Option<&'static str> {
    match (exit, status) {
        (_, 502..=504) => Some(
            "A proxy answers, and not the homeserver behind it: see that this is up, and the proxy's upstream",
        ),
        (Exit::Connect | Exit::Timeout, _) => Some(
            "Clients fall back to it where UDP is blocked: serve it there, or name its port by --https-port",
        ),
        // The failure says what to do by itself.
        (Exit::Certificate, _) => None,
        _ => Some("See that this port is the homeserver's, or name that by --https-port"),
    }
}

/// Makes the check of what only a session shows, where no address gave one.
fn without_session(name: &'static str) -> Check {
    Check::unseen(name, "no session")
}

/// Asks over CoAP.
pub(crate) async fn over_coap(
    job: &Job,
    line: Option<&Line>,
    ways: &mut Ways,
    report: &mut Report,
) -> Result<(), Failure> {
    const NAME: &str = "coap";
    let Some(line) = line else { return report.add(without_session(NAME)) };
    let begin = Instant::now();
    report.add(match ask_coap(job, line, VERSIONS).await.and_then(|answer| versions(&answer)) {
        Ok(found) => {
            let text = format!("{VERSIONS} answered in {} ms, {}", milliseconds(begin), found.in_words());
            let check = found.with_facts(Check::ok(NAME, text));
            ways.coap = Some(found);
            check
        }
        Err(failure) => Check::failed(NAME, &failure).cure(
            "The sidecar was reached: see its log, and whether Envoy and the homeserver behind it are up",
        ),
    })
}

/// Compares the two ways with each other and with the port that was dialled.
pub(crate) fn compare(job: &Job, ways: &Ways, report: &mut Report) -> Result<(), Failure> {
    const NAME: &str = "agreement";
    let port = job.destination.port;
    let differs = |text: String| Check::failed(NAME, &Failure::new(Exit::Disagrees, text));
    let (Some(one), other) = (ways.https.as_ref().or(ways.coap.as_ref()), ways.coap.as_ref()) else {
        return report.add(Check::unseen(NAME, "neither way gave an answer to compare"));
    };
    if let Some(other) = other {
        if one.versions != other.versions {
            let lone: Vec<&str> =
                one.versions.symmetric_difference(&other.versions).map(String::as_str).collect();
            let check = differs(format!("CoAP and HTTPS differ on versions: {}", lone.join(", ")));
            return report
                .add(check.cure("They lead to different homeservers: compare the upstreams of both"));
        }
        if one.port != other.port {
            let text =
                format!("UDP port {} over HTTPS, {} over CoAP", in_words(one.port), in_words(other.port));
            return report
                .add(differs(text).cure("Give the filters of both listeners the same advertise.dtls_port"));
        }
    }
    let seen =
        if ways.https.is_some() && ways.coap.is_some() { "both ways agree" } else { "one way answered" };
    report.add(match one.port {
        None => Check::warn(NAME, format!("{seen}, and no UDP port is advertised"))
            .cure(format!("Clients that look for it stay on HTTPS: set advertise.dtls_port: {port}")),
        Some(advertised) if advertised != u64::from(port) => {
            differs(format!("UDP port {advertised} is advertised, and {port} was dialled")).cure(format!(
                "Set advertise.dtls_port to {port} if clients are to use that, else ask for {advertised}"
            ))
        }
        Some(advertised) => Check::ok(NAME, format!("{seen}, UDP port {advertised} is advertised")),
    })
}

/// Looks at what leads clients here.
pub(crate) async fn well_known(
    coap: &Job,
    https: &Job,
    line: Option<&Line>,
    ways: &Ways,
    report: &mut Report,
) -> Result<(), Failure> {
    const NAME: &str = "well-known";
    let outcome = match line {
        _ if ways.https.is_some() => ask_https(https, WELL_KNOWN).await,
        Some(line) => ask_coap(coap, line, WELL_KNOWN).await,
        None => return report.add(without_session(NAME)),
    };
    let answer = match outcome {
        Ok(answer) if answer.http_code < 500 => answer,
        // Whether there is a document cannot be told, so none is asked for.
        Ok(answer) => {
            let error = answer.error.unwrap_or(answer.code);
            return report.add(Check::unseen(NAME, format!("the server answered {error}")));
        }
        Err(failure) => return report.add(Check::unseen(NAME, failure.to_string())),
    };
    report.add(match base_url(&answer) {
        Ok(Some(base)) => {
            let text = format!("base_url is {base}");
            let check = if leads_to(&base, https) {
                Check::ok(NAME, text)
            } else {
                Check::warn(NAME, format!("{text}, which is not {}", https.destination.authority)).cure(
                    "Clients that begin here go there: ask for that one too, or set what is told, by \
                         --base-url of lowband-sidecar render-envoy, or without Envoy by --advertise",
                )
            };
            check.fact("base_url", base)
        }
        Ok(None) => Check::unseen(NAME, "none here; clients that are given this URL need none"),
        Err(failure) => Check::warn(NAME, failure.to_string())
            .cure("Serve {\"m.homeserver\":{\"base_url\":\"https://...\"}}, or nothing with 404"),
    })
}

/// Returns the base_url of the document; `None` where there is no document.
fn base_url(answer: &Answer) -> Result<Option<String>, Failure> {
    if answer.http_code == 404 {
        return Ok(None);
    }
    let document = document(answer)?;
    match document.pointer("/m.homeserver/base_url").and_then(Value::as_str) {
        Some(base) => Ok(Some(base.to_owned())),
        None => Err(Failure::new(Exit::Transfer, format!("{WELL_KNOWN} names no base_url"))),
    }
}

fn leads_to(base: &str, job: &Job) -> bool {
    let Ok(url) = ::url::Url::parse(base) else { return false };
    let host = url.host_str().map(|host| host.trim_matches(['[', ']']));
    host == Some(job.destination.host.as_str()) && url.port_or_known_default() == Some(job.destination.port)
}

/// Looks for an answer of several blocks: the path may let small datagrams through and not large ones.
pub(crate) async fn large(job: &Job, line: Option<&Line>, report: &mut Report) -> Result<(), Failure> {
    const NAME: &str = "large";
    let Some(line) = line else { return report.add(without_session(NAME)) };
    if line.connection.path().blocks == 0 {
        // A server that has no such list answers with an error, which is as good a sign that it is there.
        if let Err(failure) = ask_coap(job, line, RESOURCES).await {
            let cure = "Small answers come and this one does not: large datagrams may be lost on the way";
            return report.add(Check::failed(NAME, &failure).cure(cure));
        }
    }
    let path = line.connection.path();
    let (largest, block) = {
        let seen = line.seen();
        (seen.largest, seen.largest_payload)
    };
    if path.blocks == 0 {
        let text =
            format!("no answer had more than a block; the largest datagram had {}", counted(largest, "byte"));
        return report.add(Check::unseen(NAME, text).fact("largest_datagram", largest));
    }
    let again =
        if path.blocks_again == 0 { String::new() } else { format!(", {} of them again", path.blocks_again) };
    let window = path.window.map(|blocks| format!(", window {blocks}")).unwrap_or_default();
    let text = format!(
        "{} after the first{again}{window}; the largest datagram had {}",
        counted(path.blocks, "more block"),
        counted(largest, "byte")
    );
    let check = if block < Limits::default().block_size.bytes() {
        Check::warn(NAME, format!("{text}, and no block had more than {block}")).cure(
            "Either large datagrams are lost, which works and costs: look for a small MTU, and for ICMP that is \
             dropped; or the server is set to small blocks",
        )
    } else {
        Check::ok(NAME, text)
    };
    report.add(check.fact("blocks", path.blocks).fact("largest_datagram", largest))
}

/// Measures round trips, and counts what had to be sent again on the whole session.
pub(crate) async fn round_trips(job: &Job, line: Option<&Line>, report: &mut Report) -> Result<(), Failure> {
    const NAME: &str = "round trip";
    let Some(line) = line else { return report.add(without_session(NAME)) };
    let mut times: Vec<Duration> = Vec::new();
    let mut errors: Vec<String> = Vec::new();
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        match ask_coap(job, line, VERSIONS).await {
            Ok(answer) => {
                times.push(begin.elapsed());
                errors.extend(answer.error.filter(|_| answer.http_code >= 500));
            }
            Err(failure) => {
                let cure =
                    "The session worked at first: see whether the path is lossy, and the sidecar's log";
                return report.add(Check::failed(NAME, &failure).cure(cure));
            }
        }
    }
    let milliseconds = |time: Option<Duration>| time.unwrap_or_default().as_secs_f64() * 1000.0;
    let (least, most) = (times.iter().min().copied(), times.iter().max().copied());
    let measured = line.connection.path().round_trip;
    let (messages, again) = line.seen().messages();
    let round_trip =
        measured.map(|time| format!(", round trip {:.1} ms", milliseconds(Some(time)))).unwrap_or_default();
    let text = format!(
        "{ROUNDS} answers in {:.1} to {:.1} ms each{round_trip}; {again} of {} sent again",
        milliseconds(least),
        milliseconds(most),
        counted(messages, "message")
    );
    let check = match errors.last() {
        // They come from a sidecar or a proxy, and say nothing of the way to the homeserver.
        Some(error) if errors.len() == ROUNDS => {
            Check::unseen(NAME, format!("{text}; each was an error, {error}"))
        }
        Some(error) => Check::warn(NAME, format!("{text}; {} of them an error, {error}", errors.len()))
            .cure("The homeserver answers now and then: see its log, and the sidecar's"),
        None if again == 0 => Check::ok(NAME, text),
        None => Check::warn(NAME, text)
            .cure("Datagrams are lost or late: on a radio link that is so, on a wire it is not"),
    };
    report.add(
        check
            .fact("least_ms", milliseconds(least))
            .fact("most_ms", milliseconds(most))
            .fact("round_trip_ms", measured.map(|time| milliseconds(Some(time))))
            .fact("messages", messages)
            .fact("sent_again", again),
    )
}

async fn ask_https(job: &Job, target: &str) -> Result<Answer, Failure> {
    let part = Part { target: target.to_owned(), sink: Sink::Stdout };
    let mut measures = Measures::default();
    let asking = http::exchange(job, &part, &mut measures);
    match tokio::time::timeout(job.connect_timeout, asking).await {
        Ok(outcome) => outcome,
        Err(_elapsed) => Err(too_late(target, job.connect_timeout)),
    }
}

async fn ask_coap(job: &Job, line: &Line, target: &str) -> Result<Answer, Failure> {
    let asking = line.connection.request(Request::get(target));
    match tokio::time::timeout(job.connect_timeout, asking).await {
        Ok(outcome) => outcome.map(dtls::answer).map_err(|error| dtls::failure(&error, None)),
        Err(_elapsed) => Err(too_late(target, job.connect_timeout)),
    }
}

/// Returns what an answer holds, from CBOR or JSON.
fn document(answer: &Answer) -> Result<Value, Failure> {
    if let Some(error) = &answer.error {
        return Err(Failure::new(Exit::ErrorCode, format!("the server answered {error}")));
    }
    serde_json::from_slice(&answer.body(View::Json)?).map_err(|_| {
        let what = answer.form.name();
        Failure::new(
            Exit::Transfer,
            format!("the answer is neither CBOR nor JSON, but {what:?}: not a homeserver"),
        )
    })
}

fn versions(answer: &Answer) -> Result<Versions, Failure> {
    let document = document(answer)?;
    let Some(versions) = document.get("versions").and_then(Value::as_array) else {
        return Err(Failure::new(Exit::Transfer, "the answer has no \"versions\": not a homeserver"));
    };
    let entry =
        ["org.matrix.msc3079.low_bandwidth", "m.low_bandwidth"].iter().find_map(|key| document.get(key));
    Ok(Versions {
        versions: versions.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        port: entry.and_then(|entry| entry.get("dtls")?.as_u64()),
    })
}

impl Versions {
    fn in_words(&self) -> String {
        format!("{} of Matrix", counted(self.versions.len(), "version"))
    }

    fn with_facts(&self, check: Check) -> Check {
        let versions: Vec<&str> = self.versions.iter().map(String::as_str).collect();
        check.fact("versions", versions).fact("advertised_port", self.port)
    }
}

fn in_words(port: Option<u64>) -> String {
    port.map_or_else(|| "none".into(), |port| port.to_string())
}

fn milliseconds(since: Instant) -> u128 {
    since.elapsed().as_millis()
}
