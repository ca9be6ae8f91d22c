//! Processor time of the server without Envoy, beside a proxy on the reference's stack that does the same:
//! CoAP and DTLS on one side, JSON over HTTP on the other, in one process.
//!
//! Both have the same clients, 16 at the same time, and the same homeserver. Our client asks our server for
//! several blocks at once where that server offers it; of the stand-in it asks for one block after the other.

use crate::figures::{Figures, Row, median};
use lowband_bench::fleet::Fleet;
use lowband_bench::stub::Homeserver;
use lowband_bench::usage::running_time;
use lowband_e2e::certificate::Certificate;
use lowband_e2e::parts::Parts;
use lowband_e2e::ports::Port;
use lowband_e2e::process::{Process, Recipe};
use lowband_e2e::reference_proxy::ReferenceProxy;
use lowband_e2e::tell::say;
use lowband_e2e::{Error, Result, wait};
use lowband_transport::SessionId;
use lowband_transport::coap::Request;
use lowband_wire::coap::Method;
use lowband_wire::coap::options::RequestOptions;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

const CLIENTS: usize = 16;
const READY_WITHIN: Duration = Duration::from_secs(20);

/// What is asked for, how often in a round, and how much of the stand-in's time ours may take.
struct Question {
    name: &'static str,
    title: &'static str,
    /// The path code of the request.
    code: &'static str,
    requests: usize,
    at_most: f64,
}

const QUESTIONS: [Question; 2] = [
    Question { name: "versions", title: "GET /versions, 1.5 kB", code: "0", requests: 2_000, at_most: 0.25 },
    Question {
        name: "large",
        title: "an answer of 200 kB of JSON",
        code: "7",
        requests: 64,
        at_most: 1.0 / 6.0,
    },
];

/// One of the two servers, with its clients.
struct Subject {
    id: u32,
    fleet: Fleet,
    sessions: Vec<SessionId>,
}

impl Subject {
    async fn connect(id: u32, address: SocketAddr) -> Result<Subject> {
        let mut fleet = Fleet::new(address, Duration::ZERO)?;
        let sessions = fleet.connect(CLIENTS, CLIENTS).await?;
        Ok(Subject { id, fleet, sessions })
    }

    /// Returns the milliseconds of processor time for each of some requests.
    async fn round(&mut self, code: &str, requests: usize, length: usize) -> Result<f64> {
        let begin = running_time(self.id)?;
        self.fleet.ask(&self.sessions, requests, length, |_| get(code)).await?;
        Ok((running_time(self.id)? - begin).as_secs_f64() * 1e3 / requests as f64)
    }
}

/// Measures both servers.
pub(crate) async fn measure(quick: bool, figures: &mut Figures) -> Result<()> {
    let rounds = if quick { 1 } else { 12 };
    let parts = Parts::from_environment();
    let folder = parts.test_folder(&format!("client-{}", std::process::id()))?;
    let certificate = Certificate::make(&folder)?;
    let homeserver = Homeserver::start().await?;
    let url = format!("http://{}", homeserver.address);
    let (sidecar, address) = sidecar(&parts, &folder, &certificate, &url).await?;
    let stand_in = ReferenceProxy::start(&parts, &url, &certificate).await?;
    let id = sidecar.id().ok_or_else(|| Error::Setup("the sidecar has no process id".to_owned()))?;
    let mut ours = Subject::connect(id, address).await?;
    let mut theirs = Subject::connect(stand_in.id(), stand_in.address()).await?;
    for Question { name, title, code, requests, at_most } in QUESTIONS {
        say(format_args!("{title}, {rounds} rounds of {requests} requests"));
        let lengths = [
            ours.fleet.length(&ours.sessions, get(code)).await?,
            theirs.fleet.length(&theirs.sessions, get(code)).await?,
        ];
        let [mut spent, mut beside] = [Vec::new(), Vec::new()];
        // The round that is not counted pays for buffers and for connections to the homeserver.
        for round in 0..=rounds {
            let requests = if quick { requests / 4 } else { requests };
            let (one, other) = (
                ours.round(code, requests, lengths[0]).await?,
                theirs.round(code, requests, lengths[1]).await?,
            );
            if round > 0 {
                spent.push(one);
                beside.push(other);
            }
        }
        let (spent, beside) = (median(spent), median(beside));
        figures.add(Row::new(format!("{name}_cpu"), format!("CPU without Envoy: {title}"), "ms", 3), spent);
        figures.add(
            Row::new(format!("{name}_cpu_stand_in"), "  of the stand-in for the reference's proxy", "ms", 3),
            beside,
        );
        figures.add(
            Row::new(format!("{name}_cpu_ratio"), "  ours over the stand-in's", "", 3).at_most(at_most),
            spent / beside,
        );
    }
    drop(sidecar);
    std::fs::remove_dir_all(&folder).map_err(Error::io(format!("remove {}", folder.display())))
}

/// Starts the server without Envoy. Only the limits of strangers are out of the way: all clients share one
/// address.
async fn sidecar(
    parts: &Parts,
    folder: &Path,
    certificate: &Certificate,
    homeserver: &str,
) -> Result<(Process, SocketAddr)> {
    let (port, admin) = (Port::free_for_both()?, Port::free()?);
    let options = [
        ("--listen", port.loopback().to_string()),
        ("--certificate", certificate.certificate.display().to_string()),
        ("--key", certificate.key.display().to_string()),
        ("--homeserver", homeserver.to_owned()),
        ("--admin", admin.loopback().to_string()),
        ("--half-open-per-address", "1000".to_owned()),
        ("--handshakes-per-address", "100000".to_owned()),
        ("--handshake-burst", "100000".to_owned()),
    ];
    let process = Process::start(Recipe {
        name: "sidecar",
        program: parts.program("lowband-sidecar")?,
        arguments: options.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect(),
        environment: Vec::new(),
        folder: folder.to_owned(),
    })?;
    wait::until_ready(&process, admin.loopback(), "/readyz", READY_WITHIN).await?;
    Ok((process, port.loopback()))
}

fn get(code: &str) -> Request {
    let options = RequestOptions { path: vec![code.to_owned()], ..RequestOptions::default() };
    Request { method: Method::Get, options, body: Vec::new() }
}
