//! A foreign client on the reference's client stack: another DTLS, another CoAP, another CBOR, with the
//! settings that the clients in the field have.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as the test does"
)]

use lowband_e2e::call::Call;
use lowband_e2e::fixture::{Fixture, Shared};
use lowband_e2e::hello_world::{self, HelloWorld};
use lowband_e2e::matrix::{self, SignedIn, User};
use lowband_e2e::reference::Reference;
use lowband_e2e::wait;
use lowband_e2e::wire::Wire;
use serde_json::{Value, json};
use std::time::Duration;

static SHARED: Shared = Shared::new();

fn fixture() -> &'static Fixture {
    Fixture::shared(&SHARED, "reference").unwrap_or_else(|why| panic!("{why}"))
}

fn whoami(token: &str) -> Call<'_> {
    Call::get("/_matrix/client/v3/account/whoami").by(token)
}

#[test]
fn two_of_them_register_meet_in_a_room_and_one_reads_what_the_other_sent() {
    let fixture = fixture();
    fixture.run(async {
        let mut ann = Wire::Reference(Box::new(fixture.reference().await.unwrap()));
        let mut bob = Wire::Reference(Box::new(fixture.reference().await.unwrap()));
        let one = matrix::sign_in(&mut ann, &User::new("reference-ann")).await.unwrap();
        let two = matrix::sign_in(&mut bob, &User::new("reference-bob")).await.unwrap();
        let room = matrix::create_room(&mut ann, &one, &[&two.id]).await.unwrap();
        matrix::join(&mut bob, &two, &room).await.unwrap();
        let event = matrix::send(&mut ann, &one, &room, "1", "Hello World").await.unwrap();
        let synced = matrix::sync(&mut bob, &two, "timeout=0").await.unwrap();
        matrix::expect_message(&synced, &room, &event, "Hello World").unwrap();
        // Nothing happens for longer than the server waits with its acknowledgement: the response
        // comes by itself.
        let query = format!("timeout=3000&since={}", synced["next_batch"].as_str().unwrap());
        let quiet = matrix::sync(&mut bob, &two, &query).await.unwrap();
        assert!(quiet["next_batch"].is_string() && quiet["rooms"].is_null(), "{quiet}");
        for wire in [ann, bob] {
            let Wire::Reference(client) = wire else { panic!("another wire") };
            client.end().await.unwrap();
        }
    });
}

/// Returns the timeline of a room in a sync, without members that differ from one moment to the next.
fn timeline(sync: &Value, room: &str) -> Vec<Value> {
    let mut events = sync["rooms"]["join"][room]["timeline"]["events"].as_array().unwrap().clone();
    events.iter_mut().for_each(|event| drop(event.as_object_mut().unwrap().remove("unsigned")));
    events
}

#[test]
fn a_sync_of_300_kb_comes_in_blocks_and_is_the_one_that_https_gives() {
    let fixture = fixture();
    fixture.run(async {
        let mut https = fixture.https().await.unwrap();
        let user = matrix::sign_in(&mut https, &User::new("reference-large")).await.unwrap();
        let room = matrix::create_room(&mut https, &user, &[]).await.unwrap();
        for number in 0..10 {
            let text = format!("{number} and so on. ").repeat(2_400);
            matrix::send(&mut https, &user, &room, &number.to_string(), &text).await.unwrap();
        }
        let expected = matrix::sync(&mut https, &user, "timeout=0").await.unwrap();
        assert_eq!(timeline(&expected, &room).len(), 10);

        let mut client = fixture.reference().await.unwrap();
        let call = Call::get("/_matrix/client/r0/sync?timeout=0").by(&user.token);
        // The second request asks for notifications, which its requests for further blocks do not repeat (RFC
        // 7959 section 2.6): the answer is the same, and still one body.
        for told in [client.call(&call).await.unwrap(), client.observe(&call).await.unwrap()] {
            assert_eq!((&*told.over, &*told.code), ("coap", "2.05"));
            assert!(told.bytes > 300_000, "{}", told.bytes);
            assert_eq!(timeline(&told.body, &room), timeline(&expected, &room));
        }
        // The session is as good as before.
        assert_eq!(client.call(&whoami(&user.token)).await.unwrap().text("user_id"), user.id);
        client.end().await.unwrap();
    });
}

