//! The tasks beside the requests: one dials, one looks for the homeserver.

use super::dial::Heard;
use super::told::{By, Line};
use super::{Inner, Place, Udp, remembered};
use crate::discovery;
use lowband_client::LastingConnection;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until};

/// How long the session of a dial is kept for a request to take it.
const FIRST_KEPT: Duration = Duration::from_secs(60);
/// Time from the first discovery in vain to the next; doubled with each that follows.
const FIRST_GAP: Duration = Duration::from_secs(5);
/// The longest such time.
const LONGEST_GAP: Duration = Duration::from_secs(60);

/// Dials, at once and whenever it is due and a request has asked for it.
pub(super) async fn keep(inner: Arc<Inner>) {
    let mut changed = inner.changed.subscribe();
    let mut place = inner.lock().place.clone();
    // The first dial is that of `Race::begin`.
    let mut dial = Some(begin(&inner, &place));
    loop {
        changed.mark_unchanged();
        let due = {
            let mut state = inner.lock();
            if state.place != place {
                dial = None;
                place = state.place.clone();
            }
            let due = state.race.dial_at().filter(|_| dial.is_none() && state.is_wanted);
            if due.is_some_and(|at| at <= Instant::now()) {
                // Those who have HTTPS do not wait for it; a new place is a first dial.
                let patient = state.udp.is_none() && state.told.way().is_none();
                state.race.dialling(Instant::now(), patient);
                state.is_wanted = false;
                drop(state);
                dial = Some(begin(&inner, &place));
                continue;
            }
            due
        };
        let outcome = async {
            match &mut dial {
                Some(dial) => dial.join_next().await,
                None => std::future::pending().await,
            }
        };
        let at_due = async {
            match due {
                Some(at) => sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            outcome = outcome => {
                dial = None;
                // `None` and a task that was cancelled: the runtime ends.
                if let Some(Ok(outcome)) = outcome {
                    dialled(&inner, outcome);
                }
            }
            _ = changed.changed() => {}
            () = at_due => {}
        }
    }
}

type Outcome = Result<(LastingConnection, Udp), lowband_client::Error>;

/// Begins a dial; it ends when what is returned is dropped.
fn begin(inner: &Arc<Inner>, place: &Place) -> JoinSet<Outcome> {
    let heard = Heard::default();
    {
        let mut state = inner.lock();
        state.heard = heard.clone();
        state.why_not_udp = "no session as yet, the handshake goes on".into();
    }
    let (dialler, place) = (inner.dialler.clone(), place.clone());
    let mut dial = JoinSet::new();
    dial.spawn(async move { dialler.host(&place.host, place.port, &heard).await });
    dial
}

fn dialled(inner: &Arc<Inner>, outcome: Outcome) {
    match outcome {
        Ok((connection, udp)) => {
            let number = inner.change(|state| {
                state.race.through();
                state.udp = Some(udp);
                state.first = Some(connection);
                state.sessions += 1;
                state.sessions
            });
            inner.tell_the_way();
            let inner = Arc::downgrade(inner);
            tokio::spawn(async move {
                sleep(FIRST_KEPT).await;
                let Some(inner) = inner.upgrade() else { return };
                let mut state = inner.lock();
                // Nobody has taken it: the session is closed, and one is dialled when it is needed.
                if state.sessions == number {
                    state.first = None;
                }
            });
        }
        Err(error) => {
            inner.change(|state| {
                state.race.failed(Instant::now(), true);
                state.why_not_udp = error.to_string();
            });
            inner.tell_the_way();
            inner.tell_where_no_way_is_left();
            // What is left is HTTPS, of which nothing may have been heard since the start.
            inner.https.want();
        }
    }
}

/// Looks for the homeserver over HTTPS. Where what is remembered is `fresh`, and after a first time in vain,
/// waits for a request that needs it: nothing goes over the wire for nobody.
pub(super) async fn look(inner: Arc<Inner>, fresh: bool) {
    let mut is_needed = !fresh;
    let mut gap = FIRST_GAP;
    loop {
        if !std::mem::replace(&mut is_needed, false) {
            inner.https.wanted().await;
        }
        match discovery::discover(&inner.https, &inner.named, inner.settings.clear_text).await {
            Ok(homeserver) => {
                inner.found(homeserver);
                gap = FIRST_GAP;
                sleep(remembered::FRESH).await;
            }
            Err(why) => {
                let why = why.to_string();
                let line = inner.change(|state| {
                    state.why_not_https.clone_from(&why);
                    state.told.https_fails(By::Discovery, &why)
                });
                line.into_iter().for_each(Line::write);
                inner.tell_where_no_way_is_left();
                sleep(gap).await;
                gap = (gap * 2).min(LONGEST_GAP);
            }
        }
    }
}
