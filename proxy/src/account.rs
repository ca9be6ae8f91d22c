//! Whose request it is.

use http::{HeaderMap, header};
use lowband_client::MAX_ACCESS_TOKEN;
use openssl::sha::sha256;
use std::sync::Arc;

/// An access token, or none: what keeps one client's session, failures and shares apart from another's. No
/// `Debug`: the token must not end up in a log.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Account(Option<Arc<str>>);

/// What a request says of its account.
pub(crate) enum Credentials {
    /// Its account, and its target without the token.
    Of(Account, String),
    /// Something that only the homeserver can judge: two tokens, another scheme, a token that option 256
    /// cannot carry.
    Odd,
}

impl Account {
    /// Returns the account of requests without a token.
    pub(crate) fn nobody() -> Account {
        Account(None)
    }

    pub(crate) fn is_nobody(&self) -> bool {
        self.0.is_none()
    }

    /// Returns the token.
    pub(crate) fn token(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// Returns what stands for the account where the token itself must not stay. No token is empty, so that
    /// of nobody is nobody else's.
    pub(crate) fn hash(&self) -> [u8; 32] {
        sha256(self.token().unwrap_or_default().as_bytes())
    }

    fn of(token: &str) -> Option<Account> {
        let fits = (1..=MAX_ACCESS_TOKEN).contains(&token.len());
        // What a field of HTTP, and so option 256, can carry (protocol.md section 6).
        let is_visible = token.bytes().all(|byte| byte.is_ascii_graphic());
        (fits && is_visible).then(|| Account(Some(token.into())))
    }
}

impl Credentials {
    /// Reads the token of a request from its fields, or from `access_token` in its query.
    pub(crate) fn of(headers: &HeaderMap, target: &str) -> Credentials {
        let mut fields = headers.get_all(header::AUTHORIZATION).iter();
        let field = match (fields.next(), fields.next()) {
            (None, _) => None,
            (Some(field), None) => match field.to_str().ok().and_then(bearer) {
                Some(token) => Some(token),
                None => return Credentials::Odd,
            },
            _ => return Credentials::Odd,
        };
        let Some((rest, in_query)) = without_token(target) else { return Credentials::Odd };
        let account = match (field, in_query.as_deref()) {
            (Some(_), Some(_)) => None,
            (Some(token), None) | (None, Some(token)) => Account::of(token),
            (None, None) => Some(Account::nobody()),
        };
        match account {
            Some(account) => Credentials::Of(account, rest),
            None => Credentials::Odd,
        }
    }
}

fn bearer(field: &str) -> Option<&str> {
    let (scheme, token) = field.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case("bearer ").then(|| token.trim())
}

/// Takes `access_token` out of a query; all other bytes stay. `None` if it stands there twice, or is not
/// text.
fn without_token(target: &str) -> Option<(String, Option<String>)> {
    let Some((path, query)) = target.split_once('?') else { return Some((target.to_owned(), None)) };
    let (tokens, others): (Vec<&str>, Vec<&str>) =
        query.split('&').partition(|pair| pair.split('=').next() == Some("access_token"));
    let token = match tokens.as_slice() {
        [] => return Some((target.to_owned(), None)),
        [one] => one.split_once('=').map_or("", |(_, value)| value),
        _ => return None,
    };
    let token = percent_encoding::percent_decode_str(token).decode_utf8().ok()?.into_owned();
    let rest = if others.is_empty() { path.to_owned() } else { format!("{path}?{}", others.join("&")) };
    Some((rest, Some(token)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: &[&str], target: &str) -> Option<(Option<String>, String)> {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(header::AUTHORIZATION, field.parse().unwrap());
        }
        match Credentials::of(&headers, target) {
            Credentials::Of(account, rest) => Some((account.token().map(str::to_owned), rest)),
            Credentials::Odd => None,
        }
    }

    #[test]
    fn a_token_is_found_in_either_place_and_taken_out_of_the_query() {
        for (fields, target, token, rest) in [
            (vec![], "/a?b=c&d", None, "/a?b=c&d"),
            (vec!["Bearer t"], "/a?", Some("t"), "/a?"),
            (vec!["bearer  t "], "/a", Some("t"), "/a"),
            (vec![], "/a?access_token=t%2Bu", Some("t+u"), "/a"),
            (vec![], "/a?x=1&access_token=t&y=%2F", Some("t"), "/a?x=1&y=%2F"),
            (vec![], "/a?my_access_token=t", None, "/a?my_access_token=t"),
        ] {
            assert_eq!(read(&fields, target), Some((token.map(str::to_owned), rest.to_owned())), "{target}");
        }
    }

    #[test]
    fn what_the_homeserver_has_to_judge_is_odd() {
        let long = format!("Bearer {}", "x".repeat(MAX_ACCESS_TOKEN + 1));
        for (fields, target) in [
            (vec!["Bearer t", "Bearer u"], "/a"),
            (vec!["Bearer t"], "/a?access_token=t"),
            (vec![], "/a?access_token=t&access_token=u"),
            (vec![], "/a?access_token="),
            (vec![], "/a?access_token=%20"),
            (vec!["Basic dDp1"], "/a"),
            (vec!["Bearer "], "/a"),
            (vec![long.as_str()], "/a"),
        ] {
            assert!(read(&fields, target).is_none(), "{fields:?} {target}");
        }
    }
}
