//! Clients that each PUT a message a second, while the server that they talk to is updated, drained or
//! killed: shows what their users notice.
//!
//! ```text
//! writers --server ADDRESS --ca FILE --accounts FILE --seconds N [--idle SESSIONS]
//! ```
//!
//! FILE of accounts has a line `{"token": ..., "room": ...}` for each client. Message n of client c has the
//! text `c n` and the transaction id n, so that the homeserver's timeline shows how often each took effect.
//! `ready` is printed when all are connected; at the end a line of JSON for each client.

use clap::Parser;
use lowband_client::{
    Code, ConnectOptions, LastingConnection, Method, Redial, Request, Response, Settings, Verification,
};
use lowband_e2e::tell::say;
use lowband_e2e::wire::to_cbor;
use lowband_e2e::{Error, Result};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, sleep_until};

const EVERY: Duration = Duration::from_secs(1);
/// Gaps of at least this length are reported one by one.
const LONG_GAP: Duration = Duration::from_millis(1250);
const CONNECT_WITHIN: Duration = Duration::from_secs(30);
const GATEWAY: [Code; 3] = [Code::new(5, 2), Code::new(5, 3), Code::new(5, 4)];
const AGAIN: Duration = Duration::from_millis(250);

#[derive(Debug, Parser)]
struct Options {
    /// The sidecar, or what stands in front of it.
    #[arg(long)]
    server: SocketAddr,
    /// PEM file of the certificate to believe.
    #[arg(long)]
    ca: PathBuf,
    /// Who writes, and where.
    #[arg(long)]
    accounts: PathBuf,
    /// For how long.
    #[arg(long)]
    seconds: u64,
    /// Sessions beside them that make one request before `ready`, and none after it.
    #[arg(long, default_value_t = 0)]
    idle: usize,
}

#[derive(Debug, Deserialize)]
struct Account {
    token: String,
    room: String,
}

/// What one client has seen.
#[derive(Debug, Default, Serialize)]
struct Told {
    client: usize,
    sent: u64,
    answered: u64,
    /// What went wrong in the end, one line for each message.
    failed: Vec<String>,
    redials: u64,
    /// The longest time without an answer, in seconds: from one answer to the next, including the second
    /// between two messages.
    longest_gap: f64,
    /// Each long gap: its begin, in seconds after the first message, and its length in seconds.
    gaps: Vec<(f64, f64)>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match write(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("writers: {why}");
            ExitCode::FAILURE
        }
    }
}

async fn write(options: Options) -> Result<()> {
    let accounts = std::fs::read_to_string(&options.accounts).map_err(Error::io("read the accounts"))?;
    let accounts =
        accounts.lines().map(serde_json::from_str).collect::<std::result::Result<Vec<Account>, _>>();
    let accounts = accounts.map_err(|why| Error::Setup(format!("the accounts: {why}")))?;
    let ca = std::fs::read(&options.ca).map_err(Error::io("read the certificate"))?;
    let mut connections = Vec::new();
    for _ in &accounts {
        connections.push(connect(options.server, ca.clone()).await?);
    }
    let mut idle = Vec::new();
    for _ in 0..options.idle {
        let connection = connect(options.server, ca.clone()).await?;
        let asked = connection.request(Request::new(Method::Get, "/_matrix/client/versions")).await;
        asked.map_err(|why| Error::NoAnswer { what: "an idle session".to_owned(), why: why.to_string() })?;
        idle.push(connection);
    }
    say("ready");
    let begin = Instant::now();
    let share = EVERY / u32::try_from(accounts.len().max(1)).unwrap_or(u32::MAX);
    let clients = accounts.into_iter().zip(connections).enumerate().map(|(client, (account, connection))| {
        let first = begin + share.saturating_mul(u32::try_from(client).unwrap_or_default());
        let last = first + Duration::from_secs(options.seconds);
        tokio::spawn(write_messages(client, account, connection, first, last))
    });
    for client in clients.collect::<Vec<_>>() {
        let told = client.await.map_err(|why| Error::Setup(why.to_string()))?;
        let line = serde_json::to_string(&told).map_err(|why| Error::Setup(why.to_string()))?;
        say(line);
    }
    sleep_until(begin + Duration::from_secs(options.seconds)).await;
    drop(idle);
    Ok(())
}

async fn connect(server: SocketAddr, ca: Vec<u8>) -> Result<LastingConnection> {
    let options = ConnectOptions {
        server,
        server_name: "localhost".to_owned(),
        verification: Verification::Roots(ca),
        connect_timeout: CONNECT_WITHIN,
    };
    let connection =
        LastingConnection::connect_with(options, Settings::from_environment(), Redial::default()).await;
    let failed = |why: lowband_client::Error| Error::NoAnswer {
        what: format!("DTLS handshake with {server}"),
        why: why.to_string(),
    };
    connection.map_err(failed)
}

async fn write_messages(
    client: usize,
    account: Account,
    connection: LastingConnection,
    first: Instant,
    last: Instant,
) -> Told {
    let mut told = Told { client, ..Told::default() };
    let mut ticks = interval_at(first, EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut answered_at = first;
    while ticks.tick().await < last {
        let outcome = match message(&account, client, told.sent) {
            Ok(request) => send(&connection, request, last + CONNECT_WITHIN).await,
            Err(why) => Err(why.to_string()),
        };
        told.sent += 1;
        match outcome {
            Ok(response) if response.is_success() => told.answered += 1,
            Ok(response) => told.failed.push(format!("{}: {:?}", told.sent - 1, response.code)),
            Err(why) => told.failed.push(format!("{}: {why}", told.sent - 1)),
        }
        let gap = answered_at.elapsed();
        if gap >= LONG_GAP {
            let since = answered_at.saturating_duration_since(first);
            told.gaps.push((since.as_secs_f64(), gap.as_secs_f64()));
        }
        told.longest_gap = told.longest_gap.max(gap.as_secs_f64());
        answered_at = Instant::now();
    }
    told.redials = connection.redials();
    connection.close().await;
    told
}

/// Sends a message as Matrix clients do: when a gateway reports an error of its upstream (5.02 to 5.04), the
/// request is repeated under the same transaction id. When a pod is killed, Envoy may go first, and the
/// sidecar then reports that.
async fn send(
    connection: &LastingConnection,
    request: Request,
    until: Instant,
) -> std::result::Result<Response, String> {
    loop {
        let response = connection.request(request.clone()).await.map_err(|why| why.to_string())?;
        if !GATEWAY.contains(&response.code) || Instant::now() > until {
            return Ok(response);
        }
        sleep(AGAIN).await;
    }
}

fn message(account: &Account, client: usize, number: u64) -> Result<Request> {
    let target = format!("/_matrix/client/v3/rooms/{}/send/m.room.message/{number}", account.room);
    let body = serde_json::json!({"msgtype": "m.text", "body": format!("{client} {number}")});
    Ok(Request {
        access_token: Some(account.token.clone()),
        content_format: Some(60),
        body: to_cbor(&body.to_string())?,
        ..Request::new(Method::Put, target)
    })
}
