//! Answers that are kept, as by a private cache of HTTP (RFC 9111): those to a GET over HTTPS that say that
//! they may be, above all files and their thumbnails.
//!
//! ```text
//! look -> fresh: answered here                                  not kept, or for the homeserver to judge
//!      -> stale: the question whether it is right -> 304: answered here   |
//!                                                 `-> another answer <----'-> copied while it goes by -> kept
//! ```
//!
//! What comes over CoAP is not kept: it carries no word on that, and RFC 7252 section 5.10.5 has a minute for
//! such answers, but a question to Matrix asks how things are now.
//!
//! Each account has its own, found by the hash of the access token, since homeservers let one account see
//! what another may not. Each has a part of the room, and all that may be made up have one together.

mod conditions;
mod copied;
mod directives;
mod fields;
mod policy;
mod shelves;
#[cfg(test)]
mod tests;

use crate::account::Account;
use crate::body::{self, Body};
use bytes::Bytes;
use copied::Copied;
use directives::Directives;
use http::header::AGE;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt;
use openssl::sha::sha256;
pub(crate) use policy::Moments;
use policy::Policy;
use shelves::{Key, Shelves, Visit};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// Bytes of memory that an answer takes besides its text, and each of its fields.
const OVERHEAD: usize = 512;
const OVERHEAD_OF_FIELD: usize = 64;

/// What is kept for all accounts. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Kept {
    shelves: Arc<Mutex<Shelves<Answer>>>,
    is_off: bool,
}

/// A whole answer with status 200. Cheap to clone.
#[derive(Clone)]
struct Answer {
    head: Arc<Head>,
    body: Bytes,
}

struct Head {
    headers: HeaderMap,
    policy: Policy,
}

/// What there is for a request.
pub(crate) enum Look {
    /// The answer itself.
    Answer(Response<Body>),
    /// Something that the homeserver has to confirm.
    Check(Unconfirmed),
    /// Nothing, and the client wants the homeserver not to be asked.
    Refused,
    /// Nothing that counts here: the homeserver is asked as the client asks.
    Nothing,
}

/// What is kept and needs a word of the homeserver's.
pub(crate) struct Unconfirmed(Answer);

impl Kept {
    /// Makes a place for so many bytes; with 0 nothing is kept. See [`crate::Limits::kept`].
    pub(crate) fn new(most: usize) -> Kept {
        Kept { shelves: Arc::new(Mutex::new(Shelves::new(most))), is_off: most == 0 }
    }

    /// Begins a GET of this URL, whose access token stands elsewhere, out of the room of `share`. `None` if
    /// nothing is kept for such a request, and its answer will not be.
    pub(crate) fn begin(
        &self,
        account: &Account,
        share: &Account,
        url: &str,
        request: &HeaderMap,
    ) -> Option<Asking> {
        let is_for_the_server = conditions::are_for_the_server(request) || Directives::of(request).no_store;
        if self.is_off || is_for_the_server {
            return None;
        }
        let key = Key { url: sha256(url.as_bytes()), account: account.hash() };
        let visit = self.shelves().enter(share.hash(), key);
        Some(Asking { kept: self.clone(), visit })
    }

    /// Forgets all of an account's: its token has ended. What the tokens that may be made up share goes with
    /// it, since a part may be its own, from before the homeserver was seen to know it.
    pub(crate) fn forget(&self, account: &Account) {
        let mut shelves = self.shelves();
        shelves.clear(&account.hash());
        shelves.clear(&Account::nobody().hash());
    }

    /// Forgets all of everybody's: tokens have ended, and nobody here can say which.
    pub(crate) fn forget_all(&self) {
        self.shelves().clear_all();
    }

    /// Forgets a URL that something else than a question was done to (RFC 9111 section 4.4).
    pub(crate) fn changed(&self, url: &str) {
        self.shelves().remove_everywhere(sha256(url.as_bytes()));
    }

    fn shelves(&self) -> MutexGuard<'_, Shelves<Answer>> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request to the homeserver, beside what is kept.
pub(crate) struct Asking {
    kept: Kept,
    visit: Visit,
}

impl Asking {
    /// Looks for an answer.
    pub(crate) fn look(&self, request: &HeaderMap, now: SystemTime) -> Look {
        let wanted = Directives::of(request);
        let found = self.kept.shelves().get(&self.visit);
        match found.filter(|answer| answer.head.policy.is_for(request)) {
            Some(answer) if answer.head.policy.is_fresh(&wanted, now) => {
                Look::Answer(answer.to_client(request, now))
            }
            _ if wanted.only_if_cached => Look::Refused,
            // The client asks about its own copy: the answer is for that.
            Some(answer)
                if !conditions::are_of_the_client(request) && conditions::can_ask(&answer.head.headers) =>
            {
                Look::Check(Unconfirmed(answer))
            }
            _ => Look::Nothing,
        }
    }

