//! The two ways to speak Matrix that the demo compares: CBOR over CoAP and DTLS with our client, JSON over
//! HTTPS with a plain one; and a third for the tests, a foreign client of the first kind. All of them take
//! and return JSON.

use crate::call::Call;
use crate::error::{Error, Result};
use crate::http1::Http1;
use crate::reference::Reference;
use crate::tcp::Meter;
use bytes::Bytes;
use http::{Request, header};
use http_body_util::Full;
use lowband_client::{ConnectOptions, Connection, Response, Settings, Verification};
use lowband_wire::coap::content_format::{APPLICATION_JSON, CBOR, JSON};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The longest that a handshake may take.
pub const CONNECT_WITHIN: Duration = Duration::from_secs(20);
/// Time for an answer: no step of ours takes this long; a long poll asks for less.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// One connection of one user.
#[derive(Debug)]
pub enum Wire {
    /// CBOR in CoAP in DTLS.
    Coap(Connection),
    /// JSON in HTTP/1.1, in TLS as a rule.
    Http(Box<Http1>),
    /// CBOR in CoAP in DTLS, on the reference's client stack.
    Reference(Box<Reference>),
}

/// One answer over any of the wires.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The request that was answered, for messages.
    what: String,
    /// Code or status: `2.05` or `200`.
    pub code: String,
    /// Whether the code is of CoAP's class 2, or the status is 200 to 299.
    pub success: bool,
    /// The body as a document; a text that is not a document is kept as a string.
    pub body: Value,
}

impl Wire {
    /// Opens a DTLS session: see [`connect`].
    pub async fn coap(server: SocketAddr, ca: &Path) -> Result<Wire> {
        connect(server, ca).await.map(Wire::Coap)
    }

    /// Opens a TLS connection to Envoy's public port; only the certificate in the PEM file `ca` is believed.
    pub async fn https(server: SocketAddr, ca: &Path) -> Result<Wire> {
        Http1::tls(server, ca).await.map(|connection| Wire::Http(Box::new(connection)))
    }

    /// Opens an HTTP connection, for a homeserver with nothing in front of it.
    pub async fn http(server: SocketAddr) -> Result<Wire> {
        Http1::plain(server).await.map(|connection| Wire::Http(Box::new(connection)))
    }

    /// Returns the meter of a TCP connection. Datagrams are counted outside.
    pub fn meter(&self) -> Option<Arc<Meter>> {
        match self {
            Wire::Coap(_) | Wire::Reference(_) => None,
            Wire::Http(connection) => Some(connection.meter()),
        }
    }

    /// Sends `call` and waits for its answer, whatever its code.
    pub async fn call(&mut self, call: Call<'_>) -> Result<Answer> {
        // The query is left out: it may hold secrets.
        let what = format!("{} {}", call.method.name(), call.target.split('?').next().unwrap_or_default());
        let answer = async {
            match self {
                Wire::Coap(connection) => over_coap(connection, call, what.clone()).await,
                Wire::Http(connection) => over_http(connection, call, what.clone()).await,
                Wire::Reference(client) => over_reference(client, &call, what.clone()).await,
            }
        };
        let late = Error::NoAnswer { what: what.clone(), why: format!("silent for {ANSWER_WITHIN:?}") };
        tokio::time::timeout(ANSWER_WITHIN, answer).await.map_err(|_| late)?
    }
}

/// Opens a DTLS session with the sidecar, or a relay to it; only the certificate in the PEM file `ca` is
/// believed.
pub async fn connect(server: SocketAddr, ca: &Path) -> Result<Connection> {
    connect_with(server, ca, Settings::default()).await
}

/// Opens a DTLS session as [`connect`] does, with these settings.
pub async fn connect_with(server: SocketAddr, ca: &Path, settings: Settings) -> Result<Connection> {
    let roots = std::fs::read(ca).map_err(Error::io(format!("read {}", ca.display())))?;
    let options = ConnectOptions {
        server,
        server_name: "localhost".to_owned(),
        verification: Verification::Roots(roots),
        connect_timeout: CONNECT_WITHIN,
    };
    let failed = |why: lowband_client::Error| Error::NoAnswer {
        what: format!("DTLS handshake with {server}"),
        why: why.to_string(),
    };
    Connection::connect_with(options, settings).await.map_err(failed)
}

