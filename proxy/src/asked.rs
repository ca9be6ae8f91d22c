//! What a request asks for, and where it may go.

use crate::account::{Account, Credentials};
use crate::answer::MatrixError;
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};
use lowband_client::Method;
use lowband_codec::paths::is_media;
use lowband_translation::discovery::Document;
use lowband_translation::path::{Segments, has_dot_segment};
use std::time::Duration;

/// Where a request may go.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// The proxy answers by itself: where the homeserver is.
    WellKnown,
    /// Over CoAP, by this method.
    Coap(Method),
    /// To a page of single sign-on, which a browser opens at the homeserver itself: its cookies are for
    /// there.
    Page,
    /// Only over HTTPS: a file, a method or a field that CoAP has no place for.
    Https,
    /// To nobody: this is the answer.
    Refused(MatrixError),
}

/// What is known of a request by its head.
pub(crate) struct Asked {
    pub(crate) route: Route,
    pub(crate) account: Account,
    /// Whether only the homeserver can judge the credentials; `account` is nobody's then.
    pub(crate) is_odd: bool,
    /// The accounts whose tokens the request names: more than one only if it is odd.
    pub(crate) named: Vec<Account>,
    /// Path and query as the client wrote them, but without an access token, and with the longest poll that
    /// is asked of the homeserver.
    pub(crate) target: String,
    /// Path and query as the client wrote them, in every byte.
    pub(crate) original: String,
    pub(crate) kind: Kind,
    /// The document of discovery that the answer is.
    pub(crate) document: Option<Document>,
}

/// What makes a difference while the link is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A sync, with the time that the homeserver may wait for news, as the client asks for it.
    Sync(Duration),
    /// Whether the homeserver is there, and what it can do.
    Versions,
    /// A login, register or logout, or anything else that may not be done twice.
    Once,
    /// Something that can be asked again, and changes nothing.
    Read,
    /// Something that can be sent again without another effect.
    Write,
}

/// Fields by which an answer depends on more than method, path and body; CoAP has no place for them.
const CONDITIONS: [header::HeaderName; 6] = [
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
    header::RANGE,
    header::CONTENT_ENCODING,
];

impl Asked {
    /// Reads the head of a request. `longest_poll`: see [`crate::Times::poll`].
    pub(crate) fn of(request: &Parts, longest_poll: Duration) -> Asked {
        let original = request.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
        let segments = Segments::of(original.as_bytes());
        let document = Document::of(request.method.as_str().as_bytes(), segments.as_slice());
        let kind = kind(&request.method, &original, segments.as_slice());
        let (account, target, is_odd, named) = match Credentials::of(&request.headers, &original) {
            Credentials::Of(account, target) if account.is_nobody() => (account, target, false, Vec::new()),
            Credentials::Of(account, target) => (account.clone(), target, false, vec![account]),
            Credentials::Odd(named) => (Account::nobody(), original.clone(), true, named),
        };
        let route = match route(request, &original, &segments) {
            Route::Coap(_) | Route::Page if is_odd => Route::Https,
            route => route,
        };
        let target = if matches!(kind, Kind::Sync(_)) { bounded(&target, longest_poll) } else { target };
        Asked { route, account, is_odd, named, target, original, kind, document }
    }

    /// Returns whether the request may be sent again although it may have arrived.
    pub(crate) fn may_repeat(&self) -> bool {
        self.kind != Kind::Once
    }

    /// Returns the path for the log, which must not see the query.
    pub(crate) fn path(&self) -> &str {
        self.original.split('?').next().unwrap_or_default()
    }
}

fn route(request: &Parts, target: &str, segments: &Segments<'_>) -> Route {
    if has_dot_segment(target.as_bytes()) {
        let error = "the path has . or .. for a segment, or what some servers take for one";
        return Route::Refused(MatrixError::new(StatusCode::BAD_REQUEST, "M_UNKNOWN", error));
    }
    let below_root = segments.below_root().unwrap_or_default();
    match below_root {
        [b".well-known", b"matrix", b"client"] => return Route::WellKnown,
        // A device that signs another one in: a body that is not JSON, and fields that matter.
        [b"_matrix", b"client", _, b"rendezvous", ..] | [b"_matrix", b"client", _, _, b"rendezvous", ..] => {
            return Route::Https;
        }
        // `redirect` follows, which is one segment more than are looked at.
        [b"_matrix", b"client", _, b"login", b"sso", ..]
        | [b"_matrix", b"client", _, b"auth", b"m.login.sso", ..]
            if request.method == http::Method::GET =>
        {
            return Route::Page;
        }
        // Pages with forms, for stages of an authentication that a client does not know.
        [b"_matrix", b"client", _, b"auth", ..] => return Route::Https,
        [b"_matrix", b"client", ..] if !is_media(below_root) => {}
        // What browsers are sent to, and what servers of an account have of their own.
        [b"_matrix" | b"_synapse", ..] => return Route::Https,
        _ => return Route::Refused(MatrixError::unrecognized(StatusCode::NOT_FOUND)),
    }
    let method = match request.method {
        http::Method::GET => Method::Get,
        http::Method::POST => Method::Post,
        http::Method::PUT => Method::Put,
        http::Method::DELETE => Method::Delete,
        _ => return Route::Https,
    };
    let is_conditional = CONDITIONS.iter().any(|field| request.headers.contains_key(field));
    let has_body = method != Method::Get;
    if is_conditional || (has_body && !may_be_json(&request.headers)) {
        return Route::Https;
    }
    Route::Coap(method)
}

