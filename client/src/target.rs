//! From an HTTP request target to Uri-Path and Uri-Query options (RFC 7252 section 5.10.1).

use lowband_codec::paths::{PathError, PathTable};
use lowband_wire::coap::numbers::MAX_OPTION;
use percent_encoding::percent_decode_str;

/// The options that a target becomes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UriOptions {
    pub(crate) path: Vec<String>,
    pub(crate) query: Vec<String>,
}

/// Why a target cannot be sent over CoAP. All of these are the caller's mistakes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// The target does not begin with a slash.
    #[error("the target {0:?} does not begin with a slash")]
    NoSlash(String),
    /// The path has `.` or `..` as a segment.
    #[error("`.` and `..` cannot be path segments in CoAP (RFC 7252 section 5.10.1)")]
    DotSegment,
    /// A malformed percent escape, or one that does not decode to UTF-8.
    #[error("a percent escape in {0:?} is malformed or not UTF-8")]
    Escape(String),
    /// An option would be longer than CoAP allows.
    #[error("{option} of {length} bytes: CoAP carries at most {MAX_OPTION}")]
    TooLong {
        /// The name of the option.
        option: &'static str,
        /// The length that the option would have, in bytes.
        length: usize,
    },
    /// The name of a query parameter holds `=`: it could not be told apart from the value.
    #[error("the query parameter name {0:?} holds an equals sign, which CoAP cannot carry")]
    EqualsInName(String),
    /// The first segment is a single character that servers take for a path code.
    #[error("the path begins with /{0}, which a server would take for a path code")]
    LooksLikeCode(char),
    /// The path table refuses the path for another reason.
    #[error("the path cannot be sent: {0}")]
    Path(String),
}

/// Converts a target. `path_codes`: use the one-character codes of the path table. Otherwise the segments are
/// sent as written, which also lets the caller send a code of its own choice (`/0`).
pub(crate) fn to_options(target: &str, path_codes: bool) -> Result<UriOptions, TargetError> {
    let target = target.split_once('#').map_or(target, |(before, _fragment)| before);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let path = match path.strip_prefix('/') {
        None => return Err(TargetError::NoSlash(target.to_owned())),
        // RFC 7252 section 6.4 step 8: a path of one slash gives no option.
        Some("") => Vec::new(),
        Some(_) if path_codes => PathTable::v1().compress(path).map_err(|error| from_table(path, error))?,
        Some(segments) => segments.split('/').map(segment).collect::<Result<_, _>>()?,
    };
    let query = query.split('&').filter(|pair| !pair.is_empty()).map(pair).collect::<Result<Vec<_>, _>>()?;
    check_lengths("a Uri-Path segment", &path)?;
    check_lengths("a Uri-Query option", &query)?;
    Ok(UriOptions { path, query })
}

fn from_table(path: &str, error: PathError) -> TargetError {
    match error {
        PathError::DotSegment => TargetError::DotSegment,
        PathError::BadEscape => TargetError::Escape(path.to_owned()),
        PathError::LooksLikeCode { code } => TargetError::LooksLikeCode(code),
        other => TargetError::Path(other.to_string()),
    }
}

fn segment(raw: &str) -> Result<String, TargetError> {
    match decode(raw)? {
        dots if dots == "." || dots == ".." => Err(TargetError::DotSegment),
        segment => Ok(segment),
    }
}

/// Decodes a pair of the query. Homeservers read queries as HTML forms do, where `+` is a space, while in a
/// Uri-Query value it is a plus sign: decoded here, it means to the homeserver what it would have meant over
/// HTTP.
fn pair(raw: &str) -> Result<String, TargetError> {
    let raw = raw.replace('+', " ");
    match raw.split_once('=') {
        None => parameter_name(&raw),
        Some((name, value)) => Ok(format!("{}={}", parameter_name(name)?, decode(value)?)),
    }
}

fn parameter_name(raw: &str) -> Result<String, TargetError> {
    let name = decode(raw)?;
    if name.contains('=') { Err(TargetError::EqualsInName(name)) } else { Ok(name) }
}

