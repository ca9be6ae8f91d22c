//! `lowband jc` as people try it: what is at hand goes in, what cannot be converted is shown or explained.

use crate::command::{TemporaryFile, assert_quiet_success, lowband, run, run_with_stdin, status, stderr};
use crate::jc_command::{bytes, run_in_pieces};
use std::io::{Read, Write};
use std::process::{Command, Output, Stdio};

fn stdout(output: &Output) -> String {
    assert_quiet_success(output);
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn refused(output: &Output) -> String {
    assert_eq!(status(output), 1, "{output:?}");
    stderr(output)
}

/// What JSON cannot say: a byte string, a tag, a NaN, undefined, a key of another type.
const UNSPEAKABLE: &str = "a501420aff02c11a514b67b003f97e0004f7f5f4";

#[test]
fn jc_without_an_input_reads_stdin() {
    assert_eq!(stdout(&run_with_stdin(&["jc"], b"{}")), "a0\n");
    assert_eq!(stdout(&run_with_stdin(&["jc", "-c2j"], b"\xa1\x02\x01")), "{\"type\":1}\n");
    assert_eq!(stdout(&run_with_stdin(&["jc", "--hex", "-c2j"], b"a1 02 01\n")), "{\"type\":1}\n");
}

#[test]
fn jc_reads_a_file_by_its_name() {
    let json = TemporaryFile::with("event.json", b"{\"type\":1}");
    let cbor = TemporaryFile::with("event.cbor", b"\xa1\x02\x01");
    let text = TemporaryFile::with("event.diag", b"{ / type / 2: 1}");
    assert_eq!(stdout(&run(&["jc", json.path()])), "a10201\n");
    assert_eq!(stdout(&run(&["jc", "-c2j", cbor.path()])), "{\"type\":1}\n");
    assert_eq!(stdout(&run(&["jc", "--diag", cbor.path()])), "{/ type / 2: 1}\n");
    assert_eq!(stdout(&run(&["jc", "--from-diag", text.path()])), "a10201\n");
}

#[test]
fn an_argument_that_is_itself_what_is_wanted_is_not_a_file() {
    let folder = TemporaryFile::absent("names");
    std::fs::create_dir(&folder.0).unwrap();
    for name in ["a0", "1", "true"] {
        std::fs::write(folder.0.join(name), "[2]").unwrap();
    }
    let here = |arguments: &[&str]| {
        let output = lowband().args(arguments).current_dir(&folder.0).output().unwrap();
        stdout(&output)
    };
    assert_eq!(here(&["jc", "1"]), "01\n");
    assert_eq!(here(&["jc", "true"]), "f5\n");
    assert_eq!(here(&["jc", "@true"]), "8102\n");
    assert_eq!(here(&["jc", "a0"]), "8102\n");
    assert_eq!(here(&["jc", "-c2j", "a0"]), "{}\n");
    std::fs::remove_dir_all(&folder.0).unwrap();
}

#[test]
fn a_file_that_is_not_there_is_told() {
    for arguments in
        [&["jc", "event.json"][..], &["jc", "-c2j", "dir/event.cbor"], &["jc", "--diag", "x.cbor"]]
    {
        let error = refused(&run(arguments));
        assert!(error.ends_with("there is no file of that name either\n"), "{error}");
    }
    assert!(!refused(&run(&["jc", "{\"a.b\":"])).contains("file"));
}

#[test]
fn ndjson_becomes_a_line_or_an_item_for_each_document() {
    let json = b"{\"type\":1}\n{\"type\":2}\r\n\n[1,\n2] \"a\"{}3";
    let lines = "a10201\na10202\n820102\n6161\na0\n03\n";
    for stream in [&[][..], &["--stream"]] {
        let cbor = run_with_stdin(&[&["jc", "-out", "-"], stream].concat(), json).stdout;
        let back = stdout(&run_with_stdin(&[&["jc", "-c2j"], stream].concat(), &cbor));
        assert_eq!(back, "{\"type\":1}\n{\"type\":2}\n[1,2]\n\"a\"\n{}\n3\n");
    }
    assert_eq!(stdout(&run_with_stdin(&["jc"], json)), lines);
    assert_eq!(run_with_stdin(&["jc", "-out", "-"], json).stdout, bytes(&lines.replace('\n', "")));
    assert_eq!(stdout(&run_with_stdin(&["jc", "-c2j", "--hex"], lines.as_bytes())).lines().count(), 6);
    let base64 = stdout(&run_with_stdin(&["jc", "--base64url"], json));
    assert_eq!(base64, "oQIB\noQIC\nggEC\nYWE\noA\nAw\n");
    assert_eq!(stdout(&run_with_stdin(&["jc", "-c2j", "--base64"], base64.as_bytes())).lines().count(), 6);
}

#[test]
fn an_error_names_the_document_and_its_place_and_what_came_before_is_written() {
    let kept = TemporaryFile::with("kept-by-documents", b"as it was");
    let json = b"{\"a\":1}\n{\"a\":2}\n{\"a\":3,}\n{}";
    let output = run_with_stdin(&["jc"], json);
    let expected = "lowband: not JSON: document 3, byte 23: no comma may stand before a closing \
                    bracket (line 3, column 8)\n";
    assert_eq!(refused(&output), expected);
    assert_eq!(output.stdout, b"a1616101\na1616102\n");
    refused(&run_with_stdin(&["jc", "-out", kept.path()], json));
    assert_eq!(std::fs::read(&kept.0).unwrap(), b"as it was");

    for stream in [&[][..], &["--stream"]] {
        let output = run_with_stdin(&[&["jc", "-c2j"], stream].concat(), b"\xa0\x01\x82\x01\x41\x00");
        let error = refused(&output);
        assert!(error.contains("document 3, byte 4: a CBOR byte string"), "{error}");
        assert!(output.stdout.starts_with(b"{}\n1\n"), "{output:?}");
    }
    let error = refused(&run_with_stdin(&["jc", "-c2j"], b"\xa0\x1c"));
    assert!(error.contains("document 2, byte 1: the CBOR head is reserved"), "{error}");
    let error = refused(&run_with_stdin(&["jc", "-c2j"], b"\xa0\x82\x01"));
    assert!(error.contains("document 2, byte 3: the input ends"), "{error}");
}

#[test]
fn base64_is_read_by_flag_and_where_one_can_be_sure() {
    for arguments in [
        &["jc", "-c2j", "oQJhYQ=="][..],
        &["jc", "-c2j", "oQJhYQ"],
        &["jc", "-c2j", "-base64", "oQJh\nYQ=="],
        &["jc", "-c2j", "--base64url", "oQJhYQ"],
        &["jc", "-c2j", "h'a1 02 61 61'"],
        &["jc", "-c2j", "b64'oQJhYQ'"],
    ] {
        assert_eq!(stdout(&run(arguments)), "{\"type\":\"a\"}\n", "{arguments:?}");
    }
    assert_eq!(stdout(&run(&["jc", "--base64", "{\"type\":\"??>\"}"])), "oQJjPz8+\n");
    assert_eq!(stdout(&run(&["jc", "--base64url", "{\"type\":\"??>\"}"])), "oQJjPz8-\n");
    // Hexadecimal text stays that, and bytes stay bytes.
    assert_eq!(stdout(&run(&["jc", "-c2j", "a10201"])), "{\"type\":1}\n");
    let error = refused(&run_with_stdin(&["jc", "-c2j"], b"oQJhYQ==\n"));
    assert!(error.ends_with("it looks like base64: add --base64\n"), "{error}");
    assert!(
        refused(&run(&["jc", "-c2j", "--base64", "oQ?="]))
            .contains("not base64: no character of base64 at byte 2")
    );
}

#[test]
fn what_is_taken_for_something_else_is_recognised() {
    for (arguments, stdin, words) in [
        (&["jc", "-c2j"][..], b"a10201\n".as_slice(), "it looks like hexadecimal text: add --hex\n"),
        (&["jc", "--diag"], b"a10201\n", "it looks like hexadecimal text: add --hex\n"),
        (
            &["jc", "-c2j"],
            b"{\"type\":1}\n",
            "it looks like JSON, which is converted without -c2j, --diag and --annotate\n",
        ),
        (&["jc"], b"\xa1\x02\x01", "it looks like CBOR: add -c2j\n"),
    ] {
        let output = run_with_stdin(arguments, stdin);
        let error = refused(&output);
        assert!(error.ends_with(words), "{error}");
    }
}

#[test]
fn what_json_cannot_say_is_shown_by_diag_and_plain_jc_says_so() {
    let error = refused(&run(&["jc", "-c2j", UNSPEAKABLE]));
    let expected = "byte 2: a CBOR byte string has no form in JSON; --diag shows it\n";
    assert!(error.ends_with(expected), "{error}");
    let text = "{/ event_id / 1: h'0aff', / type / 2: 1(1363896240), / content / 3: NaN, \
                / state_key / 4: undefined, true: false}\n";
    assert_eq!(stdout(&run(&["jc", "--diag", UNSPEAKABLE])), text);
    assert_eq!(stdout(&run(&["jc", "-c2j", "-diag", UNSPEAKABLE])), text);
    assert_eq!(stdout(&run(&["jc", "--from-diag", text])), format!("{UNSPEAKABLE}\n"));
    assert_eq!(run(&["jc", "--from-diag", "-out", "-", text]).stdout, bytes(UNSPEAKABLE));
    let plain = stdout(&run(&["jc", "--diag", "-v", "0", UNSPEAKABLE]));
    assert!(plain.starts_with("{1: h'0aff', 2: 1(1363896240)"), "{plain}");
    let pretty = stdout(&run(&["jc", "--diag", "--pretty", "a20282011801039fff"]));
    assert_eq!(pretty, "{\n  / type / 2: [\n    1,\n    1_0\n  ],\n  / content / 3: [_ ]\n}\n");
}

#[test]
fn diag_shows_sequences_and_reads_them() {
    let text = "{/ type / 2: 1}\n(_ h'01', h'')\n1.5_3\n";
    let cbor = stdout(&run(&["jc", "--from-diag", text]));
    assert_eq!(cbor, "a10201\n5f410140ff\nfb3ff8000000000000\n");
    assert_eq!(stdout(&run_with_stdin(&["jc", "--diag", "--hex"], cbor.as_bytes())), text);
}

#[test]
fn a_mistake_in_diagnostic_notation_has_its_place() {
    for (text, words) in [
        ("[1,\n 2,\n]", "byte 8: an item in diagnostic notation is expected (line 3, column 1)"),
        ("{2: nil}", "byte 4: only true, false, null"),
        ("", "the argument is empty: an item is expected at byte 0"),
        ("/ nothing /", "the argument is empty"),
    ] {
        let error = refused(&run(&["jc", "--from-diag", text]));
        assert!(error.starts_with("lowband: not diagnostic notation: ") && error.contains(words), "{error}");
    }
}

#[test]
fn annotated_bytes_stand_beside_their_meaning() {
    let expected = "\
a2          # map of 2 pairs
  02        # key 2: type
  61        # text of 1 byte
    61      # \"a\"
  03        # key 3: content
  42        # byte string of 2 bytes (a CBOR byte string has no form in JSON)
    01 ff   # h'01ff'
# item 2, at byte 8
19 03 e8  # integer 1000
";
    let output = stdout(&run(&["jc", "--annotate", "a202616103 4201ff 1903e8"]));
    assert_eq!(output.replace(' ', ""), expected.replace(' ', ""));
    assert!(output.starts_with("a2         # map of 2 pairs\n  02       # key 2: type\n"), "{output}");
    let cut = run(&["jc", "--annotate", "820162"]);
    assert_eq!(
        refused(&cut),
        "lowband: not CBOR: byte 3: the input ends inside a value; --annotate shows what comes before\n"
    );
    assert!(
        String::from_utf8_lossy(&cut.stdout).starts_with("82    # array of 2 elements, cut\n"),
        "{cut:?}"
    );
}

#[test]
fn versions_and_indents_are_explained() {
    assert!(stdout(&run(&["jc", "-V"])).contains(env!("CARGO_PKG_VERSION")));
    assert!(stdout(&run(&["jc", "--version"])).contains(env!("CARGO_PKG_VERSION")));
    let output = run(&["jc", "--pretty", "{}"]);
    assert_eq!(status(&output), 2);
    assert!(stderr(&output).contains("it goes with -c2j or --diag"), "{}", stderr(&output));
}

#[test]
fn each_limit_has_a_name_and_is_not_a_panic() {
    let deep = |depth: usize| [vec![0x81; depth], vec![0]].concat();
    assert_quiet_success(&run_with_stdin(&["jc", "-c2j"], &deep(128)));
    for flag in ["--diag", "--annotate"] {
        assert_quiet_success(&run_with_stdin(&["jc", flag], &deep(1024)));
        let error = refused(&run_with_stdin(&["jc", flag], &deep(1025)));
        assert!(error.contains("byte 1024: arrays and objects are nested deeper"), "{error}");
    }
    assert!(refused(&run_with_stdin(&["jc", "-c2j"], &deep(129))).contains("byte 128: "));
    let long = [b"\x7a\x04\x00\x00\x00".as_slice(), &vec![b'a'; 64 << 20]].concat();
    let output = run_with_stdin(&["jc", "--diag"], &long);
    assert_eq!(status(&output), 26);
    assert!(
        stderr(&output).contains("is longer than 67108864 bytes: -c2j converts it"),
        "{}",
        stderr(&output)
    );
}

/// Runs the command with its output, or its input too, in a terminal.
fn in_a_terminal(line: &str) -> (i32, String) {
    let line = format!("{} {line}", env!("CARGO_BIN_EXE_lowband"));
    let mut command = Command::new("script");
    let output = command.args(["-qec", &line, "/dev/null"]).stdin(Stdio::null()).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn bytes_do_not_go_to_a_terminal() {
    let (status, said) = in_a_terminal("jc -out - '{}'");
    assert_eq!(status, 2, "{said}");
    assert!(said.contains("CBOR as bytes does not go to a terminal"), "{said}");
    assert_eq!(in_a_terminal("jc -out - --hex '{}'"), (0, "a0\r\n".to_owned()));
    assert_eq!(in_a_terminal("jc '{}'"), (0, "a0\r\n".to_owned()));
    let (status, said) = in_a_terminal("jc");
    assert_eq!(status, 2, "{said}");
    assert!(said.contains("nothing to convert"), "{said}");
}

#[test]
fn a_document_is_converted_when_it_has_come() {
    let mut command = lowband();
    command.arg("jc").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    for (json, cbor) in [("[1]\n{", "8101\n"), ("}", "a0\n")] {
        stdin.write_all(json.as_bytes()).unwrap();
        let mut line = vec![0; cbor.len()];
        stdout.read_exact(&mut line).unwrap();
        assert_eq!(line, cbor.as_bytes(), "while the input is open");
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

/// What 40 MB of documents may take beyond what 3 MB take, in kB.
const GROWTH: usize = 2_000;

#[test]
fn documents_without_end_are_converted_in_the_memory_of_one() {
    let text = "some text ".repeat(20);
    let events = |number: usize| {
        let event = |i| {
            format!("{{\"type\":\"m.room.message\",\"depth\":{i},\"content\":{{\"body\":\"{text}\"}}}}\n")
        };
        let piece = (0..4000).map(event).collect::<String>().into_bytes();
        vec![piece; number]
    };
    let in_pieces = |cbor: &[u8]| cbor.chunks(1 << 20).map(<[u8]>::to_vec).collect::<Vec<_>>();
    let (few, for_few) = run_in_pieces(&["jc", "-out", "-"], events(3));
    let (many, peak) = run_in_pieces(&["jc", "-out", "-"], events(38));
    assert!(peak < for_few + GROWTH, "{peak} kB, {for_few} kB for three pieces");
    for way in ["-c2j", "--diag"] {
        let (_, for_few) = run_in_pieces(&["jc", way], in_pieces(&few));
        let (_, peak) = run_in_pieces(&["jc", way], in_pieces(&many));
        assert!(peak < for_few + GROWTH, "{way}: {peak} kB, {for_few} kB for three pieces");
    }
}
