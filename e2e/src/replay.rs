//! The corpus, replayed on two sides at once, each of which has a homeserver of its own.

use crate::corpus::{self, Names, Step};
use crate::error::{Error, Result};
use crate::fixture::Fixture;
use crate::twins::Twins;
use crate::wait;
use crate::wire::Wire;
use serde_json::Value;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Synapse brings its tables of rooms and users up to date some moments after the event.
const KNOWN_WITHIN: Duration = Duration::from_secs(20);
const VERSIONS: &str = "/_matrix/client/versions";
const LOW_BANDWIDTH: &str = "org.matrix.msc3079.low_bandwidth";

/// One way to one homeserver.
#[derive(Debug)]
pub struct Side<'a> {
    way: Way<'a>,
    homeserver: SocketAddr,
    names: Names,
    took: Duration,
}

#[derive(Debug)]
enum Way<'a> {
    /// One session for each user, and one for requests without a user, as an access token stays with its
    /// session.
    Chain { fixture: &'a Fixture, sessions: HashMap<Option<String>, Wire> },
    /// One connection for each request, so that none can be closed for having been idle.
    Http { server: SocketAddr },
}

impl<'a> Side<'a> {
    /// Returns the side of CBOR over CoAP through the whole chain.
    pub fn chain(fixture: &'a Fixture) -> Result<Side<'a>> {
        let way = Way::Chain { fixture, sessions: HashMap::new() };
        Ok(Side::new(way, fixture.synapse()?.address()))
    }

    /// Returns the side of JSON over HTTP: to `server`, which is the homeserver itself or stands before it.
    pub fn http(server: SocketAddr, homeserver: SocketAddr) -> Side<'a> {
        Side::new(Way::Http { server }, homeserver)
    }

    fn new(way: Way<'a>, homeserver: SocketAddr) -> Side<'a> {
        Side { way, homeserver, names: Names::default(), took: Duration::ZERO }
    }

    /// Returns how long the answers have taken, together. Those to a sync that the homeserver refuses are
    /// left out: the local proxy tells them late on purpose, so that no client asks for them at once.
    pub fn took(&self) -> Duration {
        self.took
    }

    /// Returns the status, or the status whose twin the code is, and the document with the addresses of the
    /// side taken out.
    async fn ask(&mut self, step: &Step) -> Result<(String, Value)> {
        let token = self.names.token(step)?;
        let call = self.names.call(step, token.as_deref())?;
        let begin = Instant::now();
        let (answer, own) = match &mut self.way {
            Way::Http { server } => (Wire::http(*server).await?.call(call).await?, *server),
            Way::Chain { fixture, sessions } => {
                if !sessions.contains_key(&step.user) {
                    sessions.insert(step.user.clone(), fixture.coap().await?);
                }
                let gone = || Error::Setup("a session has just been opened".to_owned());
                let session = sessions.get_mut(&step.user).ok_or_else(gone)?;
                (session.call(call).await?, self.homeserver)
            }
        };
        if !step.is_refused_sync() {
            self.took += begin.elapsed();
        }
        let text = answer.body.to_string().replace(&self.homeserver.to_string(), "homeserver");
        // A base URL may end with a slash or without.
        let text =
            text.replace(&own.to_string(), "homeserver").replace("://homeserver/\"", "://homeserver\"");
        let body =
            serde_json::from_str(&text).map_err(|why| Error::Setup(format!("{}: {why}", step.title)))?;
        Ok((answer.code, body))
    }

    /// Returns what this side says where the homeserver's status is `status`: over CoAP a code, its twin, but
    /// 2.05 for 200, whatever the method.
    fn spelling(&self, status: u64) -> String {
        match self.way {
            Way::Http { .. } => status.to_string(),
            Way::Chain { .. } if status == 200 => "2.05".to_owned(),
            Way::Chain { .. } => format!("{}.{:02}", status / 100, status % 100),
        }
    }
}

/// Whether the two sides are asked at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Both at once.
    Together,
    /// One after the other, so that [`Side::took`] can be compared.
    InTurn,
}

/// Asks both sides all that the corpus has. Returns how many requests that were, and how the answers differ
/// from each other or from the recording: one text for each.
pub async fn replay(left: &mut Side<'_>, right: &mut Side<'_>, pace: Pace) -> Result<(usize, Vec<String>)> {
    let steps = corpus::steps()?;
    let mut twins = Twins::default();
    let mut differences = Vec::new();
    for step in &steps {
        let answers = if step.eventually {
            let both = async || ask_both(step, left, right, pace, &mut twins).await;
            wait::until(&step.title, KNOWN_WITHIN, both).await.map_err(|why| why.to_string())
        } else {
            ask_both(step, left, right, pace, &mut twins).await
        };
        let kept = answers.and_then(|(one, other)| {
            let kept = left.names.keep(step, &one).and_then(|()| right.names.keep(step, &other));
            kept.map_err(|why| why.to_string())
        });
        if let Err(why) = kept {
            differences.push(format!("{}\n    {why}", step.title));
        }
    }
    Ok((steps.len(), differences))
}

/// Asks both sides; returns the two documents, or how the answers differ.
async fn ask_both(
    step: &Step,
    left: &mut Side<'_>,
    right: &mut Side<'_>,
    pace: Pace,
    twins: &mut Twins,
) -> std::result::Result<(Value, Value), String> {
    let (one, other) = match pace {
        Pace::Together => tokio::join!(left.ask(step), right.ask(step)),
        Pace::InTurn => (left.ask(step).await, right.ask(step).await),
    };
    let (one, other) = (one.map_err(|why| why.to_string())?, other.map_err(|why| why.to_string())?);
    let expected = [left.spelling(step.status), right.spelling(step.status)];
    if [&one.0, &other.0] != [&expected[0], &expected[1]] {
        return Err(format!("{} and {} in place of {expected:?}: {} and {}", one.0, other.0, one.1, other.1));
    }
    let [one, other] = [one.1, other.1].map(|document| without_own(step, document));
    twins.compare(&one, &other)?;
    Ok((one, other))
}

/// Takes out the one member that the proxy adds to an answer; all the rest is the homeserver's.
fn without_own(step: &Step, mut document: Value) -> Value {
    if step.title.ends_with(VERSIONS)
        && let Some(members) = document.as_object_mut()
    {
        members.remove(LOW_BANDWIDTH);
    }
    document
}
