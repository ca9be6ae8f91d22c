//! The registry numbers that this crate knows: codes, options with their properties, content formats.
//!
//! Data only. Sources: RFC 7252 sections 5.10 and 12, RFC 7641, RFC 7959, RFC 9175, and MSC3079 for options
//! 256 and 257. Options that are not listed are unrecognised: elective ones are ignored, critical ones
//! refused (RFC 7252 section 5.4.1). That is deliberate for If-Match, If-None-Match, OSCORE and the Q-Block
//! options, whose meaning we do not implement.

use std::fmt;

/// A method or response code, `class.detail` (RFC 7252 section 3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code(pub u8);

impl Code {
    /// 0.00, neither a method nor a response: acknowledgements, resets, pings.
    pub const EMPTY: Code = Code::new(0, 0);
    /// 0.01 GET (RFC 7252 section 5.8.1)
    pub const GET: Code = Code::new(0, 1);
    /// 0.02 POST (RFC 7252 section 5.8.2)
    pub const POST: Code = Code::new(0, 2);
    /// 0.03 PUT (RFC 7252 section 5.8.3)
    pub const PUT: Code = Code::new(0, 3);
    /// 0.04 DELETE (RFC 7252 section 5.8.4)
    pub const DELETE: Code = Code::new(0, 4);

    /// Makes a code from class and detail, e.g. `Code::new(2, 5)` for 2.05.
    pub const fn new(class: u8, detail: u8) -> Code {
        Code((class << 5) | (detail & 0x1f))
    }
    /// Returns the class, 0 to 7.
    pub const fn class(self) -> u8 {
        self.0 >> 5
    }
    /// Returns the detail, 0 to 31.
    pub const fn detail(self) -> u8 {
        self.0 & 0x1f
    }
    /// Returns whether the code is a method, known or not: 0.01 to 0.31.
    pub const fn is_request(self) -> bool {
        self.class() == 0 && self.0 != 0
    }
    /// Returns whether the code is of a response: 2.00 to 5.31 (RFC 7252 section 12.1).
    pub const fn is_response(self) -> bool {
        self.class() >= 2 && self.class() <= 5
    }
    /// Returns whether the code is 2.xx.
    pub const fn is_success(self) -> bool {
        self.class() == 2
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.class(), self.detail())
    }
}

/// Formats as [`fmt::Display`] does: `4.05` says more in a log than the 133 of the wire.
impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

macro_rules! response_codes {
    ($($code:ident = $class:literal, $detail:literal, $text:literal;)*) => {
        impl Code {
            $(
                #[doc = $text]
                pub const $code: Code = Code::new($class, $detail);
            )*

            /// The response codes that have a name here, in ascending order.
            pub const RESPONSES: &'static [Code] = &[$(Code::$code),*];

            /// Returns a response code with its name in the registry, e.g. `2.05 Content`; None for any
            /// other code.
            pub const fn text(self) -> Option<&'static str> {
                match self {
                    $(Code::$code => Some($text),)*
                    _ => None,
                }
            }
        }
    };
}

// RFC 7252 section 12.1.2; RFC 7959 section 2.9 adds Continue and Incomplete, RFC 8132 section 4 Conflict and
// Unprocessable Entity, RFC 8516 Too Many Requests, RFC 8768 Hop Limit Reached.
response_codes! {
    CREATED = 2, 1, "2.01 Created";
    DELETED = 2, 2, "2.02 Deleted";
    VALID = 2, 3, "2.03 Valid";
    CHANGED = 2, 4, "2.04 Changed";
    CONTENT = 2, 5, "2.05 Content";
    CONTINUE = 2, 31, "2.31 Continue";
    BAD_REQUEST = 4, 0, "4.00 Bad Request";
    UNAUTHORIZED = 4, 1, "4.01 Unauthorized";
    BAD_OPTION = 4, 2, "4.02 Bad Option";
    FORBIDDEN = 4, 3, "4.03 Forbidden";
    NOT_FOUND = 4, 4, "4.04 Not Found";
    METHOD_NOT_ALLOWED = 4, 5, "4.05 Method Not Allowed";
    NOT_ACCEPTABLE = 4, 6, "4.06 Not Acceptable";
    REQUEST_ENTITY_INCOMPLETE = 4, 8, "4.08 Request Entity Incomplete";
    CONFLICT = 4, 9, "4.09 Conflict";
    PRECONDITION_FAILED = 4, 12, "4.12 Precondition Failed";
    REQUEST_ENTITY_TOO_LARGE = 4, 13, "4.13 Request Entity Too Large";
    UNSUPPORTED_CONTENT_FORMAT = 4, 15, "4.15 Unsupported Content-Format";
    UNPROCESSABLE_ENTITY = 4, 22, "4.22 Unprocessable Entity";
    TOO_MANY_REQUESTS = 4, 29, "4.29 Too Many Requests";
    INTERNAL_SERVER_ERROR = 5, 0, "5.00 Internal Server Error";
    NOT_IMPLEMENTED = 5, 1, "5.01 Not Implemented";
    BAD_GATEWAY = 5, 2, "5.02 Bad Gateway";
    SERVICE_UNAVAILABLE = 5, 3, "5.03 Service Unavailable";
    GATEWAY_TIMEOUT = 5, 4, "5.04 Gateway Timeout";
    PROXYING_NOT_SUPPORTED = 5, 5, "5.05 Proxying Not Supported";
    HOP_LIMIT_REACHED = 5, 8, "5.08 Hop Limit Reached";
}

