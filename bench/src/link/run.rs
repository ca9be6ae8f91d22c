//! One run of a cell: a relay, a sidecar and its clients, from the handshake to the last byte.
//!
//! Times of the command lines and the foreign clients begin when their first record of application data comes
//! to the relay, so that the handshake does not count, and end when the program has ended or said what it
//! got. A program can fetch one body on a session: for more than that there is a client in this process, on
//! the same library as `lowband coap`, whose times begin with the request.

use crate::cells::{Cell, Who, Work};
use crate::upstream;
use lowband_bench::usage::running_time;
use lowband_client::{ConnectOptions, Connection, Request, Settings, Verification};
use lowband_e2e::call::Call;
use lowband_e2e::certificate::Certificate;
use lowband_e2e::fetcher::{Fetcher, Library};
use lowband_e2e::fixture::output;
use lowband_e2e::link::Fate;
use lowband_e2e::link_relay::{LinkRelay, Passed};
use lowband_e2e::loss::From;
use lowband_e2e::parts::{Parts, system_program};
use lowband_e2e::ports::Port;
use lowband_e2e::reference::Reference;
use lowband_e2e::sidecar::Sidecar;
use lowband_e2e::{Error, Result};
use lowband_transport::coap::Limits;
use lowband_wire::coap::Method;
use lowband_wire::coap::content_format::CBOR;
use lowband_wire::dtls::record::ContentType;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Time for a handshake, which is not measured: a lossy link may take many flights.
const CONNECT_WITHIN: Duration = Duration::from_secs(300);
/// Time for all of one program. One block at a time over the worst of the links takes half of it.
const WITHIN: Duration = Duration::from_secs(3_600);
/// Time for clients of others, of whom some never end: the slowest that does takes half of it.
const OTHERS_WITHIN: Duration = Duration::from_secs(240);
/// Number of PUTs alone.
const PUTS: u64 = 60;
/// Bytes of the body of a PUT: the message "Hello World" has as many.
const PUT: usize = 26;

/// What every run needs.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) parts: Parts,
    pub(crate) folder: PathBuf,
    pub(crate) certificate: Certificate,
}

/// One figure of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Seconds of a body.
    Seconds,
    /// Share of the slower one of two bodies.
    Share,
    /// Seconds of a PUT alone.
    Alone,
    /// Seconds of a PUT beside a body.
    Beside,
}

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) cell: usize,
    pub(crate) seed: u64,
    /// What was measured, or what failed.
    pub(crate) values: Result<Vec<(Kind, f64)>>,
    pub(crate) log: Vec<Passed>,
    pub(crate) folder: PathBuf,
}

/// A sidecar that is ended without a drain.
struct Running(Sidecar);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.process.kill();
    }
}

impl Bench {
    /// Makes the run of this cell, whose number is `number`.
    pub(crate) async fn run(&self, cell: Cell, number: usize, seed: u64) -> Run {
        let folder = self.folder.join(cell.file_name(seed));
        let mut log = Vec::new();
        let values = self.measure(cell, seed, &folder, &mut log).await;
        Run { cell: number, seed, values, log, folder }
    }

    /// Starts a sidecar before an upstream, and says where it listens.
    async fn sidecar(&self, folder: &Path) -> Result<(Running, SocketAddr)> {
        std::fs::create_dir_all(folder).map_err(Error::io(format!("make {}", folder.display())))?;
        upstream::serve(folder)?;
        let port = Port::free_for_both()?;
        let sidecar = Running(Sidecar::start(&self.parts, folder, &port, &self.certificate, &[])?);
        sidecar.0.ready().await?;
        Ok((sidecar, port.loopback()))
    }

