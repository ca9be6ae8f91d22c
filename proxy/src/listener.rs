//! Connections of clients: HTTP/1.1 and HTTP/2 with prior knowledge, in clear text or over TLS.

use crate::body::{BoxError, Holding};
use crate::error::Error;
use crate::proxy::Proxy;
use crate::settings::{Identity, Settings};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use openssl::pkey::PKey;
use openssl::ssl::{AlpnError, Ssl, SslAcceptor, SslFiletype, SslMethod, select_next_proto};
use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, sleep, timeout};
use tokio_openssl::SslStream;

/// Names of protocols for ALPN (RFC 7301), each with its length.
const PROTOCOLS: &[u8] = b"\x02h2\x08http/1.1";
/// A client that has not finished its TLS handshake in this time is gone.
const LONGEST_HANDSHAKE: Duration = Duration::from_secs(20);
/// How long a connection is kept without a request: longer than clients keep one (matrix-sdk for 90 s), since
/// some tell their user of a request that meets its end. Where there are too many, idle ones end at once.
const KEPT: Duration = Duration::from_secs(600);
/// Time to wait when the system has no room for one more connection, and time for a connection that is to
/// end: one that is still idle then has a client that does not do its part.
const PAUSE: Duration = Duration::from_millis(100);

/// Listens on the address of the settings. Refuses one that other machines reach, unless that is allowed.
pub async fn bind(settings: &Settings) -> Result<TcpListener, Error> {
    let address = settings.listen;
    if !address.ip().is_loopback() && !settings.allow_remote {
        return Err(Error::Remote(address));
    }
    TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })
}

/// Makes what TLS needs, if it is wanted.
pub(crate) fn acceptor(identity: Option<&Identity>) -> Result<Option<SslAcceptor>, Error> {
    let Some(Identity { certificate, key }) = identity else { return Ok(None) };
    let mut tls = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
    let unread = |source| Error::Identity { path: certificate.clone(), source };
    tls.set_certificate_chain_file(certificate).map_err(unread)?;
    // A key of another kind than the certificate's is noticed by the check alone.
    let taken = tls.set_private_key_file(key, SslFiletype::PEM).and_then(|()| tls.check_private_key());
    taken.map_err(|source| match holds_key(key) {
        true => Error::Pair { certificate: certificate.clone(), key: key.clone(), source },
        false => Error::Identity { path: key.clone(), source },
    })?;
    tls.set_alpn_select_callback(|_, offered| select_next_proto(PROTOCOLS, offered).ok_or(AlpnError::NOACK));
    Ok(Some(tls.build()))
}

/// Returns whether a file holds a private key that can be read.
fn holds_key(path: &Path) -> bool {
    // A passphrase that is asked for is empty: nobody is there to type one.
    std::fs::read(path).is_ok_and(|pem| PKey::private_key_from_pem_callback(&pem, |_| Ok(0)).is_ok())
}

/// One connection, as the others know it.
#[derive(Default)]
struct Seat {
    /// Requests under way.
    busy: AtomicUsize,
    /// When the last request ended.
    since: Mutex<Option<Instant>>,
    /// Tells the connection to end as soon as nothing is under way.
    leave: Notify,
}

impl Seat {
    fn idle_since(&self) -> Option<Instant> {
        let since = *self.since.lock().unwrap_or_else(PoisonError::into_inner);
        since.filter(|_| self.busy.load(Ordering::Relaxed) == 0)
    }

    /// Returns whether it has been without a request for some time.
    fn is_idle(&self) -> bool {
        self.idle_since().is_some_and(|since| since.elapsed() >= PAUSE)
    }

    /// Waits until it is to end, and a little longer.
    async fn left(&self) {
        self.leave.notified().await;
        sleep(PAUSE).await;
    }

