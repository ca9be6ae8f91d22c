//! Clients of another project: Debian's libcoap, over OpenSSL and over GnuTLS.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as the test does"
)]

use lowband_e2e::call::Call;
use lowband_e2e::fixture::{Fixture, Shared};
use lowband_e2e::matrix::{self, SignedIn, User};
use lowband_e2e::parts::system_program;
use lowband_e2e::wire::{Wire, from_cbor, to_cbor};
use serde_json::{Value, json};
use std::process::Command;

static SHARED: Shared = Shared::new();

fn fixture() -> &'static Fixture {
    Fixture::shared(&SHARED, "foreign").unwrap_or_else(|why| panic!("{why}"))
}

const PROGRAMS: [&str; 2] = ["coap-client-openssl", "coap-client-gnutls"];

/// The payload that a client received, and what it printed on the way.
struct Answer {
    json: Value,
    said: String,
}

impl Answer {
    /// Returns the messages that the client sent and received, a line each: type, code, message id, options.
    fn messages(&self) -> Vec<&str> {
        self.said.lines().filter(|line| line.starts_with("v:1 t:")).collect()
    }

    /// Counts the messages with all of these texts in their line.
    fn count(&self, texts: &[&str]) -> usize {
        self.messages().iter().filter(|line| texts.iter().all(|text| line.contains(text))).count()
    }
}