/// Returns whether the type of a body leaves room for JSON: clients write it in several ways, and curl calls
/// every body a form.
fn may_be_json(headers: &HeaderMap) -> bool {
    let Some(field) = headers.get(header::CONTENT_TYPE) else { return true };
    let field = field.to_str().unwrap_or_default();
    let media_type = field.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    matches!(media_type.as_str(), "" | "application/json" | "application/x-www-form-urlencoded")
        || media_type.ends_with("+json")
}

fn kind(method: &http::Method, target: &str, segments: &[&[u8]]) -> Kind {
    let is_read = matches!(*method, http::Method::GET | http::Method::HEAD);
    let is_client = segments.get(1..3) == Some(&[b"_matrix", b"client"]);
    let path = target.split('?').next().unwrap_or_default();
    let is_sync = is_client
        && match *method {
            http::Method::GET => segments.len() == 5 && path.ends_with("/sync"),
            // Sliding sync is a POST that can be sent again.
            http::Method::POST => path.ends_with("/sync") && path.split('/').count() <= 6,
            _ => false,
        };
    match *method {
        _ if is_sync => Kind::Sync(timeout(target).unwrap_or_default()),
        _ if is_read && is_client && segments.get(3..) == Some(&[b"versions"]) => Kind::Versions,
        _ if is_read => Kind::Read,
        http::Method::PUT | http::Method::DELETE => Kind::Write,
        _ => Kind::Once,
    }
}

fn timeout(target: &str) -> Option<Duration> {
    let (_, query) = target.split_once('?')?;
    let value = query.split('&').find_map(|pair| pair.strip_prefix("timeout="))?;
    value.parse().ok().map(Duration::from_millis)
}

