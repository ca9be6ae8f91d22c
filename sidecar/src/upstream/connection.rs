//! One HTTP/2 connection with prior knowledge (RFC 9113 section 3.3), over a unix socket or TCP.

use super::outgoing::Outgoing;
use super::waiting::Counted;
use super::{Address, Settings, pool};
use crate::failure::Failure;
use crate::health::{Health, Hint};
use hyper::client::conn::http2::{self, SendRequest};
use hyper::rt::{Read, Write};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::error::Error as _;
use std::io;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::timeout;

/// The handle that sends requests.
pub(super) type Sender = SendRequest<Outgoing>;

/// Bytes of an answer that wait in HTTP/2 until they are read (RFC 9113 section 5.2). They count as held by
/// the client ([`super::held_of_an_answer`]), so the window is small: one frame, which a client takes in
/// sixteen blocks.
pub(super) const STREAM_WINDOW: u32 = 16 << 10;
/// The allowed windows of a connection: the initial one and the largest (RFC 9113 sections 6.9.1 and 6.9.2).
const CONNECTION_WINDOWS: RangeInclusive<u32> = 65_535..=(1 << 31) - 1;
/// Largest header list in bytes. A larger one ends its request, not the connection.
const MAX_HEADER_LIST: u32 = 64 << 10;
/// Number of cancelled streams whose late frames are still recognised.
const RESET_STREAMS: usize = 1024;
/// A ping that is not answered within this time means a dead connection.
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// An attempt to connect that has failed.
#[derive(Debug)]
pub(super) struct Unconnected {
    /// The failure of each request that waited for the connection.
    pub(super) failure: Failure,
    /// What to look at.
    pub(super) hint: Hint,
}

/// Connects; the connection lives in a task of its own until both sides are done with it, and is counted in
/// `alive` until then.
pub(super) async fn connect(
    settings: &Settings,
    alive: &Arc<AtomicUsize>,
    health: &Arc<Health>,
) -> Result<Sender, Unconnected> {
    match timeout(settings.connect_timeout, open(settings, alive, health)).await {
        Ok(opened) => opened,
        Err(_elapsed) => Err(Unconnected { failure: Failure::Hung, hint: Hint::Silence }),
    }
}

async fn open(
    settings: &Settings,
    alive: &Arc<AtomicUsize>,
    health: &Arc<Health>,
) -> Result<Sender, Unconnected> {
    match &settings.address {
        Address::Unix(path) => {
            let stream = UnixStream::connect(path).await.map_err(refused)?;
            handshake(settings, alive, health, TokioIo::new(stream)).await
        }
        Address::Tcp(authority) => {
            let host = authority.host().trim_start_matches('[').trim_end_matches(']');
            let port = authority.port_u16().unwrap_or_default();
            let found = lookup_host((host, port)).await.map_err(|why| unreachable(&why, Hint::Name))?;
            let addresses = from_any(found.collect(), pool::random());
            let stream = TcpStream::connect(&*addresses).await.map_err(refused)?;
            stream.set_nodelay(true).map_err(refused)?;
            handshake(settings, alive, health, TokioIo::new(stream)).await
        }
    }
}

fn refused(why: io::Error) -> Unconnected {
    let hint = match why.kind() {
        io::ErrorKind::PermissionDenied => Hint::User,
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Hint::Absent,
        io::ErrorKind::TimedOut => Hint::Silence,
        _ => Hint::None,
    };
    unreachable(&why, hint)
}

fn unreachable(why: &io::Error, hint: Hint) -> Unconnected {
    Unconnected { failure: Failure::Unreachable(why.to_string()), hint }
}

/// Returns the addresses of a name, in their order from a random one on: always beginning with the first
/// would leave the others without work.
fn from_any(mut addresses: Vec<SocketAddr>, random: u64) -> Vec<SocketAddr> {
    let count = u64::try_from(addresses.len()).unwrap_or(u64::MAX);
    if let Some(first) = random.checked_rem(count) {
        addresses.rotate_left(usize::try_from(first).unwrap_or_default());
    }
    addresses
}

async fn handshake(
    settings: &Settings,
    alive: &Arc<AtomicUsize>,
    health: &Arc<Health>,
    io: impl Read + Write + Send + Unpin + 'static,
) -> Result<Sender, Unconnected> {
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(connection_window(settings.requests))
        .max_header_list_size(MAX_HEADER_LIST)
        .max_concurrent_reset_streams(RESET_STREAMS)
        // Frames for streams cancelled long ago would count as errors of ours and end the connection at
        // 1,024; the upstream is trusted not to send them on purpose.
        .max_local_error_reset_streams(None)
        // Pings go only with requests in flight: an idle sidecar is silent.
        .keep_alive_interval(settings.ping)
        .keep_alive_timeout(PING_TIMEOUT)
        .handshake(io)
        .await
        .map_err(|why| Unconnected {
            failure: Failure::Unreachable(reason(&why)),
            hint: health.hint_at_an_early_end(),
        })?;
    let counted = Counted::new(alive);
    let health = Arc::clone(health);
    tokio::spawn(async move {
        let _counted = counted;
        if let Err(error) = connection.await {
            // Requests of the connection may see no more of it than that it is closed.
            if speaks_no_http2(&error) {
                health.failed(&reason(&error), Hint::Protocol);
            }
            tracing::debug!(%error, "a connection to the upstream has ended");
        }
    });
    Ok(sender)
}

