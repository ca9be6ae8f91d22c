//! A client of ours in the hands of a test, which plays its server.

use super::peer::*;
use super::sim::zero;
use lowband_transport::ExchangeId;
use lowband_transport::coap::{Client, ClientEvent, Code, FailReason, Limits, Request, Response, Times};
use std::time::Instant;

pub(crate) struct Foreign {
    pub(crate) now: Instant,
    pub(crate) client: Client,
}

impl Foreign {
    pub(crate) fn new() -> Foreign {
        Foreign::with(Limits::default())
    }

    /// Makes a client that moves one block after the other.
    pub(crate) fn one_by_one() -> Foreign {
        Foreign::with(Limits { body_window: 1, ..Limits::default() })
    }

    pub(crate) fn with(limits: Limits) -> Foreign {
        let mut client = Client::new(Times::rfc7252(), limits, [3; 32]);
        let now = zero();
        client.session_opened(now, SESSION, None);
        Foreign { now, client }
    }

    /// Makes a request and returns it as it arrives at the server.
    pub(crate) fn ask(&mut self, request: Request) -> (ExchangeId, Got) {
        let exchange = self.client.request(self.now, SESSION, request);
        (exchange, self.arrived())
    }

    pub(crate) fn arrived(&mut self) -> Got {
        let mut sent = self.sent();
        assert_eq!(sent.len(), 1, "{sent:?}");
        sent.remove(0)
    }

    pub(crate) fn sent(&mut self) -> Vec<Got> {
        std::iter::from_fn(|| self.client.poll_transmit()).map(|(_, bytes)| Got::parse(&bytes)).collect()
    }

    pub(crate) fn says(&mut self, message: &Make) -> Vec<Got> {
        self.client.handle_message(self.now, SESSION, &message.bytes());
        self.sent()
    }

    pub(crate) fn events(&mut self) -> Vec<ClientEvent> {
        std::iter::from_fn(|| self.client.poll_event()).collect()
    }

    pub(crate) fn response(&mut self) -> Response {
        match self.events().pop() {
            Some(ClientEvent::Response { response, .. }) => response,
            other => panic!("a response was expected, not {other:?}"),
        }
    }

    pub(crate) fn failure(&mut self) -> FailReason {
        match self.events().pop() {
            Some(ClientEvent::Failed { why, .. }) => why,
            other => panic!("a failure was expected, not {other:?}"),
        }
    }
}

/// Makes a piggybacked response to a request as it arrived.
pub(crate) fn piggybacked(to: &Got, code: Code) -> Make {
    make(ACK, code, to.id()).token(to.token())
}