/// Returns the target with a `timeout` of no more than `longest`; all other bytes stay.
fn bounded(target: &str, longest: Duration) -> String {
    let Some((path, query)) = target.split_once('?') else { return target.to_owned() };
    let bounded = |pair: &str| match pair.strip_prefix("timeout=").map(str::parse) {
        Some(Ok(asked)) if Duration::from_millis(asked) > longest => {
            format!("timeout={}", longest.as_millis())
        }
        _ => pair.to_owned(),
    };
    let pairs: Vec<String> = query.split('&').map(bounded).collect();
    format!("{path}?{}", pairs.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    const LONGEST: Duration = Duration::from_secs(55);

    fn asked(method: &str, target: &str, fields: &[(&str, &str)]) -> Asked {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        Asked::of(&request.body(()).unwrap().into_parts().0, LONGEST)
    }

    #[test]
    fn what_coap_carries_goes_over_coap() {
        let json = [("content-type", "application/json; charset=utf-8")];
        for (method, target, fields, expected) in [
            ("GET", "/_matrix/client/versions", &json[..], Method::Get),
            ("POST", "/_matrix/client/v3/join/%23a%3Ab", &[], Method::Post),
            ("PUT", "/_matrix/client/v3/rooms/!r:b/send/m.room.message/1", &json, Method::Put),
            ("DELETE", "/_matrix/client/v3/room_keys/keys/!r%3Ab/s%2Fs%2B?version=1", &[], Method::Delete),
            ("GET", "/_matrix/client/v3/sync?timeout=0", &[("content-type", "text/plain")], Method::Get),
            (
                "POST",
                "/_matrix/client/v3/login",
                &[("content-type", "application/x-www-form-urlencoded")],
                Method::Post,
            ),
        ] {
            assert_eq!(asked(method, target, fields).route, Route::Coap(expected), "{method} {target}");
        }
    }

    #[test]
    fn what_coap_has_no_place_for_goes_over_https() {
        for (method, target, fields) in [
            ("GET", "/_matrix/client/v1/media/download/b/id", &[][..]),
            ("POST", "/_matrix/media/v3/upload", &[]),
            ("HEAD", "/_matrix/client/versions", &[]),
            ("PATCH", "/_matrix/client/v3/x", &[]),
            ("GET", "/_synapse/client/pick_idp", &[]),
            ("GET", "/_matrix/key/v2/server", &[]),
            ("PUT", "/_matrix/client/unstable/org.matrix.msc4108/rendezvous/x", &[]),
            (
                "POST",
                "/_matrix/client/v3/auth/m.login.terms/fallback/web?session=s",
                &[("content-type", "application/x-www-form-urlencoded")],
            ),
            ("GET", "/_matrix/client/v3/auth/m.login.terms/fallback/web?session=s", &[]),
            ("POST", "/_matrix/client/v3/auth/m.login.sso/fallback/web", &[]),
            ("GET", "/_matrix/client/v3/x", &[("if-none-match", "\"e\"")]),
            ("GET", "/_matrix/client/v3/x", &[("range", "bytes=0-1")]),
            ("POST", "/_matrix/client/v3/x", &[("content-type", "application/cbor")]),
            ("POST", "/_matrix/client/v3/x", &[("content-encoding", "gzip")]),
            ("GET", "/_matrix/client/v3/x", &[("authorization", "Basic x")]),
        ] {
            assert_eq!(asked(method, target, fields).route, Route::Https, "{method} {target} {fields:?}");
        }
    }

    #[test]
    fn single_sign_on_is_a_page_of_the_homeservers_own() {
        for target in [
            "/_matrix/client/v3/login/sso/redirect?redirectUrl=http%3A%2F%2Flocalhost",
            "/_matrix/client/v3/login/sso/redirect/idp",
            "/_matrix/client/r0/auth/m.login.sso/fallback/web?session=s",
        ] {
            assert_eq!(asked("GET", target, &[]).route, Route::Page, "{target}");
        }
        let odd = asked("GET", "/_matrix/client/v3/login/sso/redirect", &[("authorization", "Basic x")]);
        assert_eq!(odd.route, Route::Https);
    }

    #[test]
    fn the_rest_goes_nowhere() {
        assert_eq!(asked("GET", "/.well-known/matrix/client", &[]).route, Route::WellKnown);
        for (target, status) in [
            ("/", StatusCode::NOT_FOUND),
            ("/index.html", StatusCode::NOT_FOUND),
            ("/.well-known/matrix/server", StatusCode::NOT_FOUND),
            ("/_matrix/client/../x", StatusCode::BAD_REQUEST),
            ("/_matrix/client/%2e%2e/x", StatusCode::BAD_REQUEST),
        ] {
            let route = asked("GET", target, &[]).route;
            assert!(matches!(&route, Route::Refused(error) if error.status == status), "{target}: {route:?}");
        }
    }

    #[test]
    fn a_poll_is_asked_for_a_bounded_time_and_all_other_bytes_stay() {
        let sync = |target| asked("GET", target, &[]);
        let long = sync("/_matrix/client/v3/sync?since=s1%2F&timeout=60000&access_token=t");
        assert_eq!(long.target, "/_matrix/client/v3/sync?since=s1%2F&timeout=55000");
        assert_eq!(long.kind, Kind::Sync(Duration::from_secs(60)), "the client waits for as long as it asks");
        assert_eq!(long.original, "/_matrix/client/v3/sync?since=s1%2F&timeout=60000&access_token=t");
        let short = sync("/_matrix/client/v3/sync?timeout=30000&filter=%7B%7D");
        assert_eq!(short.target, short.original);
        let not_sync = asked("GET", "/_matrix/client/v3/x?timeout=60000", &[]);
        assert_eq!(not_sync.target, not_sync.original);
    }

    #[test]
    fn what_happens_while_the_link_is_down_depends_on_the_kind() {
        let zero = Kind::Sync(Duration::ZERO);
        for (method, target, kind) in [
            ("GET", "/_matrix/client/v3/sync", zero),
            ("POST", "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync?pos=1", zero),
            ("GET", "/_matrix/client/versions", Kind::Versions),
            ("GET", "/_matrix/client/v3/account/whoami", Kind::Read),
            ("PUT", "/_matrix/client/v3/rooms/!r:b/send/m.room.message/1", Kind::Write),
            ("POST", "/_matrix/client/v3/keys/claim", Kind::Once),
            ("POST", "/_matrix/client/v3/rooms/!r:b/sync", Kind::Once),
            ("GET", "/_matrix/client/v3/rooms/!r:b/sync", Kind::Read),
        ] {
            assert_eq!(asked(method, target, &[]).kind, kind, "{method} {target}");
        }
    }
}