/// Decodes percent escapes. Strict where the `percent-encoding` crate is not: a percent sign without two hex
/// digits behind it is an error.
fn decode(raw: &str) -> Result<String, TargetError> {
    let malformed = || TargetError::Escape(raw.to_owned());
    let escapes_are_whole = raw
        .split('%')
        .skip(1)
        .all(|rest| rest.len() >= 2 && rest.bytes().take(2).all(|digit| digit.is_ascii_hexdigit()));
    if !escapes_are_whole {
        return Err(malformed());
    }
    percent_decode_str(raw).decode_utf8().map(|text| text.into_owned()).map_err(|_| malformed())
}

fn check_lengths(option: &'static str, values: &[String]) -> Result<(), TargetError> {
    match values.iter().map(String::len).find(|&length| length > MAX_OPTION) {
        Some(length) => Err(TargetError::TooLong { option, length }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(target: &str) -> Result<UriOptions, TargetError> {
        to_options(target, false)
    }

    #[test]
    fn targets_become_options_in_order() {
        let table: &[(&str, &[&str], &[&str])] = &[
            ("/", &[], &[]),
            ("/aa/b", &["aa", "b"], &[]),
            ("/pushrules/", &["pushrules", ""], &[]),
            ("/%23room%3Ahs/x%2Fy", &["#room:hs", "x/y"], &[]),
            ("/aa?k=v&flag&k=w", &["aa"], &["k=v", "flag", "k=w"]),
            ("/aa?k=&=v", &["aa"], &["k=", "=v"]),
            ("/aa?k=a%26b%3Dc&l=a=b", &["aa"], &["k=a&b=c", "l=a=b"]),
            ("/aa?q=one+two%2Bthree", &["aa"], &["q=one two+three"]),
            ("/aa?&&k=v&", &["aa"], &["k=v"]),
            ("/aa#fragment", &["aa"], &[]),
            ("/\u{e9}?k=%C3%A9", &["\u{e9}"], &["k=\u{e9}"]),
        ];
        for (target, path, query) in table {
            let options = plain(target).unwrap();
            assert_eq!(options.path, *path, "path of {target}");
            assert_eq!(options.query, *query, "query of {target}");
        }
    }

    #[test]
    fn paths_of_the_table_become_codes() {
        let options = to_options("/_matrix/client/versions", true).unwrap();
        assert_eq!(options.path, ["0"]);
        let options = to_options("/_matrix/client/r0/rooms/!r%3Ahs/send/m.room.message/1?a=b", true).unwrap();
        assert_eq!(options.path, ["9", "!r:hs", "m.room.message", "1"]);
        assert_eq!(options.query, ["a=b"]);
        let options = to_options("/_matrix/client/v3/sync", true).unwrap();
        assert_eq!(options.path, ["_matrix", "client", "v3", "sync"]);
    }

    #[test]
    fn what_coap_cannot_carry_is_refused() {
        let long = "x".repeat(MAX_OPTION + 1);
        for path_codes in [true, false] {
            let refused = |target: &str| to_options(target, path_codes).unwrap_err();
            assert_eq!(refused("a"), TargetError::NoSlash("a".into()));
            assert_eq!(refused("/aa/../b"), TargetError::DotSegment);
            assert_eq!(refused("/aa/%2e%2E"), TargetError::DotSegment);
            assert!(matches!(refused("/aa%4"), TargetError::Escape(_)));
            assert!(matches!(refused("/aa%ff"), TargetError::Escape(_)));
            assert!(matches!(refused("/aa?k=%zz"), TargetError::Escape(_)));
            assert!(matches!(refused("/aa?k=%\u{e9}"), TargetError::Escape(_)));
            assert!(matches!(refused("/aa?k%3Dl=v"), TargetError::EqualsInName(_)));
            assert!(matches!(refused(&format!("/aaa/{long}")), TargetError::TooLong { length: 256, .. }));
            assert!(matches!(refused(&format!("/aaa?{long}")), TargetError::TooLong { length: 256, .. }));
        }
    }

    #[test]
    fn a_path_that_would_be_taken_for_a_code_is_sent_only_without_codes() {
        assert_eq!(to_options("/0", true), Err(TargetError::LooksLikeCode('0')));
        assert_eq!(plain("/0").unwrap().path, ["0"]);
    }

    #[test]
    fn the_longest_option_is_sent() {
        let longest = "x".repeat(MAX_OPTION);
        assert_eq!(plain(&format!("/{longest}?{longest}")).unwrap().query, [longest]);
    }
}
