//! One function for each part of a run. Each ends its clients and leaves the sidecar as idle as it found it.

use crate::figures::{self, Figures};
use crate::{Plan, calibration};
use lowband_bench::fleet::{Fleet, Traffic};
use lowband_bench::pipeline::Pipeline;
use lowband_bench::stub;
use lowband_bench::usage::{processor_time, resident};
use lowband_e2e::tell::say;
use lowband_e2e::{Error, Result};
use lowband_transport::coap::Request;
use lowband_wire::coap::Method;
use lowband_wire::coap::content_format::CBOR;
use lowband_wire::coap::options::RequestOptions;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Access token of 40 characters, and below it a room id of 43: the figures of the reference were measured
/// with such.
const ACCESS_TOKEN: &str = "syt_YmVuY2g_aaaaaaaaaaaaaaaaaaaa_1a2B3c4";
const ROOM: &str = "!aaaaaaaaaaaaaaaaaaaaaaa:matrix.example.org";

/// The body `{"msgtype":"m.text","body":"Hello World"}` in CBOR.
const HELLO_WORLD: &[u8] = b"\xa2\x18\x1b\x6bHello World\x18\x1c\x66m.text";

/// Handshakes and PUTs under way at the same time, and sessions of the parts that want sixteen.
const AT_ONCE: usize = 16;
const CLIENTS_AT_ONCE: usize = 10;
const ROUND_TRIP: Duration = Duration::from_millis(300);
/// Time after which a line says that a long wait goes on.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// The sidecar that is measured.
#[derive(Clone, Copy)]
pub(crate) struct Subject {
    pub(crate) address: SocketAddr,
    pub(crate) pid: u32,
}

impl Subject {
    /// Returns the milliseconds of the sidecar's processor time since `begin`, for each of `count`.
    fn milliseconds_since(self, begin: Duration, count: usize) -> Result<f64> {
        Ok((processor_time(self.pid)? - begin).as_secs_f64() * 1e3 / count as f64)
    }
}

/// Measures the speed of the machine.
pub(crate) fn machine(plan: &Plan, figures: &mut Figures) -> Result<()> {
    say("calibration");
    figures.add(figures::SIGNATURES, calibration::signatures(plan.calibration)?);
    figures.add(figures::SHA256, calibration::sha256_megabytes(plan.calibration)?);
    figures.add(figures::ECHOES, calibration::echo(plan.echoes)? * stub::BLOCKS as f64);
    Ok(())
}

/// Measures what goes over the wire. The least of some tries counts: what was sent again because this machine
/// was busy does not.
pub(crate) async fn bytes(subject: Subject, figures: &mut Figures) -> Result<()> {
    const TRIES: usize = 8;
    say("bytes");
    let mut fleet = Fleet::new(subject.address, Duration::ZERO)?;
    let mut first = Vec::with_capacity(TRIES);
    let mut second = Vec::with_capacity(TRIES);
    for _ in 0..TRIES {
        fleet.take_traffic();
        let session = fleet.connect(1, 1).await?;
        fleet.ask(&session, 1, stub::SENT, |_| put_with_token()).await?;
        first.push(fleet.take_traffic());
        fleet.ask(&session, 1, stub::SENT, |_| put()).await?;
        second.push(fleet.take_traffic());
    }
    let least = |tries: &[Traffic]| {
        let least = tries.iter().min_by_key(|traffic| (traffic.datagrams, traffic.bytes)).copied();
        least.unwrap_or_default()
    };
    let (first, second) = (least(&first), least(&second));
    figures.add(figures::CONNECT_DATAGRAMS, first.datagrams as f64);
    figures.add(figures::CONNECT_BYTES, first.bytes as f64);
    figures.add(figures::PUT_DATAGRAMS, second.datagrams as f64);
    figures.add(figures::PUT_BYTES, second.bytes as f64);
    Ok(())
}

