//! The sample that is replayed: requests that Matrix clients made to a Synapse, and what has to be there
//! before some of them.
//!
//! `corpus/requests.jsonl` holds one request a line, in order:
//!
//! | field | meaning |
//! |---|---|
//! | `line` | its line in the recording; absent where the request only prepares a later one |
//! | `tag`, `method`, `target`, `body` | what is asked; `${name}` stands for a value that was kept |
//! | `user` | owner of the access token and of the session of the request; absent: no user |
//! | `token` | this access token in place of the user's |
//! | `status` | what the recorded homeserver answered, and a fresh one must |
//! | `keep` | name -> JSON pointer: values of the answer that later requests need |
//! | `eventually` | Synapse learns this in the background, so it is asked again until both homeservers know the same |
//!
//! `corpus/left-out.json` holds the lines of the recording that are not replayed, each with its reason.

use crate::call::Call;
use crate::error::{Error, Result};
use lowband_client::Method;
use serde_json::Value;
use std::collections::BTreeMap;

const REQUESTS: &str = include_str!("../corpus/requests.jsonl");
const LEFT_OUT: &str = include_str!("../corpus/left-out.json");

/// One request of the corpus.
#[derive(Clone, Debug)]
pub struct Step {
    /// Line number in the recording. `None` if the request only prepares a later one.
    pub line: Option<u64>,
    /// Line, tag, method and target, for messages.
    pub title: String,
    /// User whose session the request takes; `None` for a request of no user.
    pub user: Option<String>,
    /// The status that a fresh homeserver gives.
    pub status: u64,
    /// Whether the request is repeated until the answers agree.
    pub eventually: bool,
    method: Method,
    target: String,
    token: Option<String>,
    body: Option<Value>,
    keep: BTreeMap<String, String>,
}

/// A line of the recording that is not replayed.
#[derive(Clone, Debug)]
pub struct LeftOut {
    /// Line number in the recording.
    pub line: u64,
    /// Why it was left out.
    pub reason: String,
}

/// Returns all requests in order.
pub fn steps() -> Result<Vec<Step>> {
    REQUESTS.lines().map(|line| read(line).and_then(|value| Step::from_value(&value))).collect()
}

/// Returns all lines that are left out.
pub fn left_out() -> Result<Vec<LeftOut>> {
    let all = read(LEFT_OUT)?;
    let all = all.as_array().ok_or_else(|| wrong(&all, "an array"))?;
    let each = all.iter().map(|value| {
        let line = value.get("line").and_then(Value::as_u64).ok_or_else(|| wrong(value, "line"))?;
        Ok(LeftOut { line, reason: text(value, "reason")? })
    });
    each.collect()
}

impl Step {
    /// Returns whether the homeserver refuses this request for news.
    pub fn is_refused_sync(&self) -> bool {
        let path = self.target.split('?').next().unwrap_or_default();
        self.status >= 400 && path.ends_with("/sync")
    }

    fn from_value(value: &Value) -> Result<Step> {
        let optional = |field: &str| value.get(field).and_then(Value::as_str).map(str::to_owned);
        let line = value.get("line").and_then(Value::as_u64);
        let (name, target, tag) = (text(value, "method")?, text(value, "target")?, text(value, "tag")?);
        let method = Method::from_name(&name).ok_or_else(|| wrong(value, "method"))?;
        let place = line.map_or("for a later one".to_owned(), |line| format!("line {line}"));
        let user = optional("user");
        let token = optional("token").or_else(|| user.as_ref().map(|user| format!("${{token.{user}}}")));
        let keep = value.get("keep").and_then(Value::as_object).into_iter().flatten();
        let keep = keep.filter_map(|(name, pointer)| Some((name.clone(), pointer.as_str()?.to_owned())));
        Ok(Step {
            line,
            title: format!("{place}, {tag}: {name} {target}"),
            user,
            status: value.get("status").and_then(Value::as_u64).ok_or_else(|| wrong(value, "status"))?,
            eventually: value.get("eventually") == Some(&Value::Bool(true)),
            method,
            target,
            token,
            body: value.get("body").cloned(),
            keep: keep.collect(),
        })
    }
}

