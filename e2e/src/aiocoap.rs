//! The client of `e2e/foreign/aiocoap`: a foreign message layer and blockwise, without DTLS, driven by
//! lines of JSON.

use crate::driven::Driven;
use crate::error::Result;
use crate::parts::Parts;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use tokio::process::Command;

/// A running client. If it is dropped without [`Aiocoap::end`], it is killed.
#[derive(Debug)]
pub struct Aiocoap {
    client: Driven,
}

/// One request that the client is to make.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Order {
    /// GET, POST, PUT, DELETE, FETCH, PATCH or iPATCH; PING for an Empty confirmable message.
    pub method: &'static str,
    /// Uri-Path, one value for each segment.
    pub path: Vec<String>,
    /// Values of Uri-Query, one each.
    pub query: Vec<String>,
    /// The payload of the request.
    pub body: String,
    /// Content-Format of the payload.
    pub content_format: Option<u16>,
    /// Whether to send it as a non-confirmable message.
    pub unreliable: bool,
    /// Whether to ask with Observe 0.
    pub observe: bool,
    /// Further options by number.
    pub options: Vec<(u16, &'static str)>,
    /// Largest exponent of block sizes. `None`: 6.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_size: Option<u8>,
    /// Whether to ask for blocks of that size in the first request already.
    pub ask_block_size: bool,
    /// ACK_TIMEOUT in seconds. `None`: the one of RFC 7252.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ack_timeout: Option<f64>,
    /// Seconds after which a missing answer counts as the answer. `None`: never.
    pub give_up_after: Option<f64>,
}

/// The client's report of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Told {
    /// The response code, such as `2.05`.
    pub code: String,
    /// Type of the message that carried the first block of the response: `ACK`, `CON`, `NON` or `RST`.
    pub kind: String,
    /// The whole body.
    pub body: String,
    /// Content-Format of the response.
    pub content_format: Option<u16>,
    /// Whether the response has the option Observe.
    pub observing: bool,
    /// The name of the exception that was raised in place of an answer; empty if there was none.
    pub error: String,
}

impl Aiocoap {
    /// Starts the client on a server.
    pub fn start(parts: &Parts, server: SocketAddr) -> Result<Aiocoap> {
        let mut command = Command::new(parts.aiocoap_python()?);
        command.arg(parts.own("foreign/aiocoap/client.py")).arg(server.to_string());
        Ok(Aiocoap { client: Driven::start("aiocoap", command)? })
    }

    /// Makes one request and returns what came of it.
    pub async fn ask(&mut self, order: &Order) -> Result<Told> {
        self.client.order(order.method, order).await
    }

    /// Ends the client, which must exit by itself.
    pub async fn end(self) -> Result<()> {
        self.client.end().await
    }
}
