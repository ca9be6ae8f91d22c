//! Codes: methods and responses with their reasons (RFC 7252 sections 3 and 12.1).

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
    /// 0.05 FETCH (RFC 8132 section 2)
    pub const FETCH: Code = Code::new(0, 5);
    /// 0.06 PATCH (RFC 8132 section 3)
    pub const PATCH: Code = Code::new(0, 6);
    /// 0.07 iPATCH (RFC 8132 section 3)
    pub const IPATCH: Code = Code::new(0, 7);

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
    /// Returns the name of a method, which is that of HTTP where HTTP has it: `GET`; None for any other code.
    pub const fn method_name(self) -> Option<&'static str> {
        match self {
            Code::FETCH => Some("FETCH"),
            Code::PATCH => Some("PATCH"),
            Code::IPATCH => Some("iPATCH"),
            served => match Method::from_code(served) {
                Some(method) => Some(method.name()),
                None => None,
            },
        }
    }
    /// Returns a response code as `2.05 Content`, and one without a name as its number.
    pub fn with_reason(self) -> String {
        self.text().map_or_else(|| self.to_string(), str::to_owned)
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
    /// Returns the method of this name, in any case: `get`; None if it is not served.
    pub fn from_name(name: &str) -> Option<Method> {
        let served = [Method::Get, Method::Post, Method::Put, Method::Delete];
        served.into_iter().find(|method| method.name().eq_ignore_ascii_case(name))
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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn codes_are_written_with_their_reason_where_they_have_one() {
        assert_eq!(Code::new(2, 5).with_reason(), "2.05 Content");
        assert_eq!(Code::new(4, 29).with_reason(), "4.29 Too Many Requests");
        assert_eq!(Code::new(4, 20).with_reason(), "4.20");
    }

    #[test]
    fn all_methods_of_the_registry_have_names_and_no_other_code_has() {
        let names: Vec<_> = (0..=255).filter_map(|code| Code(code).method_name()).collect();
        assert_eq!(names, ["GET", "POST", "PUT", "DELETE", "FETCH", "PATCH", "iPATCH"]);
    }

    #[test]
    fn methods_survive_the_way_to_a_code_and_back() {
        for method in [Method::Get, Method::Post, Method::Put, Method::Delete] {
            assert_eq!(Method::from_code(method.code()), Some(method));
            assert_eq!(Method::from_name(&method.name().to_lowercase()), Some(method));
        }
        assert_eq!(Method::from_name("FETCH"), None);
        for detail in [0, 5, 6, 7, 31] {
            assert_eq!(Method::from_code(Code::new(0, detail)), None);
        }
    }
}
