//! How the end of an access token shows: what hangs on it is given up then.

use crate::answer::MatrixError;
use crate::body::{self, Body};
use http::{Method, Response, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt;

/// An error of Matrix is shorter than this.
const LONGEST_ERROR: u64 = 16 << 10;

/// Returns whether a success of the request ends the token that it was made under.
pub(crate) fn is_asked_for(method: &Method, path: &str) -> bool {
    *method == Method::POST
        && ["/logout", "/logout/all", "/account/deactivate"].iter().any(|end| path.ends_with(end))
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
    let is_told = error.is_ok_and(|error| error.get("errcode").is_some_and(|code| code == "M_UNKNOWN_TOKEN"));
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

    #[tokio::test]
    async fn what_cannot_be_read_is_taken_for_the_end() {
        let long = " ".repeat(usize::try_from(LONGEST_ERROR).unwrap() + 1);
        assert!(told(401, long.leak()).await);
        let broken = Response::builder().status(401).body(Broken.boxed_unsync()).unwrap();
        let (is_told, response) = is_told(broken).await;
        assert_eq!((is_told, response.status()), (true, StatusCode::BAD_GATEWAY));
    }
}
