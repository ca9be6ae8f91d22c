//! The main job: what goes in at one end of the chain comes out at the other, and the answers in CBOR over
//! CoAP equal those in JSON over HTTPS.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as the test does"
)]

use lowband_client::{Limits, Settings};
use lowband_e2e::call::Call;
use lowband_e2e::fixture::{Fixture, Shared};
use lowband_e2e::matrix::{self, User};
use lowband_e2e::relay::Relay;
use lowband_e2e::story::{Side, Story};
use lowband_e2e::tell::Voice;
use lowband_e2e::wire::{Wire, connect_with};
use serde_json::{Value, json};

static SHARED: Shared = Shared::new();

fn fixture() -> &'static Fixture {
    Fixture::shared(&SHARED, "main_job").unwrap_or_else(|why| panic!("{why}"))
}

#[test]
fn two_users_meet_in_a_room_over_coap_and_over_https() {
    let fixture = fixture();
    fixture.run(async {
        let ca = fixture.chain.certificate.certificate.clone();
        let relay = Relay::start(fixture.chain.address()).await.unwrap();
        let mut coap = Side::Coap { relay, ca: ca.clone() };
        let coap = Story::over(&mut coap, Voice::Silent)
            .main_job(&User::new("alice"), &User::new("bob"))
            .await
            .unwrap();
        let mut https = Side::Https { server: fixture.chain.address(), ca, meters: Vec::new() };
        let https = Story::over(&mut https, Voice::Silent)
            .main_job(&User::new("carol"), &User::new("dave"))
            .await
            .unwrap();
        // The purpose of the project. Each step must be cheaper, not only the sum.
        for (coap, https) in coap.costs.iter().zip(&https.costs) {
            assert_eq!(coap.step, https.step);
            let wire = [coap.traffic, https.traffic].map(|traffic| traffic.payload + traffic.headers);
            assert!(wire[0] < wire[1], "{coap:?} {https:?}");
        }
    });
}

#[test]
fn the_same_documents_come_over_coap_and_over_https() {
    let fixture = fixture();
    fixture.run(async {
        let (mut coap, user) = fixture.register("equal").await.unwrap();
        let mut https = fixture.https().await.unwrap();
        let room = matrix::create_room(&mut coap, &user, &[]).await.unwrap();
        // The content is difficult for a codec: other alphabets, escapes, numbers at their limits, names that
        // are numbers, empty containers.
        let odd = json!({
            "msgtype": "m.text", "body": "Grüße \u{1F98A} \u{0} \" \\ \n", "8": 1, "big": 9007199254740991_i64,
            "small": -9007199254740991_i64, "nested": [[], {}, [null, true, false, ""]], "": {"": 0}
        });
        let target = format!("/_matrix/client/r0/rooms/{room}/send/m.room.message/1");
        let event = coap.call(Call::put(target, odd.clone()).by(&user.token)).await.unwrap().text("/event_id").unwrap();

        for target in [
            "/_matrix/client/versions".to_owned(),
            "/_matrix/client/v3/capabilities".to_owned(),
            format!("/_matrix/client/v3/rooms/{room}/state"),
            format!("/_matrix/client/v3/rooms/{room}/event/{event}"),
            "/_matrix/client/r0/sync?timeout=0".to_owned(),
            "/_matrix/client/r0/pushrules/".to_owned(),
            "/_matrix/client/r0/no/such/path".to_owned(),
        ] {
            let [mut one, mut other] = [
                coap.call(Call::get(&target).by(&user.token)).await.unwrap(),
                https.call(Call::get(&target).by(&user.token)).await.unwrap(),
            ];
            assert_eq!(one.success, other.success, "{target}");
            forget_ages(&mut one.body);
            forget_ages(&mut other.body);
            assert_eq!(one.body, other.body, "{target}");
        }
        let back = https.call(Call::get(format!("/_matrix/client/v3/rooms/{room}/event/{event}")).by(&user.token));
        assert_eq!(back.await.unwrap().ok().unwrap()["content"], odd);
    });
}

