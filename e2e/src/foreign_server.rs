//! Foreign CoAP servers without DTLS, with one resource each: those of `e2e/foreign`.

use crate::driven::Driven;
use crate::error::Result;
use crate::parts::{Parts, system_program};
use std::net::{Ipv4Addr, SocketAddr};
use tokio::process::Command;

/// Path of the resource.
pub const RESOURCE: &str = "body";
/// Bytes of a line of the body: its number in seven hexadecimal digits, the version of the body in six
/// decimal ones.
const LINE: usize = 16;

/// A library with which a server is made, with the library's defaults. go-coap keeps bodies for longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    /// The libcoap of the system.
    Libcoap,
    /// aiocoap, in Python.
    Aiocoap,
    /// node-coap, in JavaScript.
    NodeCoap,
    /// go-coap v3, in Go.
    GoCoap,
    /// Californium, in Java.
    Californium,
    /// The reference's fork of go-coap v2, with the reference's times.
    Reference,
}

/// A running server. If it is dropped without [`ForeignServer::end`], it is killed.
#[derive(Debug)]
pub struct ForeignServer {
    server: Driven,
    address: SocketAddr,
    version: u32,
}

impl Library {
    fn name(self) -> &'static str {
        match self {
            Library::Libcoap => "libcoap's server",
            Library::Aiocoap => "aiocoap's server",
            Library::NodeCoap => "node-coap's server",
            Library::GoCoap => "go-coap's server",
            Library::Californium => "Californium's server",
            Library::Reference => "the server on the reference's stack",
        }
    }

    fn command(self, parts: &Parts) -> Result<Command> {
        let run = |program, script: &str| {
            let mut command = Command::new(program);
            command.arg(parts.own(script));
            command
        };
        Ok(match self {
            Library::Libcoap => run(system_program("python3", "setup-test")?, "foreign/libcoap/server.py"),
            Library::Aiocoap => run(parts.aiocoap_python()?, "foreign/aiocoap/server.py"),
            Library::NodeCoap => {
                parts.node_client()?;
                run(system_program("node", "setup-test")?, "foreign/node/server.js")
            }
            Library::GoCoap => Command::new(parts.go_coap_server()?),
            Library::Californium => {
                let mut command = Command::new(system_program("java", "setup-more")?);
                command.arg("-cp").arg(parts.californium_classes()?).arg("ServeBody");
                command
            }
            Library::Reference => Command::new(parts.reference_server()?),
        })
    }
}

impl ForeignServer {
    /// Starts the server on a free port of loopback; its resource is empty.
    pub async fn start(parts: &Parts, library: Library) -> Result<ForeignServer> {
        let mut server = Driven::start(library.name(), library.command(parts)?)?;
        let port: u16 = server.hear("its port").await?;
        Ok(ForeignServer { server, address: (Ipv4Addr::LOCALHOST, port).into(), version: 0 })
    }

    /// Returns the server's address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Gives the resource another body of `length` bytes. Returns how often the server's handler has run
    /// since the last change.
    pub async fn change(&mut self, length: usize) -> Result<u32> {
        self.version += 1;
        self.server.order("another body", &length).await
    }

    /// Returns the number of the newest body, from 1 on.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Ends the server, which must exit by itself.
    pub async fn end(self) -> Result<()> {
        self.server.end().await
    }
}

/// Returns the body of this length that a server has after as many changes as `version` says.
pub fn body(length: usize, version: u32) -> Vec<u8> {
    let lines = (0..length.div_ceil(LINE)).map(|line| format!("{line:07x} {version:06} \n"));
    let mut body = lines.collect::<String>().into_bytes();
    body.truncate(length);
    body
}