/// Runs a libcoap client on a path, in the run folder.
async fn ask(program: &'static str, arguments: &[&str], path: &str) -> Answer {
    let fixture = fixture();
    // The client's messages would stand in between on its standard output. Tests run at the same time, so
    // each has a file of its own.
    let file = fixture.chain.folder().join(format!("{program}{}.cbor", path.replace(['/', '?'], "-")));
    let mut command = Command::new(system_program(program, "setup-test").unwrap());
    command.arg("-C").arg(&fixture.chain.certificate.certificate).arg("-o").arg(&file);
    command.args(["-v", "7"]).args(arguments);
    command.arg(format!("coaps://localhost:{}{path}", fixture.chain.address().port()));
    let output = fixture.output(command).await.unwrap();
    let said =
        [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    assert!(output.status.success(), "{program} {path}: {said}");
    let cbor = std::fs::read(&file).unwrap_or_else(|why| panic!("{program} {path}: {why}: {said}"));
    std::fs::remove_file(file).unwrap();
    let json = from_cbor(&cbor).unwrap_or_else(|why| panic!("{program} {path}: {why}: {said}"));
    Answer { json: serde_json::from_slice(&json).unwrap(), said }
}

/// Puts a message with this text, read from a file. Returns the answer with the event.
async fn send(program: &'static str, arguments: &[&str], by: &SignedIn, room: &str, text: &str) -> Answer {
    // Name of the transaction.
    let name = format!("{program}{}", text.len());
    let file = fixture().chain.folder().join(format!("{name}-sent.cbor"));
    let content = json!({"msgtype": "m.text", "body": text}).to_string();
    std::fs::write(&file, to_cbor(&content).unwrap()).unwrap();
    let token = format!("256,{}", by.token);
    let file = file.display().to_string();
    let put = ["-m", "put", "-t", "60", "-f", &file, "-O", &token];
    // Path code 9 is send.
    ask(program, &[&put, arguments].concat(), &format!("/9/{room}/m.room.message/{name}")).await
}

/// Checks that the homeserver has the message.
async fn expect_sent(wire: &mut Wire, by: &SignedIn, room: &str, answer: &Answer, text: &str) {
    let event = answer.json["event_id"].as_str().unwrap_or_else(|| panic!("{}", answer.json));
    let target = format!("/_matrix/client/v3/rooms/{room}/event/{event}");
    let sent = wire.call(Call::get(target).by(&by.token)).await.unwrap();
    assert_eq!(sent.text("/content/body").unwrap(), text);
}

/// Registers a user with a room, on a wire of their own.
async fn somebody(name: &str) -> (Wire, SignedIn, String) {
    let mut wire = fixture().https().await.unwrap();
    let user = matrix::sign_in(&mut wire, &User::new(name)).await.unwrap();
    let room = matrix::create_room(&mut wire, &user, &[]).await.unwrap();
    (wire, user, room)
}

#[test]
fn coap_client_fetches_versions_by_full_path_and_by_path_code_confirmable_or_not() {
    fixture().run(async {
        let expected = matrix::versions(&mut fixture().https().await.unwrap()).await.unwrap();
        for program in PROGRAMS {
            for path in ["/_matrix/client/versions", "/0"] {
                for (arguments, request) in [(&[][..], "t:CON c:GET"), (&["-N"], "t:NON c:GET")] {
                    let answer = ask(program, arguments, path).await;
                    assert_eq!(answer.json, expected, "{program} {path}");
                    assert!(answer.count(&[request]) > 0, "{}", answer.said);
                }
            }
        }
    });
}

#[test]
fn coap_client_sends_a_message_with_put_and_the_token_in_option_256() {
    fixture().run(async {
        let (mut wire, user, room) = somebody("foreign-put").await;
        for program in PROGRAMS {
            let answer = send(program, &[], &user, &room, "Hello World").await;
            expect_sent(&mut wire, &user, &room, &answer, "Hello World").await;
        }
    });
}

#[test]
fn small_blocks_go_both_ways_as_the_client_wants_them() {
    fixture().run(async {
        let (mut wire, user, room) = somebody("foreign-small").await;
        let expected = matrix::versions(&mut wire).await.unwrap();
        let text = "in small pieces, ".repeat(100);
        for program in PROGRAMS {
            let answer = ask(program, &["-b", "64"], "/_matrix/client/versions").await;
            assert_eq!(answer.json, expected, "{program}");
            let blocks = to_cbor(&expected.to_string()).unwrap().len() / 64;
            let came = answer.count(&["c:2.05", "Block2:", "/64 "]);
            assert!(came >= blocks, "{came} of {blocks}: {}", answer.said);
            // The length is in the first block: a client that takes less can stop there.
            assert_eq!(answer.count(&["c:2.05", "Block2:0/M/64", "Size2:"]), 1, "{}", answer.said);
            assert_eq!(answer.count(&["c:2.05", "Size2:"]), 1, "{}", answer.said);

            let answer = send(program, &["-b", "64"], &user, &room, &text).await;
            expect_sent(&mut wire, &user, &room, &answer, &text).await;
            let continued = answer.count(&["c:2.31", "Block1:", "/64 "]);
            assert!(continued >= text.len() / 64, "{continued}: {}", answer.said);
        }
    });
}

#[test]
fn messages_of_300_kb_come_in_blocks_and_are_those_that_https_gives() {
    fixture().run(async {
        let (mut wire, user, room) = somebody("foreign-messages").await;
        for number in 0..10 {
            let text = format!("{number} and so on. ").repeat(2_400);
            matrix::send(&mut wire, &user, &room, &number.to_string(), &text).await.unwrap();
        }
        let target = format!("/_matrix/client/r0/rooms/{room}/messages?dir=b");
        let expected = wire.call(Call::get(target).by(&user.token)).await.unwrap().ok().unwrap();
        let mut expected = expected["chunk"].clone();
        let token = format!("256,{}", user.token);
        for program in PROGRAMS {
            // Path code E is messages.
            let mut answer = ask(program, &["-O", &token], &format!("/E/{room}?dir=b")).await;
            let came = answer.count(&["c:2.05"]);
            assert!(came >= 300, "{came} blocks");
            for events in [&mut answer.json["chunk"], &mut expected] {
                assert_eq!(events.as_array().unwrap().len(), 10);
                for event in events.as_array_mut().unwrap() {
                    // These members say how old an event is.
                    for name in ["age", "unsigned"] {
                        event.as_object_mut().unwrap().remove(name);
                    }
                }
            }
            assert!(answer.json["chunk"] == expected, "{program}: {:.2000}", answer.json.to_string());
        }
    });
}

#[test]
fn a_message_of_50_kb_goes_up_in_blocks() {
    fixture().run(async {
        let (mut wire, user, room) = somebody("foreign-upload").await;
        let text = "all of this in one message. ".repeat(1_800);
        for program in PROGRAMS {
            let answer = send(program, &[], &user, &room, &text).await;
            expect_sent(&mut wire, &user, &room, &answer, &text).await;
            assert!(answer.count(&["c:2.31"]) >= text.len() / 1024, "{}", answer.said);
        }
    });
}

#[test]
fn a_slow_homeserver_makes_a_separate_response_of_an_early_acknowledgement() {
    fixture().run(async {
        let (mut wire, user, _) = somebody("foreign-slow").await;
        let synced = matrix::sync(&mut wire, &user, "timeout=0").await.unwrap();
        let since = synced["next_batch"].as_str().unwrap();
        let token = format!("256,{}", user.token);
        // Nothing happens for longer than the server waits with its acknowledgement. The timeouts differ,
        // because Synapse remembers its answers.
        for (program, timeout) in PROGRAMS.into_iter().zip([3_000, 3_001]) {
            let path = format!("/7?timeout={timeout}&since={since}");
            let answer = ask(program, &["-O", &token], &path).await;
            assert!(
                answer.json["next_batch"].is_string() && answer.json["rooms"].is_null(),
                "{}",
                answer.json
            );
            let messages = answer.messages();
            let expected = ["t:CON c:GET ", "t:ACK c:0.00 ", "t:CON c:2.05 ", "t:ACK c:0.00 "];
            let is_as_expected = |(line, expected): (&&str, &&str)| line.contains(expected);
            assert_eq!(messages.len(), expected.len(), "{messages:?}");
            assert!(messages.iter().zip(&expected).all(is_as_expected), "{messages:?}");
        }
    });
}