#[test]
fn a_message_of_50_kb_goes_up_in_blocks() {
    let fixture = fixture();
    fixture.run(async {
        let mut https = fixture.https().await.unwrap();
        let user = matrix::sign_in(&mut https, &User::new("reference-upload")).await.unwrap();
        let room = matrix::create_room(&mut https, &user, &[]).await.unwrap();
        let mut wire = Wire::Reference(Box::new(fixture.reference().await.unwrap()));
        let text = "all of this in one message. ".repeat(1_800);
        let event = matrix::send(&mut wire, &user, &room, "1", &text).await.unwrap();
        let synced = matrix::sync(&mut https, &user, "timeout=0").await.unwrap();
        matrix::expect_message(&synced, &room, &event, &text).unwrap();
    });
}

#[test]
fn the_token_of_the_first_request_stays_with_the_session_and_with_no_other() {
    let fixture = fixture();
    fixture.run(async {
        let mut https = fixture.https().await.unwrap();
        let user = matrix::sign_in(&mut https, &User::new("reference-sticky")).await.unwrap();
        let mut client = fixture.reference().await.unwrap();
        for first in [true, false, false] {
            let told = client.call(&whoami(&user.token)).await.unwrap();
            assert_eq!(told.token_sent, first);
            assert_eq!((&*told.code, told.text("user_id")), ("2.05", user.id.as_str()));
        }
        let mut other = fixture.reference().await.unwrap();
        let without = Call { token: None, ..whoami("") };
        let told = other.call(&without).await.unwrap();
        assert_eq!((&*told.code, told.text("errcode")), ("4.01", "M_MISSING_TOKEN"));
        client.end().await.unwrap();
        other.end().await.unwrap();
    });
}

#[test]
fn a_ping_is_answered_also_in_the_middle_of_a_session() {
    let fixture = fixture();
    fixture.run(async {
        let mut client = fixture.reference().await.unwrap();
        client.ping().await.unwrap();
        let versions = client.call(&Call::get("/_matrix/client/versions")).await.unwrap();
        assert_eq!(versions.code, "2.05");
        client.ping().await.unwrap();
        client.end().await.unwrap();
    });
}

#[test]
fn what_is_for_https_is_refused_with_a_code_that_sends_the_client_there() {
    let fixture = fixture();
    fixture.run(async {
        let mut https = fixture.https().await.unwrap();
        let user = matrix::sign_in(&mut https, &User::new("reference-media")).await.unwrap();
        let call = Call::get("/_matrix/client/v1/media/config").by(&user.token);
        let expected = https.call(call.clone()).await.unwrap().ok().unwrap();
        let mut client = fixture.reference().await.unwrap();
        let told = client.call(&call).await.unwrap();
        assert_eq!(told.refused.as_deref(), Some("5.05"));
        assert_eq!((&*told.over, &*told.code, &told.body), ("https", "200", &expected));
        // One path is refused, not the session.
        let told = client.call(&whoami(&user.token)).await.unwrap();
        assert_eq!((&*told.over, told.text("user_id")), ("coap", user.id.as_str()));
        client.end().await.unwrap();
    });
}