/// What one homeserver has answered so far that later requests need.
#[derive(Clone, Debug, Default)]
pub struct Names(BTreeMap<String, String>);

impl Names {
    /// Returns the access token of a step. `None` for a step without one.
    pub fn token(&self, step: &Step) -> Result<Option<String>> {
        step.token.as_ref().map(|token| self.fill(token, str::to_owned)).transpose()
    }

    /// Makes the request of a step, with its `token`.
    pub fn call<'a>(&self, step: &Step, token: Option<&'a str>) -> Result<Call<'a>> {
        let escape = |value: &str| url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
        let body = step.body.as_ref().map(|body| {
            // Ids and tokens need no escapes in JSON.
            let filled = self.fill(&body.to_string(), str::to_owned)?;
            read(&filled)
        });
        Ok(Call {
            method: step.method,
            target: self.fill(&step.target, escape)?,
            token,
            body: body.transpose()?,
        })
    }

    /// Keeps the values of the answer that the step names.
    pub fn keep(&mut self, step: &Step, answer: &Value) -> Result<()> {
        for (name, pointer) in &step.keep {
            let value = answer.pointer(pointer).and_then(Value::as_str).ok_or_else(|| Error::Wrong {
                what: step.title.clone(),
                expected: format!("a text at {pointer}"),
                got: answer.to_string(),
            })?;
            self.0.insert(name.clone(), value.to_owned());
        }
        Ok(())
    }

    fn fill(&self, template: &str, spell: impl Fn(&str) -> String) -> Result<String> {
        let mut pieces = template.split("${");
        let mut filled = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            let found = piece.split_once('}').and_then(|(name, rest)| Some((self.0.get(name)?, rest)));
            let (value, rest) = found.ok_or_else(|| {
                Error::Setup(format!("the corpus uses ${{{piece} but no answer was kept under that name"))
            })?;
            filled.push_str(&spell(value));
            filled.push_str(rest);
        }
        Ok(filled)
    }
}

fn read(json: &str) -> Result<Value> {
    serde_json::from_str(json).map_err(|why| Error::Setup(format!("the corpus: {why}: {json}")))
}

fn text(value: &Value, field: &str) -> Result<String> {
    value.get(field).and_then(Value::as_str).map(str::to_owned).ok_or_else(|| wrong(value, field))
}

fn wrong(value: &Value, field: &str) -> Error {
    Error::Setup(format!("the corpus: {field} is missing or wrong in {value}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_line_of_the_recording_is_replayed_or_left_out_with_a_reason() {
        let left_out = left_out().unwrap();
        assert!(left_out.iter().all(|each| !each.reason.is_empty()));
        let replayed: Vec<u64> = steps().unwrap().iter().filter_map(|step| step.line).collect();
        let lines: Vec<u64> = replayed.iter().copied().chain(left_out.iter().map(|each| each.line)).collect();
        assert_eq!(lines.len(), 192);
        assert_eq!(lines.into_iter().collect::<BTreeSet<_>>(), (1..=192).collect());
    }

    #[test]
    fn kept_values_are_escaped_in_targets_and_stand_as_they_are_in_bodies() {
        let step = r##"{"tag":"t","method":"PUT","target":"/a/${room}/b","body":{"${room}":"x${room}"},"status":200}"##;
        let step = Step::from_value(&read(step).unwrap()).unwrap();
        let names = Names([("room".to_owned(), "!r:hs".to_owned())].into());
        let call = names.call(&step, None).unwrap();
        assert_eq!(call.target, "/a/%21r%3Ahs/b");
        assert_eq!(call.body, Some(serde_json::json!({"!r:hs": "x!r:hs"})));
        assert!(Names::default().call(&step, None).unwrap_err().to_string().contains("room"));
    }
}
