//! Maps each error to its counter. Parsers report what is wrong and count nothing.

use super::counters::Counters;
use super::failure::ProtocolError;
use lowband_wire::coap::fault::OptionFault;
use lowband_wire::coap::options::Refusal;

impl Counters {
    /// Counts an option that was ignored, or that has refused its message.
    pub(super) fn count_fault(&mut self, fault: OptionFault) {
        match fault {
            OptionFault::Unknown => self.options_unknown += 1,
            OptionFault::Length => self.options_bad_length += 1,
            OptionFault::Repeated => self.options_repeated += 1,
            // NotUtf8 and ReservedSize: the option is known, and its value means nothing.
            _ => self.options_bad_value += 1,
        }
    }

    /// Counts a request that the CoAP layer answers by an error.
    pub(super) fn count_refusal(&mut self, refusal: Refusal) {
        match refusal {
            Refusal::Option(error) => self.count_fault(error.fault),
            Refusal::DotSegment | Refusal::List | Refusal::MixedBlocks => self.options_bad_value += 1,
            Refusal::PathTooLong => self.paths_too_long += 1,
            Refusal::Method => self.methods_refused += 1,
            Refusal::Proxying => self.proxying_refused += 1,
        }
    }

    /// Counts a response that cannot be used.
    pub(super) fn count_protocol_error(&mut self, error: &ProtocolError) {
        match error {
            ProtocolError::Option(error) => self.count_fault(error.fault),
            ProtocolError::TooLarge { .. } => self.downloads_too_large += 1,
            _ => self.responses_contradictory += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowband_wire::coap::Code;
    use lowband_wire::coap::message::{Kind, Message, MessageId, Outgoing, Token};
    use lowband_wire::coap::numbers::MAX_ACCESS_TOKEN;
    use lowband_wire::coap::options::ParsedRequest;

    /// Counts what is wrong with a GET that has these options.
    fn counted(options: &[(u16, &[u8])]) -> Counters {
        let options = options.iter().map(|(number, value)| (*number, value.to_vec())).collect();
        let message = Outgoing { code: Code::GET, token: Token::EMPTY, options, payload: vec![] };
        let wire = message.encode(Kind::Confirmable, MessageId(1)).unwrap();
        let (parsed, ignored) = ParsedRequest::parse(&Message::parse(&wire).unwrap());
        let mut counters = Counters::default();
        ignored.into_iter().for_each(|fault| counters.count_fault(fault));
        if let Err(refusal) = parsed {
            counters.count_refusal(refusal);
        }
        counters
    }

    #[test]
    fn each_fault_of_an_option_has_its_own_counter() {
        let count = |options: &[(u16, &[u8])], of: fn(&Counters) -> u64| of(&counted(options));
        assert_eq!(count(&[(9, b"")], |counters| counters.options_unknown), 1);
        assert_eq!(count(&[(256, &[0; MAX_ACCESS_TOKEN + 1])], |counters| counters.options_bad_length), 1);
        assert_eq!(count(&[(6, b""), (6, b"")], |counters| counters.options_repeated), 1);
        assert_eq!(count(&[(11, b"\xff")], |counters| counters.options_bad_value), 1);
        assert_eq!(count(&[(11, b"..")], |counters| counters.options_bad_value), 1);
        assert_eq!(count(&[(23, b"\x07")], |counters| counters.options_bad_value), 1);
        assert_eq!(count(&[(35, b"coap://x")], |counters| counters.proxying_refused), 1);
        assert_eq!(count(&[(15, &[b'f'; 255][..]); 16], |counters| counters.paths_too_long), 1);
    }
}
