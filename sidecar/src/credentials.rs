//! The one place that decides which access token a request goes with.
//!
//! | the request | goes with |
//! |---|---|
//! | says option 256 itself | that token, or none where the option is empty, whatever its path |
//! | has `access_token` in its query | no other: homeservers refuse the two together, or would take the wrong one |
//! | register, login, refresh | none: their credentials are in the body; but an application service's token, which these need |
//! | needs a token | the sticky one, even one that the homeserver has refused, so that the client learns of it again |
//! | needs none (`needs_none`) | the sticky one; if the homeserver refuses it, once more without |
//! | needs none, and the homeserver has refused the sticky one before | none; if that is not enough, once more with it |
//!
//! `user_id` in a query names the user that an application service acts for. It is not a credential: the
//! token goes along.

use crate::document;
use lowband_transport::coap::Standing;
use lowband_wire::coap::Method;
use lowband_wire::coap::access_token::AccessToken;
use lowband_wire::coap::options::RequestOptions;

/// Largest body, in bytes, in which the type of a login is looked for. No real login is longer.
const MAX_LOGIN: usize = 64 << 10;

/// The tokens under which a request is tried. `None` stands for no token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// The token of the first try.
    pub first: Option<AccessToken>,
    /// The token of the second try, after the homeserver has answered 401 because of the first ([`Refused`]).
    /// The outer `None` means no second try.
    pub second: Option<Option<AccessToken>>,
    /// The token that the request brings in its query.
    pub in_query: Option<AccessToken>,
    /// True if a success ends the token of the request ([`News::Ended`]).
    pub ends: bool,
    /// True if a 401 `M_UNKNOWN_TOKEN` is about the token of the request ([`News::Refused`]); in an answer to
    /// a refresh, for instance, it is about the refresh token.
    pub refusable: bool,
    /// True if the token counts as refused and a success would show that it is accepted again
    /// ([`News::Accepted`]).
    pub proves: bool,
    /// True if the request cannot succeed without a token of this homeserver.
    pub needed: bool,
}

impl Credentials {
    /// Returns whether a success shows that the homeserver knows the client.
    pub fn show_an_account(&self) -> bool {
        self.needed && (self.first.is_some() || self.in_query.is_some())
    }

    /// Returns what a success says about the token it was granted to.
    pub fn after_success(&self) -> Option<News> {
        let ended = self.first.as_ref().or(self.in_query.as_ref()).filter(|_| self.ends);
        let accepted = self.first.as_ref().filter(|_| self.proves);
        ended.cloned().map(News::Ended).or(accepted.cloned().map(News::Accepted))
    }
}

/// What an answer says about a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// The homeserver does not know the token (any more).
    Refused(AccessToken),
    /// The homeserver knows the token after all.
    Accepted(AccessToken),
    /// The owner has given the token up.
    Ended(AccessToken),
}

/// Decides which tokens a request goes with. `path` is as the homeserver reads it, segment by segment.
pub fn decide(
    method: Method,
    path: &[&str],
    options: &RequestOptions,
    standing: &Standing,
    body: &[u8],
) -> Credentials {
    let Standing { access_token, is_explicit, is_refused, .. } = standing;
    let in_query = query_token(&options.query);
    let only = |first: Option<&AccessToken>| Credentials {
        first: first.cloned(),
        second: None,
        in_query: in_query.clone(),
        // An application service that acts for a user ends that user's sessions, and not its own token.
        ends: method == Method::Post && ends_its_token(path) && !acts_for_another(&options.query),
        refusable: !brings_its_own(path) || is_application_service(options, body),
        proves: *is_refused && !brings_its_own(path) && !needs_none(path),
        needed: matches!(path, ["_matrix", "client", ..]) && !needs_none(path) && !brings_its_own(path),
    };
    if *is_explicit {
        return only(access_token.as_ref());
    }
    let Some(sticky) = access_token.as_ref().filter(|_| in_query.is_none()) else { return only(None) };
    if brings_its_own(path) {
        return only(Some(sticky).filter(|_| is_application_service(options, body)));
    }
    match (needs_none(path), is_refused) {
        (false, _) => only(Some(sticky)),
        (true, false) => Credentials { second: Some(None), ..only(Some(sticky)) },
        (true, true) => Credentials { second: Some(Some(sticky.clone())), ..only(None) },
    }
}

