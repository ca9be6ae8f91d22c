//! Which paths are served over CoAP: `/_matrix/client` without media, and `/.well-known/matrix/client`.
//!
//! A path is checked unchanged, and as the most eager proxy behind us might read it (escapes undone, `//`
//! merged): every reading must lead to a place that is served.

use crate::refusal::Refusal;
use crate::target::segments;
use lowband_codec::paths::{MAX_NESTED_ESCAPES, is_media};
use lowband_wire::coap::Code;
use percent_encoding::percent_decode_str;

pub(crate) const DOT_SEGMENT: Refusal =
    Refusal::diagnostic(Code::BAD_REQUEST, ". and .. are not allowed in Uri-Path (RFC 7252 section 5.10.1)");
const NOT_SERVED: Refusal =
    Refusal::use_https("only /_matrix/client is served over CoAP: use HTTPS on the same host and port");
/// The filter in Envoy refuses these two over HTTPS as well.
const TOO_ESCAPED: Refusal = Refusal::diagnostic(
    Code::BAD_REQUEST,
    "the path is escaped too often to be judged, so it is refused for safety",
);
/// The refusal of a path that only an eager reader takes there.
const DOT_SEGMENT_FOR_SOME: Refusal = Refusal::diagnostic(
    Code::BAD_REQUEST,
    "some servers find . or .. in this path, so it is refused for safety",
);
const NOT_SERVED_BY_SOME: Refusal = Refusal::use_https(
    "some servers read this path as one outside /_matrix/client, so it is refused for safety: use HTTPS",
);
const MEDIA_FOR_SOME: Refusal = Refusal::use_https(
    "some servers read this path as one of media, so it is refused for safety: use HTTPS on the same host and port",
);
const MEDIA: Refusal =
    Refusal::use_https("media is not served over CoAP: use HTTPS on the same host and port");

/// Checks that the path of an HTTP request, percent-encoded and without its query, may go upstream.
pub fn judge(path: &str) -> Result<(), Refusal> {
    judge_reading(&segments(path))?;
    // The reading of a proxy that undoes every escape first, merges slashes, and perhaps takes a backslash
    // for one.
    let eager = eagerly_decoded(path).ok_or(TOO_ESCAPED)?;
    for slashes in [&['/'][..], &['/', '\\']] {
        let segments: Vec<_> = eager.split(slashes).filter(|segment| !segment.is_empty()).collect();
        judge_reading(&segments).map_err(for_some)?;
    }
    Ok(())
}

/// Returns the refusal of a path that the homeserver itself would read as one that is served.
fn for_some(refusal: Refusal) -> Refusal {
    match refusal {
        refusal if refusal == DOT_SEGMENT => DOT_SEGMENT_FOR_SOME,
        refusal if refusal == MEDIA => MEDIA_FOR_SOME,
        _ => NOT_SERVED_BY_SOME,
    }
}

/// Checks one reading of the path.
fn judge_reading(segments: &[impl AsRef<str>]) -> Result<(), Refusal> {
    let segments: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
    if segments.iter().any(|segment| matches!(*segment, "." | "..")) {
        return Err(DOT_SEGMENT);
    }
    match segments.as_slice() {
        [".well-known", "matrix", "client"] => Ok(()),
        segments if is_media(segments) => Err(MEDIA),
        ["_matrix", "client", ..] => Ok(()),
        _ => Err(NOT_SERVED),
    }
}