#[test]
fn packed_bodies_are_the_same_documents_in_fewer_bytes() {
    let fixture = fixture();
    fixture.run(async {
        let (mut coap, user) = fixture.register("packed").await.unwrap();
        let room = matrix::create_room(&mut coap, &user, &[]).await.unwrap();
        let ciphertext = "AwgAEnACgAkLmt6qF84IK+bM1h/Q".repeat(30);
        let content =
            json!({ "algorithm": "m.megolm.v1.aes-sha2", "ciphertext": ciphertext, "device_id": "D" });
        let mut spent = Vec::new();
        for packed_bodies in [false, true] {
            let relay = Relay::start(fixture.chain.address()).await.unwrap();
            let limits = Limits { packed_bodies, ..Limits::default() };
            let settings = Settings { limits, ..Settings::default() };
            let ca = &fixture.chain.certificate.certificate;
            let mut wire = Wire::Coap(connect_with(relay.address(), ca, settings).await.unwrap());
            // Both ends say what they know, and the server learns the token.
            let whoami = Call::get("/_matrix/client/v3/account/whoami").by(&user.token);
            wire.call(whoami).await.unwrap().ok().unwrap();
            let before = relay.traffic().await.unwrap().payload;
            let target = format!("/_matrix/client/v3/rooms/{room}/send/m.room.encrypted/{packed_bodies}");
            let sent = wire.call(Call::put(target, content.clone()).by(&user.token)).await.unwrap();
            let event = sent.text("/event_id").unwrap();
            let up = relay.traffic().await.unwrap().payload - before;
            for target in [format!("event/{event}"), "state".to_owned()] {
                let target = format!("/_matrix/client/v3/rooms/{room}/{target}");
                let [mut one, mut other] = [
                    wire.call(Call::get(&target).by(&user.token)).await.unwrap(),
                    coap.call(Call::get(&target).by(&user.token)).await.unwrap(),
                ];
                forget_ages(&mut one.body);
                forget_ages(&mut other.body);
                assert!(one.success);
                assert_eq!(one.body, other.body, "{target}");
            }
            spent.push([up, relay.traffic().await.unwrap().payload - before - up]);
        }
        let [plain, packed] = [spent[0], spent[1]];
        assert!(
            packed.iter().zip(plain).all(|(packed, plain)| 100 * packed < 85 * plain),
            "{plain:?} {packed:?}"
        );
    });
}

#[test]
fn a_room_alias_with_every_awkward_character_stays_in_its_segment() {
    let fixture = fixture();
    fixture.run(async {
        let (mut wire, user) = fixture.register("alias").await.unwrap();
        let room = matrix::create_room(&mut wire, &user, &[]).await.unwrap();
        // The target has `#a/b?c%d+ü:lb.test` as a segment of its path.
        let target = "/_matrix/client/r0/directory/room/%23a%2Fb%3Fc%25d+%C3%BC:lb.test";
        let put = Call::put(target, json!({"room_id": room})).by(&user.token);
        wire.call(put).await.unwrap().ok().unwrap();
        assert_eq!(wire.call(Call::get(target)).await.unwrap().text("/room_id").unwrap(), room);
        let aliases = format!("/_matrix/client/v3/rooms/{room}/aliases");
        let aliases = wire.call(Call::get(aliases).by(&user.token)).await.unwrap().ok().unwrap();
        assert_eq!(aliases["aliases"], json!(["#a/b?c%d+ü:lb.test"]));
    });
}

#[test]
fn the_access_token_sticks_to_its_session_and_a_request_without_one_goes_without() {
    let fixture = fixture();
    fixture.run(async {
        let (mut wire, user) = fixture.register("sticky").await.unwrap();
        let whoami = || Call::get("/_matrix/client/v3/account/whoami");
        let refused = wire.call(whoami()).await.unwrap();
        assert_eq!((refused.code.as_str(), &refused.body["errcode"]), ("4.01", &json!("M_MISSING_TOKEN")));
        assert_eq!(wire.call(whoami().by(&user.token)).await.unwrap().text("/user_id").unwrap(), user.id);
        // The second request does not carry the token; a request that names none takes it away, until one
        // names it again.
        for _ in 0..2 {
            assert_eq!(wire.call(whoami().by(&user.token)).await.unwrap().text("/user_id").unwrap(), user.id);
            let refused = wire.call(whoami()).await.unwrap();
            assert_eq!(
                (refused.code.as_str(), &refused.body["errcode"]),
                ("4.01", &json!("M_MISSING_TOKEN"))
            );
        }
        let mut other = fixture.coap().await.unwrap();
        assert_eq!(other.call(whoami()).await.unwrap().code, "4.01");
    });
}

#[test]
fn a_body_of_many_blocks_goes_up_and_comes_down_whole() {
    let fixture = fixture();
    fixture.run(async {
        let (mut wire, user) = fixture.register("blocks").await.unwrap();
        let room = matrix::create_room(&mut wire, &user, &[]).await.unwrap();
        // 50 kB: some fifty blocks each way, and no two alike.
        let text: String = (0..10_000).map(|number| format!("{number:05}")).collect();
        let event = matrix::send(&mut wire, &user, &room, "1", &text).await.unwrap();
        let target = format!("/_matrix/client/v3/rooms/{room}/event/{event}");
        let back = wire.call(Call::get(target).by(&user.token)).await.unwrap();
        assert_eq!(back.text("/content/body").unwrap(), text);
    });
}

/// Removes members that grow with the clock, and so differ between two answers.
fn forget_ages(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|name, _| name != "age" && name != "last_active_ago");
            map.values_mut().for_each(forget_ages);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_ages),
        _ => {}
    }
}
