//! A stream that waits for the head of its response, and what becomes of it when its client no longer waits.
//!
//! ```text
//!        sent             the head comes
//! Waiting -----------------------------> its response
//!    | dropped
//!    +-- younger than `cancel_after` --> runs out: the head comes and is thrown away, or the time is over -> reset, if it still waits
//!    +-- older ------------------------> reset
//! ```
//!
//! Envoy ends a connection on which many streams were reset before their response and within their first
//! second (`overload.premature_reset_total_stream_count`,
//! `overload.premature_reset_min_stream_lifetime_seconds`; it counts whole seconds). All clients share our
//! connections: a client that comes and goes quickly would end the requests of the others.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};

/// The states are in the drawing. The future holds whatever the stream needs to live.
pub(super) struct Waiting<F: Future + Send + 'static> {
    sending: Option<Pin<Box<F>>>,
    not_before: Instant,
    running_out: Arc<AtomicUsize>,
}

impl<F: Future + Send + 'static> Waiting<F> {
    /// Makes the wait for a request that is sent now; `running_out` counts it while it runs out.
    pub(super) fn new(sending: F, not_before: Instant, running_out: &Arc<AtomicUsize>) -> Waiting<F> {
        Waiting { sending: Some(Box::pin(sending)), not_before, running_out: Arc::clone(running_out) }
    }
}

impl<F: Future + Send + 'static> Future for Waiting<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Some(sending) = &mut self.sending else { return Poll::Pending };
        let polled = sending.as_mut().poll(cx);
        if polled.is_ready() {
            self.sending = None;
        }
        polled
    }
}

impl<F: Future + Send + 'static> Drop for Waiting<F> {
    fn drop(&mut self) {
        let Some(sending) = self.sending.take() else { return };
        let not_before = self.not_before;
        if Instant::now() < not_before
            && let Ok(runtime) = Handle::try_current()
        {
            let counted = Counted::new(&self.running_out);
            runtime.spawn(async move {
                let _counted = counted;
                drop(timeout_at(not_before, sending).await);
            });
        }
    }
}

/// Counts something for as long as it lives.
#[derive(Debug)]
pub(crate) struct Counted(Arc<AtomicUsize>);

impl Counted {
    pub(crate) fn new(count: &Arc<AtomicUsize>) -> Counted {
        count.fetch_add(1, Ordering::Relaxed);
        Counted(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::sync::oneshot;

    const YOUNG: Duration = Duration::from_secs(3);

    type Stream = Waiting<oneshot::Receiver<()>>;

    /// Returns a stream, its end at the upstream, and the count.
    fn waiting() -> (Stream, oneshot::Sender<()>, Arc<AtomicUsize>) {
        let (head, sending) = oneshot::channel();
        let count = Arc::default();
        (Waiting::new(sending, Instant::now() + YOUNG, &count), head, count)
    }

    #[tokio::test(start_paused = true)]
    async fn a_young_stream_runs_out_until_it_is_old_enough_to_be_reset() {
        let (stream, mut head, count) = waiting();
        let begun = Instant::now();
        drop(stream);
        assert_eq!(count.load(Ordering::Relaxed), 1);
        head.closed().await;
        assert_eq!((begun.elapsed().as_secs(), count.load(Ordering::Relaxed)), (3, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_young_stream_ends_when_its_head_comes() {
        let (stream, head, count) = waiting();
        drop(stream);
        let begun = Instant::now();
        head.send(()).unwrap();
        while count.load(Ordering::Relaxed) > 0 {
            tokio::task::yield_now().await;
        }
        assert!(begun.elapsed() < YOUNG);
    }

    #[tokio::test(start_paused = true)]
    async fn an_older_stream_is_reset_at_once_and_an_answered_one_leaves_nothing() {
        let (stream, head, count) = waiting();
        tokio::time::advance(YOUNG).await;
        drop(stream);
        assert!(head.is_closed() && count.load(Ordering::Relaxed) == 0);

        let (mut stream, head, count) = waiting();
        head.send(()).unwrap();
        (&mut stream).await.unwrap();
        drop(stream);
        assert_eq!(count.load(Ordering::Relaxed), 0);
    }
}
