//! Maps each error to its counter. Parsers report what is wrong and count nothing.

use super::counters::Counters;
use super::failure::{OptionFault, ProtocolError};
use super::options::Refusal;

impl Counters {
    /// Counts an option that was ignored, or that has refused its message.
    pub(super) fn count_fault(&mut self, fault: OptionFault) {
        match fault {
            OptionFault::Unknown => self.options_unknown += 1,
            OptionFault::Length => self.options_bad_length += 1,
            OptionFault::Repeated => self.options_repeated += 1,
            OptionFault::NotUtf8 | OptionFault::ReservedSize => self.options_bad_value += 1,
        }
    }

    /// Counts a request that the CoAP layer answers by an error.
    pub(super) fn count_refusal(&mut self, refusal: Refusal) {
        match refusal {
            Refusal::Option(error) => self.count_fault(error.fault),
            Refusal::DotSegment => self.options_bad_value += 1,
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
