//! The bar of `lowband coap`, on a terminal.

use crate::command::{TemporaryFile, lowband, status};
use crate::slow_link::SlowLink;
use crate::stub_server::{Reply, StubServer, content};
use crate::terminal::Terminal;
use lowband_client::Code;
use lowband_transport::coap::ResponseOptions;
use std::process::{Output, Stdio};
use std::time::Duration;

const LATENCY: Duration = Duration::from_millis(10);
/// Bytes of a body that takes well over a second, block by block.
const LENGTH: usize = 60 << 10;
/// What clears a line of a terminal.
const CLEAR: &str = "\x1b[2K";

/// Runs `lowband coap` over a link, one block after the other, with stderr on a terminal.
fn coap(link: &SlowLink, arguments: &[&str]) -> (Output, String) {
    let terminal = Terminal::new();
    let mut command = lowband();
    command.args(["coap", "-k", "--window", "1"]).args(arguments).arg(link.url("/any"));
    command.env("TERM", "xterm").stdout(Stdio::piped()).stderr(terminal.to_program());
    let output = command.spawn().unwrap().wait_with_output().unwrap();
    drop(command);
    (output, terminal.shown())
}

fn slow(stub: &StubServer) -> SlowLink {
    SlowLink::start(stub.address, LATENCY)
}

#[test]
fn a_bar_shows_rate_and_time_left_of_uploads_and_downloads_and_leaves_the_terminal() {
    let stub = StubServer::start(|seen| content(seen.body.clone()));
    let link = slow(&stub);
    let body = TemporaryFile::with("bar", &vec![b'x'; LENGTH]);
    let (output, shown) = coap(&link, &["-d", &body.at()]);
    assert_eq!((status(&output), output.stdout.len()), (0, LENGTH), "{shown}");
    let sending = shown.find("sending ").expect(&shown);
    let receiving = shown.find("receiving ").expect(&shown);
    assert!(sending < receiving && !shown[receiving..].contains("sending "), "{shown:?}");
    for part in ["KiB of 60.00 KiB", "KiB/s", " left"] {
        assert!(shown[sending..receiving].contains(part), "{part}: {shown:?}");
    }
    assert!(shown[receiving..].contains("KiB/s"), "{shown:?}");
    // Each bar has been cleared away behind it.
    assert!(shown[sending..receiving].contains(CLEAR), "{shown:?}");
    let last = shown.rfind("KiB").unwrap();
    assert!(shown[last..].contains(CLEAR), "{shown:?}");
}

#[test]
fn a_body_in_a_file_leaves_the_terminal_to_the_bar() {
    let stub = StubServer::start(|_| content(vec![b'x'; LENGTH]));
    let link = slow(&stub);
    let answer = TemporaryFile::absent("bar-answer");
    let terminal = Terminal::new();
    let mut command = lowband();
    command.args(["coap", "-k", "--window", "1", "-o", answer.path(), &link.url("/any")]);
    command.env("TERM", "xterm").stdout(terminal.to_program()).stderr(terminal.to_program());
    assert!(command.status().unwrap().success());
    drop(command);
    assert!(terminal.shown().contains("receiving "));
    assert_eq!(std::fs::read(&answer.0).unwrap().len(), LENGTH);
}

#[test]
fn a_body_that_goes_to_the_same_terminal_is_alone_there() {
    let stub = StubServer::start(|_| {
        let text = ResponseOptions { content_format: Some(0), ..ResponseOptions::default() };
        Reply::Now(Code::new(2, 5), text, vec![b'x'; LENGTH])
    });
    let link = slow(&stub);
    let terminal = Terminal::new();
    let mut command = lowband();
    command.args(["coap", "-k", "--window", "1", &link.url("/any")]).env("TERM", "xterm");
    command.stdout(terminal.to_program()).stderr(terminal.to_program());
    assert!(command.status().unwrap().success());
    drop(command);
    assert_eq!(terminal.shown(), format!("{}\r\n", "x".repeat(LENGTH)));
}

#[test]
fn a_bar_that_is_not_wanted_or_would_tell_nothing_is_not_shown() {
    let stub = StubServer::start(|_| content(vec![b'x'; LENGTH]));
    let link = slow(&stub);
    let (output, shown) = coap(&link, &["-s"]);
    assert_eq!((status(&output), output.stdout.len(), shown.as_str()), (0, LENGTH, ""));
    // Among the lines of the datagrams a bar would only flicker.
    let (output, shown) = coap(&link, &["-v"]);
    assert_eq!((status(&output), output.stdout.len()), (0, LENGTH));
    assert!(shown.contains("* answered in ") && !shown.contains("receiving "), "{shown}");

    let stub = StubServer::start(|_| content(vec![b'x'; 7 << 10]));
    let link = SlowLink::start(stub.address, Duration::from_millis(60));
    let (output, shown) = coap(&link, &[]);
    assert_eq!((status(&output), output.stdout.len(), shown.as_str()), (0, 7 << 10, ""));
}
