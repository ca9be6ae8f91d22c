//! `lowband jc`: what goes in, what comes out, and where.

use crate::command::{TemporaryFile, assert_quiet_success, lowband, run, run_with_stdin, status, stderr};
use lowband_codec::KeyTable;
use std::io::{Read, Write};
use std::process::Stdio;

/// MSC3079's test vector.
const JSON: &str = r#"{"type":"m.room.message","content":{"msgtype":"m.text","body":"Hello World"},"sender":"@alice:localhost",
 "room_id":"!foo:localhost","unsigned":{"bool_value":true,"null_value":null}}"#;
const CBOR: &str = "a5026e6d2e726f6f6d2e6d65737361676503a2181b6b48656c6c6f20576f726c64181c666d2e74657874056e21666f6f3a6c6f63\
                    616c686f7374067040616c6963653a6c6f63616c686f737409a26a626f6f6c5f76616c7565f56a6e756c6c5f76616c7565f6";

pub(crate) fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

#[test]
fn the_vector_of_the_msc_is_written_in_every_way() {
    let json = TemporaryFile::with("vector.json", JSON.as_bytes());
    let out = TemporaryFile::absent("vector.cbor");
    let as_text = format!("{CBOR}\n");
    for input in [JSON, &json.at(), "-"] {
        let output = run_with_stdin(&["jc", input], JSON.as_bytes());
        assert_quiet_success(&output);
        assert_eq!(output.stdout, as_text.as_bytes(), "{input}");
    }
    assert_eq!(run(&["jc", "-out", "-", JSON]).stdout, bytes(CBOR));
    assert_eq!(run(&["jc", "-out", "-", "--hex", JSON]).stdout, as_text.as_bytes());
    let output = run(&["jc", "-out", out.path(), JSON]);
    assert_quiet_success(&output);
    assert!(output.stdout.is_empty());
    assert_eq!(std::fs::read(&out.0).unwrap(), bytes(CBOR));
}

#[test]
fn the_vector_of_the_msc_is_read_in_every_way() {
    let as_bytes = TemporaryFile::with("vector-bytes", &bytes(CBOR));
    let as_text = TemporaryFile::with("vector-text", CBOR.as_bytes());
    let mut outputs = vec![
        run(&["jc", "-c2j", CBOR]),
        run(&["jc", "-c2j", &as_bytes.at()]),
        run(&["jc", "-c2j", "--hex", &as_text.at()]),
        run(&["jc", "--c2j", "-v", "1", &as_bytes.at()]),
        run_with_stdin(&["jc", "-c2j", "-"], &bytes(CBOR)),
        run_with_stdin(&["jc", "-c2j", "-hex", "-"], CBOR.as_bytes()),
    ];
    let first = outputs.remove(0);
    assert_quiet_success(&first);
    assert!(first.stdout.ends_with(b"}\n"));
    assert_eq!(lowband_codec::json_to_cbor(&first.stdout).map(|cbor| cbor.len()), Ok(bytes(CBOR).len()));
    for output in outputs {
        assert_quiet_success(&output);
        assert_eq!(output.stdout, first.stdout);
    }
}

#[test]
fn there_and_back_is_the_same_json() {
    let json = r#"{"type":"m.text","unknown":[1,-2.5,"\u0001",null,true,{}]}"#;
    let cbor = run(&["jc", "-out", "-", json]).stdout;
    let output = run_with_stdin(&["jc", "-c2j", "-"], &cbor);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{json}\n"));
}