/// Returns the token of the deprecated form `access_token=...`. An empty one counts, as it does for
/// homeservers.
fn query_token(query: &[String]) -> Option<AccessToken> {
    query.iter().find_map(|pair| match pair.split_once('=') {
        Some(("access_token", token)) => Some(token.into()),
        None if pair == "access_token" => Some("".into()),
        _ => None,
    })
}

/// Returns whether the request acts for another user (Matrix 1.16, application service API: "Identity
/// assertion").
fn acts_for_another(query: &[String]) -> bool {
    query.iter().any(|pair| pair.split('=').next().is_some_and(|name| name.ends_with("user_id")))
}

fn brings_its_own(path: &[&str]) -> bool {
    matches!(path, ["_matrix", "client", _, "register" | "login" | "refresh"])
}

/// Returns whether the request comes from an application service, which registers and logs users in under its
/// own token (Matrix 1.16, application service API).
fn is_application_service(options: &RequestOptions, body: &[u8]) -> bool {
    const APPLICATION_SERVICE: &str = "m.login.application_service";
    let kind = || document::text(options.content_format, body, "type");
    body.len() <= MAX_LOGIN && kind().is_some_and(|kind| kind == APPLICATION_SERVICE)
}

/// Returns whether the endpoint answers without an access token, though perhaps differently (Matrix 1.16,
/// client-server API: "Requires authentication: No" or "Optional"). The unstable names of newer endpoints are
/// included.
fn needs_none(path: &[&str]) -> bool {
    let rest = match path {
        [".well-known", ..] | ["_matrix", "client", "versions"] => return true,
        ["_matrix", "client", "unstable", _, rest @ ..] | ["_matrix", "client", _, rest @ ..] => rest,
        _ => return false,
    };
    match rest {
        ["login", "get_token"] => false,
        [
            "login" | "register" | "auth" | "profile" | "directory" | "room_summary" | "summary"
            | "rendezvous",
            ..,
        ] => true,
        ["publicRooms" | "auth_metadata" | "auth_issuer"] => true,
        ["account", "password" | "deactivate", ..] => true,
        ["account", "3pid", _, "requestToken"] => true,
        _ => false,
    }
}

/// Returns whether a successful request to this path ends the token that it was made under. Other tokens of
/// the same user may end with it: the homeserver's next 401 reveals those.
fn ends_its_token(path: &[&str]) -> bool {
    matches!(
        path,
        ["_matrix", "client", _, "logout"]
            | ["_matrix", "client", _, "logout", "all"]
            | ["_matrix", "client", _, "account", "deactivate"]
    )
}

/// What a 401 says about the token of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// `M_UNKNOWN_TOKEN`: the homeserver does not know the token, or no longer.
    Unknown,
    /// `M_MISSING_TOKEN`: the request needs a token.
    Missing,
}