/// Measures the processor time of requests and of handshakes.
pub(crate) async fn work(plan: &Plan, subject: Subject, figures: &mut Figures) -> Result<()> {
    let mut fleet = Fleet::new(subject.address, Duration::ZERO)?;
    let sessions = fleet.connect(AT_ONCE, AT_ONCE).await?;
    // The first ones pay for the connection to the upstream and for buffers.
    fleet.ask(&sessions, 100, stub::SMALL, |_| get("0")).await?;

    say(format_args!("{} GETs", plan.gets));
    let begin = processor_time(subject.pid)?;
    fleet.ask(&sessions, plan.gets, stub::SMALL, |_| get("0")).await?;
    figures.add(figures::GET_CPU, subject.milliseconds_since(begin, plan.gets)?);

    say(format_args!("{} handshakes", plan.handshakes));
    let begin = processor_time(subject.pid)?;
    fleet.connect(plan.handshakes, AT_ONCE).await?;
    figures.add(figures::HANDSHAKE_CPU, subject.milliseconds_since(begin, plan.handshakes)?);
    Ok(())
}

/// Measures the processor time of large responses: to clients that ask for one block at a time, and to one
/// that asks for many.
pub(crate) async fn bodies(plan: &Plan, subject: Subject, figures: &mut Figures) -> Result<()> {
    let mut fleet = Fleet::new(subject.address, Duration::ZERO)?;
    let sessions = fleet.connect(AT_ONCE, AT_ONCE).await?;
    fleet.ask(&sessions, 2 * AT_ONCE, stub::LARGE, |_| get("7")).await?;
    for (row, clients) in [(figures::DOWNLOAD_CPU, 1), (figures::DOWNLOADS_CPU, AT_ONCE)] {
        say(format_args!("{} large responses to {clients} at a time", plan.downloads));
        let clients = sessions.get(..clients).unwrap_or(&sessions);
        let begin = processor_time(subject.pid)?;
        fleet.ask(clients, plan.downloads, stub::LARGE, |_| get("7")).await?;
        figures.add(row, subject.milliseconds_since(begin, plan.downloads)?);
    }
    for (row, window) in [(figures::PIPELINED_16_CPU, 16), (figures::PIPELINED_64_CPU, 64)] {
        pipelined(plan, subject, window, row, figures).await?;
    }
    Ok(())
}

/// Measures the processor time of a large response to a client with so many block requests on their way.
async fn pipelined(
    plan: &Plan,
    subject: Subject,
    window: usize,
    row: figures::Row,
    figures: &mut Figures,
) -> Result<()> {
    say(format_args!("{} large responses, {window} blocks on their way", plan.downloads));
    let mut client = Pipeline::connect(subject.address).await?;
    client.fetch("7", window, stub::LARGE).await?;
    client.take_again();
    let begin = processor_time(subject.pid)?;
    for _ in 0..plan.downloads {
        client.fetch("7", window, stub::LARGE).await?;
    }
    figures.add(row, subject.milliseconds_since(begin, plan.downloads)?);
    match client.take_again() {
        0 => {}
        again => say(format_args!("  {again} blocks were asked for again, after a silence")),
    }
    Ok(())
}

/// Measures the processor time of the sidecar and of Envoy with the filter together, for 200 kB of JSON that
/// go out in blocks.
pub(crate) async fn chain(plan: &Plan, subject: Subject, envoy: u32, figures: &mut Figures) -> Result<()> {
    let json = stub::json_sync();
    let cbor =
        lowband_codec::json_to_cbor(&json).map_err(|why| Error::Setup(format!("the stub's sync: {why}")))?;
    say(format_args!("{} bytes of JSON, {} of CBOR", json.len(), cbor.len()));
    let mut fleet = Fleet::new(subject.address, Duration::ZERO)?;
    let sessions = fleet.connect(AT_ONCE, AT_ONCE).await?;
    fleet.ask(&sessions, 2 * AT_ONCE, cbor.len(), |_| get("7")).await?;
    for (row, clients) in [(figures::CHAIN_ONE, 1), (figures::CHAIN_MANY, AT_ONCE)] {
        say(format_args!("{} large responses to {clients} at a time", plan.downloads));
        let clients = sessions.get(..clients).unwrap_or(&sessions);
        let (begin, begin_envoy) = (processor_time(subject.pid)?, processor_time(envoy)?);
        fleet.ask(clients, plan.downloads, cbor.len(), |_| get("7")).await?;
        let of_envoy = (processor_time(envoy)? - begin_envoy).as_secs_f64() * 1e3 / plan.downloads as f64;
        figures.add(row, subject.milliseconds_since(begin, plan.downloads)? + of_envoy);
        if clients.len() > 1 {
            figures.add(figures::CHAIN_ENVOY, of_envoy);
        }
    }
    Ok(())
}