    fn rest(&self) {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}

/// A request under way on a connection.
struct Busy(Arc<Seat>);

impl Busy {
    fn on(seat: &Arc<Seat>) -> Busy {
        seat.busy.fetch_add(1, Ordering::Relaxed);
        Busy(Arc::clone(seat))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.rest();
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Serves connections until the proxy is told to end, and then until the last one has ended.
pub(crate) async fn serve(
    proxy: Arc<Proxy>,
    listener: TcpListener,
    tls: Option<SslAcceptor>,
    mut ending: watch::Receiver<bool>,
) {
    let most = proxy.settings.limits.connections.max(1);
    let mut connections = JoinSet::new();
    let mut seats: HashMap<Id, Arc<Seat>> = HashMap::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = ending.wait_for(|ends| *ends) => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                tokio::select! {
                    () = make_room(&mut connections, &mut seats, most) => {}
                    _ = ending.wait_for(|ends| *ends) => break,
                }
                // Small answers must not wait for the acknowledgement of the last one.
                let _without = stream.set_nodelay(true);
                let seat = Arc::new(Seat::default());
                seat.rest();
                let carried =
                    carry(Arc::clone(&proxy), stream, peer, tls.clone(), Arc::clone(&seat), ending.clone());
                let task = connections.spawn(carried);
                seats.insert(task.id(), seat);
            }
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be accepted");
                sleep(PAUSE).await;
            }
        }
    }
    drop(listener);
    let longest = proxy.settings.times.ending + PAUSE * 5;
    let _late = timeout(longest, async { while connections.join_next().await.is_some() {} }).await;
}

/// Waits until there is room for one more connection, and has the one end that has been without a request for
/// the longest. Nobody has to leave before somebody has come: that one could be the newcomer itself.
async fn make_room(connections: &mut JoinSet<()>, seats: &mut HashMap<Id, Arc<Seat>>, most: usize) {
    loop {
        while let Some(ended) = connections.try_join_next_with_id() {
            forget(seats, ended);
        }
        if connections.len() < most {
            return;
        }
        let idle = seats.values().filter_map(|seat| seat.idle_since().map(|since| (since, seat)));
        if let Some((_, seat)) = idle.min_by_key(|(since, _)| *since) {
            seat.leave.notify_one();
        }
        tokio::select! {
            Some(ended) = connections.join_next_with_id() => forget(seats, ended),
            // One of them may be idle by then.
            () = sleep(PAUSE) => {}
        }
    }
}

fn forget(seats: &mut HashMap<Id, Arc<Seat>>, ended: Result<(Id, ()), tokio::task::JoinError>) {
    let id = match ended {
        Ok((id, ())) => id,
        Err(error) => error.id(),
    };
    seats.remove(&id);
}

async fn carry(
    proxy: Arc<Proxy>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    tls: Option<SslAcceptor>,
    seat: Arc<Seat>,
    ending: watch::Receiver<bool>,
) {
    let outcome = match tls {
        None => talk(proxy, stream, seat, ending).await,
        Some(tls) => {
            let shaken = tokio::select! {
                biased;
                shaken = timeout(LONGEST_HANDSHAKE, shake_hands(&tls, stream)) => shaken,
                () = seat.left() => return,
            };
            match shaken {
                Ok(Ok(stream)) => talk(proxy, stream, seat, ending).await,
                Ok(Err(error)) => Err(error.into()),
                Err(elapsed) => Err(elapsed.into()),
            }
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%peer, %error, "a connection has ended");
    }
}

async fn shake_hands<S>(tls: &SslAcceptor, stream: S) -> io::Result<SslStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut stream = SslStream::new(Ssl::new(tls.context())?, stream)?;
    Pin::new(&mut stream).accept().await.map_err(io::Error::other)?;
    Ok(stream)
}

async fn talk(
    proxy: Arc<Proxy>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    seat: Arc<Seat>,
    mut ending: watch::Receiver<bool>,
) -> Result<(), BoxError> {
    let service = service_fn(|request: http::Request<Incoming>| {
        let (proxy, busy) = (Arc::clone(&proxy), Busy::on(&seat));
        async move {
            let request = request.map(|body| body.map_err(BoxError::from).boxed_unsync());
            let response = proxy.answer(request).await;
            // The connection is in use until the body has gone.
            Ok::<_, Infallible>(response.map(|body| Holding::new(body, busy)))
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(KEPT);
    builder.http2().timer(TokioTimer::new());
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        // A request that is there already is answered.
        biased;
        outcome = connection.as_mut() => return outcome,
        () = seat.leave.notified() => {}
        _ = ending.wait_for(|ends| *ends) => {}
    }
    connection.as_mut().graceful_shutdown();
    // That waits for the rest of a request's head, for the last answer to be read and, over HTTP/2, for a
    // word of the client's: without a bound.
    loop {
        tokio::select! {
            outcome = connection.as_mut() => return outcome,
            () = sleep(PAUSE) => if seat.is_idle() { return Ok(()) }
        }
    }
}

#[cfg(test)]
mod tests;