    /// Returns the answer that a 304 with these fields confirms; `None` if it is about another one.
    pub(crate) fn confirm(
        &self,
        Unconfirmed(old): &Unconfirmed,
        request: &HeaderMap,
        confirmed: &HeaderMap,
        moments: Moments,
    ) -> Option<Response<Body>> {
        if !conditions::is_about(confirmed, &old.head.headers) {
            self.remove();
            return None;
        }
        let mut headers = old.head.headers.clone();
        conditions::take_over(&mut headers, confirmed);
        let Some(policy) = Policy::of(request, &headers, moments) else {
            // It may not be kept any longer, and is right this once.
            self.remove();
            return Some(answered(StatusCode::OK, headers, old.body.clone()));
        };
        let answer = Answer { head: Arc::new(Head { headers, policy }), body: old.body.clone() };
        let is_old = |placed: &Answer| Arc::ptr_eq(&placed.head, &old.head);
        let size = answer.head.size(answer.body.len());
        self.kept.shelves().renew(&self.visit, is_old, size, answer.clone());
        Some(answer.to_client(request, moments.answered))
    }

    /// Takes a homeserver's answer on its way to the client, and keeps a copy of it if it may.
    pub(crate) fn copy(
        mut self,
        request: &HeaderMap,
        response: Response<Body>,
        moments: Moments,
    ) -> Response<Body> {
        let status = response.status();
        let is_no_news = status == StatusCode::NOT_MODIFIED
            || status == StatusCode::TOO_MANY_REQUESTS
            || status.is_server_error();
        if is_no_news {
            return response;
        }
        self.remove();
        let length = response.body().size_hint().exact().and_then(|length| usize::try_from(length).ok());
        let (StatusCode::OK, Some(length)) = (status, length) else { return response };
        let Some(policy) = Policy::of(request, response.headers(), moments) else { return response };
        let headers = response.headers().iter().map(|(name, value)| (name.clone(), fields::copy(value)));
        let head = Head { headers: headers.collect(), policy };
        if !self.kept.shelves().reserve(&mut self.visit, head.size(length)) {
            return response;
        }
        response.map(|body| Copied::new(body, length, self, head).boxed_unsync())
    }

    fn put(mut self, head: Head, body: Bytes) {
        let answer = Answer { head: Arc::new(head), body };
        self.kept.shelves().put(&mut self.visit, answer);
    }

    fn remove(&self) {
        self.kept.shelves().remove(&self.visit);
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.kept.shelves().leave(&mut self.visit);
    }
}

impl Unconfirmed {
    /// Adds the question whether it is still right to the fields of a request.
    pub(crate) fn ask(&self, request: &mut HeaderMap) {
        conditions::ask(request, &self.0.head.headers);
    }
}

impl Head {
    /// Returns the bytes that an answer with such a body takes.
    fn size(&self, body: usize) -> usize {
        let fields = self.headers.iter().map(|(name, value)| name.as_str().len() + value.len());
        let fields = fields.map(|bytes| bytes + OVERHEAD_OF_FIELD).sum::<usize>();
        (OVERHEAD + fields + self.policy.size()).saturating_add(body)
    }
}

impl Answer {
    /// Makes the answer to a client: a 304 if it has the same already.
    fn to_client(&self, request: &HeaderMap, now: SystemTime) -> Response<Body> {
        let Head { headers, policy } = &*self.head;
        let is_unchanged = conditions::are_of_the_client(request)
            && conditions::is_unchanged(request, headers, policy.answered());
        let mut headers = headers.clone();
        headers.insert(AGE, HeaderValue::from(policy.age(now).as_secs()));
        if is_unchanged {
            conditions::without_body(&mut headers);
            return answered(StatusCode::NOT_MODIFIED, headers, Bytes::new());
        }
        answered(StatusCode::OK, headers, self.body.clone())
    }
}

fn answered(status: StatusCode, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let mut response = Response::new(body::whole(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
