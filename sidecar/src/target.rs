//! Maps Uri-Path and Uri-Query to the target of the HTTP request. Whether a client may ask for it is decided
//! in [`crate::reachable`].

use crate::reachable::DOT_SEGMENT;
use crate::refusal::Refusal;
use crate::resources::CORE_PATH;
use lowband_codec::paths::{PathError, PathTable};
use lowband_wire::coap::options::RequestOptions;
use lowband_wire::coap::{Code, Method};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use std::borrow::Cow;
use std::time::Duration;

/// A resource of the sidecar itself: 2.05 without the upstream, for the readiness probe.
pub const READY_PATH: [&str; 2] = [".lowband", "ready"];

/// Characters that are escaped in a query: all that may not stand there (RFC 3986 section 3.4), and those
/// that form decoding at the other end would act upon: `&` and `;` separate, `+` is a space.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b',')
    .remove(b':')
    .remove(b'@')
    .remove(b'/')
    .remove(b'?')
    .remove(b'=');

/// The target of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The sidecar itself: [`READY_PATH`].
    Ready,
    /// The sidecar itself: [`CORE_PATH`].
    Core,
    /// A path of the upstream.
    Upstream(UpstreamTarget),
}

/// A path and query of the HTTP side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamTarget {
    /// Path and query, percent-encoded.
    pub path_and_query: String,
    /// Length of the path in bytes, within `path_and_query`.
    pub path_len: usize,
    /// How long the request asks the homeserver to wait (`timeout=`, milliseconds). Zero where Matrix defines
    /// no waiting: otherwise any request could make the sidecar wait by naming a time.
    pub long_poll: Duration,
}

impl UpstreamTarget {
    /// Returns the path as the homeserver reads it, segment by segment.
    pub fn segments(&self) -> Vec<Cow<'_, str>> {
        segments(self.path())
    }

    /// Returns whether the homeserver may be asked twice and still acts only once: a GET changes nothing, and
    /// of two PUTs with the same transaction identifier the homeserver takes the second for a repetition of
    /// the first (client-server API, "Transaction identifiers"), as when a client that has got no answer asks
    /// again. State events have no transaction identifier: for some homeservers two of them are two events.
    pub fn is_repeatable(&self, method: Method) -> bool {
        if method != Method::Put {
            return method == Method::Get;
        }
        let segments = self.segments();
        let segments: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
        matches!(
            segments.as_slice(),
            ["_matrix", "client", _, "rooms", _, "send" | "redact", _, _]
                | ["_matrix", "client", _, "sendToDevice", _, _]
        )
    }

    /// Returns the path without the query: fit for logs, because access tokens stand in queries only.
    pub fn path(&self) -> &str {
        self.path_and_query.get(..self.path_len).unwrap_or(&self.path_and_query)
    }
}

/// Maps path and query, wherever they lead: [`crate::reachable::judge`] comes next.
pub fn map(method: Method, options: &RequestOptions) -> Result<Target, Refusal> {
    if options.path == READY_PATH {
        return Ok(Target::Ready);
    }
    if options.path == CORE_PATH {
        return Ok(Target::Core);
    }
    let mut path_and_query = PathTable::v1().expand(&options.path).map_err(path_refusal)?;
    let path_len = path_and_query.len();
    for (index, query) in options.query.iter().enumerate() {
        path_and_query.push(if index == 0 { '?' } else { '&' });
        path_and_query.extend(utf8_percent_encode(query, QUERY));
    }
    let mut target = UpstreamTarget { path_and_query, path_len, long_poll: asked_to_wait(&options.query) };
    if !target.long_poll.is_zero() && !may_wait(method, &target.segments()) {
        target.long_poll = Duration::ZERO;
    }
    Ok(Target::Upstream(target))
}

fn path_refusal(error: PathError) -> Refusal {
    match error {
        PathError::DotSegment => DOT_SEGMENT,
        PathError::Empty => Refusal::diagnostic(Code::NOT_FOUND, "a request needs a path"),
        PathError::MissingParameter { .. } => {
            Refusal::diagnostic(Code::NOT_FOUND, "the path code needs more parameters")
        }
        _ => Refusal::diagnostic(Code::BAD_REQUEST, "the path cannot be mapped"),
    }
}

/// Returns the segments of a path as the homeserver reads them.
pub(crate) fn segments(path: &str) -> Vec<Cow<'_, str>> {
    path.split('/').skip(1).map(|segment| percent_decode_str(segment).decode_utf8_lossy()).collect()
}

