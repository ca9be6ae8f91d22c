//! The effect of taking a copy of a message for a new one.

use lowband_wire::coap::message::Message;
use lowband_wire::coap::{Code, numbers};

/// Effect of taking a message for a new one although it is a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Effect {
    /// No effect: the message only reads.
    None,
    /// The message reads, but what it says of its session may be out of date.
    Says,
    /// The message acts again.
    Acts,
}

impl Effect {
    /// Returns the effect of a request: GET is safe (RFC 7252 section 5.1). The RFC says that PUT and DELETE
    /// may be repeated, but people see an event that is sent or redacted twice.
    pub(in super::super) fn of(message: &Message) -> Effect {
        let sticks = |number| [numbers::AUTHORIZATION, numbers::CBOR_VERSION].contains(&number);
        match message.code {
            Code::GET if message.options().any(|(number, _)| sticks(number)) => Effect::Says,
            Code::GET => Effect::None,
            _ => Effect::Acts,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowband_wire::coap::message::{Kind, MessageId, Outgoing, Token};

    #[test]
    fn a_get_does_no_harm_unless_it_says_something_of_its_session() {
        for (code, option, effect) in [
            (Code::GET, None, Effect::None),
            (Code::GET, Some(numbers::URI_PATH), Effect::None),
            (Code::GET, Some(numbers::AUTHORIZATION), Effect::Says),
            (Code::GET, Some(numbers::CBOR_VERSION), Effect::Says),
            (Code::PUT, None, Effect::Acts),
            (Code::DELETE, Some(numbers::AUTHORIZATION), Effect::Acts),
            (Code::CONTENT, None, Effect::Acts),
        ] {
            let options = option.into_iter().map(|number| (number, b"x".to_vec())).collect();
            let message = Outgoing { code, token: Token::EMPTY, options, payload: Vec::new() };
            let bytes = message.encode(Kind::Confirmable, MessageId(1)).unwrap();
            assert_eq!(Effect::of(&Message::parse(&bytes).unwrap()), effect, "{code:?} {option:?}");
        }
    }
}