#[test]
fn integer_keys_and_whole_numbers_in_floats_arrive_as_what_they_stand_for() {
    let fixture = fixture();
    fixture.run(async {
        let mut https = fixture.https().await.unwrap();
        let user = matrix::sign_in(&mut https, &User::new("reference-keys")).await.unwrap();
        let room = matrix::create_room(&mut https, &user, &[]).await.unwrap();
        // Keys of the table in a place where they mean nothing, numbers of each width that a float may have,
        // and what looks like an integer key but is a name.
        let content = json!({
            "msgtype": "m.text", "body": "keys", "8": "eight",
            "nested": [{"type": "t", "sender": {"event_id": null}}],
            "numbers": [0, 1, -5, 30000, 65505, 16777217, 1_700_000_000_000_u64, 9_007_199_254_740_991_u64],
        });
        let mut client = fixture.reference().await.unwrap();
        let send =
            Call::put(format!("/_matrix/client/r0/rooms/{room}/send/m.room.message/1"), content.clone());
        let sent = client.call(&send.by(&user.token)).await.unwrap();
        assert_eq!(sent.code, "2.05", "{}", sent.body);
        let event = format!("/_matrix/client/v3/rooms/{room}/event/{}", sent.text("event_id"));

        let stored = https.call(Call::get(&*event).by(&user.token)).await.unwrap().ok().unwrap();
        assert_eq!(stored["content"], content);
        let told = client.call(&Call::get(&*event).by(&user.token)).await.unwrap();
        assert_eq!(told.body["content"], content);
        assert_eq!(told.text_keys, 0, "keys of the table that came as text");
        // At least content, msgtype, body, type (twice), sender (twice), event_id (twice), room_id.
        assert!(told.integer_keys >= 10, "{}", told.integer_keys);
        client.end().await.unwrap();
    });
}

/// Returns how many arrays stand inside one another, down to null.
fn arrays_down_to_null(mut value: &Value) -> usize {
    let mut arrays = 0;
    while let Some(inner) = value.get(0) {
        arrays += 1;
        value = inner;
    }
    assert!(value.is_null(), "{value}");
    arrays
}

#[test]
fn an_event_deeper_than_decoders_read_locks_nobody_out_of_a_sync() {
    let fixture = fixture();
    fixture.run(async {
        let mut https = fixture.https().await.unwrap();
        let user = matrix::sign_in(&mut https, &User::new("reference-deep")).await.unwrap();
        let room = matrix::create_room(&mut https, &user, &[]).await.unwrap();
        // With the levels of the sync around it, this is more than the 128 levels of many decoders.
        let deep = (0..121).fold(json!("deep"), |inner, _| json!([inner]));
        let state = format!("/_matrix/client/v3/rooms/{room}/state/org.example.deep/x");
        let put = Call::put(&*state, json!({"d": deep})).by(&user.token);
        https.call(put).await.unwrap().ok().unwrap();
        let event = matrix::send(&mut https, &user, &room, "1", "after it").await.unwrap();

        let sync = "/_matrix/client/r0/sync?timeout=0";
        let mut reference = Wire::Reference(Box::new(fixture.reference().await.unwrap()));
        let mut ours = fixture.coap().await.unwrap();
        for wire in [&mut reference, &mut ours] {
            let read = wire.call(Call::get(sync).by(&user.token)).await.unwrap().ok().unwrap();
            matrix::expect_message(&read, &room, &event, "after it").unwrap();
            let events = read["rooms"]["join"][&room]["timeline"]["events"].as_array().unwrap();
            let found = events.iter().find(|event| event["type"] == "org.example.deep").unwrap();
            // Of 32 levels eight are those of the sync, down to the event's content.
            assert_eq!(arrays_down_to_null(&found["content"]["d"]), 24);
            let alone = wire.call(Call::get(&*state).by(&user.token)).await.unwrap().ok().unwrap();
            assert_eq!(arrays_down_to_null(&alone["d"]), 31);
        }
        // The number is in a counter, which comes a quarter of a second later.
        wait::until("that what is too deep is counted", Duration::from_secs(20), async || {
            let counted = match &fixture.chain.envoy {
                Some(envoy) => envoy.stat("lowband_repaired.kind.too_deep").await,
                None => fixture.chain.sidecar.metric("lowband_repaired_total{kind=\"too_deep\"}").await,
            };
            match counted.unwrap() {
                4.. => Ok(()),
                fewer => Err(format!("{fewer}")),
            }
        })
        .await
        .unwrap();
        let Wire::Reference(client) = reference else { panic!("another wire") };
        client.end().await.unwrap();
    });
}

