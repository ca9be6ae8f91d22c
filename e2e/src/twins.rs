//! Compares the answers of two homeservers that were asked the same.
//!
//! Ids are drawn at random, so each id of the left one has a twin on the right, wherever it turns up: the
//! first answer that holds both makes them twins, and from then on one never appears without the other. Times
//! and secrets only have to be there (`FREE`); lists that no specification orders are compared as sets
//! (`UNORDERED`). All else is equal.

use serde_json::{Map, Value};
use std::collections::HashMap;

/// Members whose values depend on the time or are random, with the place in the specification or in Synapse
/// that says so.
const FREE: &[(&str, &str)] = &[
    ("origin_server_ts", "client-server API, events: time"),
    ("age", "client-server API, events: time"),
    ("last_active_ago", "client-server API, presence: time"),
    ("last_seen_ts", "client-server API, devices: time"),
    ("ts", "client-server API, receipts and notifications: time"),
    ("access_token", "client-server API, login and OpenID: opaque"),
    ("refresh_token", "client-server API, refresh: opaque"),
    ("expires_in_ms", "client-server API, login and refresh: time"),
    ("username", "client-server API, TURN: its end, so time"),
    ("password", "client-server API, TURN: made from the username"),
    ("session", "client-server API, user-interactive authentication: opaque"),
    ("next_batch", "client-server API, sync: opaque"),
    ("prev_batch", "client-server API, sync: opaque"),
    ("start", "client-server API, messages and context: opaque"),
    ("end", "client-server API, messages and context: opaque"),
    ("next_token", "client-server API, notifications: opaque"),
    ("pos", "MSC4186: opaque"),
];

/// Lists without an order, by the end of their place.
const UNORDERED: &[&str] =
    &["/joined_rooms", "/changed", "/state", "/state/events", "/required_state", "/devices"];

/// Members that are not compared: a sync says which users are online when a timer of Synapse has found out.
const BY_TIMER: &[&str] = &["presence"];

/// Pairs of ids, each on one side.
#[derive(Clone, Debug, Default)]
pub struct Twins {
    right_of: HashMap<String, String>,
    left_of: HashMap<String, String>,
}

#[derive(Clone, Copy)]
enum Side {
    Left,
    Right,
}

