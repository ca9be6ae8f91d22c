//! The few calls of the client-server API that the main job needs, each with a check of its answer. On `r0`
//! paths, which have path codes.

use crate::call::Call;
use crate::error::{Error, Result};
use crate::wire::Wire;
use serde_json::{Value, json};

/// A user who can sign in.
#[derive(Clone, Debug)]
pub struct User {
    /// Localpart, or a whole user id when it logs in.
    pub name: String,
    /// The password of the account.
    pub password: String,
    /// Whether the user logs in, instead of registering.
    pub has_account: bool,
}

/// A user who has signed in.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// The whole user id.
    pub id: String,
    /// The access token.
    pub token: String,
}

impl User {
    /// Makes a user who will register.
    pub fn new(name: &str) -> User {
        User { name: name.to_owned(), password: format!("{name}-secret"), has_account: false }
    }
}

/// Asks `GET /versions`, and returns the whole document.
pub async fn versions(wire: &mut Wire) -> Result<Value> {
    let body = wire.call(Call::get("/_matrix/client/versions")).await?.ok()?;
    match body.get("versions").and_then(Value::as_array) {
        Some(versions) if !versions.is_empty() => Ok(body),
        _ => Err(Error::Wrong {
            what: "GET /_matrix/client/versions".to_owned(),
            expected: "a list of versions".to_owned(),
            got: body.to_string(),
        }),
    }
}

/// Registers the user or logs in.
pub async fn sign_in(wire: &mut Wire, user: &User) -> Result<SignedIn> {
    let User { name, password, .. } = user;
    let call = if user.has_account {
        let identifier = json!({"type": "m.id.user", "user": name});
        let body = json!({"type": "m.login.password", "identifier": identifier, "password": password});
        Call::post("/_matrix/client/r0/login", body)
    } else {
        let body = json!({"username": name, "password": password, "auth": {"type": "m.login.dummy"}});
        Call::post("/_matrix/client/r0/register", body)
    };
    let answer = wire.call(call).await?;
    Ok(SignedIn { id: answer.clone().text("/user_id")?, token: answer.text("/access_token")? })
}

/// Creates a private room with an invitation for `guests`, and returns its id.
pub async fn create_room(wire: &mut Wire, who: &SignedIn, guests: &[&str]) -> Result<String> {
    let body = json!({"preset": "private_chat", "name": "lowband demo", "invite": guests});
    wire.call(Call::post("/_matrix/client/r0/createRoom", body).by(&who.token)).await?.text("/room_id")
}

/// Sends a text message, and returns its event id. `transaction` is new for each.
pub async fn send(
    wire: &mut Wire,
    who: &SignedIn,
    room: &str,
    transaction: &str,
    text: &str,
) -> Result<String> {
    let target = format!("/_matrix/client/r0/rooms/{room}/send/m.room.message/{transaction}");
    let body = json!({"msgtype": "m.text", "body": text});
    wire.call(Call::put(target, body).by(&who.token)).await?.text("/event_id")
}

/// Accepts an invitation.
pub async fn join(wire: &mut Wire, who: &SignedIn, room: &str) -> Result<()> {
    let what = format!("POST /_matrix/client/r0/join/{room}");
    let call = Call::post(format!("/_matrix/client/r0/join/{room}"), json!({})).by(&who.token);
    match wire.call(call).await?.text("/room_id")? {
        joined if joined == room => Ok(()),
        got => Err(Error::Wrong { what, expected: room.to_owned(), got }),
    }
}

/// Asks `GET /sync` with this query.
pub async fn sync(wire: &mut Wire, who: &SignedIn, query: &str) -> Result<Value> {
    wire.call(Call::get(format!("/_matrix/client/r0/sync?{query}")).by(&who.token)).await?.ok()
}

/// Checks that the message `event` with this text stands in the timeline of a sync's room.
pub fn expect_message(sync: &Value, room: &str, event: &str, text: &str) -> Result<()> {
    let joined = sync.get("rooms").and_then(|rooms| rooms.get("join")).and_then(|join| join.get(room));
    let events = joined.and_then(|joined| joined.pointer("/timeline/events")).and_then(Value::as_array);
    let found =
        events.into_iter().flatten().find(|&candidate| candidate.get("event_id") == Some(&json!(event)));
    if found.and_then(|found| found.pointer("/content/body")) == Some(&json!(text)) {
        return Ok(());
    }
    Err(Error::Wrong {
        what: "sync".to_owned(),
        expected: format!("the message {event} with the text {text:?} in {room}"),
        got: joined.unwrap_or(sync).to_string(),
    })
}
