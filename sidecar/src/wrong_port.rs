//! Whether `--upstream` names Envoy's port for clients, in place of its listener for the sidecar. Requests
//! would be answered there as well: HTTP/2 in clear text is for a balancer in front. But every client would
//! have this machine's address, and the filter would not believe what the sidecar says of its key tables.
//!
//! The sidecar asks by itself, on a connection of its own, for a path that only the port for clients has: no
//! request of a client comes near it, so no client can cause the warning, prevent it or learn of it.

use crate::target::READY_PATH;
use crate::upstream::Address;
use bytes::Bytes;
use http::header::USER_AGENT;
use http::uri::Authority;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::error::Error;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// The answer of Envoy's port for clients: `direct_response` in envoy.yaml.
const READY: &[u8] = b"ready\n";
/// Time for one attempt.
const PATIENCE: Duration = Duration::from_secs(5);
/// Time after the first attempt that has brought no answer; doubled with each further one.
const PAUSE: Duration = Duration::from_secs(1);
/// Longest time between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Asks until there is an answer, and warns if it is that of the port for clients. A unix socket is not
/// asked: that port is never one.
pub async fn look_out(upstream: Address) {
    let Address::Tcp(authority) = &upstream else { return };
    let mut pause = PAUSE;
    loop {
        match timeout(PATIENCE, is_for_clients(authority)).await {
            Ok(Ok(true)) => {
                tracing::warn!(
                    %upstream,
                    "--upstream names Envoy's port for clients: all of them have one address there, and their \
                     key tables do not count; it has to name the listener that is for the sidecar, \
                     unix:run/envoy.sock in envoy.yaml"
                );
                return;
            }
            Ok(Ok(false)) => return,
            // Envoy may start later. That there is no upstream is told with the first request.
            Ok(Err(_)) | Err(_) => {}
        }
        sleep(pause).await;
        pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
    }
}

async fn is_for_clients(authority: &Authority) -> Result<bool, Box<dyn Error + Send + Sync>> {
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((host, authority.port_u16().unwrap_or_default())).await?;
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    let request = Request::get(format!("http://{authority}/{}", READY_PATH.join("/")))
        .header(USER_AGENT, concat!("lowband/", env!("CARGO_PKG_VERSION")))
        .body(Empty::<Bytes>::new())?;
    // It ends when the sender is dropped.
    tokio::spawn(connection);
    let answer = sender.send_request(request).await?;
    if answer.status() != StatusCode::OK {
        return Ok(false);
    }
    let body = Limited::new(answer.into_body(), READY.len()).collect().await;
    Ok(body.is_ok_and(|body| body.to_bytes() == READY))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Response;
    use http_body_util::Full;
    use hyper::service::service_fn;
    use std::convert::Infallible;
    use tokio::net::TcpListener;

    /// Returns the address of a server that answers each request for the path in this way, once.
    async fn server(status: StatusCode, body: &'static [u8]) -> Authority {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let service = service_fn(move |request: Request<hyper::body::Incoming>| async move {
                assert_eq!(request.uri().path(), "/.lowband/ready");
                let mut answer = Response::new(Full::new(Bytes::from_static(body)));
                *answer.status_mut() = status;
                Ok::<_, Infallible>(answer)
            });
            let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            builder.serve_connection(TokioIo::new(stream), service).await.unwrap();
        });
        address.to_string().parse().unwrap()
    }

    #[tokio::test]
    async fn only_the_very_answer_of_the_port_for_clients_counts() {
        for (status, body, expected) in [
            (StatusCode::OK, &b"ready\n"[..], true),
            (StatusCode::NOT_FOUND, b"ready\n", false),
            (StatusCode::OK, b"ready", false),
            (StatusCode::OK, b"ready\nand more", false),
            (StatusCode::OK, b"", false),
        ] {
            let authority = server(status, body).await;
            assert_eq!(is_for_clients(&authority).await.unwrap(), expected, "{status} {body:?}");
        }
    }

    #[tokio::test]
    async fn what_does_not_answer_is_neither() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority: Authority = listener.local_addr().unwrap().to_string().parse().unwrap();
        let cut = tokio::spawn(async move { drop(listener.accept().await.unwrap()) });
        assert!(is_for_clients(&authority).await.is_err(), "it was cut");
        cut.await.unwrap();
        assert!(is_for_clients(&authority).await.is_err(), "nothing listens");
    }

    #[tokio::test(start_paused = true)]
    async fn a_unix_socket_is_not_asked() {
        look_out(Address::Unix("/nonexistent/envoy.sock".into())).await;
    }
}