/// The methods that are served (RFC 7252 section 5.8). FETCH, PATCH and iPATCH (RFC 8132) are answered 4.05.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// 0.01, RFC 7252 section 5.8.1
    Get,
    /// 0.02, RFC 7252 section 5.8.2
    Post,
    /// 0.03, RFC 7252 section 5.8.3
    Put,
    /// 0.04, RFC 7252 section 5.8.4
    Delete,
}

impl Method {
    /// Returns the code on the wire.
    pub const fn code(self) -> Code {
        match self {
            Method::Get => Code::GET,
            Method::Post => Code::POST,
            Method::Put => Code::PUT,
            Method::Delete => Code::DELETE,
        }
    }
    /// Returns the name of the method, which is that of HTTP: `GET`.
    pub const fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
        }
    }
    /// Returns the method of a code; None if it is not served.
    pub const fn from_code(code: Code) -> Option<Method> {
        match code {
            Code::GET => Some(Method::Get),
            Code::POST => Some(Method::Post),
            Code::PUT => Some(Method::Put),
            Code::DELETE => Some(Method::Delete),
            _ => None,
        }
    }
}

/// Content-Formats that the protocol uses (RFC 7252 section 12.3).
pub mod content_format {
    /// `text/plain; charset=utf-8`, also of diagnostic texts
    pub const TEXT: u16 = 0;
    /// `application/octet-stream`, RFC 7252 section 12.3
    pub const OCTET_STREAM: u16 = 42;
    /// `application/json`, RFC 7252 section 12.3
    pub const JSON: u16 = 50;
    /// `application/cbor`, RFC 8949 section 9.4
    pub const CBOR: u16 = 60;
}

pub(super) const URI_HOST: u16 = 3;
pub(super) const ETAG: u16 = 4;
pub(super) const OBSERVE: u16 = 6;
pub(super) const URI_PORT: u16 = 7;
pub(super) const LOCATION_PATH: u16 = 8;
pub(super) const URI_PATH: u16 = 11;
pub(super) const CONTENT_FORMAT: u16 = 12;
pub(super) const MAX_AGE: u16 = 14;
pub(super) const URI_QUERY: u16 = 15;
pub(super) const ACCEPT: u16 = 17;
pub(super) const LOCATION_QUERY: u16 = 20;
pub(super) const BLOCK2: u16 = 23;
pub(super) const BLOCK1: u16 = 27;
pub(super) const SIZE2: u16 = 28;
pub(super) const PROXY_URI: u16 = 35;
pub(super) const PROXY_SCHEME: u16 = 39;
pub(super) const SIZE1: u16 = 60;
pub(super) const AUTHORIZATION: u16 = 256;
pub(super) const CBOR_VERSION: u16 = 257;
pub(super) const REQUEST_TAG: u16 = 292;
/// Our own option, in the range for experiments: a bit field of what a client is capable of. Elective, safe
/// to forward and not part of the cache key (RFC 7252 section 5.4.6); unknown bits are ignored.
pub(super) const CAPABILITIES: u16 = 65020;

/// Bit of [`CAPABILITIES`]: the client may send a copy of a request sooner than the ACK_TIMEOUT of RFC 7252
/// says. The next bit, 2, is reserved for requests that ask for lists of blocks.
pub(super) const SHORT_TIMERS: u32 = 1;

/// Longest value of an option of text, in bytes: Uri-Path, Uri-Query and others (RFC 7252 section 5.10).
pub const MAX_OPTION: usize = 255;

/// Longest value of option 256, in bytes: four times what a message holds without IP fragmentation.
pub const MAX_ACCESS_TOKEN: usize = 4096;

/// What the registry says about one option.
#[derive(Debug, Clone, Copy)]
pub(super) struct Definition {
    pub number: u16,
    pub name: &'static str,
    pub repeatable: bool,
    /// Shortest value, in bytes.
    pub min: usize,
    pub max: usize,
}

const fn option(number: u16, name: &'static str, repeatable: bool, min: usize, max: usize) -> Definition {
    Definition { number, name, repeatable, min, max }
}