    async fn measure(
        &self,
        cell: Cell,
        seed: u64,
        folder: &Path,
        log: &mut Vec<Passed>,
    ) -> Result<Vec<(Kind, f64)>> {
        let (_sidecar, server) = self.sidecar(folder).await?;
        let relay = LinkRelay::start(server, cell.link, seed).await?;
        let (address, body) = (relay.address(), cell.body);
        let values = match cell.work {
            Work::Download(who) => self.download(who, address, folder, body).await.map(|()| seconds(&relay)),
            Work::Upload => self.upload(address, folder, body).await.map(|()| seconds(&relay)),
            Work::Warm => self.warm(address, body).await,
            Work::TwoOnOneSession => self.two_on_one_session(address, body).await,
            Work::TwoSessions => {
                let target = upstream::path(body);
                let logs = (folder.join("client"), folder.join("other"));
                tokio::try_join!(
                    self.lowband(address, &logs.0, &[], &target, body),
                    self.lowband(address, &logs.1, &[], &target, body)
                )
                .map(|_| vec![(Kind::Share, share(&relay.log()))])
            }
            Work::Puts => self.puts(address, body).await,
        };
        *log = relay.log();
        values
    }

    async fn download(&self, who: Who, server: SocketAddr, folder: &Path, body: usize) -> Result<()> {
        let target = upstream::path(body);
        match who {
            Who::Ours => self.lowband(server, &folder.join("client"), &[], &target, body).await,
            Who::OneAtATime => {
                self.lowband(server, &folder.join("client"), &["--window", "1"], &target, body).await
            }
            Who::Reference => {
                let mut client = Reference::patient(&self.parts, server, OTHERS_WITHIN).await?;
                let told = client.call(&Call::get(target)).await?;
                right_length(told.bytes as usize, body)
            }
            Who::GoCoap => {
                let mut client = Fetcher::patient(&self.parts, Library::GoCoap, server, OTHERS_WITHIN)?;
                right(&client.payload(&target).await?, body)
            }
            Who::Libcoap => {
                let file = folder.join("body.cbor");
                let mut command = Command::new(system_program("coap-client-openssl", "setup-test")?);
                command.arg("-B").arg(OTHERS_WITHIN.as_secs().to_string());
                command.arg("-C").arg(&self.certificate.certificate).arg("-o").arg(&file);
                command.arg(format!("coaps://localhost:{}{target}", server.port()));
                succeed(command, &folder.join("client")).await?;
                right(&std::fs::read(&file).map_err(Error::io(format!("read {}", file.display())))?, body)
            }
        }
    }

    async fn upload(&self, server: SocketAddr, folder: &Path, body: usize) -> Result<()> {
        let file = folder.join("body.cbor");
        std::fs::write(&file, upstream::document(body))
            .map_err(Error::io(format!("write {}", file.display())))?;
        let data = format!("@{}", file.display());
        let arguments = ["-X", "PUT", "-H", "Content-Type: application/cbor", "-d", &data];
        self.lowband(server, &folder.join("client"), &arguments, upstream::UPLOAD, upstream::SMALL).await
    }

    /// Runs `lowband coap`, which must get `length` bytes and exit with 0. What it says goes to `log`.
    async fn lowband(
        &self,
        server: SocketAddr,
        log: &Path,
        arguments: &[&str],
        target: &str,
        length: usize,
    ) -> Result<()> {
        let mut command = Command::new(self.parts.program("lowband")?);
        command.args(["coap", "-v", "--no-redial", "--cacert"]).arg(&self.certificate.certificate);
        command.arg("--connect-timeout").arg(CONNECT_WITHIN.as_secs().to_string());
        command.args(arguments).arg(format!("https://localhost:{}{target}", server.port()));
        right(&succeed(command, log).await?, length)
    }

    async fn connect(&self, server: SocketAddr) -> Result<Connection> {
        self.connect_with(server, Settings::default()).await
    }

    async fn connect_with(&self, server: SocketAddr, settings: Settings) -> Result<Connection> {
        let path = &self.certificate.certificate;
        let roots = std::fs::read(path).map_err(Error::io(format!("read {}", path.display())))?;
        let options = ConnectOptions {
            server,
            server_name: "localhost".to_owned(),
            verification: Verification::Roots(roots),
            connect_timeout: CONNECT_WITHIN,
        };
        Connection::connect_with(options, settings).await.map_err(failed("a DTLS handshake"))
    }