/// Returns whether the request is one for which Matrix has a `timeout`: `/sync` and the older `/events`, and
/// the sync of MSC4186 and MSC3575, a POST that may be repeated with the same `pos`.
fn may_wait(method: Method, segments: &[impl AsRef<str>]) -> bool {
    let segments: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
    match (method, segments.as_slice()) {
        (Method::Get, ["_matrix", "client", _, "sync" | "events"]) => true,
        (Method::Post, ["_matrix", "client", "v4", "sync"]) => true,
        (Method::Post, ["_matrix", "client", "unstable", msc, "sync"]) => {
            matches!(*msc, "org.matrix.simplified_msc3575" | "org.matrix.msc3575")
        }
        _ => false,
    }
}

fn asked_to_wait(query: &[String]) -> Duration {
    let millis = query.iter().find_map(|pair| pair.strip_prefix("timeout="));
    Duration::from_millis(millis.and_then(|text| text.parse().ok()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &[&str], query: &[&str]) -> Result<Target, Refusal> {
        asked(Method::Get, path, query)
    }

    fn asked(method: Method, path: &[&str], query: &[&str]) -> Result<Target, Refusal> {
        let options = RequestOptions {
            path: path.iter().map(|s| (*s).to_owned()).collect(),
            query: query.iter().map(|s| (*s).to_owned()).collect(),
            ..RequestOptions::default()
        };
        map(method, &options)
    }

    fn upstream(path: &[&str], query: &[&str]) -> UpstreamTarget {
        match of(path, query) {
            Ok(Target::Upstream(target)) => target,
            other => panic!("{path:?} {query:?}: {other:?}"),
        }
    }

    #[test]
    fn path_codes_and_full_paths_of_any_prefix_reach_the_same_place() {
        for (path, expected) in [
            (&["0"][..], "/_matrix/client/versions"),
            (&["7"], "/_matrix/client/r0/sync"),
            (&["_matrix", "client", "v3", "sync"], "/_matrix/client/v3/sync"),
            (&["_matrix", "client", "unstable", "org.x", "y"], "/_matrix/client/unstable/org.x/y"),
            (&["n", ""], "/_matrix/client/r0/pushrules/"),
            (&[".well-known", "matrix", "client"], "/.well-known/matrix/client"),
        ] {
            assert_eq!(upstream(path, &[]).path_and_query, expected, "{path:?}");
        }
    }

    #[test]
    fn a_value_stays_inside_its_segment() {
        for (value, parts) in [("a/b", 8), ("a?b", 8), ("a%2Fb", 8), ("#a:b", 8), ("\u{fc}\u{1f600}", 8)] {
            let path =
                upstream(&["_matrix", "client", "v3", "rooms", value, "state", "x"], &[]).path_and_query;
            assert_eq!(path.split('/').count(), parts, "{path}");
            assert!(!path.contains(['?', '#']), "{path}");
            let segment = path.split('/').nth(5).unwrap();
            assert_eq!(percent_decode_str(segment).decode_utf8().unwrap(), value);
            assert!(path.parse::<http::uri::PathAndQuery>().is_ok(), "{path}");
        }
    }

    #[test]
    fn queries_keep_order_repetition_and_bare_keys() {
        let path = upstream(&["7"], &["since=s1_2", "b", "a=1", "b", "a=2", "empty="]).path_and_query;
        assert_eq!(path, "/_matrix/client/r0/sync?since=s1_2&b&a=1&b&a=2&empty=");
    }

    #[test]
    fn what_a_query_may_not_hold_is_escaped() {
        for (raw, encoded) in [
            ("a=b&c", "a=b%26c"),
            ("a=b+c", "a=b%2Bc"),
            ("a=b c", "a=b%20c"),
            ("a=50%", "a=50%25"),
            ("a=%41", "a=%2541"),
            ("a=#x", "a=%23x"),
            ("a=x=y", "a=x=y"),
            ("a=;", "a=%3B"),
            ("a=\u{fc}", "a=%C3%BC"),
            ("a=\r\n", "a=%0D%0A"),
            ("filter={\"a\":[1]}", "filter=%7B%22a%22:%5B1%5D%7D"),
            ("dir=/?!$'()*,:@~-._", "dir=/?!$'()*,:@~-._"),
        ] {
            let target = upstream(&["7"], &[raw]).path_and_query;
            assert_eq!(target, format!("/_matrix/client/r0/sync?{encoded}"));
            assert!(target.parse::<http::uri::PathAndQuery>().is_ok(), "{target}");
        }
    }

    #[test]
    fn the_path_for_the_log_holds_no_query() {
        assert_eq!(upstream(&["7"], &["access_token=secret"]).path(), "/_matrix/client/r0/sync");
    }

    #[test]
    fn a_long_poll_names_its_own_time() {
        for (query, millis) in [
            (&["timeout=30000"][..], 30_000),
            (&["a=b", "timeout=5"], 5),
            (&[], 0),
            (&["timeout=x"], 0),
            (&["timeout="], 0),
        ] {
            assert_eq!(upstream(&["7"], query).long_poll, Duration::from_millis(millis), "{query:?}");
        }
    }

    #[test]
    fn only_what_waits_in_matrix_is_a_long_poll() {
        use Method::{Delete, Get, Post, Put};
        const SLIDING: [&str; 2] = ["org.matrix.simplified_msc3575", "org.matrix.msc3575"];
        for (method, path, waits) in [
            (Get, &["7"][..], true),
            (Get, &["_matrix", "client", "v3", "sync"], true),
            (Get, &["_matrix", "client", "v3", "%73ync"], false),
            (Get, &["_matrix", "client", "r0", "events"], true),
            (Post, &["_matrix", "client", "unstable", SLIDING[0], "sync"], true),
            (Post, &["_matrix", "client", "unstable", SLIDING[1], "sync"], true),
            (Post, &["_matrix", "client", "v4", "sync"], true),
            (Post, &["_matrix", "client", "v3", "sync"], false),
            (Put, &["_matrix", "client", "v4", "sync"], false),
            (Delete, &["7"], false),
            (Get, &["_matrix", "client", "versions"], false),
            (Get, &["_matrix", "client", "v3", "events", "$x"], false),
            (Get, &["_matrix", "client", "v3", "rooms", "sync"], false),
            (Post, &["_matrix", "client", "v3", "login"], false),
        ] {
            let Ok(Target::Upstream(target)) = asked(method, path, &["timeout=30000"]) else { panic!() };
            assert_eq!(!target.long_poll.is_zero(), waits, "{method:?} {path:?}");
        }
    }

    #[test]
    fn what_changes_nothing_or_has_a_transaction_identifier_may_be_repeated() {
        use Method::{Delete, Get, Post, Put};
        for (method, path, may_be) in [
            (Get, "_matrix/client/v3/sync", true),
            (Put, "_matrix/client/v3/rooms/!r:hs/send/m.room.message/1", true),
            (Put, "9/!r:hs/m.room.message/1", true),
            (Put, "_matrix/client/v3/rooms/!r:hs/redact/$e/1", true),
            (Put, "_matrix/client/v3/sendToDevice/m.room_key/1", true),
            (Put, "_matrix/client/v3/rooms/!r:hs/state/m.room.name/", false),
            (Put, "_matrix/client/v3/rooms/!r:hs/send/m.room.message", false),
            (Put, "_matrix/client/v3/rooms/!r:hs/send/m.room.message/1/2", false),
            (Put, "_matrix/client/v3/presence/@u:hs/status", false),
            (Post, "_matrix/client/v3/rooms/!r:hs/send/m.room.message/1", false),
            (Post, "_matrix/client/v3/login", false),
            (Delete, "_matrix/client/v3/devices/X", false),
        ] {
            let path: Vec<_> = path.split('/').collect();
            let Ok(Target::Upstream(target)) = asked(method, &path, &[]) else { panic!() };
            assert_eq!(target.is_repeatable(method), may_be, "{method:?} {path:?}");
        }
    }

    #[test]
    fn segments_are_those_that_the_homeserver_reads() {
        let target = upstream(&["_matrix", "client", "v3", "rooms", "!a/b:hs", ""], &["x=y"]);
        assert_eq!(target.segments(), ["_matrix", "client", "v3", "rooms", "!a/b:hs", ""]);
        assert_eq!(upstream(&["4"], &[]).segments(), ["_matrix", "client", "r0", "register"]);
    }

    #[test]
    fn the_paths_of_the_sidecars_own_resources_are_exact() {
        assert_eq!(of(&[".lowband", "ready"], &[]), Ok(Target::Ready));
        assert_eq!(of(&[".well-known", "core"], &["rt=x"]), Ok(Target::Core));
        for path in [&[".well-known", "core", ""][..], &[".well-known/core"], &["", ".well-known", "core"]] {
            assert!(matches!(of(path, &[]), Ok(Target::Upstream(_))), "{path:?}");
        }
    }
}
