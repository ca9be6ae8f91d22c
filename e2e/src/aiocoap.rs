//! The client of `e2e/foreign/aiocoap`: a foreign message layer and blockwise, without DTLS, driven by
//! lines of JSON.

use crate::driven::Driven;
use crate::error::Result;
use crate::parts::Parts;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use tokio::process::Command;

/// A running client. Dropped without [`Aiocoap::end`] it is killed.
#[derive(Debug)]
pub struct Aiocoap {
    client: Driven,
}

/// One request that the client is to make.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Order {
    /// GET, POST, PUT, DELETE, FETCH, PATCH or iPATCH; PING for an Empty confirmable message.
    pub method: &'static str,
    /// Uri-Path, a value for each segment.
    pub path: Vec<String>,
    /// Values of Uri-Query, one each.
    pub query: Vec<String>,
    /// The payload of the request.
    pub body: String,
    /// Content-Format of the payload.
    pub content_format: Option<u16>,
    /// Sends it as a non-confirmable message.
    pub unreliable: bool,
    /// Asks with Observe 0.
    pub observe: bool,
    /// Further options by number.
    pub options: Vec<(u16, &'static str)>,
    /// Largest exponent of block sizes; 6 unless told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_size: Option<u8>,
    /// Asks for blocks of that size in the first request already.
    pub ask_block_size: bool,
    /// ACK_TIMEOUT in seconds; RFC 7252's unless told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ack_timeout: Option<f64>,
    /// Seconds after which the lack of an answer is the answer.
    pub give_up_after: Option<f64>,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Told {
    /// The response code, such as `2.05`.
    pub code: String,
    /// `ACK`, `CON`, `NON` or `RST`: the type of the message that it came in, of the first block's.
    pub kind: String,
    /// The whole body.
    pub body: String,
    /// Content-Format of the response.
    pub content_format: Option<u16>,
    /// Whether the response has the option Observe.
    pub observing: bool,
    /// The name of what was raised in place of an answer.
    pub error: String,
}

impl Aiocoap {
    /// Starts it on a server.
    pub fn start(parts: &Parts, server: SocketAddr) -> Result<Aiocoap> {
        let mut command = Command::new(parts.aiocoap_python()?);
        command.arg(parts.own("foreign/aiocoap/client.py")).arg(server.to_string());
        Ok(Aiocoap { client: Driven::start("aiocoap", command)? })
    }

    /// One request and what came of it.
    pub async fn ask(&mut self, order: &Order) -> Result<Told> {
        self.client.order(order.method, order).await
    }

    /// Ends it; it must end by itself.
    pub async fn end(self) -> Result<()> {
        self.client.end().await
    }
}
