//! Which way requests go: UDP, or HTTPS with CBOR, or HTTPS with JSON. [`race`] decides; [`tasks`] dial and
//! look for the homeserver.
//!
//! ```text
//! start -> keep: dials HOST:8008 at once ------------------> the first session, best() is UDP
//!       -> look: /.well-known, /versions, or remembered ---> base, UDP port, CBOR?; best() may be HTTPS
//! best() <- race <- through, failed, answered, found
//! ```
//!
//! Each change is one line of the log ([`told`]), and is remembered for the next start.

mod dial;
mod race;
mod remembered;
mod tasks;
mod told;

use crate::discovery::Homeserver;
use crate::discovery::base::Named;
use crate::error::Error;
use crate::https::Https;
use crate::names::Names;
use crate::settings::Settings;
use crate::stats::Stats;
use dial::{Dialler, Heard};
use lowband_client::{CloseReason, LastingConnection};
use race::{Best, Form, Race};
use remembered::Remembered;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until};
use told::{By, Line, Told};

/// The port for datagrams where nothing else is known.
const PORT: u16 = 8008;
/// Least time to the next look: a dial that is due is begun by another task.
const SOON: Duration = Duration::from_millis(10);

/// A way to the homeserver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// CBOR over CoAP and DTLS.
    Udp(Udp),
    /// CBOR over HTTPS.
    HttpsCbor,
    /// JSON over HTTPS.
    HttpsJson,
}

/// Where datagrams go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Udp {
    pub(crate) server: SocketAddr,
    pub(crate) server_name: String,
}

/// The ways to the homeserver, and which of them works. Cheap to clone; when the last clone is dropped, its
/// tasks end.
#[derive(Clone)]
pub(crate) struct Ways {
    inner: Arc<Inner>,
    _tasks: Arc<JoinSet<()>>,
}

struct Inner {
    settings: Arc<Settings>,
    named: Named,
    https: Https,
    dialler: Dialler,
    state: Mutex<State>,
    /// Changes with `state`, for those that wait.
    changed: watch::Sender<()>,
}

struct State {
    race: Race,
    /// Where datagrams are to go.
    place: Place,
    /// Whether the dial under way has been heard.
    heard: Heard,
    /// Where datagrams got through the last time.
    udp: Option<Udp>,
    /// The session of the last dial, for whoever takes it first.
    first: Option<LastingConnection>,
    /// Dials that made a session so far.
    sessions: u64,
    /// Whether a request has come since the last dial began.
    is_wanted: bool,
    homeserver: Option<Homeserver>,
    found: u64,
    told: Told,
    /// Why datagrams do not get through.
    why_not_udp: String,
    /// Why the homeserver was not found over HTTPS.
    why_not_https: String,
}

/// A host and a port for datagrams.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    host: String,
    port: u16,
}

impl Place {
    /// Returns where datagrams go: as the user says, else to the host of the API, at the port that the server
    /// names, or that of its URL, which is one number for both in every example.
    fn of(settings: &Settings, named: &Named, homeserver: Option<&Homeserver>) -> Place {
        let base = homeserver.map_or(named.base(), |homeserver| &homeserver.base);
        let port = homeserver.and_then(|homeserver| homeserver.udp_port).or(base.port()).unwrap_or(PORT);
        let Some(told) = settings.udp.as_deref() else {
            return Place { host: base.host().to_owned(), port };
        };
        let bare = |host: &str| host.trim_matches(['[', ']']).to_owned();
        match told.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?))) {
            // An IPv6 address without brackets has colons of its own.
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
                Place { host: bare(host), port }
            }
            _ => Place { host: bare(told), port },
        }
    }
}

