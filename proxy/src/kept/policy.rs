//! Whether an answer may be kept, and whether one that is kept answers a request: RFC 9111 sections 3 and 4,
//! for a private cache. Nothing is guessed: an answer that does not say how long it is fresh is not kept, or
//! is checked each time.

use super::conditions::can_ask;
use super::directives::Directives;
use super::fields::{copy, date, elements, seconds};
use http::header::{
    ACCEPT_ENCODING, AGE, AUTHORIZATION, CONTENT_ENCODING, COOKIE, DATE, EXPIRES, HeaderName, VARY,
};
use http::{HeaderMap, HeaderValue};
use std::time::{Duration, SystemTime};

/// When a request left, and when the head of its answer came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moments {
    pub(crate) asked: SystemTime,
    pub(crate) answered: SystemTime,
}

/// For which requests an answer holds, and for how long.
#[derive(Debug)]
pub(super) struct Policy {
    answered: SystemTime,
    /// Age when it came (`corrected_initial_age`, section 4.2.3).
    age: Duration,
    /// Age from which on it is stale (`freshness_lifetime`, section 4.2.1).
    lifetime: Duration,
    /// Whether it is checked before each use (`no-cache`).
    is_checked: bool,
    /// The fields of its request by which it was chosen (`Vary`, section 4.1), with their values.
    selecting: Vec<(HeaderName, Vec<HeaderValue>)>,
}

impl Policy {
    /// Returns the policy of an answer with status 200 to a GET; `None` if it may not be kept, does not say
    /// that it may, or would be of no use.
    pub(super) fn of(request: &HeaderMap, answer: &HeaderMap, moments: Moments) -> Option<Policy> {
        let said = Directives::of(answer);
        if said.no_store || Directives::of(request).no_store {
            return None;
        }
        let expires = answer.contains_key(EXPIRES);
        let may = said.max_age.is_some() || expires || said.public || said.private || said.no_cache;
        let sent = date(answer, DATE).unwrap_or(moments.answered);
        let lifetime = said.max_age.unwrap_or_else(|| {
            // A date that is none lies in the past (section 5.3), as 0 does.
            date(answer, EXPIRES).and_then(|end| end.duration_since(sent).ok()).unwrap_or_default()
        });
        let is_of_use = can_ask(answer) || !(said.no_cache || lifetime.is_zero());
        let policy = Policy {
            answered: moments.answered,
            age: initial_age(answer, sent, moments),
            lifetime,
            is_checked: said.no_cache,
            selecting: selecting(request, answer)?,
        };
        (may && is_of_use).then_some(policy)
    }

    /// Returns whether the answer is one to this request (section 4.1).
    pub(super) fn is_for(&self, request: &HeaderMap) -> bool {
        self.selecting.iter().all(|(name, values)| request.get_all(name).iter().eq(values))
    }

    /// Returns whether it may be used without a check, now and for a request with these directives. What is
    /// stale is never used, even where a request allows it.
    pub(super) fn is_fresh(&self, wanted: &Directives, now: SystemTime) -> bool {
        // A clock that was put back knows no age.
        let Some(age) = self.known_age(now) else { return false };
        let left = self.lifetime.saturating_sub(age);
        let is_asked_to_check = self.is_checked || wanted.no_cache;
        !is_asked_to_check
            && !left.is_zero()
            && wanted.max_age.is_none_or(|most| age < most)
            && wanted.min_fresh.is_none_or(|least| left >= least)
    }

    /// Returns its age (`current_age`, section 4.2.3).
    pub(super) fn age(&self, now: SystemTime) -> Duration {
        self.known_age(now).unwrap_or(self.age)
    }

    fn known_age(&self, now: SystemTime) -> Option<Duration> {
        now.duration_since(self.answered).ok().map(|resident| self.age.saturating_add(resident))
    }

    /// Returns when the answer came.
    pub(super) fn answered(&self) -> SystemTime {
        self.answered
    }

    /// Returns the bytes of what is remembered of the request.
    pub(super) fn size(&self) -> usize {
        let values = self.selecting.iter().flat_map(|(_, values)| values);
        values.map(HeaderValue::len).sum::<usize>()
            + self.selecting.len() * size_of::<(HeaderName, Vec<()>)>()
    }
}

fn initial_age(answer: &HeaderMap, sent: SystemTime, moments: Moments) -> Duration {
    let Moments { asked, answered } = moments;
    let apparent = answered.duration_since(sent).unwrap_or_default();
    let told = answer.get(AGE).and_then(|age| seconds(age.to_str().ok())).unwrap_or_default();
    let delay = answered.duration_since(asked).unwrap_or_default();
    apparent.max(told.saturating_add(delay))
}

/// Returns the fields that `Vary` names, with their values in the request. `None`: no other request is like
/// it.
///
/// The token is a part of the place where an answer is kept, and cookies are not sent on: neither is
/// remembered. A coding is taken for one that the client has asked for, whether `Vary` says so or not.
fn selecting(request: &HeaderMap, answer: &HeaderMap) -> Option<Vec<(HeaderName, Vec<HeaderValue>)>> {
    let mut names = Vec::new();
    for field in answer.get_all(VARY) {
        for name in elements(field.to_str().ok()?)? {
            // The star would be a name.
            names.push(HeaderName::from_bytes(name.as_bytes()).ok().filter(|_| name != "*")?);
        }
    }
    names.extend(answer.contains_key(CONTENT_ENCODING).then_some(ACCEPT_ENCODING));
    names.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    names.dedup();
    names.retain(|name| ![AUTHORIZATION, COOKIE].contains(name));
    let values = |name: &HeaderName| request.get_all(name).iter().map(copy).collect();
    Some(names.into_iter().map(|name| (name.clone(), values(&name))).collect())
}

#[cfg(test)]
mod tests;
