//! The admin port: /healthz (the process lives), /readyz (clients are served), /metrics (Prometheus).

use crate::drain::Phase;
use crate::event_loop::Inspector;
use crate::logging::Seldom;
use crate::metrics::{Format, Metrics};
use crate::readiness::Readiness;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, VARY};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

/// Connections at a time. One more ends the oldest connection that has not sent a request yet; where all have
/// sent one, the new connection waits.
pub const MAX_CONNECTIONS: usize = 32;
/// Time for a client to send the head of a request, and for the event loop to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Time for a whole connection; /readyz may take two handshakes.
pub const LONGEST: Duration = Duration::from_secs(15);

const PLAIN: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// Sources of what the pages show.
#[derive(Debug)]
pub struct Admin {
    /// The counters of the sidecar.
    pub metrics: Arc<Metrics>,
    /// The handle that asks the event loop.
    pub inspector: Inspector,
    /// The probe behind `/readyz`.
    pub readiness: Readiness,
}

/// Serves the pages until its future is dropped.
pub async fn serve(listener: TcpListener, admin: Admin) {
    let admin = Arc::new(admin);
    // All connections end when this future is dropped.
    let mut connections = JoinSet::new();
    let mut silent = VecDeque::new();
    let mut refused = Seldom::default();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Most likely the process is out of file descriptors: try again when some may have been
                // closed.
                if let Some(left_out) = refused.take(Instant::now()) {
                    tracing::warn!(%error, left_out, "the admin port cannot accept");
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        silent.retain(Silent::is_so);
        if connections.len() >= MAX_CONNECTIONS {
            if let Some(oldest) = silent.pop_front() {
                oldest.connection.abort();
            }
            let _ = connections.join_next().await;
        }
        let admin = Arc::clone(&admin);
        let has_asked = Arc::new(AtomicBool::new(false));
        let asks = Arc::clone(&has_asked);
        let connection = connections.spawn(async move {
            let service = service_fn(move |request| {
                asks.store(true, Ordering::Relaxed);
                let admin = Arc::clone(&admin);
                async move { Ok::<_, Infallible>(admin.answer(&request).await) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(PATIENCE)
                // One request per connection, in bounded time: a client that does not read holds a place only
                // briefly.
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service);
            match timeout(LONGEST, connection).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "an admin connection has ended"),
                Err(_elapsed) => tracing::debug!("an admin connection has taken more than {LONGEST:?}"),
            }
        });
        silent.push_back(Silent { connection, has_asked });
    }
}

/// A connection that has not sent a request yet, as far as is known.
struct Silent {
    connection: AbortHandle,
    has_asked: Arc<AtomicBool>,
}

impl Silent {
    fn is_so(&self) -> bool {
        !self.has_asked.load(Ordering::Relaxed) && !self.connection.is_finished()
    }
}

impl Admin {
    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return page(StatusCode::METHOD_NOT_ALLOWED, PLAIN, "only GET\n".to_owned());
        }
        match request.uri().path() {
            "/healthz" => page(StatusCode::OK, PLAIN, "ok\n".to_owned()),
            "/readyz" => {
                let ready = self.ready().await;
                self.metrics.ready(ready.is_ok());
                match ready {
                    Ok(()) => page(StatusCode::OK, PLAIN, "ready\n".to_owned()),
                    Err(why) => page(StatusCode::SERVICE_UNAVAILABLE, PLAIN, format!("not ready: {why}\n")),
                }
            }
            "/metrics" => match self.scrape(Format::preferred(request.headers())).await {
                Some(answer) => answer,
                None => page(
                    StatusCode::SERVICE_UNAVAILABLE,
                    PLAIN,
                    "the event loop does not answer\n".to_owned(),
                ),
            },
            _ => page(StatusCode::NOT_FOUND, PLAIN, "/healthz /readyz /metrics\n".to_owned()),
        }
    }

    async fn ready(&self) -> Result<(), String> {
        match self.inspector.phase() {
            // As long as clients are still to be notified, flows must not be moved.
            Phase::Serving | Phase::Telling => self.readiness.check().await,
            // The probe would be refused, like every new session.
            Phase::Sweeping => Ok(()),
            Phase::Lingering | Phase::Over => Err("draining; all clients have been notified".to_owned()),
        }
    }

    async fn scrape(&self, format: Format) -> Option<Response<Full<Bytes>>> {
        let snapshot = timeout(PATIENCE, self.inspector.snapshot()).await.ok()??;
        let text = self.metrics.encode(snapshot, format).ok()?;
        let mut answer = page(StatusCode::OK, format.content_type(), text);
        answer.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
        Some(answer)
    }
}

fn page(status: StatusCode, kind: HeaderValue, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