#[test]
fn hello_world_takes_no_more_datagrams_and_bytes_than_it_may() {
    let fixture = fixture();
    let HelloWorld { connected, live } = fixture.run(hello_world::measure(fixture)).unwrap();
    // The reference's server takes 8 datagrams and 1,535 bytes, 2 and 244.
    assert!(connected.datagrams <= 8 && connected.bytes <= 1_510, "with the handshake: {connected:?}");
    assert!(live.datagrams <= 2 && live.bytes <= 242, "on a session that stands: {live:?}");
}

/// Asserts that requests without any word of a token get what the homeserver answers over HTTPS without one.
async fn is_signed_out(client: &mut Reference, user: &SignedIn) {
    let say = async |client: &mut Reference, call: Call<'static>| client.call(&call).await.unwrap();
    let versions = say(client, Call::get("/_matrix/client/versions")).await;
    assert_eq!((&*versions.over, &*versions.code), ("coap", "2.05"));
    let profile = format!("/_matrix/client/v3/profile/{}", user.id);
    assert_eq!(say(client, Call::get(profile)).await.code, "2.05");
    let forgotten = json!({"new_password": "another-secret"});
    let forgotten = say(client, Call::post("/_matrix/client/v3/account/password", forgotten)).await;
    assert_eq!(forgotten.code, "4.01");
    assert!(forgotten.body["flows"].is_array(), "{}", forgotten.body);
    assert_eq!(say(client, Call::get("/_matrix/client/v3/login")).await.code, "2.05");
}

#[test]
fn a_token_ends_with_the_logout_and_a_sign_in_screen_works_on_the_same_session() {
    let fixture = fixture();
    fixture.run(async {
        let mut wire = Wire::Reference(Box::new(fixture.reference().await.unwrap()));
        let user = matrix::sign_in(&mut wire, &User::new("reference-logout")).await.unwrap();
        let Wire::Reference(mut client) = wire else { panic!("another wire") };
        assert_eq!(client.call(&whoami(&user.token)).await.unwrap().text("user_id"), user.id);
        let logout = Call::post("/_matrix/client/v3/logout", json!({})).by(&user.token);
        assert_eq!(client.call(&logout).await.unwrap().code, "2.05");
        is_signed_out(&mut client, &user).await;
        let told = client.call(&whoami(&user.token)).await.unwrap();
        assert!(!told.token_sent);
        assert_eq!((&*told.code, told.text("errcode")), ("4.01", "M_MISSING_TOKEN"));
        client.end().await.unwrap();
    });
}

#[test]
fn a_token_that_ends_elsewhere_is_told_to_who_needs_one_and_spoils_nothing_else() {
    let fixture = fixture();
    fixture.run(async {
        let mut https = fixture.https().await.unwrap();
        let user = matrix::sign_in(&mut https, &User::new("reference-expired")).await.unwrap();
        let mut client = fixture.reference().await.unwrap();
        assert_eq!(client.call(&whoami(&user.token)).await.unwrap().text("user_id"), user.id);
        let logout = Call::post("/_matrix/client/v3/logout", json!({})).by(&user.token);
        https.call(logout).await.unwrap().ok().unwrap();
        is_signed_out(&mut client, &user).await;
        for _ in 0..2 {
            let told = client.call(&whoami(&user.token)).await.unwrap();
            assert!(!told.token_sent);
            assert_eq!((&*told.code, told.text("errcode")), ("4.01", "M_UNKNOWN_TOKEN"));
            is_signed_out(&mut client, &user).await;
        }
        client.end().await.unwrap();
    });
}