/// Measures many clients at once over a long link.
pub(crate) async fn crowd(subject: Subject, figures: &mut Figures) -> Result<()> {
    say(format_args!("{CLIENTS_AT_ONCE} clients at once"));
    let mut fleet = Fleet::new(subject.address, ROUND_TRIP)?;
    let begin = Instant::now();
    let sessions = fleet.connect(CLIENTS_AT_ONCE, CLIENTS_AT_ONCE).await?;
    figures.add(figures::TEN_CONNECTED, begin.elapsed().as_secs_f64());
    fleet.ask(&sessions, CLIENTS_AT_ONCE, stub::SENT, |_| put_with_token()).await?;
    figures.add(figures::TEN_ANSWERED, begin.elapsed().as_secs_f64());
    Ok(())
}

/// Measures the cost of sessions that do nothing.
pub(crate) async fn idleness(plan: &Plan, subject: Subject, figures: &mut Figures) -> Result<()> {
    let mut fleet = Fleet::new(subject.address, Duration::ZERO)?;
    sit_down(&mut fleet, plan.few).await?;
    wait(plan.settle, "until the sidecar has forgotten the exchanges").await;
    let memory = resident(subject.pid)?;

    let begin = processor_time(subject.pid)?;
    wait(plan.idle, "for an idle sidecar").await;
    let minutes = plan.idle.as_secs_f64() / 60.0;
    figures.add(figures::IDLE_CPU, (processor_time(subject.pid)? - begin).as_secs_f64() / minutes);

    let more = plan.many - plan.few;
    sit_down(&mut fleet, more).await?;
    wait(plan.settle, "until the sidecar has forgotten the exchanges").await;
    let with_all = resident(subject.pid)?;
    figures.add(figures::SESSION_MEMORY, (with_all - memory) / more as f64);
    figures.add(figures::RESIDENT, with_all);
    Ok(())
}

/// Makes sessions that connect, send one message, and stay. Each sends it as soon as it can, as clients do,
/// and not when all have connected: until its first message a session is larger.
async fn sit_down(fleet: &mut Fleet, count: usize) -> Result<()> {
    say(format_args!("{count} sessions, one PUT each"));
    let mut rest = count;
    while rest > 0 {
        let sessions = fleet.connect(rest.min(AT_ONCE), AT_ONCE).await?;
        fleet.ask(&sessions, sessions.len(), stub::SENT, |_| put_with_token()).await?;
        rest -= sessions.len();
    }
    Ok(())
}

async fn wait(length: Duration, what: &str) {
    let end = Instant::now() + length;
    loop {
        let rest = end.saturating_duration_since(Instant::now());
        if rest.is_zero() {
            return;
        }
        say(format_args!("  {} s to wait {what}", rest.as_secs_f64().ceil()));
        tokio::time::sleep(rest.min(HEARTBEAT)).await;
    }
}

/// Makes a GET by its path code (MSC3079), without parameters.
fn get(path_code: &str) -> Request {
    let options = RequestOptions { path: vec![path_code.to_owned()], ..RequestOptions::default() };
    Request { method: Method::Get, options, body: Vec::new() }
}

/// Makes the message "Hello World" to a room, for a session that has sent its access token before.
fn put() -> Request {
    let path = ["9", ROOM, "m.room.message", "1"];
    let options = RequestOptions {
        path: path.map(str::to_owned).to_vec(),
        content_format: Some(CBOR),
        ..RequestOptions::default()
    };
    Request { method: Method::Put, options, body: HELLO_WORLD.to_vec() }
}

fn put_with_token() -> Request {
    let mut request = put();
    request.options.authorization = Some(ACCESS_TOKEN.to_owned());
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_what_the_reference_was_measured_with() {
        assert_eq!((ACCESS_TOKEN.len(), ROOM.len()), (40, 43));
        let hello = lowband_codec::json_to_cbor(br#"{"body":"Hello World","msgtype":"m.text"}"#).unwrap();
        assert_eq!(hello, HELLO_WORLD);
    }
}