/// A text is a row of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece<'a> {
    Id(&'a str),
    Text(&'a str),
}

impl Twins {
    /// Compares two documents. The error says where and how they differ; then nothing is learnt from them.
    pub fn compare(&mut self, left: &Value, right: &Value) -> Result<(), String> {
        let mut learnt = self.clone();
        learnt.values("", left, right)?;
        *self = learnt;
        Ok(())
    }

    fn values(&mut self, place: &str, left: &Value, right: &Value) -> Result<(), String> {
        let differ = || Err(format!("{place}: {left} and {right}"));
        match (left, right) {
            _ if is_free(place) => {
                let same = std::mem::discriminant(left) == std::mem::discriminant(right);
                if same { Ok(()) } else { differ() }
            }
            (Value::Object(l), Value::Object(r)) => {
                if compared(l).count() != compared(r).count() {
                    return differ();
                }
                compared(l).try_for_each(|(key, value)| {
                    let twin = self.translated(key, Side::Left);
                    let other = r.get(&twin).ok_or(format!("{place}: no {twin:?} for {key:?} in {right}"))?;
                    self.values(&format!("{place}/{key}"), value, other)
                })
            }
            (Value::Array(l), Value::Array(r)) => {
                if l.len() != r.len() {
                    return differ();
                }
                let (mut l, mut r): (Vec<&Value>, Vec<&Value>) = (l.iter().collect(), r.iter().collect());
                if UNORDERED.iter().any(|end| place.ends_with(end)) {
                    l.sort_by_cached_key(|value| self.shape(place, value, Side::Left));
                    r.sort_by_cached_key(|value| self.shape(place, value, Side::Right));
                }
                let mut pairs = l.into_iter().zip(r).enumerate();
                pairs.try_for_each(|(index, (l, r))| self.values(&format!("{place}/{index}"), l, r))
            }
            (Value::String(l), Value::String(r)) => {
                let (l, r) = (pieces(l), pieces(r));
                let mut pairs = l.iter().zip(&r);
                let same = l.len() == r.len() && pairs.all(|(l, r)| self.are_twins(*l, *r));
                if same { Ok(()) } else { differ() }
            }
            _ if left == right => Ok(()),
            _ => differ(),
        }
    }

    fn are_twins(&mut self, left: Piece<'_>, right: Piece<'_>) -> bool {
        let (Piece::Id(left), Piece::Id(right)) = (left, right) else { return left == right };
        match (self.right_of.get(left), self.left_of.get(right)) {
            (None, None) => {
                self.right_of.insert(left.to_owned(), right.to_owned());
                self.left_of.insert(right.to_owned(), left.to_owned());
                true
            }
            (Some(twin), Some(_)) => twin == right,
            _ => false,
        }
    }

    /// Returns the text as the right side would write it; an id whose twin is not known yet as a question
    /// mark.
    fn translated(&self, text: &str, side: Side) -> String {
        let one = |piece: &Piece<'_>| match (*piece, side) {
            (Piece::Text(text), _) => text.to_owned(),
            (Piece::Id(id), Side::Left) => self.right_of.get(id).cloned().unwrap_or_else(|| "?".to_owned()),
            (Piece::Id(id), Side::Right) if self.left_of.contains_key(id) => id.to_owned(),
            (Piece::Id(_), Side::Right) => "?".to_owned(),
        };
        pieces(text).iter().map(one).collect()
    }

    /// Returns what two equal values of the two sides have in common, to sort by.
    fn shape(&self, place: &str, value: &Value, side: Side) -> String {
        match value {
            _ if is_free(place) => "*".to_owned(),
            Value::String(text) => self.translated(text, side),
            Value::Array(items) => {
                let items: Vec<String> = items.iter().map(|item| self.shape(place, item, side)).collect();
                format!("[{}]", items.join(","))
            }
            Value::Object(members) => {
                let member = |(key, value): (&String, &Value)| {
                    let shape = self.shape(&format!("{place}/{key}"), value, side);
                    format!("{}:{shape}", self.translated(key, side))
                };
                let mut members: Vec<String> = members.iter().map(member).collect();
                members.sort_unstable();
                format!("{{{}}}", members.join(","))
            }
            other => other.to_string(),
        }
    }
}

/// Returns the members to compare. The presence of one user, which is a text, is compared.
fn compared(members: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    members.iter().filter(|(key, value)| !(value.is_object() && BY_TIMER.contains(&key.as_str())))
}

fn is_free(place: &str) -> bool {
    let name = place.rsplit('/').next().unwrap_or_default();
    FREE.iter().any(|(free, _)| *free == name)
}

/// Finds the ids: `$` or `!` and 43 characters of a hash, `!` and 18 letters and the server, a device as the
/// whole text.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    const DEVICE: usize = 10;
    if text.len() == DEVICE && text.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return vec![Piece::Id(text)];
    }
    let mut found = Vec::new();
    let mut rest = text;
    let mut from = 0;
    while let Some(at) = rest.get(from..).and_then(|tail| tail.find(['$', '!'])).map(|at| from + at) {
        let (before, tail) = rest.split_at(at);
        match id_length(tail) {
            Some(length) => {
                let (id, after) = tail.split_at(length);
                found.extend([Piece::Text(before), Piece::Id(id)]);
                (rest, from) = (after, 0);
            }
            None => from = at + 1,
        }
    }
    found.push(Piece::Text(rest));
    found
}