/// Returns a window with room for full streams of all requests that there may be, since they may all share
/// one connection: with less, clients that do not read would stop the others. The use of this room is bounded
/// by the windows of the streams.
fn connection_window(requests: usize) -> u32 {
    let all = u32::try_from(requests).unwrap_or(u32::MAX).saturating_mul(STREAM_WINDOW);
    all.clamp(*CONNECTION_WINDOWS.start(), *CONNECTION_WINDOWS.end())
}

/// Returns what an error of hyper means for the request that it ended.
pub(super) fn failure(error: &hyper::Error) -> Failure {
    if error.is_timeout() {
        return Failure::Hung;
    }
    Failure::Broken(reason(error))
}

/// Describes the error with its cause.
pub(super) fn reason(error: &hyper::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// Returns true when the upstream says that it has not processed the request: it may be sent again, whatever
/// its method (RFC 9113 section 8.7: REFUSED_STREAM, or a GOAWAY that does not cover the stream).
pub(super) fn was_not_processed(error: &hyper::Error) -> bool {
    of_http2(error).is_some_and(|h2| {
        h2.is_remote() && (h2.is_go_away() || h2.reason() == Some(h2::Reason::REFUSED_STREAM))
    })
}

/// Returns true when the connection broke off under the request: the request itself need not be to blame.
pub(super) fn was_cut(error: &hyper::Error) -> bool {
    let is_io = error.source().is_some_and(|cause| cause.is::<io::Error>());
    is_io || error.is_closed() || error.is_canceled() || of_http2(error).is_some_and(h2::Error::is_go_away)
}

/// Returns true when what came is not HTTP/2: the beginning of an answer in HTTP/1 reads as the head of a
/// frame far larger than any that is allowed (RFC 9113 section 4.2).
fn speaks_no_http2(error: &hyper::Error) -> bool {
    of_http2(error).is_some_and(|h2| h2.is_library() && h2.reason() == Some(h2::Reason::FRAME_SIZE_ERROR))
}

fn of_http2(error: &hyper::Error) -> Option<&h2::Error> {
    error.source().and_then(|cause| cause.downcast_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Watched;

    #[test]
    fn a_connection_has_room_for_the_full_windows_of_all_requests() {
        let windows = [1, 512, 16_384, usize::MAX].map(connection_window);
        assert_eq!(windows, [65_535, 8 << 20, 256 << 20, i32::MAX as u32]);
    }

    #[test]
    fn what_the_system_says_of_a_connection_has_its_hint() {
        use io::ErrorKind::{ConnectionRefused, NotFound, OutOfMemory, PermissionDenied, TimedOut};
        for (kind, hint) in [
            (PermissionDenied, Hint::User),
            (NotFound, Hint::Absent),
            (ConnectionRefused, Hint::Absent),
            (TimedOut, Hint::Silence),
            (OutOfMemory, Hint::None),
        ] {
            assert_eq!(refused(kind.into()).hint, hint, "{kind}");
        }
    }

    #[tokio::test]
    async fn a_name_that_does_not_resolve_is_told_to_be_one() {
        // No resolver is asked for a label of more than 63 characters (RFC 1035 section 2.3.4).
        let name = "x".repeat(64);
        let settings = pool::settings_for(Address::Tcp(format!("{name}:80").parse().unwrap()));
        let health = Arc::new(Health::new(Watched::Upstream(settings.address.to_string())));
        let unconnected = connect(&settings, &Arc::default(), &health).await.unwrap_err();
        assert_eq!(unconnected.hint, Hint::Name, "{unconnected:?}");
        assert!(matches!(unconnected.failure, Failure::Unreachable(_)));
    }

    #[test]
    fn each_address_of_a_name_is_the_first_one_in_its_turn() {
        let addresses: Vec<SocketAddr> = (1..=3).map(|port| ([127, 0, 0, 1], port).into()).collect();
        let order =
            |random| from_any(addresses.clone(), random).iter().map(SocketAddr::port).collect::<Vec<_>>();
        assert_eq!([order(0), order(4), order(u64::MAX - 1)], [[1, 2, 3], [2, 3, 1], [3, 1, 2]]);
        assert_eq!(from_any(Vec::new(), 5), []);
    }
}