    async fn warm(&self, server: SocketAddr, body: usize) -> Result<Vec<(Kind, f64)>> {
        let connection = self.connect(server).await?;
        fetch(&connection, body).await?;
        Ok(vec![(Kind::Seconds, fetch(&connection, body).await?)])
    }

    /// Two bodies of the same length that begin together share the link by halves when they end together, and
    /// not at all when one of them ends at half of the time.
    async fn two_on_one_session(&self, server: SocketAddr, body: usize) -> Result<Vec<(Kind, f64)>> {
        let connection = self.connect(server).await?;
        let (one, other) = tokio::try_join!(fetch(&connection, body), fetch(&connection, body))?;
        let (first, last) = (one.min(other), one.max(other));
        // What the slower one had when the other was done: all of it but what came afterwards, at the rate of
        // both.
        let had = (1.0 - 2.0 * (last - first) / last).max(0.0);
        Ok(vec![(Kind::Share, had / (1.0 + had))])
    }

    async fn puts(&self, server: SocketAddr, body: usize) -> Result<Vec<(Kind, f64)>> {
        let connection = self.connect(server).await?;
        let mut values = Vec::new();
        for number in 0..PUTS {
            values.push((Kind::Alone, put(&connection, number).await?));
        }
        let download = fetch(&connection, body);
        tokio::pin!(download);
        for number in 0.. {
            tokio::select! {
                biased;
                seconds = &mut download => {
                    values.push((Kind::Seconds, seconds?));
                    break;
                }
                seconds = put(&connection, number) => values.push((Kind::Beside, seconds?)),
            }
        }
        Ok(values)
    }

    /// Measures the processor time of the sidecar for each of `count` bodies over loopback, in milliseconds:
    /// on one session of a client as it is, and, in turns with it, on one that asks for one block at a time.
    pub(crate) async fn processor_time(&self, body: usize, count: usize) -> Result<[Vec<f64>; 2]> {
        const FIRST: usize = 10;
        let (sidecar, server) = self.sidecar(&self.folder.join("loopback")).await?;
        let pid = sidecar.0.process.id().ok_or_else(|| Error::Setup("the sidecar has no id".to_owned()))?;
        let limits = Limits { body_window: 1, ..Limits::default() };
        let one_at_a_time = Settings { limits, ..Settings::default() };
        let connections = [self.connect(server).await?, self.connect_with(server, one_at_a_time).await?];
        let mut values = [Vec::new(), Vec::new()];
        for number in 0..FIRST + count {
            for (connection, values) in connections.iter().zip(&mut values) {
                let before = running_time(pid)?;
                fetch(connection, body).await?;
                let milliseconds = (running_time(pid)? - before).as_secs_f64() * 1e3;
                // The first ones pay for the connection to the upstream and for buffers.
                if number >= FIRST {
                    values.push(milliseconds);
                }
            }
        }
        Ok(values)
    }
}

/// Fetches a body and returns how many seconds it took.
async fn fetch(connection: &Connection, body: usize) -> Result<f64> {
    let began = Instant::now();
    let response = connection.request(Request::get(upstream::path(body))).await;
    let response = response.map_err(failed("a download"))?;
    right(&response.body, body)?;
    Ok(began.elapsed().as_secs_f64())
}

/// Makes a small PUT some time after the one before, and returns how many seconds it took.
async fn put(connection: &Connection, number: u64) -> Result<f64> {
    tokio::time::sleep(Duration::from_millis(200 + 100 * (number % 8))).await;
    let began = Instant::now();
    let body = upstream::document(PUT).to_vec();
    let request = Request { content_format: Some(CBOR), body, ..Request::new(Method::Put, upstream::UPLOAD) };
    let response = connection.request(request).await.map_err(failed("a PUT"))?;
    right(&response.body, upstream::SMALL)?;
    Ok(began.elapsed().as_secs_f64())
}

/// Runs a program to its end, which must be a success. Returns its standard output; what it said goes to
/// `log`.
async fn succeed(command: Command, log: &Path) -> Result<Vec<u8>> {
    let what = command.get_program().display().to_string();
    let output = output(command, WITHIN).await?;
    let log = log.with_extension("log");
    std::fs::write(&log, &output.stderr).map_err(Error::io(format!("write {}", log.display())))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let got = format!("{}: {}", output.status, said.lines().last().unwrap_or_default());
    Err(Error::Wrong { what, expected: "status 0".to_owned(), got })
}

