//! `make figures`: datagrams and bytes of one exchange on a new session, with `lowband coap`, with Debian's
//! libcoap, and with the reference's client stack.

use lowband_e2e::fixture::Fixture;
use lowband_e2e::hello_world::{self, HelloWorld};
use lowband_e2e::matrix::{self, User};
use lowband_e2e::parts::system_program;
use lowband_e2e::relay::Relay;
use lowband_e2e::synapse::RateLimits;
use lowband_e2e::tell::say;
use lowband_e2e::wire::to_cbor;
use lowband_e2e::{Error, Result};
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    match figures() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("wire-figures: {why}");
            ExitCode::FAILURE
        }
    }
}

fn figures() -> Result<()> {
    let fixture = Fixture::start("figures", RateLimits::Lifted, &[])?;
    fixture.run(async {
        let mut wire = fixture.https().await?;
        let user = matrix::sign_in(&mut wire, &User::new("alice")).await?;
        let room = matrix::create_room(&mut wire, &user, &[]).await?;
        let token = &user.token;
        let file = fixture.chain.folder().join("hello.cbor");
        let hello = to_cbor(r#"{"msgtype":"m.text","body":"Hello World"}"#)?;
        std::fs::write(&file, hello).map_err(|source| Error::Io { doing: "write hello.cbor".to_owned(), source })?;

        say(format_args!("{:<50}{:>10}{:>14}{:>13}", "", "datagrams", "UDP payload", "on the wire"));
        let bearer = format!("Authorization: Bearer {token}");
        let option = format!("256,{token}");
        let put = ["-X", "PUT", "-H", "Content-Type: application/cbor", "-H", &bearer, "-d", "@hello.cbor"];
        let put_by_libcoap = ["-m", "put", "-t", "60", "-O", &option, "-f", "hello.cbor"];
        let send = format!("/_matrix/client/r0/rooms/{room}/send/m.room.message");
        for (what, program, arguments, path) in [
            ("connect + GET /versions", "lowband", &[][..], "/_matrix/client/versions".to_owned()),
            ("connect + GET /versions", "coap-client-openssl", &[], "/0".to_owned()),
            ("connect + PUT \"Hello World\"", "lowband", &put, format!("{send}/1")),
            ("connect + PUT \"Hello World\"", "coap-client-openssl", &put_by_libcoap, format!("/9/{room}/m.room.message/2")),
        ] {
            let relay = Relay::start(fixture.chain.address()).await?;
            measure(&fixture, &relay, program, arguments, &path).await?;
            let traffic = relay.traffic().await?;
            let wire = traffic.payload + traffic.headers;
            let title = format!("{what}, {program}");
            say(format_args!("{title:<50}{:>10}{:>14}{wire:>13}", traffic.packets, traffic.payload));
        }
        let HelloWorld { connected, live } = hello_world::measure(&fixture).await?;
        for (what, cost) in [("connect + PUT", connected), ("PUT", live)] {
            let title = format!("{what} \"Hello World\", the reference's client *");
            let wire = cost.bytes + cost.datagrams * 28;
            say(format_args!("{title:<50}{:>10}{:>14}{wire:>13}", cost.datagrams, cost.bytes));
        }
        say("\n* For a certificate of 413 bytes, a token of 40 and a room id of 43.");
        say("Both directions, without close_notify. On the wire: with 28 bytes of IPv4 and UDP headers a datagram.");
        Ok(())
    })
}

/// Runs a client once through the relay; it must succeed.
async fn measure(
    fixture: &Fixture,
    relay: &Relay,
    program: &'static str,
    arguments: &[&str],
    path: &str,
) -> Result<()> {
    let mut command = match program {
        "lowband" => Command::new(fixture.parts.program(program)?),
        _ => Command::new(system_program(program, "setup-test")?),
    };
    let ca = &fixture.chain.certificate.certificate;
    let port = relay.address().port();
    match program {
        "lowband" => command
            .arg("coap")
            .arg("--cacert")
            .arg(ca)
            .args(arguments)
            .arg(format!("https://localhost:{port}{path}")),
        _ => command.arg("-C").arg(ca).args(arguments).arg(format!("coaps://localhost:{port}{path}")),
    };
    let output = fixture.output(command).await?;
    if output.status.success() && !output.stdout.is_empty() {
        return Ok(());
    }
    let got = format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    Err(Error::Wrong {
        what: format!("{program} {path}"),
        expected: "an answer and status 0".to_owned(),
        got,
    })
}
