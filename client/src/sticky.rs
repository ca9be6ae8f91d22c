//! What the server remembers of us: options 256 and 257 of MSC3079 are sticky on a DTLS session.
//!
//! Sent once, each saves its bytes on every later request. But a request that leaves the token out is
//! answered for whatever token the server saw last, so it is left out only when that can be no other: a
//! response has shown that the server has it, and no request with another token can still arrive there,
//! not even late.
//!
//! A request without a token says so by an empty option, unless the server is known to hold none. After a
//! 4.01 and after a logout nothing is known: the server may have ended the token, and a request that means it
//! must name it to hear that.
//!
//! What this cannot mend: a request without its token that a *later* one with another token overtakes on the
//! way. So one connection serves one user; an app that mixes users on one asks for
//! [`TokenUse::EachRequest`].

use crate::settings::TokenUse;
use lowband_transport::ExchangeId;
use lowband_wire::coap::Code;
use std::collections::{HashMap, HashSet};

/// The sticky options of one session. No `Debug`: it holds access tokens.
pub(crate) struct Sticky {
    token_use: TokenUse,
    cbor_version: Option<u32>,
    /// The token that the server is known to hold; empty for none.
    known: Option<String>,
    /// Tokens in requests under way. Bounded by the number of overlapping requests.
    under_way: HashMap<ExchangeId, String>,
    /// Different tokens have been under way at once since the last time none were: which one arrived last is
    /// unknown.
    contested: bool,
    /// Tokens in requests that were given up: a copy may still arrive.
    given_up: GivenUp,
    /// Requests under way whose success ends their token.
    ending: HashSet<ExchangeId>,
}

/// What an answer shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// 2.xx: the request got as far as its token.
    Success,
    /// 4.01: the token may have ended.
    Unauthorized,
    /// Any other code; errors of the transport (4.02, 4.08, 4.13) need not have got as far as the token with
    /// every server.
    Other,
}

impl Outcome {
    pub(crate) fn of(code: Code) -> Outcome {
        match (code.class(), code.detail()) {
            (2, _) => Outcome::Success,
            (4, 1) => Outcome::Unauthorized,
            _ => Outcome::Other,
        }
    }
}

enum GivenUp {
    None,
    Only(String),
    Several,
}

/// What to put on the wire.
#[derive(PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct ToSend {
    pub(crate) access_token: Option<String>,
    pub(crate) cbor_version: Option<u32>,
}

impl Sticky {
    pub(crate) fn new(token_use: TokenUse, cbor_version: Option<u32>) -> Sticky {
        Sticky {
            token_use,
            cbor_version,
            known: Some(String::new()),
            under_way: HashMap::new(),
            contested: false,
            given_up: GivenUp::None,
            ending: HashSet::new(),
        }
    }

    /// Returns what a request with this token, or without one, has to carry.
    pub(crate) fn to_send(&self, access_token: Option<&str>) -> ToSend {
        let said = match self.token_use {
            TokenUse::UntilKnown => Some(access_token.unwrap_or_default()),
            // Such servers remember nothing, so nothing needs to be taken away.
            TokenUse::EachRequest => access_token,
        };
        let carried = said.filter(|token| !self.is_known(token));
        ToSend { access_token: carried.map(str::to_owned), cbor_version: self.cbor_version }
    }

    fn is_known(&self, token: &str) -> bool {
        let given_up_agree = match &self.given_up {
            GivenUp::None => true,
            GivenUp::Only(other) => other == token,
            GivenUp::Several => false,
        };
        self.token_use == TokenUse::UntilKnown && self.known.as_deref() == Some(token) && given_up_agree
    }

    /// Notes that a request has gone out with this token. `ends_token`: its success ends the token that it
    /// was made under.
    pub(crate) fn sent(&mut self, exchange: ExchangeId, access_token: Option<String>, ends_token: bool) {
        if ends_token {
            self.ending.insert(exchange);
        }
        let Some(token) = access_token else { return };
        if self.known.as_ref() != Some(&token) {
            self.known = None;
        }
        self.contested |= self.under_way.values().any(|other| *other != token);
        self.under_way.insert(exchange, token);
    }

