//! The body of an answer on its way to the client.

use super::strangers::{NoRoom, Place, Unended};
use super::stream::{LITTLE, Stream};
use crate::homeserver::{Lease, WINDOW};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use lowband_translation::step::Then;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::time::{Sleep, sleep};

/// The bytes that an answer holds while its client does not read: what waits on the side of the homeserver,
/// the piece that was read last, and what HTTP was handed of it, 40 KiB at most.
pub const HELD: usize = 2 * WINDOW as usize + (32 << 10);

/// The body of a translated answer. Dropping it before its end ends the request at the homeserver.
#[derive(Debug)]
pub struct TranslatedBody {
    kept: Arc<Mutex<Kept>>,
    idle: Option<Idle>,
    place: Option<Place>,
    /// The bytes that count as unread at present.
    unread: usize,
}

/// What an answer keeps, here and at the homeserver.
#[derive(Debug)]
struct Kept {
    ahead: Ahead,
    state: State,
    /// Who waits for the next piece.
    waker: Option<Waker>,
    lease: Option<Lease>,
    /// Whether what is unread counts: then it is handed out in pieces, of which HTTP keeps few.
    is_counted: bool,
}

/// Gives an answer up, whether or not anybody asks for the rest of it: while its client does not read, nobody
/// does.
#[derive(Debug, Clone)]
pub(super) struct Handle(Weak<Mutex<Kept>>);

