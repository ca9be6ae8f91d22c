//! `lowband show`: captures that real programs wrote, as files, as they grow, and through pipes.

use crate::command::{TemporaryFile, assert_quiet_success, lowband, run, run_with_stdin, status, stderr};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

/// Returns a file of `capture/tests/data`, whose page says how each was made.
fn data(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../capture/tests/data").join(name);
    path.to_str().unwrap().to_owned()
}

fn show(capture: &str, arguments: &[&str]) -> Output {
    run(&[&["show", &data(capture)], arguments].concat())
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

/// Asserts that a run went well and wrote what is kept under `tests/data`.
fn assert_kept(output: &Output, kept: &str) {
    assert_quiet_success(output);
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(kept);
    let expected = std::fs::read_to_string(&path).unwrap();
    assert!(stdout(output) == expected, "{} is not what was written:\n{}", path.display(), stdout(output));
}

#[test]
fn a_run_of_the_chain_is_listed_in_lines_and_in_json() {
    let keys = data("chain.keys");
    assert_kept(&show("chain.pcap", &["-k", &keys]), "chain.txt");
    assert_kept(&show("chain.pcap", &["-k", &keys, "--json"]), "chain.jsonl");
    assert_kept(&show("demo.pcap", &["--key-log", &data("demo.keys")]), "demo.txt");
    // Two exchanges are enough to see how messages and bodies look.
    let chosen = ["-k", &keys, "-v", "--path", "register", "--path", "*/createRoom"];
    assert_kept(&show("chain.pcap", &chosen), "chain-verbose.txt");
    assert_kept(&show("chain.pcap", &[&chosen[..], &["--json"]].concat()), "chain-verbose.jsonl");
}

#[test]
fn secrets_of_a_pcapng_are_used_wherever_they_stand_and_also_through_a_pipe() {
    let first = show("secrets.pcapng", &[]);
    assert_quiet_success(&first);
    assert!(stdout(&first).contains("\n3 exchanges in 1 session: 18 datagrams, "), "{}", stdout(&first));
    let file = std::fs::read(data("secrets.pcapng")).unwrap();
    let piped = run_with_stdin(&["show", "-"], &file);
    assert_quiet_success(&piped);
    assert_eq!(stdout(&piped), stdout(&first));

    // The same file with the block of secrets behind the packets that need them.
    let length = |at: usize| u32::from_le_bytes(file[at + 4..][..4].try_into().unwrap()) as usize;
    let secrets = length(0);
    let packets = secrets + length(secrets);
    assert_eq!(file[secrets..][..4], 10_u32.to_le_bytes());
    let late = [&file[..secrets], &file[packets..], &file[secrets..packets]].concat();
    let late_file = TemporaryFile::with("late.pcapng", &late);
    let output = run(&["show", late_file.path()]);
    assert_quiet_success(&output);
    assert_eq!(stdout(&output), stdout(&first));
    // Through a pipe they come too late.
    let output = run_with_stdin(&["show", "-"], &late);
    assert_eq!(status(&output), 0);
    assert!(stdout(&output).contains("unread: the key log has no line for the session: 14 x, frame 5-18\n"));
}

#[test]
fn filters_choose_by_peer_path_and_code_and_the_totals_follow() {
    let keys = data("chain.keys");
    for (arguments, exchanges) in [
        (&["--peer", "10.0.0.1"][..], 3),
        (&["--peer", "10.0.0.1:50000"], 3),
        (&["--peer", "10.0.0.1:50001"], 0),
        (&["--peer", "198.51.100.1:8008"], 6),
        (&["--peer", "10.0.0.3", "--peer", "10.0.0.4"], 2),
        (&["--path", "versions"], 2),
        (&["--path", "*/send/*"], 1),
        (&["--path", "*/send"], 0),
        (&["--code", "2.05"], 6),
        (&["--code", "2.xx", "--path", "sync"], 1),
        (&["--code", "4.xx", "--code", "5.03"], 0),
    ] {
        let output = show("chain.pcap", &[&["-k", &keys, "--json"], arguments].concat());
        assert_quiet_success(&output);
        assert_eq!(stdout(&output).matches("{\"exchange\":").count(), exchanges, "{arguments:?}");
        assert!(
            stdout(&output).contains(&format!("{{\"totals\":{{\"exchanges\":{exchanges},")),
            "{arguments:?}"
        );
    }
    for arguments in [["--peer", "localhost"], ["--path", ""], ["--code", "404"]] {
        assert_eq!(status(&show("chain.pcap", &arguments)), 2, "{arguments:?}");
    }
}

#[test]
fn secrets_are_shown_only_when_asked_for() {
    let keys = data("chain.keys");
    for form in [&["-v"][..], &["-v", "--json"]] {
        let arguments = [&["-k", &keys], form].concat();
        let hidden = show("chain.pcap", &arguments);
        let shown = show("chain.pcap", &[&arguments[..], &["--show-secrets"]].concat());
        for secret in ["capture-secret", "syt_"] {
            assert!(!stdout(&hidden).contains(secret), "{secret}");
            assert!(stdout(&shown).contains(secret), "{secret}");
        }
        assert!(stdout(&hidden).contains("(hidden)") && !stdout(&shown).contains("(hidden)"));
    }
}

#[test]
fn a_packed_body_is_shown_as_what_it_stands_for() {
    let json = r#"{"ciphertext":"AQIDBAUG","event_id":"$AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA","type":"m.room.message"}"#;
    let cbor = lowband_codec::json_to_cbor(json.as_bytes()).unwrap();
    let packed = lowband_wire::packed::pack(&cbor);
    // PUT of /test, with an empty token and Content-Format 65060, in UDP and IPv4.
    let coap = [&b"\x40\x03\x00\x01\xb4test\x12\xfe\x24\xff"[..], &packed].concat();
    let length = |before: usize| ((before + coap.len()) as u16).to_be_bytes();
    let mut packet = [&[0x45, 0][..], &length(28), &[0, 0, 0, 0, 64, 17, 0, 0]].concat();
    packet.extend([10, 0, 0, 1, 10, 0, 0, 2, 0xc3, 0x50, 0x16, 0x33]);
    packet.extend([&length(8)[..], &[0, 0], &coap].concat());
    let mut file = b"\xd4\xc3\xb2\xa1\x02\0\x04\0\0\0\0\0\0\0\0\0\xff\xff\0\0\x65\0\0\0".to_vec();
    let captured = (packet.len() as u32).to_le_bytes();
    file.extend([&[0; 8][..], &captured, &captured, &packet].concat());
    let file = TemporaryFile::with("packed.pcap", &file);
    let output = run(&["show", "-v", file.path()]);
    assert_quiet_success(&output);
    let sizes =
        format!("{} bytes of packed CBOR, {} as CBOR, {} as JSON", packed.len(), cbor.len(), json.len());
    assert!(stdout(&output).contains(&format!("  request: {sizes}\n    {json}\n")), "{}", stdout(&output));
    let output = run(&["show", "-v", "--json", file.path()]);
    assert_quiet_success(&output);
    assert!(stdout(&output).contains(&format!(r#""request":{json},"#)), "{}", stdout(&output));
}

#[test]
fn what_cannot_be_read_is_told_with_its_frames() {
    let output = show("chain.pcap", &[]);
    assert_eq!(status(&output), 0);
    assert!(
        stdout(&output).starts_with(
            "unread: the key log has no line for the session: 51 x, frame 5-18, 23-42, 47-54, 61-69\n"
        ),
        "{}",
        stdout(&output)
    );
    assert_eq!(stderr(&output), "lowband: sessions without keys: give a key log with --key-log\n");
    // Nothing of the capture is left out of the sums.
    let besides = "of no exchange: 69 datagrams, 23,966 bytes of payload; 4 sessions without an exchange\n";
    assert!(stdout(&output).contains(besides), "{}", stdout(&output));
    let filtered = show("chain.pcap", &["--path", "x"]);
    assert!(!stdout(&filtered).contains("of no exchange"), "{}", stdout(&filtered));

    let other = TemporaryFile::with("other.keys", b"SERVER_TRAFFIC_SECRET_0 00 11\nnothing\n");
    let output = show("chain.pcap", &["-k", other.path(), "--json"]);
    assert_eq!(status(&output), 0);
    assert!(stdout(&output).starts_with(
        "{\"unread\":\"the key log has no line for the session\",\"count\":51,\"frames\":\"5-18, 23-42, 47-54, 61-69\"}\n"
    ));
    let path = other.path();
    let expected = format!(
        "lowband: {path}: line 2: not a label of a key log\nlowband: {path}: no line of it begins with CLIENT_RANDOM\n"
    );
    assert_eq!(stderr(&output), expected);

    for (lines, more) in [(4, "1 more line cannot"), (5, "2 more lines cannot")] {
        let other = TemporaryFile::with("nothing.keys", "nothing\n".repeat(lines).as_bytes());
        let output = show("chain.pcap", &["-k", other.path()]);
        assert!(stderr(&output).contains(more), "{}", stderr(&output));
    }

    let output = show("ethernet.pcap", &[]);
    assert_quiet_success(&output);
    assert!(stdout(&output).starts_with("not CoAP: 6 other UDP, 1 ICMP, 1 ICMPv6\n"), "{}", stdout(&output));

    let output = show("snapped.pcapng", &["-k", &data("chain.keys")]);
    assert_eq!(status(&output), 0);
    let told = "unread: the capture does not have the whole datagram: 5 x, frame 4, 11, 13, 15, 17\n";
    assert!(stdout(&output).contains(told), "{}", stdout(&output));
    assert!(stdout(&output).contains("    [its beginning is not in the capture]\n"), "{}", stdout(&output));
}

#[test]
fn a_file_that_is_broken_or_cut_off_ends_with_status_1_and_shows_what_came_before() {
    let keys = data("chain.keys");
    let whole = std::fs::read(data("chain.pcap")).unwrap();
    let cut = TemporaryFile::with("cut.pcap", &whole[..whole.len() - 10]);
    let output = run(&["show", cut.path(), "-k", &keys]);
    assert_eq!(status(&output), 1);
    assert!(stdout(&output).contains("\n6 exchanges in 4 sessions"), "{}", stdout(&output));
    assert!(stdout(&output).contains("unread: the file ends in the middle of it: 1 x, frame 68\n"));
    let at = format!("lowband: {}: byte 26943: the file ends in the middle of it\n", cut.path());
    assert_eq!(stderr(&output), at);

    let output = show("README.md", &[]);
    assert_eq!((status(&output), stdout(&output)), (1, ""));
    let expected = "byte 0: not a capture: it begins as neither pcap nor pcapng does\n";
    assert!(stderr(&output).ends_with(expected), "{}", stderr(&output));
}

#[test]
fn files_that_cannot_be_opened_have_statuses_of_their_own() {
    let output = run(&["show", "/nonexistent/capture"]);
    assert_eq!(status(&output), 26);
    assert!(stderr(&output).starts_with("lowband: /nonexistent/capture: "), "{}", stderr(&output));
    let output = show("chain.pcap", &["-k", "/nonexistent/keys"]);
    assert_eq!(status(&output), 77);
    assert!(stderr(&output).starts_with("lowband: key log /nonexistent/keys: "), "{}", stderr(&output));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut child = lowband()
        .args(["show", &data("chain.pcap"), "-k", &data("chain.keys"), "-v"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_quiet_success(&child.wait_with_output().unwrap());
}

/// A `lowband show` that is running.
struct Running {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Running {
    fn start(arguments: &[&str]) -> Running {
        let mut command = lowband();
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Running { child, lines }
    }

    /// Waits for the next line, and returns the path in it.
    fn path(&mut self) -> String {
        let line = self.lines.next().expect("another line").unwrap();
        let (_, path) = line.split_once("\"path\":\"").unwrap_or_else(|| panic!("{line}"));
        path.split('"').next().unwrap().to_owned()
    }

    fn interrupt(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    }

    /// Waits for the end, and returns the rest of the output.
    fn end(self) -> (Vec<String>, Output) {
        let rest = self.lines.map(Result::unwrap).collect();
        (rest, self.child.wait_with_output().unwrap())
    }
}

/// Returns where the packet of a frame begins in `chain.pcap`.
fn frame(file: &[u8], number: usize) -> usize {
    let length = |at: usize| u32::from_le_bytes(file[at + 8..][..4].try_into().unwrap()) as usize;
    (1..number).fold(24, |at, _| at + 16 + length(at))
}

#[test]
fn a_capture_and_a_key_log_are_followed_as_they_grow() {
    let whole = std::fs::read(data("chain.pcap")).unwrap();
    let all_keys = std::fs::read_to_string(data("chain.keys")).unwrap();
    let capture = TemporaryFile::with("growing.pcap", &whole[..frame(&whole, 9) + 5]);
    // The key log is not there yet when the command starts, and its line is not whole when it is.
    let keys = TemporaryFile::absent("growing.keys");
    std::fs::write(&keys.0, &all_keys[..all_keys.len() - 20]).unwrap();
    let mut running = Running::start(&["show", "-f", capture.path(), "-k", keys.path(), "--json"]);
    // In the file is a whole exchange, and nothing comes behind it: it is shown when it has been quiet.
    assert_eq!(running.path(), "/_matrix/client/r0/register");
    append(&capture.0, &whole[frame(&whole, 9) + 5..frame(&whole, 43)]);
    assert_eq!(running.path(), "/_matrix/client/r0/createRoom");
    assert!(running.path().ends_with("/send/m.room.message/1"));
    assert_eq!(running.path(), "/_matrix/client/r0/sync");
    // The last line of the key log is that of the last client.
    append(&keys.0, &all_keys.as_bytes()[all_keys.len() - 20..]);
    append(&capture.0, &whole[frame(&whole, 43)..]);
    assert_eq!(running.path(), "/_matrix/client/versions");
    assert_eq!(running.path(), "/_matrix/client/versions");
    // Whoever ends it does not wait for the end of a packet.
    append(&capture.0, &whole[frame(&whole, 1)..][..20]);
    running.interrupt();
    let (rest, output) = running.end();
    assert_quiet_success(&output);
    assert!(
        rest[0].starts_with("{\"unread\":\"the file ends in the middle of it\",\"count\":1,"),
        "{rest:?}"
    );
    assert!(rest[1].starts_with("{\"totals\":{\"exchanges\":6,\"sessions\":4,"), "{rest:?}");
}

#[test]
fn a_followed_file_that_becomes_shorter_ends_the_command() {
    let whole = std::fs::read(data("chain.pcap")).unwrap();
    let capture = TemporaryFile::with("shrinking.pcap", &whole[..frame(&whole, 9)]);
    let mut running = Running::start(&["show", "-f", capture.path(), "-k", &data("chain.keys"), "--json"]);
    assert_eq!(running.path(), "/_matrix/client/r0/register");
    std::fs::write(&capture.0, &whole[..24]).unwrap();
    let (rest, output) = running.end();
    assert_eq!((rest.len(), status(&output)), (0, 26));
    assert_eq!(stderr(&output), format!("lowband: {}: the file has become shorter\n", capture.path()));
}

#[test]
fn a_key_log_may_be_a_pipe_and_one_that_never_came_is_told() {
    let script = format!("cat {} | \"$0\" show {} -k /dev/stdin", data("chain.keys"), data("chain.pcap"),);
    let output = Command::new("sh").args(["-c", &script]).arg(lowband().get_program()).output().unwrap();
    assert_quiet_success(&output);
    assert!(stdout(&output).contains("\n6 exchanges in 4 sessions"), "{}", stdout(&output));
    let whole = std::fs::read(data("chain.pcap")).unwrap();
    let output = run_with_stdin(&["show", "-", "-k", "/nonexistent/keys"], &whole);
    assert_eq!(status(&output), 0);
    assert_eq!(stderr(&output), "lowband: key log /nonexistent/keys: there was no such file\n");
}

fn append(path: &std::path::Path, bytes: &[u8]) {
    let mut file: File = OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(bytes).unwrap();
}

#[test]
fn a_pipe_is_read_as_it_comes_and_its_details_are_kept() {
    let whole = std::fs::read(data("chain.pcap")).unwrap();
    let mut running = Running::start(&["show", "-", "-k", &data("chain.keys"), "--json", "-v"]);
    let mut stdin = running.child.stdin.take().unwrap();
    stdin.write_all(&whole[..frame(&whole, 11)]).unwrap();
    assert_eq!(running.path(), "/_matrix/client/r0/register");
    assert_eq!(running.path(), "/_matrix/client/r0/createRoom");
    stdin.write_all(&whole[frame(&whole, 11)..]).unwrap();
    drop(stdin);
    let (rest, output) = running.end();
    assert_quiet_success(&output);
    assert_eq!(rest.len(), 5, "{rest:?}");
    assert!(rest[0].contains("\"request\":{\"body\":\"several blocks up. "), "{}", rest[0]);
    // Without the time between them, the same lines as of the file.
    let file = show("chain.pcap", &["-k", &data("chain.keys"), "--json", "-v"]);
    assert_eq!(rest, stdout(&file).lines().skip(2).collect::<Vec<_>>());
}
