//! What sticks to a session: the access token of option 256 and the CBOR version of option 257 (MSC3079).
//!
//! **The rule.** What a message carries holds from its arrival on, in the order of arrival, whatever becomes
//! of its request: passed on, refused by the CoAP layer, still being uploaded. A copy of a message has
//! arrived before and changes nothing. A request runs under what its own messages carry, otherwise under what
//! held when its first message arrived. So an upload that ends late neither borrows a later token nor brings
//! an older one back.
//!
//! | holds        | a message says B | says "none" (empty) | cannot be read   | 401 to A     | A is known after all | A has logged out |
//! |--------------|------------------|---------------------|------------------|--------------|----------------------|------------------|
//! | nothing      | B                | nothing             | nothing, refused | nothing      | nothing              | nothing          |
//! | A            | B                | nothing             | nothing, refused | A as refused | A                    | nothing          |
//! | A as refused | B                | nothing             | nothing, refused | A as refused | A                    | nothing          |
//! | B            | B                | nothing             | nothing, refused | B            | B                    | B                |
//!
//! The caller reports the last three columns, from the homeserver's answers: an answer to an older token ends
//! nothing. All of it ends with the session.
//!
//! Some clients repeat the token in each block of a body. There, the token that the body runs under
//! already changes nothing. If the body is not known any more, neither does the token that stuck before
//! the present one. Otherwise a transfer that goes on, or ends late, while its client changes the token
//! would bring the older one back. A block with another token than its body's belongs to another body, and
//! is refused by 4.08.

use super::super::message_layer::Origin;
use super::Server;
use crate::SessionId;
use lowband_wire::coap::access_token::{AccessToken, Said};
use lowband_wire::coap::message::Message;
use lowband_wire::coap::numbers;
use lowband_wire::coap::options::ParsedRequest;
use lowband_wire::coap::uint::from_uint;
use std::time::Instant;

/// What holds for one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The access token; None for a request without a token.
    pub access_token: Option<AccessToken>,
    /// True if the token, or the statement that there is none, came with this very request.
    pub is_explicit: bool,
    /// True if the token stuck and the homeserver has refused it since
    /// ([`super::Server::refuse_access_token`]).
    pub is_refused: bool,
    /// Value of option 257 in the newest message that had it; None before the first one.
    pub cbor_version: Option<u32>,
}

impl Standing {
    /// Takes in a further message of the same request.
    pub(in super::super) fn update(&mut self, message: &Standing) {
        if message.is_explicit {
            self.access_token.clone_from(&message.access_token);
            (self.is_explicit, self.is_refused) = (true, message.is_refused);
        }
        self.cbor_version = message.cbor_version.or(self.cbor_version);
    }
}

/// The sticky values of one session.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sticky {
    access_token: Option<AccessToken>,
    /// The token that stuck before.
    previous: Option<AccessToken>,
    is_refused: bool,
    cbor_version: Option<u32>,
}

impl Sticky {
    /// Returns whether nothing sticks to the session.
    pub(super) fn is_empty(&self) -> bool {
        *self == Sticky::default()
    }

    /// Takes in a message that is not a copy.
    fn arrived(&mut self, said: &Said, cbor_version: Option<u32>) {
        if let Some(token) = said {
            let before = std::mem::replace(&mut self.access_token, token.clone().unwrap_or_default());
            if before.is_some() && before != self.access_token {
                self.previous = before;
            }
            self.is_refused = false;
        }
        self.cbor_version = cbor_version.or(self.cbor_version);
    }

    /// Returns what holds for a message: what the message carries, otherwise what sticks.
    fn standing(&self, said: &Said) -> Standing {
        let access_token = match said {
            Some(said) => said.clone().unwrap_or_default(),
            None => self.access_token.clone(),
        };
        let is_refused = self.is_refused && access_token == self.access_token;
        Standing { access_token, is_explicit: said.is_some(), is_refused, cbor_version: self.cbor_version }
    }

    fn refuse(&mut self, access_token: &AccessToken) {
        self.is_refused |= self.holds(access_token);
    }

    fn accept(&mut self, access_token: &AccessToken) {
        self.is_refused &= !self.holds(access_token);
    }

    fn holds(&self, access_token: &AccessToken) -> bool {
        self.access_token.as_ref() == Some(access_token)
    }

    fn end(&mut self, access_token: &AccessToken) {
        if self.holds(access_token) {
            self.previous = self.access_token.take();
            self.is_refused = false;
        }
    }
}

impl Server {
    /// Takes in what a message carries for its session, before anything can refuse it.
    pub(super) fn arrived(
        &mut self,
        now: Instant,
        asker: &Origin,
        message: &Message,
        said: &Said,
    ) -> Standing {
        let mut versions = message.options().filter(|(number, _)| *number == numbers::CBOR_VERSION);
        let version = versions.next().filter(|_| versions.next().is_none()).and_then(|(_, it)| from_uint(it));
        if said.is_some() {
            // A copy changes nothing, even if its request was refused and would be refused again.
            self.messages.remember(now, asker);
        }
        if said.is_some() || version.is_some() {
            let session = self.sessions.entry(asker.session).or_default();
            session.sticky.arrived(said, version);
        }
        let standing = self.standing(asker.session, said);
        self.tidy(asker.session);
        standing
    }

    pub(super) fn standing(&self, session: SessionId, said: &Said) -> Standing {
        let session = self.sessions.get(&session);
        session
            .map(|session| session.sticky.standing(said))
            .unwrap_or_else(|| Sticky::default().standing(said))
    }

    /// Returns whether a block of a body carries a token that has been seen before, so that
    /// it changes nothing.
    pub(super) fn says_again(&self, session: SessionId, request: &ParsedRequest, said: &Said) -> bool {
        let Some(Ok(said)) = said else { return false };
        let Some(session) = self.sessions.get(&session) else { return false };
        if !request.goes_on() {
            // Block 0 sent anew, under another message id.
            let key = &request.key;
            return session.bodies.as_ref().is_some_and(|bodies| bodies.uploads.has_begun_with(key, said));
        }
        match session.bodies.as_ref().and_then(|bodies| bodies.access_token(request)) {
            Some(token) => token == *said,
            None => said.is_some() && *said == session.sticky.previous,
        }
    }

    /// Returns whether a block carries another token than the body that it seems to belong to.
    pub(super) fn is_of_another(&self, session: SessionId, request: &ParsedRequest, said: &Said) -> bool {
        let Some(Ok(said)) = said else { return false };
        let bodies = self.sessions.get(&session).and_then(|session| session.bodies.as_ref());
        bodies.and_then(|bodies| bodies.said_token(request)).is_some_and(|token| token != *said)
    }

    /// Notes that the homeserver does not know this access token (any more): where it still sticks,
    /// [`Standing::is_refused`] is set.
    pub fn refuse_access_token(&mut self, session: SessionId, access_token: &AccessToken) {
        if let Some(state) = self.sessions.get_mut(&session) {
            state.sticky.refuse(access_token);
        }
    }

    /// Notes that the homeserver knows this access token after all.
    pub fn accept_access_token(&mut self, session: SessionId, access_token: &AccessToken) {
        if let Some(state) = self.sessions.get_mut(&session) {
            state.sticky.accept(access_token);
        }
    }

    /// Notes that the owner of this access token has logged out. Where it still sticks, no token does
    /// from now on.
    pub fn end_access_token(&mut self, session: SessionId, access_token: &AccessToken) {
        if let Some(state) = self.sessions.get_mut(&session) {
            state.sticky.end(access_token);
            self.tidy(session);
        }
    }
}