async fn over_coap(connection: &Connection, call: Call<'_>, what: String) -> Result<Answer> {
    let json = call.body.as_ref().map(Value::to_string).unwrap_or_default();
    let body = if json.is_empty() { Vec::new() } else { to_cbor(&json)? };
    let request = lowband_client::Request {
        method: call.method,
        target: call.target,
        access_token: call.token.map(str::to_owned),
        content_format: (!body.is_empty()).then_some(CBOR),
        accept: None,
        body,
    };
    let response = connection.request(request).await;
    let response = response.map_err(|why| Error::NoAnswer { what: what.clone(), why: why.to_string() })?;
    let body = match response.content_format {
        Some(CBOR) => parse(&from_cbor(&response.body)?),
        Some(JSON) => parse(&response.body),
        _ => Value::String(String::from_utf8_lossy(&response.body).into_owned()),
    };
    Ok(Answer { what, code: code(&response), success: response.code.is_success(), body })
}

async fn over_http(connection: &mut Http1, call: Call<'_>, what: String) -> Result<Answer> {
    // These are the headers that a lean client sends; browsers send several times as much.
    let mut request = Request::builder()
        .method(call.method.name())
        .uri(&call.target)
        .header(header::USER_AGENT, concat!("lowband-e2e/", env!("CARGO_PKG_VERSION")))
        .header(header::ACCEPT, APPLICATION_JSON);
    if let Some(token) = call.token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    if call.body.is_some() {
        request = request.header(header::CONTENT_TYPE, APPLICATION_JSON);
    }
    let body = call.body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
    let request = request.body(Full::new(body));
    let request = request.map_err(|why| Error::Setup(format!("{what} cannot be sent: {why}")))?;
    let response = connection.send(request).await?;
    let status = response.status();
    Ok(Answer {
        what,
        code: status.as_u16().to_string(),
        success: status.is_success(),
        body: parse(response.body()),
    })
}

async fn over_reference(client: &mut Reference, call: &Call<'_>, what: String) -> Result<Answer> {
    let told = client.call(call).await?;
    Ok(Answer { what, success: told.code.starts_with('2'), code: told.code, body: told.body })
}

/// Writes the code of a response: `2.05`.
pub fn code(response: &Response) -> String {
    response.code.to_string()
}

/// Returns the document in a response, which must be CBOR and say so.
pub fn document(response: &Response) -> Result<Value> {
    if response.content_format == Some(CBOR) {
        return Ok(parse(&from_cbor(&response.body)?));
    }
    Err(Error::Wrong {
        what: "a response over CoAP".to_owned(),
        expected: "CBOR".to_owned(),
        got: format!(
            "{} of Content-Format {:?}: {:?}",
            code(response),
            response.content_format,
            response.body
        ),
    })
}

/// Converts JSON text to CBOR with integer keys.
pub fn to_cbor(json: &str) -> Result<Vec<u8>> {
    lowband_codec::json_to_cbor(json.as_bytes()).map_err(|why| Error::Setup(format!("JSON to CBOR: {why}")))
}

/// Converts CBOR to JSON text.
pub fn from_cbor(cbor: &[u8]) -> Result<Vec<u8>> {
    lowband_codec::cbor_to_json(cbor).map_err(|why| Error::Wrong {
        what: "CBOR to JSON".to_owned(),
        expected: "a CBOR document".to_owned(),
        got: why.to_string(),
    })
}

fn parse(json: &[u8]) -> Value {
    serde_json::from_slice(json).unwrap_or_else(|_| Value::String(String::from_utf8_lossy(json).into_owned()))
}

impl Answer {
    /// Returns the body of a success; else an error that says what came.
    pub fn ok(self) -> Result<Value> {
        if self.success {
            return Ok(self.body);
        }
        Err(Error::Wrong {
            expected: "a success".to_owned(),
            got: format!("{} {}", self.code, self.body),
            what: self.what,
        })
    }

    /// Returns the text at a JSON pointer in the body of a success.
    pub fn text(self, pointer: &str) -> Result<String> {
        let what = self.what.clone();
        let body = self.ok()?;
        match body.pointer(pointer).and_then(Value::as_str) {
            Some(text) => Ok(text.to_owned()),
            None => {
                Err(Error::Wrong { what, expected: format!("a text at {pointer}"), got: body.to_string() })
            }
        }
    }
}
