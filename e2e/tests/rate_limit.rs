//! A homeserver that limits rates: 429 becomes 4.29, and the answer says when to come again.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as the test does"
)]

use lowband_client::{Method, Request};
use lowband_e2e::fixture::Fixture;
use lowband_e2e::matrix;
use lowband_e2e::synapse::RateLimits;
use lowband_e2e::wire::{Wire, code, document, to_cbor};

#[test]
fn the_message_over_the_limit_is_answered_4_29_with_max_age() {
    let fixture = Fixture::start("rate_limit", RateLimits::Tight, &[]).unwrap_or_else(|why| panic!("{why}"));
    fixture.run(async {
        let (mut wire, user) = fixture.register("hasty").await.unwrap();
        let room = matrix::create_room(&mut wire, &user, &[]).await.unwrap();
        let Wire::Coap(connection) = wire else { panic!("register connects over CoAP") };
        let send = async |number: u32| {
            let request = Request {
                method: Method::Put,
                target: format!("/_matrix/client/r0/rooms/{room}/send/m.room.message/{number}"),
                access_token: Some(user.token.clone()),
                content_format: Some(60),
                accept: None,
                body: to_cbor(r#"{"msgtype":"m.text","body":"quick"}"#).unwrap(),
            };
            connection.request(request).await.unwrap()
        };
        // A burst of two is allowed, and creating the room may have used some of it.
        let mut response = send(0).await;
        for number in 1..4 {
            if response.code.class() != 2 {
                break;
            }
            response = send(number).await;
        }
        assert_eq!(code(&response), "4.29");
        let body = document(&response).unwrap();
        assert_eq!(body["errcode"], "M_LIMIT_EXCEEDED");
        // 0.2 messages a second: at most five seconds for one, up to ten after a burst. Rounded up,
        // so never zero.
        let wait = response.max_age.expect("a Max-Age");
        assert!((1..=10).contains(&wait), "{wait}");
        if let Some(milliseconds) = body["retry_after_ms"].as_u64() {
            assert_eq!(u64::from(wait), milliseconds.div_ceil(1_000));
        }
    });
}
