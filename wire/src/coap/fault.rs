//! What is wrong with options, as values: which option, and how.

use super::numbers::{self, MAX_ACCESS_TOKEN};
use std::fmt;

/// An option because of which its message is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptionError {
    /// Number of the option (RFC 7252 section 5.4.6: an odd one is critical).
    pub number: u16,
    /// What is wrong with the option.
    pub fault: OptionFault,
}

/// What is wrong with an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OptionFault {
    /// The option is critical and means nothing to us (RFC 7252 section 5.4.1).
    Unknown,
    /// The value is longer or shorter than the option allows (RFC 7252 section 5.4.3).
    Length,
    /// The option stands twice and may stand once (RFC 7252 section 5.4.5).
    Repeated,
    /// The value should be text and is not UTF-8.
    NotUtf8,
    /// The option is a block option with SZX 7 (RFC 7959 section 2.2).
    ReservedSize,
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let OptionError { number, fault } = self;
        let why = match fault {
            OptionFault::Unknown => return write!(f, "option {number} is not known"),
            OptionFault::Length => "has an impossible length",
            OptionFault::Repeated => "is repeated",
            OptionFault::NotUtf8 => return write!(f, "option {number} is not UTF-8"),
            OptionFault::ReservedSize => return f.write_str("SZX 7 is reserved"),
        };
        match numbers::name(*number) {
            Some(name) => write!(f, "option {number} {name} {why}"),
            None => write!(f, "option {number} {why}"),
        }
    }
}

/// What no CoAP message can carry of a request (RFC 7252 section 5.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unsendable {
    /// A value of [`super::options::RequestOptions::path`] is too long for Uri-Path.
    #[error("a path segment of more than 255 bytes does not fit into CoAP")]
    PathSegment {
        /// Length of the value in bytes.
        bytes: usize,
    },
    /// A value of [`super::options::RequestOptions::query`] is too long for Uri-Query.
    #[error("a query parameter of more than 255 bytes does not fit into CoAP")]
    QueryParameter {
        /// Length of the value in bytes.
        bytes: usize,
    },
    /// [`super::options::RequestOptions::authorization`] is longer than [`MAX_ACCESS_TOKEN`].
    #[error("an access token of more than {} bytes does not fit into option 256", MAX_ACCESS_TOKEN)]
    AccessToken {
        /// Length of the token in bytes.
        bytes: usize,
    },
    /// [`super::options::RequestOptions::host`] is empty or too long for Uri-Host.
    #[error("a Uri-Host has 1 to 255 bytes")]
    Host {
        /// Length of the host in bytes.
        bytes: usize,
    },
    /// The options together do not fit into one message, which they have to even if the body goes in blocks.
    #[error("too long: path, query and access token do not fit into one message of {most} bytes")]
    Message {
        /// Bytes of the longest message that the session carries.
        most: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_is_named_where_its_name_helps() {
        for (number, fault, words) in [
            (9, OptionFault::Unknown, "option 9 is not known"),
            (17, OptionFault::Length, "option 17 Accept has an impossible length"),
            (27, OptionFault::Repeated, "option 27 Block1 is repeated"),
            (11, OptionFault::NotUtf8, "option 11 is not UTF-8"),
            (23, OptionFault::ReservedSize, "SZX 7 is reserved"),
        ] {
            assert_eq!(OptionError { number, fault }.to_string(), words);
        }
    }
}