/// Returns the length of the id that `tail` begins with. `None` if it begins with none.
fn id_length(tail: &str) -> Option<usize> {
    const HASH: usize = 43;
    const LETTERS: usize = 18;
    const SERVER: &str = ":lb.test";
    let (sigil, after) = tail.split_at_checked(1)?;
    let run = after.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte)).count();
    match run {
        HASH => Some(1 + HASH),
        LETTERS if sigil == "!" && after.get(run..)?.starts_with(SERVER) => Some(1 + LETTERS + SERVER.len()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event(letter: &str) -> String {
        format!("${}", letter.repeat(43))
    }

    #[test]
    fn ids_are_found_wherever_they_stand_and_nothing_else_is_taken_for_one() {
        let (event, room) = (event("a"), format!("!{}:lb.test", "b".repeat(18)));
        let text = format!("$ {event}/é!{room}");
        let expected =
            [Piece::Text("$ "), Piece::Id(&event), Piece::Text("/é!"), Piece::Id(&room), Piece::Text("")];
        assert_eq!(pieces(&text), expected);
        assert_eq!(pieces("ABCDEFGHIJ"), [Piece::Id("ABCDEFGHIJ")]);
        for text in ["", "$LAZY", "ABCDEFGHIJK", "Wow!", "!nosuchroom:lb.test", &format!("{event}x")] {
            assert_eq!(pieces(text), [Piece::Text(text)], "{text}");
        }
    }

    #[test]
    fn an_id_keeps_its_twin_in_both_directions() {
        let mut twins = Twins::default();
        let (a, b, c) = (event("a"), event("b"), event("c"));
        assert_eq!(twins.compare(&json!([a]), &json!([b])), Ok(()));
        assert_eq!(twins.compare(&json!({"x": {&a: 1}}), &json!({"x": {&b: 1}})), Ok(()));
        assert!(twins.compare(&json!([a]), &json!([c])).is_err());
        assert!(twins.compare(&json!([c]), &json!([b])).is_err());
        assert!(twins.compare(&json!({&a: 1}), &json!({&c: 1})).is_err());
    }

    #[test]
    fn what_differs_is_told_with_its_place_and_teaches_nothing() {
        let mut twins = Twins::default();
        let told = twins.compare(&json!({"a": [event("a"), 1]}), &json!({"a": [event("b"), 2]}));
        assert_eq!(told, Err("/a/1: 1 and 2".to_owned()));
        assert_eq!(twins.compare(&json!([event("a")]), &json!([event("c")])), Ok(()));
        for (left, right) in [
            (json!({"a": 1}), json!({"a": 1, "b": 1})),
            (json!({"a": 1, "b": 1}), json!({"a": 1})),
            (json!([1, 2]), json!([2, 1])),
            (json!([1]), json!([1, 1])),
            (json!(1), json!(1.0)),
            (json!("1"), json!(1)),
            (json!({"age": 1}), json!({"age": "1"})),
            (json!({"age": 1}), json!({})),
        ] {
            assert!(twins.compare(&left, &right).is_err(), "{left} {right}");
        }
        assert_eq!(twins.compare(&json!({"age": 1}), &json!({"age": 2})), Ok(()));
    }

    #[test]
    fn lists_without_an_order_are_compared_as_sets_and_the_presence_of_a_sync_not_at_all() {
        let mut twins = Twins::default();
        let (a, b, c) = (event("a"), event("b"), event("c"));
        assert_eq!(twins.compare(&json!([a, b]), &json!([b, c])), Ok(()));
        let (left, right) = (json!({"changed": [a, b, "x"]}), json!({"changed": ["x", c, b]}));
        assert_eq!(twins.compare(&left, &right), Ok(()));
        assert!(twins.compare(&left, &json!({"changed": ["x", c, c]})).is_err());
        let told = json!({"presence": {"events": []}, "x": 1});
        assert_eq!(twins.compare(&told, &json!({"x": 1})), Ok(()));
        assert!(twins.compare(&told, &json!({"x": 2})).is_err());
        assert!(twins.compare(&json!({"presence": "online"}), &json!({"presence": "offline"})).is_err());
    }
}
