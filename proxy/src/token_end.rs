//! How the end of an access token shows: what hangs on it is given up then.

use crate::account::Account;
use crate::answer::MatrixError;
use crate::asked::Asked;
use crate::body::{self, Body};
use crate::failure::Down;
use crate::proxy::Proxy;
use http::{Method, Response, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt;
use percent_encoding::percent_decode_str;
use std::borrow::Cow;

/// An error of Matrix is shorter than this.
const LONGEST_ERROR: u64 = 16 << 10;

/// Which tokens a success of a request ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    /// That under which it is made.
    Own,
    /// All of its user.
    All,
    /// Others of its user, for certain or maybe.
    Others,
}

/// A request that ends tokens, on its way. Unless it is known to have ended none, what hangs on them is given
/// up when this is dropped: also where its client has gone, or its answer is lost.
pub(crate) struct Ending<'p> {
    proxy: &'p Proxy,
    named: Vec<Account>,
    ends: Ends,
    is_done: bool,
    is_in_vain: bool,
}

impl<'p> Ending<'p> {
    /// Begins to watch over a request; `None` if it ends no token.
    pub(crate) fn begin(proxy: &'p Proxy, method: &Method, asked: &Asked) -> Option<Ending<'p>> {
        let ends = ends(method, asked.path())?;
        Some(Ending { proxy, named: asked.named.clone(), ends, is_done: false, is_in_vain: false })
    }

    /// Notes how the request has come out.
    pub(crate) fn told(&mut self, outcome: &Result<Response<Body>, Down>) {
        self.is_done = outcome.as_ref().is_ok_and(|response| response.status().is_success());
        self.is_in_vain = match outcome {
            Ok(response) => response.status().is_client_error(),
            Err(down) => !down.may_have_arrived,
        };
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let Ending { proxy, named, ends, is_done, is_in_vain } = self;
        if *is_in_vain {
            return;
        }
        // Which tokens are of one user is known to the homeserver alone. A token that may be made up costs
        // the others nothing as long as the homeserver has not taken it.
        let is_real = || *is_done || named.iter().any(|account| proxy.sessions.knows(account));
        if *ends != Ends::Own && is_real() {
            proxy.kept.forget_all();
        }
        for account in named.iter() {
            proxy.kept.forget(account);
            if *ends != Ends::Others {
                proxy.sessions.forget(account);
                proxy.forget(account);
            }
        }
    }
}

/// Returns which tokens a success of the request ends.
fn ends(method: &Method, path: &str) -> Option<Ends> {
    // The homeserver sees what stands behind the escapes.
    let segments: Vec<Cow<'_, [u8]>> = path.split('/').map(|part| percent_decode_str(part).into()).collect();
    let segments: Vec<&[u8]> = segments.iter().map(AsRef::as_ref).collect();
    match (method, segments.as_slice()) {
        (&Method::POST, [.., b"logout"]) => Some(Ends::Own),
        (&Method::POST, [.., b"logout", b"all"] | [.., b"account", b"deactivate"]) => Some(Ends::All),
        (&Method::POST, [.., b"account", b"password"] | [.., b"delete_devices"])
        | (&Method::DELETE, [.., b"devices", _]) => Some(Ends::Others),
        _ => None,
    }
}

/// Returns whether the answer says that the homeserver does not know the token (any longer), and the answer.
/// A 401 may also ask for another authentication; one that cannot be read is taken for the end.
pub(crate) async fn is_told(response: Response<Body>) -> (bool, Response<Body>) {
    if response.status() != StatusCode::UNAUTHORIZED {
        return (false, response);
    }
    if response.body().size_hint().upper().is_none_or(|most| most > LONGEST_ERROR) {
        return (true, response);
    }
    let (parts, body) = response.into_parts();
    let Ok(collected) = body.collect().await else {
        let error = "the homeserver's answer has broken off";
        return (true, MatrixError::new(StatusCode::BAD_GATEWAY, "M_UNKNOWN", error).response());
    };
    let json = collected.to_bytes();
    let error = serde_json::from_slice::<serde_json::Value>(&json);
    let is_told =
        error.map_or(true, |error| error.get("errcode").is_some_and(|code| code == "M_UNKNOWN_TOKEN"));
    (is_told, Response::from_parts(parts, body::whole(json)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::BoxError;
    use bytes::Bytes;
    use http_body::{Frame, SizeHint};
    use std::pin::Pin;
    use std::task::{Context, Poll};

    /// A short body that breaks off.
    struct Broken;

    impl http_body::Body for Broken {
        type Data = Bytes;
        type Error = BoxError;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            Poll::Ready(Some(Err("broken".into())))
        }

        fn size_hint(&self) -> SizeHint {
            SizeHint::with_exact(10)
        }
    }

    async fn told(status: u16, text: &'static str) -> bool {
        let response = Response::builder().status(status).header("x", "y").body(body::whole(text)).unwrap();
        let (is_told, response) = is_told(response).await;
        assert_eq!((response.status().as_u16(), &response.headers()["x"]), (status, &"y".parse().unwrap()));
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), text);
        is_told
    }

    #[tokio::test]
    async fn a_token_that_is_not_known_is_told_from_other_refusals_and_the_answer_stays() {
        let unknown = r#"{"errcode":"M_UNKNOWN_TOKEN","error":"no","soft_logout":true}"#;
        assert!(told(401, unknown).await);
        assert!(!told(403, unknown).await);
        assert!(!told(401, r#"{"flows":[{"stages":["m.login.password"]}],"session":"s"}"#).await);
        assert!(!told(401, r#"{"errcode":"M_MISSING_TOKEN","error":"no"}"#).await);
    }

    #[test]
    fn what_ends_tokens_is_known_in_each_spelling() {
        for (method, path, ends_by_it) in [
            (Method::POST, "/_matrix/client/v3/logout", Some(Ends::Own)),
            (Method::POST, "/_matrix/client/r0/log%6Fut", Some(Ends::Own)),
            (Method::POST, "/_matrix/client/v3/logout/all", Some(Ends::All)),
            (Method::POST, "/_matrix/client/v3/account/deactivate", Some(Ends::All)),
            (Method::POST, "/_matrix/client/v3/account/password", Some(Ends::Others)),
            (Method::POST, "/_matrix/client/v3/delete_devices", Some(Ends::Others)),
            (Method::DELETE, "/_matrix/client/v3/devices/A%2FB", Some(Ends::Others)),
            (Method::PUT, "/_matrix/client/v3/devices/A", None),
            (Method::GET, "/_matrix/client/v3/logout", None),
            (Method::POST, "/_matrix/client/v3/x%2Flogout", None),
            (Method::POST, "/_matrix/client/v3/refresh", None),
        ] {
            assert_eq!(ends(&method, path), ends_by_it, "{method} {path}");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_taken_for_the_end() {
        assert!(told(401, "\u{1f}\u{8b}").await && told(401, "").await);
        let long = " ".repeat(usize::try_from(LONGEST_ERROR).unwrap() + 1);
        assert!(told(401, long.leak()).await);
        let broken = Response::builder().status(401).body(Broken.boxed_unsync()).unwrap();
        let (is_told, response) = is_told(broken).await;
        assert_eq!((is_told, response.status()), (true, StatusCode::BAD_GATEWAY));
    }
}
