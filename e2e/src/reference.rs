//! The client of `e2e/foreign/reference`: a foreign DTLS, CoAP and CBOR, driven by lines of JSON.

use crate::call::Call;
use crate::driven::Driven;
use crate::error::{Error, Result};
use crate::parts::Parts;
use lowband_codec::{KeyTable, PathTable};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::process::Command;

const NAME: &str = "the reference's client";

/// A running client with one session. If it is dropped without [`Reference::end`], it is killed.
#[derive(Debug)]
pub struct Reference {
    client: Driven,
}

/// The client's report of one exchange.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Told {
    /// The failure below Matrix. `None` if there was none.
    error: Option<String>,
    /// Protocol of the answer: `coap`, or `https` after a fallback.
    pub over: String,
    /// Code or status of the answer: `2.05` or `200`.
    pub code: String,
    /// The code that the client took as the sign to fall back. `None` if there was no fallback.
    pub refused: Option<String>,
    /// Whether the request carried option 256.
    pub token_sent: bool,
    /// The answer's document.
    pub body: Value,
    /// The length of the answer's payload as it came.
    pub bytes: u64,
    /// Number of keys that came as integers.
    pub integer_keys: u64,
    /// Number of keys that came as text although the key table has them.
    pub text_keys: u64,
}

/// One line of the client's input.
#[derive(Debug, Default, Serialize)]
struct Order<'a> {
    ping: bool,
    observe: bool,
    method: &'a str,
    target: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a Value>,
}

impl<'a> Order<'a> {
    fn new(call: &'a Call<'_>, method: &'a str) -> Order<'a> {
        let (token, body) = (call.token, call.body.as_ref());
        Order { method, target: &call.target, token, body, ..Order::default() }
    }
}

impl Reference {
    /// Starts the client on a server or on a relay to it. A failed handshake is reported by the first call.
    pub async fn start(parts: &Parts, server: SocketAddr) -> Result<Reference> {
        Reference::greet(Driven::start(NAME, Command::new(parts.reference_client()?))?, server).await
    }

    /// Starts the client, which gives itself this long for an answer.
    pub async fn patient(parts: &Parts, server: SocketAddr, within: Duration) -> Result<Reference> {
        let client = Driven::patient(NAME, Command::new(parts.reference_client()?), within)?;
        Reference::greet(client, server).await
    }

    /// Tells the client the server and the tables.
    async fn greet(mut client: Driven, server: SocketAddr) -> Result<Reference> {
        let (keys, paths) = tables();
        client.tell(&json!({"server": server.to_string(), "keys": keys, "paths": paths})).await?;
        Ok(Reference { client })
    }

    /// Makes one request and returns what came of it.
    pub async fn call(&mut self, call: &Call<'_>) -> Result<Told> {
        self.order(&Order::new(call, call.method.name())).await
    }

    /// Makes a request that also asks for notifications (Observe 0, RFC 7641), as such clients do on `/sync`.
    pub async fn observe(&mut self, call: &Call<'_>) -> Result<Told> {
        self.order(&Order { observe: true, ..Order::new(call, call.method.name()) }).await
    }

    /// Sends a CoAP ping and waits for its answer.
    pub async fn ping(&mut self) -> Result<()> {
        self.order(&Order { ping: true, ..Order::default() }).await.map(drop)
    }

    /// Ends the session; the client must exit by itself.
    pub async fn end(self) -> Result<()> {
        self.client.end().await
    }

    async fn order(&mut self, order: &Order<'_>) -> Result<Told> {
        let path = order.target.split('?').next().unwrap_or_default();
        let what = if order.ping { "a ping".to_owned() } else { format!("{} {path}", order.method) };
        let told: Told = self.client.order(&what, order).await?;
        match told.error {
            Some(why) => Err(Error::NoAnswer { what: format!("{NAME}, {what}"), why }),
            None => Ok(told),
        }
    }
}

/// Returns the key table and the path table as programs on the reference's stack read them.
pub(crate) fn tables() -> (Map<String, Value>, Map<String, Value>) {
    let keys = KeyTable::v1().iter().map(|(name, key)| (name.to_owned(), json!(key)));
    let paths = PathTable::v1().iter().map(|(code, path)| (code.to_string(), json!(path)));
    (keys.collect(), paths.collect())
}

impl Told {
    /// Returns the text of a member of the document; empty when there is none.
    pub fn text(&self, member: &str) -> &str {
        self.body.get(member).and_then(Value::as_str).unwrap_or_default()
    }
}
