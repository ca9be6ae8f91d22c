//! Whose request it is.

use http::{HeaderMap, header};
use lowband_client::MAX_ACCESS_TOKEN;
use openssl::sha::sha256;
use percent_encoding::percent_decode_str;
use std::iter::once;
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
    /// cannot carry. The accounts are those that it names.
    Odd(Vec<Account>),
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
        let fields = headers.get_all(header::AUTHORIZATION).iter();
        let in_fields = fields.map(|field| field.to_str().ok().and_then(bearer).and_then(Account::of));
        let (in_query, rest) = without_token(target);
        let in_query = in_query.iter().map(|token| Account::of(token));
        let named: Vec<Option<Account>> = in_fields.chain(in_query).collect();
        match (named.as_slice(), rest) {
            ([], Some(rest)) => Credentials::Of(Account::nobody(), rest),
            ([Some(account)], Some(rest)) => Credentials::Of(account.clone(), rest),
            _ => Credentials::Odd(named.into_iter().flatten().collect()),
        }
    }
}

fn bearer(field: &str) -> Option<&str> {
    let (scheme, token) = field.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case("bearer ").then(|| token.trim())
}

/// Returns the tokens that stand as `access_token` in a query, and the target without them, all of whose
/// other bytes stay; `None` if homeservers differ about where the token ends.
fn without_token(target: &str) -> (Vec<String>, Option<String>) {
    let Some((path, query)) = target.split_once('?') else { return (Vec::new(), Some(target.to_owned())) };
    let (pairs, others): (Vec<&str>, Vec<&str>) =
        query.split('&').partition(|pair| readings(pair).any(|read| token(read).is_some()));
    let tokens: Vec<String> = pairs.iter().flat_map(|pair| readings(pair)).filter_map(token).collect();
    let rest = match pairs.iter().any(|pair| pair.contains(';')) {
        true => None,
        false if pairs.is_empty() => Some(target.to_owned()),
        false if others.is_empty() => Some(path.to_owned()),
        false => Some(format!("{path}?{}", others.join("&"))),
    };
    (tokens, rest)
}

/// Returns what homeservers may take a parameter for: itself, and its parts where `;` parts them, as Synapse
/// has it by Twisted.
fn readings(pair: &str) -> impl Iterator<Item = &str> {
    once(pair).chain(pair.split(';').filter(|part| part.len() < pair.len()))
}

/// Returns the value of a parameter whose name says that it is an access token. What is not text becomes
/// what no token has.
fn token(pair: &str) -> Option<String> {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    let is_token = percent_decode_str(name).eq(b"access_token".iter().copied());
    is_token.then(|| percent_decode_str(value).decode_utf8_lossy().into_owned())
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
            Credentials::Odd(_) => None,
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
            (vec![], "/a?access%5Ftoken=t", Some("t"), "/a"),
            (vec![], "/a?x;y=1&%61ccess_token=t", Some("t"), "/a?x;y=1"),
            (vec![], "/a?my_access_token=t", None, "/a?my_access_token=t"),
            (vec![], "/a?x=access_token", None, "/a?x=access_token"),
        ] {
            assert_eq!(read(&fields, target), Some((token.map(str::to_owned), rest.to_owned())), "{target}");
        }
    }

    #[test]
    fn what_the_homeserver_has_to_judge_is_odd_and_its_tokens_are_named() {
        let long = format!("Bearer {}", "x".repeat(MAX_ACCESS_TOKEN + 1));
        for (fields, target, named) in [
            (vec!["Bearer t", "Bearer u"], "/a", &["t", "u"][..]),
            (vec!["Bearer t"], "/a?access_token=t", &["t", "t"]),
            (vec!["Basic dDp1"], "/a?access_token=t", &["t"]),
            (vec![], "/a?access_token=t&access%5Ftoken=u", &["t", "u"]),
            (vec![], "/a?x=1;access_token=t", &["t"]),
            (vec![], "/a?access_token=t;x=1", &["t;x=1", "t"]),
            (vec![], "/a?access_token=", &[]),
            (vec![], "/a?access_token", &[]),
            (vec![], "/a?access_token=%20", &[]),
            (vec![], "/a?access_token=%ff", &[]),
            (vec!["Basic dDp1"], "/a", &[]),
            (vec!["Bearer "], "/a", &[]),
            (vec![long.as_str()], "/a", &[]),
        ] {
            let mut headers = HeaderMap::new();
            for field in &fields {
                headers.append(header::AUTHORIZATION, field.parse().unwrap());
            }
            let Credentials::Odd(odd) = Credentials::of(&headers, target) else {
                panic!("{fields:?} {target}")
            };
            let tokens: Vec<_> = odd.iter().map(|account| account.token().unwrap()).collect();
            assert_eq!(tokens, named, "{fields:?} {target}");
        }
    }
}