fn failed(what: &'static str) -> impl Fn(lowband_client::Error) -> Error {
    move |why| Error::NoAnswer { what: what.to_owned(), why: why.to_string() }
}

/// Returns an error unless this is the document of the upstream that has this length.
fn right(got: &[u8], length: usize) -> Result<()> {
    right_length(got.len(), length)?;
    let expected = upstream::document(length);
    match got.iter().zip(&expected[..]).position(|(got, expected)| got != expected) {
        None => Ok(()),
        Some(at) => Err(Error::Wrong {
            what: "a body".to_owned(),
            expected: "the upstream's".to_owned(),
            got: format!("another from byte {at} on"),
        }),
    }
}

fn right_length(got: usize, length: usize) -> Result<()> {
    if got == length {
        return Ok(());
    }
    Err(Error::Wrong { what: "a body".to_owned(), expected: format!("{length} bytes"), got: got.to_string() })
}

fn is_application_data(passed: &Passed) -> bool {
    [ContentType::ApplicationData as u8, ContentType::ConnectionId as u8].contains(&passed.first)
}

/// Returns the seconds from the first request until now.
fn seconds(relay: &LinkRelay) -> Vec<(Kind, f64)> {
    let now = relay.began().elapsed();
    let log = relay.log();
    let first = log.iter().find(|passed| passed.from == From::Client && is_application_data(passed));
    first.map(|first| (Kind::Seconds, (now - first.at).as_secs_f64())).into_iter().collect()
}

/// Returns the share of the link that the slower one of two sessions had while both had a body on its way: by
/// the bytes that arrived.
fn share(log: &[Passed]) -> f64 {
    let arrived: Vec<(SocketAddr, Duration, usize)> = log
        .iter()
        .filter(|passed| passed.from == From::Server && is_application_data(passed))
        .filter_map(|passed| match passed.passage.fate {
            Fate::Arrives(at) => Some((passed.client, at, passed.bytes)),
            _ => None,
        })
        .collect();
    let Some(&(one, ..)) = arrived.first() else { return 0.0 };
    let times = |first: bool| arrived.iter().filter(move |(client, ..)| (*client == one) == first);
    let ends = |first| {
        let at = times(first).map(|(_, at, _)| *at);
        (at.clone().min().unwrap_or_default(), at.max().unwrap_or_default())
    };
    let ((one_begins, one_ends), (other_begins, other_ends)) = (ends(true), ends(false));
    let both = one_begins.max(other_begins)..=one_ends.min(other_ends);
    let bytes = |first| {
        let in_time = times(first).filter(|(_, at, _)| both.contains(at));
        in_time.map(|(_, _, bytes)| *bytes).sum::<usize>() as f64
    };
    let (one, other) = (bytes(true), bytes(false));
    one.min(other) / (one + other).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowband_e2e::link::Passage;

    #[test]
    fn sessions_share_by_what_arrived_while_both_had_a_body_on_its_way() {
        let passed = |port: u16, second: u64, bytes, fate: Option<()>| Passed {
            at: Duration::ZERO,
            from: From::Server,
            client: ([127, 0, 0, 1], port).into(),
            bytes,
            first: ContentType::ApplicationData as u8,
            passage: Passage {
                fate: fate.map_or(Fate::Lost, |()| Fate::Arrives(Duration::from_secs(second))),
                queued: Duration::ZERO,
            },
        };
        let log = [
            passed(1, 1, 1000, Some(())),
            passed(1, 2, 300, Some(())),
            passed(2, 2, 100, Some(())),
            passed(2, 2, 5000, None),
            passed(1, 3, 300, Some(())),
            passed(2, 3, 100, Some(())),
            passed(2, 4, 9000, Some(())),
        ];
        assert_eq!(share(&log), 0.25);
        assert_eq!(share(&[]), 0.0);
    }
}
