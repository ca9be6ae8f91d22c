//! Foreign CoAP clients that fetch paths, a line of JSON for each: those of `e2e/foreign/go-coap`,
//! `node` and `californium`.

use crate::driven::Driven;
use crate::error::{Error, Result};
use crate::parts::{Parts, system_program};
use serde::Deserialize;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::process::Command;

/// A CoAP library, and how it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    /// go-coap v3, with DTLS.
    GoCoap,
    /// node-coap, without DTLS.
    NodeCoap,
    /// node-coap-client, without DTLS.
    NodeCoapClient,
    /// Californium without DTLS, with this MAX_RESOURCE_BODY_SIZE; 0 leaves it at its 8 kB.
    Californium(usize),
    /// Californium with DTLS, which is Scandium's.
    Scandium,
}

/// A running client. If it is dropped without [`Fetcher::end`], it is killed.
#[derive(Debug)]
pub struct Fetcher {
    client: Driven,
}

/// What a client has fetched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Fetched {
    /// Code of the response, such as `2.05`.
    pub code: String,
    /// Payload in hexadecimal digits.
    pub payload: String,
    /// The client's description of a failure; empty if there was none.
    pub error: String,
}

impl Library {
    fn name(self) -> &'static str {
        match self {
            Library::GoCoap => "go-coap",
            Library::NodeCoap => "coap",
            Library::NodeCoapClient => "node-coap-client",
            Library::Californium(_) => "Californium",
            Library::Scandium => "Scandium",
        }
    }

    fn command(self, parts: &Parts, server: SocketAddr) -> Result<Command> {
        let server = server.to_string();
        let mut command = match self {
            Library::GoCoap => Command::new(parts.go_coap_client()?),
            Library::NodeCoap | Library::NodeCoapClient => {
                let mut command = Command::new(system_program("node", "setup-test")?);
                command.arg(parts.node_client()?).arg(self.name());
                command
            }
            Library::Californium(_) | Library::Scandium => {
                let mut command = Command::new(system_program("java", "setup-more")?);
                command.arg("-cp").arg(parts.californium_classes()?).arg("FetchLate");
                command
            }
        };
        command.arg(server);
        match self {
            Library::Californium(largest) => command.args(["coap", &largest.to_string()]),
            Library::Scandium => command.args(["coaps", "0"]),
            _ => &mut command,
        };
        Ok(command)
    }
}

impl Fetcher {
    /// Starts the client on a server.
    pub fn start(parts: &Parts, library: Library, server: SocketAddr) -> Result<Fetcher> {
        let command = library.command(parts, server)?;
        Ok(Fetcher { client: Driven::start(library.name(), command)? })
    }

    /// Starts the client, which gives itself this long for an answer if it is go-coap's.
    pub fn patient(parts: &Parts, library: Library, server: SocketAddr, within: Duration) -> Result<Fetcher> {
        let command = library.command(parts, server)?;
        Ok(Fetcher { client: Driven::patient(library.name(), command, within)? })
    }

    /// Makes a GET of this path, and returns what came of it.
    pub async fn fetch(&mut self, path: &str) -> Result<Fetched> {
        self.client.order(path, &path).await
    }

    /// Makes a GET of this path that must succeed, and returns the payload.
    pub async fn payload(&mut self, path: &str) -> Result<Vec<u8>> {
        let fetched = self.fetch(path).await?;
        let wrong = || Error::Wrong {
            what: path.to_owned(),
            expected: "2.05".to_owned(),
            got: format!("{} {}", fetched.code, fetched.error),
        };
        let digit = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let payload = fetched.payload.as_bytes().chunks(2).map(digit).collect::<Option<_>>();
        payload.filter(|_| fetched.code == "2.05" && fetched.error.is_empty()).ok_or_else(wrong)
    }

    /// Ends the client, which must exit by itself.
    pub async fn end(self) -> Result<()> {
        self.client.end().await
    }
}
