//! Requests of Matrix clients, replayed twice: as CBOR through the whole chain, and as JSON straight to a
//! second homeserver.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as the test does"
)]

use lowband_e2e::Result;
use lowband_e2e::corpus::{self, Names, Step};
use lowband_e2e::fixture::Fixture;
use lowband_e2e::synapse::{RateLimits, Synapse};
use lowband_e2e::twins::Twins;
use lowband_e2e::wait;
use lowband_e2e::wire::Wire;
use serde_json::Value;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

/// Synapse brings its tables of rooms and users up to date some moments after the event.
const KNOWN_WITHIN: Duration = Duration::from_secs(20);

/// One way to one homeserver.
struct Side<'a> {
    way: Way<'a>,
    homeserver: SocketAddr,
    names: Names,
}

enum Way<'a> {
    /// One session for each user, and one for requests without a user, as an access token stays with its
    /// session.
    Chain { fixture: &'a Fixture, sessions: HashMap<Option<String>, Wire> },
    /// One connection for each request, so that none can be closed for having been idle.
    Plain,
}

impl Side<'_> {
    /// Returns the code or status, and the document with the homeserver's own address taken out.
    async fn ask(&mut self, step: &Step) -> Result<(String, Value)> {
        let token = self.names.token(step)?;
        let call = self.names.call(step, token.as_deref())?;
        let answer = match &mut self.way {
            Way::Plain => Wire::http(self.homeserver).await?.call(call).await?,
            Way::Chain { fixture, sessions } => {
                if !sessions.contains_key(&step.user) {
                    sessions.insert(step.user.clone(), fixture.coap().await?);
                }
                sessions.get_mut(&step.user).unwrap().call(call).await?
            }
        };
        let text = answer.body.to_string().replace(&self.homeserver.to_string(), "homeserver");
        Ok((answer.code, serde_json::from_str(&text).unwrap()))
    }
}

/// Returns the code for a status of the sample: its twin, but for 200, which is 2.05 for every method.
fn code_for(status: u64) -> String {
    assert!(status == 200 || (400..600).contains(&status), "the table of this test has no {status}");
    if status == 200 { "2.05".to_owned() } else { format!("{}.{:02}", status / 100, status % 100) }
}

const VERSIONS: &str = "/_matrix/client/versions";
const LOW_BANDWIDTH: &str = "org.matrix.msc3079.low_bandwidth";

/// Asks both sides; returns the two documents, or how the answers differ.
async fn ask_both(
    step: &Step,
    chain: &mut Side<'_>,
    plain: &mut Side<'_>,
    twins: &mut Twins,
) -> std::result::Result<(Value, Value), String> {
    let (over_chain, in_json) = tokio::join!(chain.ask(step), plain.ask(step));
    let (code, mut left) = over_chain.map_err(|why| why.to_string())?;
    if step.title.ends_with(VERSIONS) {
        // The proxy adds only this member; all the rest is the homeserver's.
        let own = left.as_object_mut().and_then(|document| document.remove(LOW_BANDWIDTH));
        own.ok_or_else(|| format!("{VERSIONS} does not tell of {LOW_BANDWIDTH}"))?;
    }
    let (status, right) = in_json.map_err(|why| why.to_string())?;
    if status != step.status.to_string() {
        return Err(format!("a fresh homeserver answers {status} in place of {}: {right}", step.status));
    }
    if code != code_for(step.status) {
        return Err(format!("{code} over the chain, {status} in JSON: {left} and {right}"));
    }
    twins.compare(&left, &right)?;
    Ok((left, right))
}

#[test]
fn a_sample_of_what_clients_ask_is_answered_over_the_chain_as_in_plain_json() {
    let fixture = Fixture::start("replay", RateLimits::Lifted, &[]).unwrap();
    let folder = fixture.parts.test_folder("replay-plain").unwrap();
    let second = Synapse::start(&fixture.parts, &folder, RateLimits::Lifted).unwrap();
    fixture.run(second.ready()).unwrap();
    let chain = Way::Chain { fixture: &fixture, sessions: HashMap::new() };
    let first = fixture.synapse().unwrap().address();
    let mut chain = Side { way: chain, homeserver: first, names: Names::default() };
    let mut plain = Side { way: Way::Plain, homeserver: second.address(), names: Names::default() };
    let mut twins = Twins::default();
    let mut differences = Vec::new();
    fixture.run(async {
        for step in corpus::steps().unwrap() {
            let answers = if step.eventually {
                let both = async || ask_both(&step, &mut chain, &mut plain, &mut twins).await;
                let agreed = wait::until(&step.title, KNOWN_WITHIN, both).await;
                agreed.map_err(|why| why.to_string())
            } else {
                ask_both(&step, &mut chain, &mut plain, &mut twins).await
            };
            let kept = answers.and_then(|(left, right)| {
                let kept = chain.names.keep(&step, &left).and_then(|()| plain.names.keep(&step, &right));
                kept.map_err(|why| why.to_string())
            });
            if let Err(why) = kept {
                differences.push(format!("{}\n    {why}", step.title));
            }
        }
    });
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
}
