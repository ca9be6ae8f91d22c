//! The upstream: HTTP/2 with prior knowledge on a unix socket, as fast as it can be, with CBOR of known
//! sizes. It stands for Envoy and the homeserver together, so that what is measured is the sidecar. Behind a
//! real Envoy stands a [`Homeserver`].

use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use lowband_e2e::{Error, Result};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinSet;

/// Bytes in the answer of a PUT: an event id of 44 characters.
pub const SENT: usize = 48;
/// Bytes in the answer of a GET: one block, of which it fills the lesser part.
pub const SMALL: usize = 300;
/// Blocks of 1,024 bytes in the answer of `/sync`: 200 kB of JSON as CBOR.
pub const BLOCKS: usize = 125;
/// Bytes in the answer of `/sync`.
pub const LARGE: usize = BLOCKS * 1024;

/// Makes the answer of a homeserver to `/sync`: 200 kB of JSON, ten small ones in an array. The filter holds
/// it, and so it has definite lengths.
pub fn json_sync() -> Vec<u8> {
    const SMALL: &[u8] = include_bytes!("../../codec/tests/data/sync-small.json");
    [b"[".as_slice(), &[SMALL.trim_ascii(); 10].join(&b","[..]), b"]"].concat()
}

/// Returns the answer of a homeserver to `/versions`: 1.5 kB of JSON.
pub fn json_versions() -> &'static [u8] {
    const BODIES: &[u8] = include_bytes!("../../codec/tests/data/bodies.jsonl");
    BODIES.split(|byte| *byte == b'\n').next().unwrap_or_default()
}

/// A homeserver: HTTP/1.1 over TCP, [`json_versions`] for `/versions` and [`json_sync`] for all else.
#[derive(Debug)]
pub struct Homeserver {
    /// Address at which the homeserver listens.
    pub address: SocketAddr,
    _serving: JoinSet<()>,
}

impl Homeserver {
    /// Starts the homeserver on a port that the kernel chooses.
    pub async fn start() -> Result<Homeserver> {
        let failed = || Error::io("listen for Envoy");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(failed())?;
        let address = listener.local_addr().map_err(failed())?;
        let (sync, versions) = (Bytes::from(json_sync()), Bytes::from_static(json_versions()));
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (sync, versions) = (sync.clone(), versions.clone());
                connections.spawn(async move {
                    let service = service_fn(move |request: Request<Incoming>| {
                        let is_small = request.uri().path().ends_with("/versions");
                        let body = if is_small { &versions } else { &sync };
                        let mut response = Response::new(Full::new(body.clone()));
                        let json = header::HeaderValue::from_static("application/json");
                        response.headers_mut().insert(header::CONTENT_TYPE, json);
                        std::future::ready(Ok::<_, std::convert::Infallible>(response))
                    });
                    // The connection ends when its client does.
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Ok(Homeserver { address, _serving: serving })
    }
}

/// A running stub; it ends with this handle.
#[derive(Debug)]
pub struct Stub {
    _serving: JoinSet<()>,
}

impl Stub {
    /// Listens on the socket that the sidecar looks for in `folder`. A GET of anything but `/sync` is
    /// answered with `small` bytes.
    pub fn start(folder: &Path, small: usize) -> Result<Stub> {
        let path = folder.join("envoy.sock");
        let listener =
            UnixListener::bind(&path).map_err(Error::io(format!("listen on {}", path.display())))?;
        let bodies = [sent(), document(small), document(LARGE)];
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let bodies = bodies.clone();
                connections.spawn(async move {
                    let service = service_fn(move |request| answer(request, bodies.clone()));
                    let builder = http2::Builder::new(TokioExecutor::new());
                    // The connection ends when the sidecar does.
                    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Ok(Stub { _serving: serving })
    }
}

async fn answer(
    request: Request<Incoming>,
    [sent, small, large]: [Bytes; 3],
) -> std::result::Result<Response<Full<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    body.collect().await?;
    let body = match () {
        () if head.method == Method::PUT => sent,
        () if head.uri.path().ends_with("/sync") => large,
        () => small,
    };
    let mut response = Response::new(Full::new(body));
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/cbor"));
    Ok(response)
}

/// Makes `{"event_id":"$..."}` with an integer key, as the filter answers the sidecar's clients.
fn sent() -> Bytes {
    let head = b"\xa1\x01\x78\x2c$";
    [head.as_slice(), &[b'y'; SENT - 5]].concat().into()
}

/// Makes a CBOR map of `length` bytes, 259 or more: one key of one letter, and a text (RFC 8949 section 3).
pub fn document(length: usize) -> Bytes {
    let head = [0xa1, 0x61, b'x', 0x7a];
    let text = length.saturating_sub(head.len() + 4);
    let text_length = u32::try_from(text).unwrap_or_default().to_be_bytes();
    [&head, text_length.as_slice(), vec![b'y'; text].as_slice()].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_small_answer_of_the_homeserver_is_that_of_versions() {
        let document: serde_json::Value = serde_json::from_slice(json_versions()).unwrap();
        assert!(document["versions"].is_array() && json_versions().len() > 1_000, "{document}");
    }

    #[test]
    fn the_answers_are_cbor_of_the_sizes_that_they_are_said_to_have() {
        let json = lowband_codec::cbor_to_json(&sent()).unwrap();
        assert_eq!((sent().len(), json.len()), (SENT, r#"{"event_id":""}"#.len() + 44));
        for length in [SMALL, LARGE] {
            let document = document(length);
            assert_eq!(document.len(), length);
            let json = lowband_codec::cbor_to_json(&document).unwrap();
            assert_eq!(json.len(), length - 8 + r#"{"x":""}"#.len());
        }
    }
}