impl Handle {
    pub(super) fn give_up(&self) {
        let Some(kept) = self.0.upgrade() else { return };
        let (given_up, waker) = {
            let mut kept = lock(&kept);
            let state = std::mem::replace(&mut kept.state, State::GivenUp);
            ((std::mem::take(&mut kept.ahead), state, kept.lease.take()), kept.waker.take())
        };
        drop(given_up);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why an answer breaks off.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The homeserver's answer breaks off.
    #[error("{0}")]
    Broken(#[from] hyper::Error),
    /// Nothing has come for too long.
    #[error("nothing has come for too long")]
    Hung,
    /// Others need the place of the request.
    #[error("others need the place of the request")]
    NoRoom,
    /// The homeserver's answer turns out not to be JSON.
    #[error("the answer is not JSON")]
    NotJson,
}

/// What is here of an answer before anybody asks for it.
#[derive(Debug, Default)]
struct Ahead {
    bytes: Bytes,
    /// The share to which it counts, if it counts.
    share: Option<Unended>,
}

impl Ahead {
    /// The longest piece of what counts, in bytes.
    const PIECE: usize = 8 << 10;

    fn take(&mut self, is_counted: bool) -> Option<Bytes> {
        let piece = match is_counted {
            false => std::mem::take(&mut self.bytes),
            // A copy, since a part keeps the whole in memory.
            true => {
                let length = self.bytes.len().min(Ahead::PIECE);
                Bytes::copy_from_slice(&self.bytes.split_to(length))
            }
        };
        if self.bytes.is_empty() {
            *self = Ahead::default();
        }
        (!piece.is_empty()).then_some(piece)
    }
}

/// What comes after it.
#[derive(Debug)]
enum State {
    Nothing,
    /// The rest goes on as it comes.
    Passing(Incoming),
    /// The rest becomes CBOR as it comes. Boxed, because few answers are so long.
    Flowing(Box<Flowing>),
    /// Others needed the place.
    GivenUp,
}

#[derive(Debug)]
struct Flowing {
    /// CBOR that has not been taken.
    ready: Option<Bytes>,
    stream: Stream,
    rest: Incoming,
    is_over: bool,
}

/// Ends what does not move.
#[derive(Debug)]
struct Idle {
    limit: Duration,
    /// Set while something is waited for.
    timer: Option<Pin<Box<Sleep>>>,
}

impl TranslatedBody {
    /// Makes a body of which all is there.
    pub(super) fn whole(bytes: Bytes) -> TranslatedBody {
        TranslatedBody::of(bytes, State::Nothing)
    }

    /// Makes a body that goes on as it comes; `first` has come already.
    pub(super) fn passing(first: Bytes, rest: Incoming) -> TranslatedBody {
        TranslatedBody::of(first, State::Passing(rest))
    }

    /// Makes a body that becomes CBOR as it comes; `first` has become CBOR already.
    pub(super) fn flowing(first: Bytes, rest: Incoming, stream: Stream) -> TranslatedBody {
        let flowing = Flowing { ready: None, stream, rest, is_over: false };
        TranslatedBody::of(first, State::Flowing(Box::new(flowing)))
    }

    fn of(bytes: Bytes, state: State) -> TranslatedBody {
        let ahead = Ahead { bytes, share: None };
        let kept = Kept { ahead, state, waker: None, lease: None, is_counted: false };
        TranslatedBody { kept: Arc::new(Mutex::new(kept)), idle: None, place: None, unread: 0 }
    }

    /// Keeps the shares of its request; `share` is for what is here of it. Ends with an error when nothing
    /// has come for this long, or when others need the place.
    pub(super) fn held_by(
        self,
        lease: Lease,
        idle: Option<Duration>,
        place: Option<Place>,
        share: Option<Unended>,
    ) -> TranslatedBody {
        {
            let mut kept = lock(&self.kept);
            (kept.lease, kept.ahead.share, kept.is_counted) = (Some(lease), share, place.is_some());
        }
        let handle = Handle(Arc::downgrade(&self.kept));
        // The place may have been given to another just now.
        if place.as_ref().is_some_and(|place| place.answered(handle.clone()) == Err(NoRoom)) {
            handle.give_up();
        }
        let idle = idle.map(|limit| Idle { limit, timer: None });
        let mut body = TranslatedBody { idle, place, ..self };
        body.count(true);
        body
    }

    /// Counts what is unread. `waits`: the client has been handed something, and the homeserver may go on;
    /// else all that has come is taken.
    fn count(&mut self, waits: bool) {
        let Some(place) = &self.place else { return };
        let unread = if waits { lock(&self.kept).unread() } else { 0 };
        let before = std::mem::replace(&mut self.unread, unread);
        if before != unread && place.unread(unread) == Err(NoRoom) {
            Handle(Arc::downgrade(&self.kept)).give_up();
        }
    }
}

fn some(bytes: Bytes) -> Option<Bytes> {
    (!bytes.is_empty()).then_some(bytes)
}

impl Body for TranslatedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let polled = lock(&this.kept).poll(cx);
        this.count(matches!(polled, Poll::Ready(Some(Ok(_)))));
        let Some(idle) = &mut this.idle else { return polled };
        match polled {
            Poll::Ready(_) => {
                idle.timer = None;
                polled
            }
            Poll::Pending => {
                let limit = idle.limit;
                let timer = idle.timer.get_or_insert_with(|| Box::pin(sleep(limit)));
                ready!(timer.as_mut().poll(cx));
                Poll::Ready(Some(Err(BodyError::Hung)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let kept = lock(&self.kept);
        let is_over = match &kept.state {
            State::Nothing => true,
            State::Passing(rest) => rest.is_end_stream(),
            State::Flowing(flowing) => flowing.is_over && flowing.ready.is_none(),
            State::GivenUp => false,
        };
        kept.ahead.bytes.is_empty() && is_over
    }

    fn size_hint(&self) -> SizeHint {
        let kept = lock(&self.kept);
        match &kept.state {
            State::Nothing => SizeHint::with_exact(kept.ahead.bytes.len() as u64),
            State::Passing(rest) if kept.ahead.bytes.is_empty() => rest.size_hint(),
            State::Passing(_) | State::Flowing(_) | State::GivenUp => SizeHint::default(),
        }
    }
}

impl Kept {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(piece) = self.ahead.take(self.is_counted) {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        let polled = match &mut self.state {
            State::Nothing => Poll::Ready(None),
            State::Passing(rest) => Pin::new(rest).poll_frame(cx).map_err(BodyError::Broken),
            State::Flowing(flowing) => {
                flowing.poll(cx).map(|piece| piece.map(|piece| piece.map(Frame::data)))
            }
            State::GivenUp => {
                self.state = State::Nothing;
                Poll::Ready(Some(Err(BodyError::NoRoom)))
            }
        };
        match polled {
            Poll::Ready(Some(Ok(frame))) if self.is_counted => match frame.into_data() {
                Ok(bytes) => {
                    self.ahead.bytes = bytes;
                    let piece = self.ahead.take(true).unwrap_or_default();
                    Poll::Ready(Some(Ok(Frame::data(piece))))
                }
                Err(trailers) => Poll::Ready(Some(Ok(trailers))),
            },
            Poll::Pending => {
                self.waker = Some(cx.waker().clone());
                Poll::Pending
            }
            ready => ready,
        }
    }

    /// Returns the bytes that the rest of the answer holds while nobody reads, without what counts already.
    /// So little that the place of the request stands for it is nothing.
    fn unread(&self) -> usize {
        let ahead = if self.ahead.share.is_some() { 0 } else { self.ahead.bytes.len() };
        let to_come = match &self.state {
            State::Nothing | State::GivenUp => 0,
            State::Passing(rest) => {
                rest.size_hint().upper().and_then(|upper| upper.try_into().ok()).unwrap_or(HELD)
            }
            State::Flowing(_) => HELD,
        };
        let unread = ahead.saturating_add(to_come);
        if unread > LITTLE { unread.min(HELD) } else { 0 }
    }
}

impl Flowing {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        loop {
            if let Some(piece) = self.ready.take() {
                return Poll::Ready(Some(Ok(piece)));
            }
            if self.is_over {
                return Poll::Ready(None);
            }
            let piece = match ready!(Pin::new(&mut self.rest).poll_frame(cx)) {
                None => Bytes::new(),
                Some(frame) => match frame?.into_data() {
                    Ok(piece) if piece.is_empty() => continue,
                    Ok(piece) => piece,
                    // Trailers complete the body.
                    Err(_trailers) => Bytes::new(),
                },
            };
            self.is_over = piece.is_empty() || self.rest.is_end_stream();
            match self.stream.flow(&piece, self.is_over) {
                Then::Replace(cbor) => self.ready = some(cbor.into()),
                Then::Forward | Then::Hold => {}
                Then::Take | Then::Reply(_) | Then::Cut => {
                    self.is_over = true;
                    return Poll::Ready(Some(Err(BodyError::NotJson)));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::strangers::Strangers;
    use super::*;
    use http_body_util::BodyExt;
    use lowband_translation::config::Config;
    use std::sync::atomic::Ordering;

    #[tokio::test]
    async fn an_answer_that_nobody_reads_ends_when_its_place_is_needed() {
        const GREEDY: [u8; 4] = [192, 0, 2, 1];
        // One request of each network.
        let strangers = Arc::new(Strangers::new(&Config::default(), 4, HELD));
        let in_flight = Arc::default();
        let answered = || {
            let (place, _) = strangers.enter(GREEDY.into()).unwrap();
            let body = TranslatedBody::whole(Bytes::from_static(b"{}"));
            body.held_by(Lease::new(&in_flight), None, Some(place), None)
        };
        let mut first = answered();
        assert_eq!(in_flight.load(Ordering::Relaxed), 1);
        let second = answered();
        assert_eq!((in_flight.load(Ordering::Relaxed), strangers.held().0), (1, 1));
        assert!(!first.is_end_stream());
        assert!(matches!(first.frame().await, Some(Err(BodyError::NoRoom))));
        drop(first);
        assert_eq!(second.collect().await.unwrap().to_bytes(), "{}");
        assert_eq!((in_flight.load(Ordering::Relaxed), strangers.held().0), (0, 0));
    }
}