    /// Notes that the response has come.
    pub(crate) fn answered(&mut self, exchange: ExchangeId, outcome: Outcome) {
        let success = outcome == Outcome::Success;
        if success {
            self.cbor_version = None;
        }
        self.take(exchange, success);
        let ended = self.ending.remove(&exchange) && success;
        if ended || outcome == Outcome::Unauthorized {
            self.known = None;
        }
    }

    fn take(&mut self, exchange: ExchangeId, success: bool) {
        let Some(token) = self.under_way.remove(&exchange) else { return };
        if success && !self.contested {
            self.known = Some(token);
        }
        self.contested &= !self.under_way.is_empty();
    }

    /// Notes that no response will come, or that the caller no longer waits for it.
    pub(crate) fn gave_up(&mut self, exchange: ExchangeId) {
        self.ending.remove(&exchange);
        let Some(token) = self.under_way.remove(&exchange) else { return };
        self.contested &= !self.under_way.is_empty();
        self.given_up = match std::mem::replace(&mut self.given_up, GivenUp::Several) {
            GivenUp::None => GivenUp::Only(token),
            GivenUp::Only(other) if other == token => GivenUp::Only(other),
            GivenUp::Only(_) | GivenUp::Several => GivenUp::Several,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: ExchangeId = ExchangeId(1);
    const SECOND: ExchangeId = ExchangeId(2);

    fn sticky() -> Sticky {
        Sticky::new(TokenUse::UntilKnown, None)
    }

    /// Sends with `token` if needed, and says whether it was.
    fn send(sticky: &mut Sticky, exchange: ExchangeId, token: &str) -> bool {
        let carried = sticky.to_send(Some(token)).access_token;
        sticky.sent(exchange, carried.clone(), false);
        carried.is_some()
    }

    /// Sends without a token, and says whether an option was needed for that.
    fn send_without(sticky: &mut Sticky, exchange: ExchangeId) -> bool {
        let carried = sticky.to_send(None).access_token;
        assert!(carried.as_deref().is_none_or(str::is_empty));
        sticky.sent(exchange, carried.clone(), false);
        carried.is_some()
    }

    #[test]
    fn a_token_is_sent_until_a_response_shows_that_it_arrived() {
        let mut sticky = sticky();
        assert!(send(&mut sticky, FIRST, "a"));
        assert!(send(&mut sticky, SECOND, "a"), "an overlapping request could overtake the first");
        sticky.answered(FIRST, Outcome::Success);
        assert!(!send(&mut sticky, ExchangeId(3), "a"));
    }

    #[test]
    fn a_changed_token_is_sent_and_then_known() {
        let mut sticky = sticky();
        send(&mut sticky, FIRST, "a");
        sticky.answered(FIRST, Outcome::Success);
        assert!(send(&mut sticky, SECOND, "b"));
        sticky.answered(SECOND, Outcome::Success);
        assert!(!send(&mut sticky, ExchangeId(3), "b"));
        assert!(send(&mut sticky, ExchangeId(4), "a"));
    }

    #[test]
    fn two_tokens_under_way_leave_it_open_which_one_came_last() {
        let mut sticky = sticky();
        send(&mut sticky, FIRST, "a");
        send(&mut sticky, SECOND, "b");
        sticky.answered(FIRST, Outcome::Success);
        sticky.answered(SECOND, Outcome::Success);
        assert!(
            sticky.to_send(Some("b")).access_token.is_some(),
            "the last answered need not be the last arrived"
        );
        assert!(send(&mut sticky, ExchangeId(3), "b"));
        sticky.answered(ExchangeId(3), Outcome::Success);
        assert!(!send(&mut sticky, ExchangeId(4), "b"), "with nothing else under way it is certain again");
    }

    #[test]
    fn an_error_does_not_prove_that_the_token_arrived() {
        let mut sticky = sticky();
        send(&mut sticky, FIRST, "a");
        sticky.answered(FIRST, Outcome::Other);
        assert!(send(&mut sticky, SECOND, "a"));
    }

    #[test]
    fn after_a_request_was_given_up_another_token_is_never_left_out() {
        let mut sticky = sticky();
        send(&mut sticky, FIRST, "a");
        sticky.gave_up(FIRST);
        for exchange in [SECOND, ExchangeId(3)] {
            assert!(send(&mut sticky, exchange, "b"), "a late copy of the first would bring back its token");
            sticky.answered(exchange, Outcome::Success);
        }
    }

    #[test]
    fn a_request_given_up_does_no_harm_to_its_own_token() {
        let mut sticky = sticky();
        send(&mut sticky, FIRST, "a");
        sticky.gave_up(FIRST);
        assert!(send(&mut sticky, SECOND, "a"));
        sticky.answered(SECOND, Outcome::Success);
        assert!(!send(&mut sticky, ExchangeId(3), "a"));
    }

    #[test]
    fn each_request_means_each() {
        let mut sticky = Sticky::new(TokenUse::EachRequest, None);
        send(&mut sticky, FIRST, "a");
        sticky.answered(FIRST, Outcome::Success);
        assert!(send(&mut sticky, SECOND, "a"));
    }

    #[test]
    fn the_cbor_version_is_sent_until_the_first_success() {
        let mut sticky = Sticky::new(TokenUse::UntilKnown, Some(1));
        sticky.answered(FIRST, Outcome::Other);
        assert_eq!(sticky.to_send(None), ToSend { access_token: None, cbor_version: Some(1) });
        sticky.answered(SECOND, Outcome::Success);
        assert_eq!(sticky.to_send(None), ToSend { access_token: None, cbor_version: None });
    }

    #[test]
    fn a_request_without_a_token_takes_the_servers_away_and_only_then_says_so() {
        let mut sticky = sticky();
        assert!(!send_without(&mut sticky, FIRST), "a session begins without one");
        sticky.answered(FIRST, Outcome::Success);
        send(&mut sticky, SECOND, "a");
        assert!(send_without(&mut sticky, ExchangeId(3)), "the token is on its way");
        sticky.answered(SECOND, Outcome::Success);
        sticky.answered(ExchangeId(3), Outcome::Success);
        assert!(send_without(&mut sticky, ExchangeId(4)), "which of them came last is not known");
        sticky.answered(ExchangeId(4), Outcome::Success);
        assert!(!send_without(&mut sticky, ExchangeId(5)));
        assert!(send(&mut sticky, ExchangeId(6), "a"));
    }

    #[test]
    fn after_a_4_01_or_a_logout_a_token_is_named_again() {
        let mut sticky = sticky();
        send(&mut sticky, FIRST, "a");
        sticky.answered(FIRST, Outcome::Success);
        assert!(!send(&mut sticky, SECOND, "a"));
        sticky.answered(SECOND, Outcome::Unauthorized);
        assert!(send(&mut sticky, ExchangeId(3), "a"));
        sticky.answered(ExchangeId(3), Outcome::Success);
        for (outcome, again) in [(Outcome::Other, false), (Outcome::Success, true)] {
            sticky.sent(ExchangeId(4), None, true);
            sticky.answered(ExchangeId(4), outcome);
            assert_eq!(send(&mut sticky, ExchangeId(5), "a"), again, "{outcome:?}");
            sticky.answered(ExchangeId(5), Outcome::Success);
        }
        assert!(sticky.ending.is_empty());
    }

    #[test]
    fn codes_show_what_the_server_holds() {
        for (code, outcome) in [
            (Code::new(2, 5), Outcome::Success),
            (Code::new(4, 1), Outcome::Unauthorized),
            (Code::new(4, 3), Outcome::Other),
            (Code::new(5, 1), Outcome::Other),
        ] {
            assert_eq!(Outcome::of(code), outcome);
        }
    }
}