impl Refused {
    /// Reads the body of a 401 in CBOR or JSON; `None` where it gives another reason.
    pub fn read(content_format: u16, body: &[u8]) -> Option<Refused> {
        match document::text(Some(content_format), body, "errcode")?.as_str() {
            "M_UNKNOWN_TOKEN" => Some(Refused::Unknown),
            "M_MISSING_TOKEN" => Some(Refused::Missing),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowband_wire::coap::content_format::JSON;

    const SYNC: &str = "_matrix/client/v3/sync";
    const VERSIONS: &str = "_matrix/client/versions";

    #[derive(Clone, Copy)]
    enum Sticky {
        None,
        Alive,
        Refused,
    }

    fn standing(sticky: Sticky) -> Standing {
        Standing {
            access_token: (!matches!(sticky, Sticky::None)).then(|| "sticky".into()),
            is_refused: matches!(sticky, Sticky::Refused),
            ..Standing::default()
        }
    }

    fn explicit(token: Option<&str>) -> Standing {
        Standing { access_token: token.map(Into::into), is_explicit: true, ..Standing::default() }
    }

    /// Returns the tokens in the order in which they are tried; "-" for none.
    fn tried(path: &str, query: &[&str], standing: &Standing, body: &[u8]) -> Vec<String> {
        let options = RequestOptions {
            query: query.iter().map(|pair| (*pair).to_owned()).collect(),
            ..RequestOptions::default()
        };
        let path: Vec<_> = path.split('/').collect();
        let Credentials { first, second, .. } = decide(Method::Post, &path, &options, standing, body);
        let word = |token: Option<AccessToken>| token.map_or("-".into(), |token| token.as_str().to_owned());
        [Some(first), second].into_iter().flatten().map(word).collect()
    }

    #[test]
    fn what_a_request_says_itself_holds_everywhere() {
        for path in [SYNC, VERSIONS, "_matrix/client/v3/register", "_matrix/client/v3/login"] {
            assert_eq!(tried(path, &[], &explicit(Some("own")), b""), ["own"], "{path}");
            assert_eq!(tried(path, &[], &explicit(None), b""), ["-"], "{path}");
            assert_eq!(tried(path, &["access_token=x"], &explicit(Some("own")), b""), ["own"], "{path}");
        }
    }

    #[test]
    fn a_token_in_the_query_goes_alone() {
        for query in ["access_token=x", "access_token=", "access_token"] {
            for path in [SYNC, VERSIONS] {
                assert_eq!(tried(path, &["a=b", query], &standing(Sticky::Alive), b""), ["-"], "{query}");
                assert_eq!(tried(path, &["a=b", query], &standing(Sticky::Refused), b""), ["-"], "{query}");
            }
        }
        for query in ["access_tokens=x", "Access_token=x", "x=access_token", "user_id=@a:hs", "user_id="] {
            assert_eq!(tried(SYNC, &[query], &standing(Sticky::Alive), b""), ["sticky"], "{query}");
        }
    }

    #[test]
    fn the_sticky_token_goes_where_one_is_needed_and_first_or_second_elsewhere() {
        for (path, alive, refused) in [
            (SYNC, &["sticky"][..], &["sticky"][..]),
            ("_matrix/client/v3/account/whoami", &["sticky"], &["sticky"]),
            // Homeservers let a user that was logged out softly give up the rest.
            ("_matrix/client/v3/logout", &["sticky"], &["sticky"]),
            ("_matrix/client/v1/login/get_token", &["sticky"], &["sticky"]),
            ("_matrix/client/unstable/org.x/y", &["sticky"], &["sticky"]),
            (VERSIONS, &["sticky", "-"], &["-", "sticky"]),
            (".well-known/matrix/client", &["sticky", "-"], &["-", "sticky"]),
            ("_matrix/client/v3/profile/@a:hs", &["sticky", "-"], &["-", "sticky"]),
            ("_matrix/client/r0/profile/@a:hs/displayname", &["sticky", "-"], &["-", "sticky"]),
            ("_matrix/client/v3/account/password", &["sticky", "-"], &["-", "sticky"]),
            ("_matrix/client/v3/account/password/email/requestToken", &["sticky", "-"], &["-", "sticky"]),
            ("_matrix/client/v3/account/3pid/email/requestToken", &["sticky", "-"], &["-", "sticky"]),
            ("_matrix/client/v3/account/3pid/bind", &["sticky"], &["sticky"]),
            ("_matrix/client/v3/register/available", &["sticky", "-"], &["-", "sticky"]),
            ("_matrix/client/v3/directory/room/#a:hs", &["sticky", "-"], &["-", "sticky"]),
            ("_matrix/client/v3/publicRooms", &["sticky", "-"], &["-", "sticky"]),
            ("_matrix/client/v1/auth_metadata", &["sticky", "-"], &["-", "sticky"]),
            ("_matrix/client/unstable/org.matrix.msc2965/auth_metadata", &["sticky", "-"], &["-", "sticky"]),
            ("_matrix/client/unstable/im.nheko.summary/summary/!a:hs", &["sticky", "-"], &["-", "sticky"]),
            ("_matrix/client/v3/login", &["-"], &["-"]),
            ("_matrix/client/r0/register", &["-"], &["-"]),
            ("_matrix/client/v3/refresh", &["-"], &["-"]),
        ] {
            assert_eq!(tried(path, &[], &standing(Sticky::Alive), b""), alive, "{path}");
            assert_eq!(tried(path, &[], &standing(Sticky::Refused), b""), refused, "{path}");
            assert_eq!(tried(path, &[], &standing(Sticky::None), b""), ["-"], "{path}");
        }
    }

    #[test]
    fn an_application_service_registers_and_logs_in_under_its_own_token() {
        let json = br#"{"type":"m.login.application_service","username":"ghost"}"#;
        let cbor = lowband_codec::json_to_cbor(json).unwrap();
        for path in ["_matrix/client/v3/register", "_matrix/client/v3/login"] {
            assert_eq!(tried(path, &[], &standing(Sticky::Alive), &cbor), ["sticky"], "{path}");
            assert_eq!(
                tried(path, &["user_id=@g:hs"], &standing(Sticky::Alive), &cbor),
                ["sticky"],
                "{path}"
            );
            for body in [&b"\xff"[..], b"", b"\xa1\x61a\x01"] {
                assert_eq!(tried(path, &[], &standing(Sticky::Alive), body), ["-"], "{path}");
            }
        }
        let options = RequestOptions { content_format: Some(JSON), ..RequestOptions::default() };
        assert!(is_application_service(&options, json) && !is_application_service(&options, b"{}"));
    }

    #[test]
    fn three_requests_end_their_token() {
        let ends = |path: &str| ends_its_token(&path.split('/').collect::<Vec<_>>());
        for path in ["v3/logout", "r0/logout", "v3/logout/all", "v3/account/deactivate"] {
            assert!(ends(&format!("_matrix/client/{path}")), "{path}");
        }
        for path in ["v3/logout/x", "v3/account", "v3/devices/logout"] {
            assert!(!ends(&format!("_matrix/client/{path}")), "{path}");
        }
    }

    /// Returns what a success and a 401 `M_UNKNOWN_TOKEN` say about the token.
    fn said(method: Method, target: &str, standing: &Standing) -> (Option<News>, bool) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let query = query.split('&').filter(|pair| !pair.is_empty()).map(str::to_owned).collect();
        let options = RequestOptions { query, ..RequestOptions::default() };
        let path: Vec<_> = path.split('/').collect();
        let credentials = decide(method, &path, &options, standing, b"");
        (credentials.after_success(), credentials.refusable)
    }

    #[test]
    fn an_answer_speaks_of_the_token_of_its_request_and_of_no_other() {
        let alive = standing(Sticky::Alive);
        let refused = standing(Sticky::Refused);
        let token = || "sticky".into();
        let logout = "_matrix/client/v3/logout";
        assert_eq!(said(Method::Post, logout, &alive), (Some(News::Ended(token())), true));
        assert_eq!(said(Method::Get, logout, &alive), (None, true));
        for acting in ["user_id=@g:hs", "org.matrix.msc1234.user_id=@g:hs"] {
            assert_eq!(said(Method::Post, &format!("{logout}?{acting}"), &alive), (None, true), "{acting}");
        }
        assert_eq!(said(Method::Get, SYNC, &alive), (None, true));
        assert_eq!(said(Method::Get, SYNC, &refused), (Some(News::Accepted(token())), true));
        assert_eq!(said(Method::Get, VERSIONS, &refused), (None, true));
        assert_eq!(said(Method::Post, "_matrix/client/v3/refresh", &explicit(Some("own"))), (None, false));
    }

    #[test]
    fn the_reason_of_a_401_is_read_in_both_forms() {
        for (errcode, reason) in [
            ("M_UNKNOWN_TOKEN", Some(Refused::Unknown)),
            ("M_MISSING_TOKEN", Some(Refused::Missing)),
            ("M_FORBIDDEN", None),
        ] {
            let json = format!(r#"{{"errcode":"{errcode}","error":"x","soft_logout":true}}"#);
            let cbor = lowband_codec::json_to_cbor(json.as_bytes()).unwrap();
            assert_eq!(Refused::read(50, json.as_bytes()), reason);
            assert_eq!(Refused::read(60, &cbor), reason);
        }
        for body in [&b""[..], b"{}", b"\xa0", b"<html>"] {
            assert_eq!((Refused::read(50, body), Refused::read(60, body)), (None, None));
        }
    }

    #[test]
    fn tokens_are_not_in_debug_output() {
        let all = format!("{:?}{:?}", explicit(Some("secret")), {
            decide(Method::Get, &["x"], &RequestOptions::default(), &explicit(Some("secret")), b"")
        });
        assert!(!all.contains("secret"));
    }
}
