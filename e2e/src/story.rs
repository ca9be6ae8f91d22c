//! The main job as one story, the same over either wire: two users come, one makes a room and says "Hello
//! World" in it, the other joins and reads it. Each step's answer is checked and its cost on the wire noted.

use crate::error::{Error, Result};
use crate::matrix::{self, SignedIn, User};
use crate::relay::Relay;
use crate::tcp::{Meter, Traffic};
use crate::tell::Voice;
use crate::wire::Wire;
use serde_json::json;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

const HELLO: &str = "Hello World";

/// The wire of a story, and the instrument that measures it.
#[derive(Debug)]
pub enum Side {
    /// CBOR, CoAP, DTLS; through a relay that counts.
    Coap {
        /// The relay that counts datagrams and passes them on.
        relay: Relay,
        /// The PEM file with the certificate to believe.
        ca: PathBuf,
    },
    /// JSON, HTTP/1.1, TLS.
    Https {
        /// Address of Envoy's public port.
        server: SocketAddr,
        /// The PEM file with the certificate to believe.
        ca: PathBuf,
        /// One meter for each connection so far.
        meters: Vec<Arc<Meter>>,
    },
}

/// What one step cost.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Name of the step, the same on both sides.
    pub step: &'static str,
    /// Packets and bytes of the step.
    pub traffic: Traffic,
}

/// The results of a story.
#[derive(Debug)]
pub struct Ending {
    /// Costs in the order of the steps.
    pub costs: Vec<Cost>,
    /// The first user and the room, for callers that want to go on. `None` if the story did not come so far.
    pub room: Option<(SignedIn, String)>,
}

impl Side {
    /// Opens a connection.
    async fn connect(&mut self) -> Result<Wire> {
        match self {
            Side::Coap { relay, ca } => Wire::coap(relay.address(), ca).await,
            Side::Https { server, ca, meters } => {
                let wire = Wire::https(*server, ca).await?;
                meters.extend(wire.meter());
                Ok(wire)
            }
        }
    }

    async fn traffic(&self) -> Result<Traffic> {
        match self {
            Side::Coap { relay, .. } => relay.traffic().await,
            Side::Https { meters, .. } => {
                meters.iter().try_fold(Traffic::default(), |sum, meter| Ok(sum + meter.traffic()?))
            }
        }
    }
}

/// A story that is going on.
#[derive(Debug)]
pub struct Story<'s> {
    side: &'s mut Side,
    voice: Voice,
    costs: Vec<Cost>,
}

impl<'s> Story<'s> {
    /// Makes a story in which nothing has happened yet.
    pub fn over(side: &'s mut Side, voice: Voice) -> Story<'s> {
        Story { side, voice, costs: Vec::new() }
    }

    /// Plays only what works without an account: `/versions`, with and without a new connection.
    pub async fn versions(mut self) -> Result<Ending> {
        self.meet().await?;
        Ok(Ending { costs: self.costs, room: None })
    }

    /// Plays the whole story.
    pub async fn main_job(mut self, first: &User, second: &User) -> Result<Ending> {
        let mut wire1 = self.meet().await?;
        let step = if first.has_account { "log in" } else { "register" };
        let one = self.step(step, async |_| matrix::sign_in(&mut wire1, first).await).await?;

        let step = if second.has_account { "connect + log in" } else { "connect + register" };
        let connected = self.step(step, async |side| {
            let mut wire = side.connect().await?;
            let signed_in = matrix::sign_in(&mut wire, second).await?;
            Ok((wire, signed_in))
        });
        let (mut wire2, two) = connected.await?;

        let create = async |_: &mut Side| matrix::create_room(&mut wire1, &one, &[&two.id]).await;
        let room = self.step("create room, invite", create).await?;
        let send = async |_: &mut Side| matrix::send(&mut wire1, &one, &room, "demo1", HELLO).await;
        let event = self.step("send \"Hello World\"", send).await?;
        self.step("join", async |_| matrix::join(&mut wire2, &two, &room).await).await?;
        let query = sync_query(second, &room);
        let synced = self.step("sync", async |_| matrix::sync(&mut wire2, &two, &query).await).await?;
        matrix::expect_message(&synced, &room, &event, HELLO)?;
        self.voice.say(format_args!("      {} reads {HELLO:?} from {} in {room}", two.id, one.id));
        Ok(Ending { costs: self.costs, room: Some((one, room)) })
    }

    /// Connects and asks `/versions` twice: the second answer shows the cost of a request on an open
    /// connection.
    async fn meet(&mut self) -> Result<Wire> {
        let connected = self.step("connect + GET /versions", async |side| {
            let mut wire = side.connect().await?;
            let document = matrix::versions(&mut wire).await?;
            Ok((wire, document))
        });
        let (mut wire, document) = connected.await?;
        if let Side::Coap { .. } = self.side {
            let text = serde_json::to_string_pretty(&document).unwrap_or_default();
            text.lines().for_each(|line| self.voice.say(format_args!("      {line}")));
        }
        let again =
            self.step("GET /versions, connected", async |_| matrix::versions(&mut wire).await).await?;
        if document == again {
            return Ok(wire);
        }
        let (expected, got) = (document.to_string(), again.to_string());
        Err(Error::Wrong { what: "the second GET /versions".to_owned(), expected, got })
    }

    /// Does one step: says that it was done, notes its cost.
    async fn step<T>(
        &mut self,
        step: &'static str,
        work: impl AsyncFnOnce(&mut Side) -> Result<T>,
    ) -> Result<T> {
        let before = self.side.traffic().await?;
        let begin = Instant::now();
        let result = self.voice.patiently(step, work(self.side)).await?;
        let took = begin.elapsed();
        let traffic = self.side.traffic().await? - before;
        self.voice.say(format_args!("  {step:<28}{:>6} ms", took.as_millis()));
        self.costs.push(Cost { step, traffic });
        Ok(result)
    }
}

/// Returns the query of a sync. A new user's first sync is small. A user with a history asks for this room
/// alone: the rest may be hundreds of megabytes.
fn sync_query(user: &User, room: &str) -> String {
    const AT_ONCE: &str = "timeout=0";
    if !user.has_account {
        return AT_ONCE.to_owned();
    }
    let filter = json!({"room": {"rooms": [room]}, "presence": {"limit": 0}, "account_data": {"limit": 0}})
        .to_string();
    let encoded: String = url::form_urlencoded::byte_serialize(filter.as_bytes()).collect();
    format!("{AT_ONCE}&filter={encoded}")
}