/// Undoes the escapes of a path until none is left; returns `None` when there are too many layers of them.
pub(crate) fn eagerly_decoded(path: &str) -> Option<String> {
    let mut decoded = path.to_owned();
    for _ in 0..=MAX_NESTED_ESCAPES {
        let next = percent_decode_str(&decoded).decode_utf8_lossy().into_owned();
        if next == decoded {
            return Some(decoded);
        }
        decoded = next;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::{Target, UpstreamTarget, map};
    use lowband_wire::coap::Method;
    use lowband_wire::coap::options::RequestOptions;

    /// Maps and checks Uri-Path and Uri-Query.
    fn of(path: &[&str], query: &[&str]) -> Result<UpstreamTarget, Refusal> {
        let options = RequestOptions {
            path: path.iter().map(|s| (*s).to_owned()).collect(),
            query: query.iter().map(|s| (*s).to_owned()).collect(),
            ..RequestOptions::default()
        };
        match map(Method::Get, &options)? {
            Target::Upstream(target) => judge(target.path()).map(|()| target),
            own => panic!("{path:?}: {own:?}"),
        }
    }

    fn is_served(path: &[&str]) {
        let judged = of(path, &[]);
        assert!(judged.is_ok(), "{path:?}: {judged:?}");
    }

    fn code(path: &[&str]) -> (u8, u8) {
        let refusal = of(path, &[]).unwrap_err();
        (refusal.code.class(), refusal.code.detail())
    }

    #[test]
    fn the_client_api_is_served_and_discovery() {
        is_served(&["7"]);
        is_served(&["_matrix", "client", "unstable", "org.x", "y"]);
        is_served(&[".well-known", "matrix", "client"]);
    }

    #[test]
    fn everything_outside_the_client_api_is_5_05() {
        for path in [
            &["_matrix", "federation", "v1", "version"][..],
            &["_matrix"],
            &["_matrix", "clientele"],
            &["_matrix", "Client", "versions"],
            &["_synapse", "admin", "v1", "users"],
            &["x"],
            &[""],
            &["", "_matrix", "client", "versions"],
            &["_matrix", "", "client", "versions"],
            &["_matrix/client/versions"],
            &["_matrix%2Fclient", "versions"],
            &[".well-known", "matrix", "server"],
            &[".well-known", "matrix", "client", "x"],
            &[".well-known", "matrix", "client", ""],
            &[".well-known", "core", ""],
            &[".well-known/core"],
            &[".well-known", "%63ore"],
            &[".lowband", "ready", "x"],
        ] {
            assert_eq!(code(path), (5, 5), "{path:?}");
            let refusal = of(path, &[]).unwrap_err();
            assert_eq!(refusal.errcode, Some("M_UNRECOGNIZED"));
            assert!(refusal.text.contains("HTTPS"));
        }
    }

    #[test]
    fn media_is_5_05_under_every_prefix_it_lives_under() {
        for path in [
            &["_matrix", "client", "v1", "media", "config"][..],
            &["_matrix", "client", "v1", "media", "download", "hs", "id"],
            &["_matrix", "client", "unstable", "org.matrix.msc3916", "media", "config"],
            &["_matrix", "client", "unstable", "org.matrix.msc3916.v2", "media", "download", "a", "b"],
            &["_matrix", "client", "v1", "", "media", "config"],
            &["_matrix", "client", "", "v1", "media"],
            &["_matrix", "client", "v1/media/config"],
            &["_matrix", "client", "v1", "%6dedia", "config"],
            &["_matrix", "client", "v1", "%256dedia"],
            &["_matrix", "client", "v1\\media\\config"],
            &["_matrix", "media", "v3", "upload"],
        ] {
            assert_eq!(code(path), (5, 5), "{path:?}");
            assert!(of(path, &[]).unwrap_err().text.contains("media"), "{path:?}");
        }
        // A room may be called media.
        is_served(&["_matrix", "client", "v3", "directory", "room", "media"]);
    }

    #[test]
    fn dot_segments_are_4_00_in_every_disguise_and_so_are_endless_escapes() {
        for path in [
            &["_matrix", "client", "..", "federation"][..],
            &["_matrix", "client", ".", "versions"],
            &["_matrix", "client", "%2e%2e", "federation"],
            &["_matrix", "client", "%2E.", "federation"],
            &["_matrix", "client", "%252e%252e", "federation"],
            &["_matrix", "client", "../../_synapse/admin"],
            &["_matrix", "client", "v3", "..%2f..%2f..%2f_synapse"],
            &["_matrix", "client", "v3", "..\\..\\_synapse"],
            &["9", "!r:hs", "m.room.message", ".."],
            &["..", "_matrix", "client"],
            &["_matrix", "client", "a%2525252525252525252fb"],
        ] {
            assert_eq!(code(path), (4, 0), "{path:?}");
            assert_eq!(of(path, &[]).unwrap_err().errcode, None);
        }
        is_served(&["_matrix", "client", "v3", "rooms", "a..b", "state", "...", ".x"]);
    }

    #[test]
    fn who_is_refused_for_safety_is_told_so_and_sent_to_https_if_that_serves_it() {
        for (path, https) in [
            (&["_matrix", "client", "%2e%2e", "federation"][..], false),
            (&["_matrix", "client", "v3", "rooms", "!r:hs", "state", "x", "../y"], false),
            (&["_matrix", "client", "a%2525252525252525252fb"], false),
            (&["_matrix", "client", "v1", "%6dedia", "config"], true),
            (&["_matrix", "client", "v1/media/config"], true),
        ] {
            let text = of(path, &[]).unwrap_err().text;
            let told = (text.contains("refused for safety"), text.contains("HTTPS"));
            assert_eq!(told, (true, https), "{path:?}: {text}");
        }
        for path in [&["_matrix", "client", ".."][..], &["_matrix", "media"], &["x"]] {
            let text = of(path, &[]).unwrap_err().text;
            assert!(!text.contains("safety"), "{path:?}: {text}");
        }
    }

    #[test]
    fn no_path_and_too_few_parameters_are_4_04_with_a_diagnostic() {
        for path in [&[][..], &["9"], &["9", "!r:hs", "m.room.message"]] {
            assert_eq!(code(path), (4, 4), "{path:?}");
            assert_eq!(of(path, &[]).unwrap_err().errcode, None);
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_passes_is_a_valid_http_target_inside_the_client_api(
            start in 0..3_usize,
            tail in proptest::collection::vec("[a-z%25efMED./\\\\?#&\u{fc}\r\n ]{0,8}|media|\\.\\.|%2e", 0..6),
            query in proptest::collection::vec("\\PC{0,12}|[\u{0}-\u{7f}]{0,6}", 0..3),
        ) {
            let starts: [&[&str]; 3] = [&["_matrix", "client"], &["_matrix", "client", "v1"], &[]];
            let path: Vec<&str> = starts[start].iter().copied().chain(tail.iter().map(String::as_str)).collect();
            let query: Vec<&str> = query.iter().map(String::as_str).collect();
            if let Ok(target) = of(&path, &query) {
                proptest::prop_assert!(target.path_and_query.parse::<http::uri::PathAndQuery>().is_ok(), "{target:?}");
                proptest::prop_assert!(target.path().starts_with("/_matrix/client"), "{target:?}");
                // The reading of a proxy that undoes one level of escapes and then resolves the path.
                let once = percent_decode_str(target.path()).decode_utf8_lossy().into_owned();
                let resolved: Vec<&str> = once.split('/').filter(|segment| !segment.is_empty()).collect();
                proptest::prop_assert!(!resolved.iter().any(|segment| *segment == "." || *segment == ".."), "{target:?}");
                proptest::prop_assert!(resolved.get(3) != Some(&"media"), "{target:?}");
            }
        }
    }
}