impl Ways {
    /// Begins to look for ways. Must be called inside a tokio runtime.
    pub(crate) fn start(settings: &Arc<Settings>, https: &Https, stats: &Stats) -> Result<Ways, Error> {
        let told = &settings.homeserver;
        let named = Named::parse(told, settings.clear_text)
            .map_err(|why| Error::Homeserver { told: told.clone(), why })?;
        let remembered =
            settings.state.as_deref().and_then(|path| Remembered::read(path, told, settings.clear_text));
        let homeserver = remembered.as_ref().map(|remembered| remembered.homeserver.clone());
        if let Some(homeserver) = &homeserver {
            https.found(&homeserver.base);
        }
        let form = homeserver.as_ref().map(Homeserver::form);
        let patient = remembered.as_ref().is_none_or(|remembered| remembered.udp);
        let state = State {
            race: Race::begin(&settings.times, Instant::now(), form, patient),
            place: Place::of(settings, &named, homeserver.as_ref()),
            heard: Heard::default(),
            udp: None,
            first: None,
            sessions: 0,
            is_wanted: false,
            homeserver,
            found: remembered.as_ref().map_or(0, |remembered| remembered.found),
            told: Told::default(),
            why_not_udp: "not dialled yet".into(),
            why_not_https: "not looked for yet".into(),
        };
        let dialler = Dialler {
            settings: Arc::clone(settings),
            names: Names::new(&settings.resolve, settings.family),
            stats: stats.clone(),
        };
        let inner = Arc::new(Inner {
            settings: Arc::clone(settings),
            named,
            https: https.clone(),
            dialler,
            state: Mutex::new(state),
            changed: watch::Sender::new(()),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(tasks::keep(Arc::clone(&inner)));
        tasks.spawn(tasks::look(
            Arc::clone(&inner),
            remembered.is_some_and(|remembered| remembered.is_fresh()),
        ));
        Ok(Ways { inner, _tasks: Arc::new(tasks) })
    }

    /// Returns the way of the next request, as soon as one is known to work. Waits for ever where none does:
    /// the caller's patience bounds it.
    pub(crate) async fn best(&self) -> Way {
        let mut changed = self.inner.changed.subscribe();
        loop {
            changed.mark_unchanged();
            match self.inner.best() {
                Ok(way) => return way,
                Err(again) => {
                    let again = async {
                        match again {
                            Some(at) => sleep_until(at.max(Instant::now() + SOON).into()).await,
                            None => std::future::pending().await,
                        }
                    };
                    // The sender is in `self`, so that the wait cannot fail.
                    tokio::select! { _ = changed.changed() => {} () = again => {} }
                }
            }
        }
    }

    /// Returns how often datagrams have got through after they had not.
    pub(crate) fn throughs(&self) -> u64 {
        self.inner.lock().sessions
    }

    /// Returns whether datagrams get through to this place, as far as is known.
    pub(crate) fn lead_to(&self, udp: &Udp) -> bool {
        let state = self.inner.lock();
        state.race.is_through() && state.udp.as_ref() == Some(udp)
    }

    /// Returns the session that the last dial made, to whoever asks first.
    pub(crate) fn take_first(&self) -> Option<LastingConnection> {
        self.inner.lock().first.take()
    }

    /// Dials a session of its own for a caller. Gives up on a server that is silent for
    /// [`crate::Times::silence`] where HTTPS works. A failure is noted: [`Ways::best`] may be another then.
    pub(crate) async fn dial(&self, udp: &Udp) -> Result<LastingConnection, lowband_client::Error> {
        let heard = Heard::default();
        let longest = self.inner.settings.times.silence;
        let silence = async {
            sleep(longest).await;
            if heard.any() || !self.inner.lock().race.knows_https() {
                std::future::pending().await
            }
        };
        let outcome = tokio::select! {
            outcome = self.inner.dialler.address(udp, &heard) => outcome,
            () = silence => Err(lowband_client::Error::ConnectTimeout(longest)),
        };
        if let Err(error) = &outcome {
            self.udp_failed(error);
        }
        outcome
    }

    /// Notes that a dial or a request over UDP failed by the link. Failures of one request, as one that is
    /// too long for CoAP, are none of the link's, and neither is a session that the proxy closes itself.
    pub(crate) fn udp_failed(&self, why: &lowband_client::Error) {
        use lowband_client::Error;
        let is_of_the_link = !matches!(
            why,
            Error::Protocol(_)
                | Error::NotPacked(_)
                | Error::Unsendable(_)
                | Error::Target(_)
                | Error::AccessToken(_)
                | Error::Reset
                | Error::Closed(CloseReason::Local)
        );
        if is_of_the_link {
            self.inner.change(|state| {
                if state.race.failed(Instant::now(), false) {
                    state.why_not_udp = why.to_string();
                }
            });
        }
    }

    /// Notes that an answer came over UDP.
    pub(crate) fn udp_answered(&self) {
        self.inner.lock().race.answered();
    }

    /// Notes that a request had no connection over HTTPS. `why`: the reason in words, without secrets.
    pub(crate) fn https_failed(&self, why: &str) {
        let line = {
            let mut state = self.inner.lock();
            state.why_not_https = why.to_owned();
            state.told.https_fails(By::Request, why)
        };
        line.into_iter().for_each(Line::write);
        self.inner.tell_where_no_way_is_left();
    }

    /// Notes that an answer came over HTTPS.
    pub(crate) fn https_answered(&self) {
        let line = self.inner.lock().told.https_works();
        line.into_iter().for_each(Line::write);
    }

    /// Notes that the server does not read CBOR over HTTPS.
    pub(crate) fn cbor_refused(&self) {
        self.inner.change(|state| {
            state.race.https(Form::Json);
            if let Some(homeserver) = &mut state.homeserver {
                homeserver.cbor = false;
            }
        });
    }

    /// Says why nothing works at present, without secrets.
    pub(crate) fn why(&self) -> String {
        let state = self.inner.lock();
        format!("UDP {}: {}; HTTPS: {}", state.place, state.why_not_udp, state.why_not_https)
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl Homeserver {
    fn form(&self) -> Form {
        if self.cbor { Form::Cbor } else { Form::Json }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and wakes those that wait.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.lock());
        self.changed.send_replace(());
        changed
    }

    /// Returns the way of the next request, or when to ask again.
    fn best(&self) -> Result<Way, Option<Instant>> {
        let mut state = self.lock();
        let way = match state.way() {
            Ok(way) => way,
            Err(again) => {
                self.want(&mut state);
                self.https.want();
                return Err(again);
            }
        };
        if !matches!(way, Way::Udp(_)) {
            self.want(&mut state);
        }
        self.tell(&mut state, &way);
        Ok(way)
    }

    /// Tells and remembers which way the next request would go, if that is news.
    fn tell_the_way(&self) {
        let mut state = self.lock();
        if let Ok(way) = state.way() {
            self.tell(&mut state, &way);
        }
    }

    fn tell(&self, state: &mut State, way: &Way) {
        let base = state.homeserver.as_ref().map(|homeserver| homeserver.base.to_string());
        let (place, base) = (state.place.to_string(), base.unwrap_or_default());
        if let Some(line) = state.told.goes(way, &place, &state.why_not_udp, &base) {
            line.write();
            self.remember(state);
        }
    }

    /// Tells why datagrams do not get through, where HTTPS does not either.
    fn tell_where_no_way_is_left(&self) {
        let line = {
            let mut state = self.lock();
            let (place, why) = (state.place.to_string(), state.why_not_udp.clone());
            if state.race.is_down() { state.told.udp_fails(&place, &why) } else { None }
        };
        line.into_iter().for_each(Line::write);
    }

    /// Notes that a dial has somebody to dial for.
    fn want(&self, state: &mut State) {
        if !std::mem::replace(&mut state.is_wanted, true) {
            self.changed.send_replace(());
        }
    }

    /// Writes what works to the file, beside the tasks: its disk may be slow.
    fn remember(&self, state: &State) {
        let (Some(path), Some(homeserver)) = (self.settings.state.clone(), state.homeserver.clone()) else {
            return;
        };
        let udp = matches!(state.told.way(), Some(Way::Udp(_)));
        let told = self.settings.homeserver.clone();
        let remembered = Remembered { homeserver, udp, found: state.found };
        tokio::task::spawn_blocking(move || {
            if let Err(error) = remembered.write(&path, &told) {
                tracing::warn!("{}: {error}: what works is not remembered", path.display());
            }
        });
    }

    /// Takes what discovery has found: where datagrams go may be another place.
    fn found(&self, homeserver: Homeserver) {
        self.https.found(&homeserver.base);
        let line = self.change(|state| {
            state.race.https(homeserver.form());
            state.found = remembered::now();
            let place = Place::of(&self.settings, &self.named, Some(&homeserver));
            state.homeserver = Some(homeserver);
            if place != state.place {
                tracing::debug!("datagrams go to {place}, not to {}", state.place);
                state.place = place;
                state.udp = None;
                state.first = None;
                state.race.moved(Instant::now());
                state.is_wanted = true;
                state.told.moved();
            }
            self.remember(state);
            state.told.https_works()
        });
        line.into_iter().for_each(Line::write);
        self.tell_the_way();
    }
}

impl State {
    /// Returns the way of the next request, or when to ask again.
    fn way(&self) -> Result<Way, Option<Instant>> {
        match (self.race.best(Instant::now(), self.heard.any()), &self.udp) {
            (Best::Udp, Some(udp)) => Ok(Way::Udp(udp.clone())),
            (Best::Https(Form::Cbor), _) => Ok(Way::HttpsCbor),
            (Best::Https(Form::Json), _) => Ok(Way::HttpsJson),
            (Best::Wait(at), _) => Err(at),
            (Best::Udp, None) => Err(None),
        }
    }
}

#[cfg(test)]
mod tests;
