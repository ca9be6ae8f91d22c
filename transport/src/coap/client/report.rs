//! What a caller may show of a body on its way, and of the path of its session.

use super::exchange::State;
use super::flight::Peer;
use super::{Client, Exchange};
use crate::{ExchangeId, SessionId};
use lowband_wire::coap::Code;
use lowband_wire::coap::options::ResponseOptions;
use std::time::Duration;

/// Which way a body goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From us to the peer: the body of a request.
    Upload,
    /// From the peer to us: the body of a response.
    Download,
}

/// How far a body of several blocks has come. See [`Client::progress`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Which way the body goes.
    pub direction: Direction,
    /// Bytes that the peer has acknowledged, or that we have received.
    pub moved: u64,
    /// Bytes of the whole body: of a download what the peer says (Size2), if it says anything.
    pub total: Option<u64>,
}

/// What has come of a response of several blocks, without gaps. See [`Client::partial`].
#[derive(Clone, Copy, Debug)]
pub struct Partial<'c> {
    /// The code of the response, unless the server has to break off.
    pub code: Code,
    /// The options of its first block.
    pub options: &'c ResponseOptions,
    /// The beginning of its body.
    pub body: &'c [u8],
    /// How often the request has begun again. The body is another one with each time.
    pub restarts: u8,
}

/// What has been found out about the path of a session. See [`Client::path`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PathReport {
    /// Blocks that may be on their way at once; None before the first body of several blocks.
    pub window: Option<u32>,
    /// The smoothed round trip; None before it has been measured.
    pub round_trip: Option<Duration>,
    /// The shortest round trip measured.
    pub least_round_trip: Option<Duration>,
    /// Blocks after the first of their body that were asked for or sent, those sent again not included.
    pub blocks: u64,
    /// Blocks that were asked for, or sent, once more.
    pub blocks_again: u64,
    /// Requests that named several blocks at once.
    pub lists: u64,
}

impl Client {
    /// Returns how far the body of an exchange has come; None as long as nothing has moved of a body of
    /// several blocks, and after the exchange has ended.
    pub fn progress(&self, exchange: ExchangeId) -> Option<Progress> {
        self.exchanges.get(&exchange).and_then(Exchange::progress)
    }

    /// Returns what has come of the response of an exchange; None before its first block, and after the
    /// exchange has ended.
    pub fn partial(&self, exchange: ExchangeId) -> Option<Partial<'_>> {
        let exchange = self.exchanges.get(&exchange)?;
        let State::Downloading(download, _) = &exchange.state else { return None };
        Some(download.partial(exchange.restarts))
    }

    /// Returns whether the peer of a session has said that it knows packed bodies.
    pub fn knows_packed_bodies(&self, session: SessionId) -> bool {
        self.sessions.get(&session).is_some_and(|state| state.packed_bodies)
    }

    /// Returns what is known of the path of a session; None without such a session.
    pub fn path(&self, session: SessionId) -> Option<PathReport> {
        let state = self.sessions.get(&session)?;
        let round_trip = self.messages.round_trip(session);
        let one_by_one = state.peer() == Peer::OneByOne;
        let window = state.window().map(|window| if one_by_one { 1 } else { window.window() as u32 });
        Some(PathReport {
            window: window.or(state.path.window),
            round_trip: round_trip.map(|(smoothed, _)| smoothed),
            least_round_trip: round_trip.map(|(_, least)| least),
            ..state.path
        })
    }
}