/// Options that have a meaning in a request.
pub(super) const IN_REQUESTS: [Definition; 17] = [
    option(URI_HOST, "Uri-Host", false, 1, MAX_OPTION),
    option(OBSERVE, "Observe", false, 0, 3),
    option(URI_PORT, "Uri-Port", false, 0, 2),
    option(URI_PATH, "Uri-Path", true, 0, MAX_OPTION),
    option(CONTENT_FORMAT, "Content-Format", false, 0, 2),
    option(URI_QUERY, "Uri-Query", true, 0, MAX_OPTION),
    option(ACCEPT, "Accept", false, 0, 2),
    option(BLOCK2, "Block2", false, 0, 3),
    option(BLOCK1, "Block1", false, 0, 3),
    option(SIZE2, "Size2", false, 0, 4),
    option(PROXY_URI, "Proxy-Uri", false, 1, 1034),
    option(PROXY_SCHEME, "Proxy-Scheme", false, 1, MAX_OPTION),
    option(SIZE1, "Size1", false, 0, 4),
    option(AUTHORIZATION, "Authorization", false, 0, MAX_ACCESS_TOKEN),
    option(CBOR_VERSION, "CBOR-Version", false, 0, 4),
    option(REQUEST_TAG, "Request-Tag", true, 0, 8),
    option(CAPABILITIES, "Capabilities", false, 0, 4),
];

/// Options that have a meaning in a response.
pub(super) const IN_RESPONSES: [Definition; 10] = [
    option(ETAG, "ETag", false, 1, 8),
    option(OBSERVE, "Observe", false, 0, 3),
    option(LOCATION_PATH, "Location-Path", true, 0, MAX_OPTION),
    option(CONTENT_FORMAT, "Content-Format", false, 0, 2),
    option(MAX_AGE, "Max-Age", false, 0, 4),
    option(LOCATION_QUERY, "Location-Query", true, 0, MAX_OPTION),
    option(BLOCK2, "Block2", false, 0, 3),
    option(BLOCK1, "Block1", false, 0, 3),
    option(SIZE2, "Size2", false, 0, 4),
    option(SIZE1, "Size1", false, 0, 4),
];

/// Returns what the registry calls an option, None for one that means nothing to us.
pub(super) fn name(number: u16) -> Option<&'static str> {
    let mut known = IN_REQUESTS.iter().chain(&IN_RESPONSES);
    known.find(|option| option.number == number).map(|option| option.name)
}

/// Returns whether the lowest bit of the number is set (RFC 7252 section 5.4.6).
pub(super) const fn is_critical(number: u16) -> bool {
    number & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page_of_protocol;
    use std::collections::BTreeMap;

    #[test]
    fn codes_are_written_as_class_and_two_digits() {
        for (code, text) in [(Code::GET, "0.01"), (Code::CONTENT, "2.05"), (Code::CONTINUE, "2.31")] {
            assert_eq!(code.to_string(), text);
            assert_eq!(format!("{code:?}"), text);
        }
        assert_eq!(Code::REQUEST_ENTITY_TOO_LARGE.0, 141);
    }

    #[test]
    fn the_texts_of_response_codes_begin_with_their_numbers_and_stand_in_order() {
        for code in Code::RESPONSES {
            assert!(code.is_response());
            assert!(code.text().unwrap().starts_with(&format!("{code} ")), "{code}");
        }
        assert!(Code::RESPONSES.is_sorted());
        assert_eq!(Code::CONTENT.text(), Some("2.05 Content"));
        for other in [Code::EMPTY, Code::GET, Code::new(4, 20), Code::new(7, 31)] {
            assert_eq!(other.text(), None, "{other}");
        }
    }

    #[test]
    fn tables_are_in_ascending_order_with_possible_lengths() {
        for table in [&IN_REQUESTS[..], &IN_RESPONSES[..]] {
            assert!(table.windows(2).all(|pair| pair[0].number < pair[1].number));
            assert!(table.iter().all(|option| option.min <= option.max));
        }
    }

    #[test]
    fn the_page_of_the_protocol_has_these_options() {
        let head = "| number | name | bytes | in | repeatable | meaning here |";
        let Some(rows) = page_of_protocol::rows(head) else { return };
        let cells = |row: &str| row.split('|').map(str::trim).skip(1).take(5).collect::<Vec<_>>().join(" ");
        let told: Vec<String> = rows.iter().map(|row| cells(row)).collect();
        let mut known = BTreeMap::new();
        for (table, place) in [(&IN_REQUESTS[..], "request"), (&IN_RESPONSES[..], "response")] {
            for Definition { number, name, repeatable, min, max } in table {
                let place = if known.contains_key(number) { "both" } else { place };
                let repeatable = if *repeatable { "yes" } else { "no" };
                known.insert(number, format!("{number} {name} {min}-{max} {place} {repeatable}"));
            }
        }
        assert_eq!(told, known.into_values().collect::<Vec<_>>());
    }

    #[test]
    fn msc3079_options_have_the_properties_that_their_numbers_say() {
        assert!(!is_critical(AUTHORIZATION) && is_critical(CBOR_VERSION));
    }

    #[test]
    fn our_own_option_is_elective_safe_to_forward_no_cache_key_and_experimental() {
        let number = CAPABILITIES;
        assert!(!is_critical(number) && number & 2 == 0 && number & 0x1e == 0x1c && number >= 65_000);
    }

    #[test]
    fn methods_survive_the_way_to_a_code_and_back() {
        for method in [Method::Get, Method::Post, Method::Put, Method::Delete] {
            assert_eq!(Method::from_code(method.code()), Some(method));
        }
        for detail in [0, 5, 6, 7, 31] {
            assert_eq!(Method::from_code(Code::new(0, detail)), None);
        }
    }
}
