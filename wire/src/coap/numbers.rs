//! The options: their numbers, names and limits.
//!
//! Data only. Sources: RFC 7252 sections 5.10 and 12, RFC 7641, RFC 7959, RFC 9175, and MSC3079 for options
//! 256 and 257. Options that have no definition here are unrecognised: elective ones are ignored, critical
//! ones refused (RFC 7252 section 5.4.1). That is deliberate for If-Match, If-None-Match, OSCORE and
//! Q-Block1, whose meaning is not implemented.

/// Uri-Host: the server that the client means (RFC 7252 section 5.10.1)
pub const URI_HOST: u16 = 3;
/// ETag: which state of a resource (RFC 7252 section 5.10.6)
pub const ETAG: u16 = 4;
/// Observe: tell of later states, too (RFC 7641 section 2)
pub const OBSERVE: u16 = 6;
/// Uri-Port: port of the server that the client means (RFC 7252 section 5.10.1)
pub const URI_PORT: u16 = 7;
/// Location-Path: path of what a POST has made, segment by segment (RFC 7252 section 5.10.7)
pub const LOCATION_PATH: u16 = 8;
/// Uri-Path: one segment of the path (RFC 7252 section 5.10.1)
pub const URI_PATH: u16 = 11;
/// Content-Format: format of the body (RFC 7252 section 5.10.3)
pub const CONTENT_FORMAT: u16 = 12;
/// Max-Age: how long a response holds, in seconds (RFC 7252 section 5.10.5)
pub const MAX_AGE: u16 = 14;
/// Uri-Query: one parameter (RFC 7252 section 5.10.1)
pub const URI_QUERY: u16 = 15;
/// Accept: format that the client wants (RFC 7252 section 5.10.4)
pub const ACCEPT: u16 = 17;
/// Q-Block1: block of a request body, sent without waiting for each answer (RFC 9177 section 4.1)
pub const Q_BLOCK1: u16 = 19;
/// Location-Query: parameters of what a POST has made (RFC 7252 section 5.10.7)
pub const LOCATION_QUERY: u16 = 20;
/// Block2: block of a response body (RFC 7959 section 2.2)
pub const BLOCK2: u16 = 23;
/// Block1: block of a request body (RFC 7959 section 2.2)
pub const BLOCK1: u16 = 27;
/// Size2: length of a response body in bytes (RFC 7959 section 4)
pub const SIZE2: u16 = 28;
/// Q-Block2: blocks of a response body, several in one request (RFC 9177 section 4.1)
pub const Q_BLOCK2: u16 = 31;
/// Proxy-Uri: for a forward proxy (RFC 7252 section 5.10.2)
pub const PROXY_URI: u16 = 35;
/// Proxy-Scheme: for a forward proxy (RFC 7252 section 5.10.2)
pub const PROXY_SCHEME: u16 = 39;
/// Size1: length of a request body in bytes (RFC 7252 section 5.10.9)
pub const SIZE1: u16 = 60;
/// Authorization: the Matrix access token (MSC3079)
pub const AUTHORIZATION: u16 = 256;
/// CBOR-Version: table of integer keys (MSC3079)
pub const CBOR_VERSION: u16 = 257;
/// Request-Tag: which of several bodies a block belongs to (RFC 9175 section 3)
pub const REQUEST_TAG: u16 = 292;
/// Our own option, in the range for experiments: a bit field of what an end is capable of. Elective, safe
/// to forward and not part of the cache key (RFC 7252 section 5.4.6); unknown bits are ignored.
pub const CAPABILITIES: u16 = 65020;

/// Bit of [`CAPABILITIES`]: the client may send a copy of a request sooner than the ACK_TIMEOUT of RFC 7252
/// says.
pub const SHORT_TIMERS: u32 = 1;

/// Bit of [`CAPABILITIES`]: this end knows bodies whose blocks go in any order. A server sets it in its
/// answer to a request that has it, and in no other. It says that lists of blocks may be asked for by
/// [`Q_BLOCK2`], and that the blocks of a request body may come in any order under one [`REQUEST_TAG`].
pub const ANY_ORDER: u32 = 2;

/// Bit of [`CAPABILITIES`]: this end knows [packed](crate::packed) bodies. A server sets it in its answer to
/// a request that has it, and in no other; from then on requests may say Content-Format or Accept
/// [`PACKED`](super::content_format::PACKED).
pub const PACKED_BODIES: u32 = 4;

/// Longest value of an option of text, in bytes: Uri-Path, Uri-Query and others (RFC 7252 section 5.10).
pub const MAX_OPTION: usize = 255;