#[test]
fn the_key_table_can_be_left_out() {
    assert_eq!(KeyTable::v1().integer("type"), Some(2));
    assert_eq!(run(&["jc", "-v", "0", r#"{"type":1}"#]).stdout, b"a1647479706501\n");
    assert_eq!(run(&["jc", "-v", "0", "-c2j", "a10201"]).stdout, b"{\"2\":1}\n");
    assert_eq!(status(&run(&["jc", "-v", "2", "{}"])), 2);
}

#[test]
fn json_can_be_indented_and_a_number_given_as_it_is() {
    assert_eq!(run(&["jc", "-c2j", "--pretty", "a1028101"]).stdout, b"{\n  \"type\": [\n    1\n  ]\n}\n");
    assert_eq!(run(&["jc", "-5"]).stdout, b"24\n");
}

#[test]
fn bad_input_is_status_1_with_its_place_and_writes_nothing() {
    let kept = TemporaryFile::with("kept", b"as it was");
    for (arguments, words) in [
        (&["jc", "{\n \"a\": tru}"][..], &["byte 8", "line 2, column 7"][..]),
        (&["jc", ""], &["byte 0"]),
        (&["jc", "-c2j", "a1"], &["byte 1"]),
        (&["jc", "-c2j", "xy"], &["hexadecimal", "byte 0"]),
        (&["jc", "-c2j", "a1f"], &["hexadecimal"]),
        (&["jc", "-out", kept.path(), "[1,]"], &["byte "]),
        (&["jc", "-c2j", "-out", kept.path(), "ff"], &["byte 0"]),
    ] {
        let output = run(arguments);
        assert_eq!((status(&output), output.stdout.as_slice()), (1, &b""[..]), "{arguments:?}");
        for word in words {
            assert!(stderr(&output).contains(word), "{arguments:?}: {}", stderr(&output));
        }
    }
    assert_eq!(std::fs::read(&kept.0).unwrap(), b"as it was");
}

#[test]
fn hexadecimal_text_taken_for_bytes_is_explained() {
    let output = run_with_stdin(&["jc", "-c2j", "-"], b"a10201\n");
    assert_eq!(status(&output), 1);
    assert!(stderr(&output).contains("--hex"), "{}", stderr(&output));
}

#[test]
fn an_input_without_a_value_is_said_to_be_empty_wherever_it_comes_from() {
    for (blank, white) in [("", ""), (" \n\t\r ", " but for white space")] {
        let file = TemporaryFile::with("blank", blank.as_bytes());
        for (input, name) in [(blank, "the argument"), (&*file.at(), file.path()), ("-", "stdin")] {
            for stream in [&[][..], &["--stream"]] {
                let output = run_with_stdin(&[&["jc", input], stream].concat(), blank.as_bytes());
                let expected =
                    format!("lowband: not JSON: {name} is empty{white}: a value is expected at byte 0\n");
                assert_eq!((status(&output), &*stderr(&output)), (1, &*expected));
                // White space read as bytes is CBOR.
                let as_text = [&["--hex"][..], &[]];
                let as_text = if white.is_empty() || input == blank { &as_text[..] } else { &as_text[..1] };
                for hex in as_text {
                    let arguments = [&["jc", "-c2j", input], stream, hex].concat();
                    let output = run_with_stdin(&arguments, blank.as_bytes());
                    let expected =
                        format!("lowband: not CBOR: {name} is empty: an item is expected at byte 0\n");
                    assert_eq!((status(&output), &*stderr(&output)), (1, &*expected), "{arguments:?}");
                }
            }
        }
    }
    assert_eq!(run_with_stdin(&["jc", "-c2j", "-"], b"\n").stdout, b"10\n");
}

#[test]
fn what_lenient_writes_is_read_as_a_whole_and_in_pieces() {
    let [deep, cut] = [("[", "]"), ("null", "")]
        .map(|(core, end)| format!("{}{core}{end}{}", "[".repeat(128), "]".repeat(128)));
    for (json, whole, in_pieces) in [
        (r#"{"type":1,"type":2}"#, r#"{"type":2}"#, r#"{"type":1}"#),
        (r#"{"a":1,"a":{"b":[]},"c":3}"#, r#"{"a":{"b":[]},"c":3}"#, r#"{"a":1,"c":3}"#),
        (&*deep, &*cut, &*cut),
        ("\u{feff}[1]", "[1]", "[1]"),
    ] {
        for (stream, expected) in [(&[][..], whole), (&["--stream"], in_pieces)] {
            let arguments = [&["jc", "--lenient", "-out", "-", "-"], stream].concat();
            let written = run_with_stdin(&arguments, json.as_bytes());
            assert_eq!(status(&written), 0, "{}", stderr(&written));
            for back in [&["jc", "-c2j", "-"][..], &["jc", "-c2j", "--stream", "-"]] {
                let read = run_with_stdin(back, &written.stdout);
                assert_eq!(read.stdout, format!("{expected}\n").as_bytes(), "{}", stderr(&read));
            }
        }
        for stream in [&[][..], &["--stream"]] {
            let refused = run_with_stdin(&[&["jc", "-"], stream].concat(), json.as_bytes());
            assert_eq!(status(&refused), 1, "strict");
        }
    }
}

#[test]
fn odd_json_is_refused_unless_repairs_are_asked_for() {
    let odd = r#"{"a":1,"a":2}"#;
    assert_eq!(status(&run(&["jc", odd])), 1);
    let output = run(&["jc", "-lenient", odd]);
    assert_eq!((status(&output), output.stdout.as_slice()), (0, &b"a1616102\n"[..]));
    assert!(stderr(&output).contains("1 repeated key: the last was kept"), "{}", stderr(&output));
}

#[test]
fn input_that_cannot_be_read_and_flags_that_do_not_fit_are_refused() {
    assert_eq!(status(&run(&["jc", "@/nonexistent"])), 26);
    assert_eq!(status(&run(&["jc", "-pretty", "{}"])), 2);
    assert_eq!(status(&run(&["jc", "-c2j", "-lenient", "a0"])), 2);
    for (one, other) in [("--diag", "--annotate"), ("--diag", "--from-diag"), ("--diag", "--stream")] {
        assert_eq!(status(&run(&["jc", one, other, "a0"])), 2, "{one} {other}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let json = format!("[{}1]", "1,".repeat(200_000));
    let mut command = lowband();
    command.args(["jc", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    child.stdin.take().unwrap().write_all(json.as_bytes()).unwrap();
    assert_quiet_success(&child.wait_with_output().unwrap());
}

#[test]
fn in_pieces_the_same_content_comes_out_with_indefinite_lengths_and_in_the_order_of_the_input() {
    let json = r#"{"type":"m.text","b":[1,{}],"a":"\u00e9"}"#;
    let cbor = "bf02666d2e7465787461629f01a0ff616162c3a9ff";
    let file = TemporaryFile::with("stream.json", json.as_bytes());
    let out = TemporaryFile::absent("stream.cbor");
    assert_eq!(run(&["jc", "-stream", json]).stdout, format!("{cbor}\n").as_bytes());
    assert_eq!(run(&["jc", "--stream", "-out", "-", &file.at()]).stdout, bytes(cbor));
    assert_quiet_success(&run(&["jc", "--stream", "-out", out.path(), &file.at()]));
    assert_eq!(std::fs::read(&out.0).unwrap(), bytes(cbor));
    for arguments in [&["jc", "-c2j", "-stream", cbor][..], &["jc", "-c2j", "-stream", &out.at()]] {
        let output = run(arguments);
        assert_quiet_success(&output);
        assert_eq!(output.stdout, run(&["jc", "-c2j", cbor]).stdout);
    }
    let pretty = run(&["jc", "-c2j", "-stream", "-pretty", cbor]);
    assert_eq!(pretty.stdout, run(&["jc", "-c2j", "-pretty", cbor]).stdout);
}

#[test]
fn in_pieces_an_error_has_its_place_and_leaves_a_file_as_it_was() {
    let kept = TemporaryFile::with("kept-by-stream", b"as it was");
    for (arguments, words) in [
        (&["jc", "-stream", "-out", kept.path(), "[1,]"][..], &["not JSON", "byte 3"][..]),
        (&["jc", "-stream", "-out", kept.path(), "[1"], &["not JSON", "byte 2"]),
        (&["jc", "-c2j", "-stream", "-out", kept.path(), "82ff"], &["not CBOR", "byte 1"]),
        (&["jc", "-c2j", "-stream", "-out", kept.path(), "8"], &["hexadecimal"]),
    ] {
        let output = run(arguments);
        assert_eq!(status(&output), 1, "{arguments:?}");
        for word in words {
            assert!(stderr(&output).contains(word), "{arguments:?}: {}", stderr(&output));
        }
    }
    assert_eq!(std::fs::read(&kept.0).unwrap(), b"as it was");
    let output = run(&["jc", "-stream", "-lenient", r#"{"type":1,"type":2}"#]);
    assert_eq!((status(&output), output.stdout.as_slice()), (0, &b"bf0201ff\n"[..]));
    assert!(stderr(&output).contains("1 repeated key: the first was kept"), "{}", stderr(&output));
}

/// Makes a document of 70 MB, which is more than is converted as a whole.
fn long_document() -> impl Iterator<Item = String> {
    let text = "some text ".repeat(8);
    let event = move |i: u32| {
        format!(r#","x{i}":{{"type":"m.room.message","origin_server_ts":{i},"content":{{"body":"{text}"}}}}"#)
    };
    let events = (0..450).map(move |part| (part * 1000..(part + 1) * 1000).map(&event).collect::<String>());
    std::iter::once(r#"{"type":"all""#.to_owned()).chain(events).chain(["}".to_owned()])
}

/// What a document of 64 MiB may take beyond what one of 2 MiB takes, in kB: it is for its 450,000 keys,
/// which are remembered because none may occur twice.
const GROWTH: usize = 10_500;

/// Runs the command on these pieces of input; returns its output, and the most memory in kB that it held
/// before the last piece.
pub(crate) fn run_in_pieces(arguments: &[&str], mut pieces: Vec<Vec<u8>>) -> (Vec<u8>, usize) {
    let mut command = lowband();
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let reader = std::thread::spawn(move || {
        let mut output = Vec::new();
        stdout.read_to_end(&mut output).map(|_| output)
    });
    let last = pieces.pop().unwrap();
    pieces.iter().for_each(|piece| stdin.write_all(piece).unwrap());
    // The command waits for the last piece, so its memory can be read.
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    stdin.write_all(&last).unwrap();
    drop(stdin);
    let output = reader.join().unwrap().unwrap();
    assert_quiet_success(&child.wait_with_output().unwrap());
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    (output, peak.trim().trim_end_matches(" kB").parse().unwrap())
}

#[test]
fn a_document_of_any_length_is_converted_in_little_memory() {
    let json: Vec<Vec<u8>> = long_document().map(String::into_bytes).collect();
    let json_len: usize = json.iter().map(Vec::len).sum();
    assert!(json_len > 64 << 20, "{json_len}");
    let short = [&json[..json.len() / 32], &json[json.len() - 1..]].concat();
    let in_pieces = |cbor: &[u8]| cbor.chunks(64 << 10).map(<[u8]>::to_vec).collect::<Vec<_>>();
    let to_cbor = ["jc", "--stream", "-out", "-", "-"];
    let (short, for_short) = run_in_pieces(&to_cbor, short);
    let (cbor, peak) = run_in_pieces(&to_cbor, json);
    assert!(peak < for_short + GROWTH, "{peak} kB, {for_short} kB for a short document");
    let to_json = ["jc", "-c2j", "--stream", "-"];
    let (_, for_short) = run_in_pieces(&to_json, in_pieces(&short));
    let (json, peak) = run_in_pieces(&to_json, in_pieces(&cbor));
    assert!(peak < for_short + GROWTH, "{peak} kB, {for_short} kB for a short document");
    assert_eq!(json.len(), json_len + 1);
    assert!(long_document().flat_map(String::into_bytes).chain([b'\n']).eq(json), "there and back");
}

#[test]
fn what_is_too_long_to_be_sorted_is_refused_and_cbor_that_is_as_long_is_read_in_pieces() {
    let text = |head: &[u8], tail: &[u8]| [head, &vec![b'a'; 64 << 20], tail].concat();
    let output = run_with_stdin(&["jc", "-"], &text(b"\"", b"\""));
    assert_eq!(status(&output), 26);
    assert!(stderr(&output).contains("--stream"), "{}", stderr(&output));
    let cbor = text(b"\x7a\x04\x00\x00\x00", b"");
    assert_quiet_success(&run_with_stdin(&["jc", "-c2j", "-out", "/dev/null", "-"], &cbor));
}

#[test]
fn output_that_cannot_be_written_is_status_23() {
    assert_eq!(status(&run(&["jc", "-out", "/nonexistent/file", "{}"])), 23);
}
