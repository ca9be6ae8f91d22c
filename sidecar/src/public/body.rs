//! The bodies of one request: what its client sends, against a limit of time, and what it gets, watched for
//! whether it is taken.

use super::exchange::Open;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::time::{Sleep, sleep_until};

/// What each byte of a body buys: after the longest silence that is allowed, a body comes at 64 bytes a
/// second at least.
const PER_BYTE: Duration = Duration::from_micros(15_625);
/// The longest piece of an answer that HTTP/2 gets at once. It keeps a piece that a client does not take,
/// and what has been handed over counts for nobody any more.
const PIECE: usize = 8 << 10;

/// What the homeserver's side and ours both know of a request's body.
#[derive(Debug, Default)]
pub(super) struct Progress {
    bytes: AtomicU64,
    is_slow: AtomicBool,
}

impl Progress {
    /// Returns how many bytes have come.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Returns true if the body has been given up for being slow.
    pub(super) fn is_slow(&self) -> bool {
        self.is_slow.load(Ordering::Relaxed)
    }
}

/// How long a client may still be waited for. Time counts only while somebody waits.
#[derive(Debug)]
struct Patience {
    most: Duration,
    left: Duration,
    waits: Option<Instant>,
}

impl Patience {
    fn new(most: Duration) -> Patience {
        Patience { most, left: most, waits: None }
    }

    /// Notes that nothing is there, and returns until when to wait.
    fn wait(&mut self, now: Instant) -> Instant {
        *self.waits.get_or_insert(now) + self.left
    }

    /// Notes that bytes have come.
    fn came(&mut self, now: Instant, bytes: usize) {
        let waited = self.waits.take().map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        let bought = PER_BYTE.saturating_mul(u32::try_from(bytes).unwrap_or(u32::MAX));
        self.left = self.left.saturating_sub(waited).saturating_add(bought).min(self.most);
    }
}

/// A request's body that fails when its client is too slow.
#[derive(Debug)]
pub(super) struct Paced<B> {
    body: B,
    patience: Patience,
    alarm: Option<Pin<Box<Sleep>>>,
    progress: Arc<Progress>,
}

/// The client is too slow, or its body is broken.
#[derive(Debug)]
pub(super) struct NotWhole;

impl fmt::Display for NotWhole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body of the request has not come whole")
    }
}

impl Error for NotWhole {}

impl<B> Paced<B> {
    /// Makes the body fail after this long without a byte, or when it is slower on the whole.
    pub(super) fn new(body: B, silence: Duration, progress: Arc<Progress>) -> Paced<B> {
        Paced { body, patience: Patience::new(silence), alarm: None, progress }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Paced<B> {
    type Data = Bytes;
    type Error = NotWhole;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, NotWhole>>> {
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                self.patience.came(Instant::now(), bytes);
                self.progress.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(_))) => Poll::Ready(Some(Err(NotWhole))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                let until = tokio::time::Instant::from_std(self.patience.wait(Instant::now()));
                let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(until)));
                if alarm.deadline() != until {
                    alarm.as_mut().reset(until);
                }
                ready!(alarm.as_mut().poll(cx));
                self.progress.is_slow.store(true, Ordering::Relaxed);
                Poll::Ready(Some(Err(NotWhole)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of an answer, on its way to the client.
pub(super) struct Answer<B: Body> {
    body: B,
    /// What is left of a piece that was longer than HTTP/2 gets at once.
    rest: Bytes,
    open: Open,
    /// Whether the client has been handed something since.
    waits: bool,
}

impl<B: Body> Answer<B> {
    /// Begins the answer to an open request, which ends with it.
    pub(super) fn new(body: B, open: Open) -> Answer<B> {
        Answer { body, rest: Bytes::new(), open, waits: false }
    }

    fn is_over(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    /// Hands out the next piece of `rest`.
    fn hand_out(&mut self) -> Frame<Bytes> {
        let most = if self.open.is_http2() { PIECE } else { usize::MAX };
        let piece = self.rest.split_to(self.rest.len().min(most));
        self.open.sent(piece.len());
        self.waits = true;
        self.open.piece_waits(true);
        Frame::data(piece)
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Answer<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if std::mem::take(&mut self.waits) {
            self.open.piece_waits(false);
        }
        if !self.rest.is_empty() {
            return Poll::Ready(Some(Ok(self.hand_out())));
        }
        Poll::Ready(match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) if !data.is_empty() => {
                    self.rest = data;
                    Some(Ok(self.hand_out()))
                }
                Ok(data) => Some(Ok(Frame::data(data))),
                Err(other) => Some(Ok(other)),
            },
            Some(Err(error)) => {
                self.open.broke();
                Some(Err(error))
            }
            None => {
                self.open.complete();
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.is_over()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, hint) = (self.rest.len() as u64, self.body.size_hint());
        let mut whole = SizeHint::new();
        whole.set_lower(hint.lower().saturating_add(rest));
        if let Some(upper) = hint.upper() {
            whole.set_upper(upper.saturating_add(rest));
        }
        whole
    }
}

impl<B: Body> Drop for Answer<B> {
    fn drop(&mut self) {
        // After the last piece nobody asks for another one where its length was known.
        if self.is_over() {
            self.open.complete();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(start: Instant, second: u64) -> Instant {
        start + Duration::from_secs(second)
    }

    #[test]
    fn a_client_may_be_silent_for_a_minute_and_not_for_longer() {
        let start = Instant::now();
        let mut patience = Patience::new(Duration::from_secs(60));
        assert_eq!(patience.wait(start), second(start, 60));
        assert_eq!(patience.wait(second(start, 30)), second(start, 60));
    }

    #[test]
    fn a_byte_now_and_then_does_not_keep_a_body_open() {
        let start = Instant::now();
        let mut patience = Patience::new(Duration::from_secs(60));
        let mut now = start;
        for _ in 0..100 {
            let until = patience.wait(now);
            now += Duration::from_secs(10);
            if now > until {
                break;
            }
            patience.came(now, 1);
        }
        assert!(now <= second(start, 80), "{:?}", now.duration_since(start));
    }

    #[test]
    fn a_slow_body_goes_on_and_on_and_time_that_nobody_waits_costs_nothing() {
        let start = Instant::now();
        let mut patience = Patience::new(Duration::from_secs(60));
        // 128 bytes a second, for an hour.
        for tick in 0..3600 {
            assert!(patience.wait(second(start, tick)) > second(start, tick + 1), "{tick}");
            patience.came(second(start, tick + 1), 128);
        }
        // The homeserver takes nothing for an hour.
        patience.came(second(start, 7200), 1);
        assert!(patience.wait(second(start, 7200)) > second(start, 7250));
    }
}