/// Longest value of option 256, in bytes: four times what a message holds without IP fragmentation.
pub const MAX_ACCESS_TOKEN: usize = 4096;

/// What the registry says about one option.
#[derive(Debug, Clone, Copy)]
pub struct Definition {
    /// Number of the option.
    pub number: u16,
    /// Name of the option, e.g. `Uri-Path`.
    pub name: &'static str,
    /// Whether a message may have several (RFC 7252 section 5.4.5).
    pub repeatable: bool,
    /// Shortest value, in bytes.
    pub min: usize,
    /// Longest value, in bytes.
    pub max: usize,
}

const fn option(number: u16, name: &'static str, repeatable: bool, min: usize, max: usize) -> Definition {
    Definition { number, name, repeatable, min, max }
}

/// Options that have a meaning in a request.
pub const IN_REQUESTS: [Definition; 18] = [
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
    option(Q_BLOCK2, "Q-Block2", true, 0, 3),
    option(PROXY_URI, "Proxy-Uri", false, 1, 1034),
    option(PROXY_SCHEME, "Proxy-Scheme", false, 1, MAX_OPTION),
    option(SIZE1, "Size1", false, 0, 4),
    option(AUTHORIZATION, "Authorization", false, 0, MAX_ACCESS_TOKEN),
    option(CBOR_VERSION, "CBOR-Version", false, 0, 4),
    option(REQUEST_TAG, "Request-Tag", true, 0, 8),
    option(CAPABILITIES, "Capabilities", false, 0, 4),
];

/// Options that have a meaning in a response.
pub const IN_RESPONSES: [Definition; 12] = [
    option(ETAG, "ETag", false, 1, 8),
    option(OBSERVE, "Observe", false, 0, 3),
    option(LOCATION_PATH, "Location-Path", true, 0, MAX_OPTION),
    option(CONTENT_FORMAT, "Content-Format", false, 0, 2),
    option(MAX_AGE, "Max-Age", false, 0, 4),
    option(LOCATION_QUERY, "Location-Query", true, 0, MAX_OPTION),
    option(BLOCK2, "Block2", false, 0, 3),
    option(BLOCK1, "Block1", false, 0, 3),
    option(SIZE2, "Size2", false, 0, 4),
    option(Q_BLOCK2, "Q-Block2", false, 0, 3),
    option(SIZE1, "Size1", false, 0, 4),
    option(CAPABILITIES, "Capabilities", false, 0, 4),
];

/// Options of the registry that mean nothing here, by number: a message may have them, and a reader wants
/// their names.
const OTHERS: [(u16, &str); 10] = [
    (1, "If-Match"),
    (5, "If-None-Match"),
    (9, "OSCORE"),
    (16, "Hop-Limit"),
    (Q_BLOCK1, "Q-Block1"),
    (21, "EDHOC"),
    (252, "Echo"),
    (258, "No-Response"),
    (2049, "OCF-Accept-Content-Format-Version"),
    (2053, "OCF-Content-Format-Version"),
];

/// Returns what the registry calls an option, whether it means something here or not; None for one that it
/// does not have.
pub fn name(number: u16) -> Option<&'static str> {
    let known = IN_REQUESTS.iter().chain(&IN_RESPONSES).find(|option| option.number == number);
    let other = || OTHERS.iter().find(|(other, _)| *other == number).map(|(_, name)| *name);
    known.map(|option| option.name).or_else(other)
}

/// Returns whether the lowest bit of the number is set (RFC 7252 section 5.4.6).
pub const fn is_critical(number: u16) -> bool {
    number & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_in_ascending_order_with_possible_lengths() {
        for table in [&IN_REQUESTS[..], &IN_RESPONSES[..]] {
            assert!(table.windows(2).all(|pair| pair[0].number < pair[1].number));
            assert!(table.iter().all(|option| option.min <= option.max));
        }
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
    fn options_have_their_names_whether_they_mean_something_here_or_not() {
        for (number, expected) in [
            (URI_PATH, Some("Uri-Path")),
            (ETAG, Some("ETag")),
            (19, Some("Q-Block1")),
            (258, Some("No-Response")),
            (2, None),
        ] {
            assert_eq!(name(number), expected);
        }
        let means_something =
            |number| IN_REQUESTS.iter().chain(&IN_RESPONSES).any(|known| known.number == number);
        assert!(OTHERS.is_sorted() && OTHERS.iter().all(|(number, _)| !means_something(*number)));
    }
}
