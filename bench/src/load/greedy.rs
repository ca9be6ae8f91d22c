//! Greedy clients. Each is a process of low priority, so that its own cost is not taken for its effect on the
//! others.
//!
//! A line a second on standard output says how far each has come; the last line counts.

use crate::phase::{get, request_with_body};
use lowband_bench::fleet::Fleet;
use lowband_bench::stub;
use lowband_e2e::parts::system_program;
use lowband_e2e::process::{Process, Recipe};
use lowband_e2e::tell::say;
use lowband_e2e::{Error, Result};
use lowband_transport::SessionId;
use lowband_transport::client::Event;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

/// Requests of a client at once: as many as a session may have.
const AT_ONCE: usize = 32;
const UPLOADS: usize = 9;
/// Time in which each upload goes on by a block, before it ends as a transfer without progress
/// (`--blockwise-idle`, two minutes).
const A_BLOCK_EACH: Duration = Duration::from_secs(60);
const A_LINE: Duration = Duration::from_secs(1);
const BLOCK: usize = 1024;
const PATIENCE: Duration = Duration::from_secs(30);

/// Starts a greedy client.
pub(crate) fn start(
    folder: &Path,
    name: &'static str,
    server: SocketAddr,
    more: Option<usize>,
) -> Result<Process> {
    let own = std::env::current_exe().map_err(Error::io("find this program"))?;
    let mut arguments: Vec<String> = ["-n", "10"].map(str::to_owned).to_vec();
    arguments.extend([own.display().to_string(), name.to_owned(), server.to_string()]);
    arguments.extend(more.map(|more| more.to_string()));
    let program = system_program("nice", "setup")?;
    Process::start(Recipe { name, program, arguments, environment: Vec::new(), folder: folder.to_owned() })
}

/// Returns how many requests of a client have been answered and refused until now, as its last line says.
pub(crate) fn progress(process: &Process) -> (usize, usize) {
    let text = std::fs::read_to_string(process.log()).unwrap_or_default();
    let last = text.lines().rev().find_map(|line| {
        let (answered, refused) = line.split_once(' ')?;
        Some((answered.parse().ok()?, refused.parse().ok()?))
    });
    last.unwrap_or_default()
}

/// Asks as fast as it can, until the process is ended.
pub(crate) async fn ask(server: SocketAddr) -> Result<()> {
    let (mut fleet, session) = connect(server, Ipv4Addr::new(127, 201, 0, 1)).await?;
    for _ in 0..AT_ONCE {
        fleet.request(session, get());
    }
    let mut count = Count::default();
    loop {
        if count.next(&mut fleet).await? {
            fleet.request(session, get());
        }
    }
}

/// Fills so many bytes with the beginnings of nine uploads and keeps them, until the process is ended. An
/// upload that is refused is begun again.
pub(crate) async fn upload(server: SocketAddr, bytes: usize) -> Result<()> {
    let (mut fleet, session) = connect(server, Ipv4Addr::new(127, 202, 0, 1)).await?;
    let each = bytes / UPLOADS;
    // The last blocks are never sent.
    fleet.allow(UPLOADS * (each / BLOCK));
    let body = || stub::document(each + 64 * BLOCK);
    for number in 0..UPLOADS {
        fleet.request(session, request_with_body(number, body()));
    }
    let mut count = Count::default();
    let mut next = UPLOADS;
    let mut go_on = Instant::now() + A_BLOCK_EACH;
    loop {
        if count.next(&mut fleet).await? {
            fleet.request(session, request_with_body(next, body()));
            next += 1;
        }
        if Instant::now() >= go_on {
            fleet.allow(UPLOADS);
            go_on += A_BLOCK_EACH;
        }
    }
}

async fn connect(server: SocketAddr, from: Ipv4Addr) -> Result<(Fleet, SessionId)> {
    let mut fleet = Fleet::new(server, Duration::ZERO)?;
    let session = fleet.begin(from).await?;
    match fleet.event_before(Instant::now() + PATIENCE).await {
        Some(Event::Connected { .. }) => Ok((fleet, session)),
        other => Err(Error::Setup(format!("the greedy client cannot connect: {other:?}"))),
    }
}

#[derive(Default)]
struct Count {
    answered: usize,
    refused: usize,
    told: Option<Instant>,
}

impl Count {
    /// Waits for the next event, for a second at most. Returns whether a request has had its end.
    async fn next(&mut self, fleet: &mut Fleet) -> Result<bool> {
        let event = fleet.event_before(Instant::now() + A_LINE).await;
        let is_end = match event {
            Some(Event::Response { response, .. }) if response.code.is_success() => {
                self.answered += 1;
                true
            }
            Some(Event::Response { .. } | Event::Failed { .. }) => {
                self.refused += 1;
                true
            }
            Some(Event::Closed { why, .. }) => {
                return Err(Error::Setup(format!("the session of the greedy client was closed: {why:?}")));
            }
            _ => false,
        };
        if self.told.is_none_or(|told| told.elapsed() >= A_LINE) {
            say(format_args!("{} {}", self.answered, self.refused));
            self.told = Some(Instant::now());
        }
        Ok(is_end)
    }
}
