//! What `lowband-capture` decrypts is what Wireshark decrypts, byte for byte, in each suite that Wireshark
//! can read.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as the test does"
)]

#[path = "../../capture/tests/openssl/ends.rs"]
mod ends;

use ends::{Ends, messages, p256, rsa};
use lowband_capture::{Capture, Event, Options};
use lowband_e2e::parts::system_program;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The plaintexts of each frame that has some.
type Plaintexts = BTreeMap<u64, Vec<Vec<u8>>>;

/// Has tshark decrypt a capture, as bytes whose protocol it is not told.
fn by_tshark(capture: &Path, key_log: &Path) -> Plaintexts {
    let mut command = Command::new(system_program("tshark", "setup-test").unwrap());
    command.arg("-r").arg(capture).arg("-o").arg(format!("tls.keylog_file:{}", key_log.display()));
    // CoAP would be read at its own port; this is another.
    command.args(["-d", "udp.port==8008,dtls", "-T", "fields", "-e", "frame.number", "-e", "data.data"]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8(output.stdout).unwrap();
    let hex = |text: &str| -> Vec<u8> {
        let digits = text.as_bytes().chunks(2).map(|two| std::str::from_utf8(two).unwrap());
        digits.map(|two| u8::from_str_radix(two, 16).unwrap()).collect()
    };
    let rows = told.lines().filter_map(|line| {
        let (frame, data) = line.split_once('\t').filter(|(_, data)| !data.is_empty())?;
        Some((frame.parse().unwrap(), data.split(',').map(hex).collect()))
    });
    rows.collect()
}

/// Decrypts a capture by ourselves.
fn by_ourselves(capture: &Path, key_log: &Path) -> Plaintexts {
    let file = fs::read(capture).unwrap();
    let mut capture = Capture::new(Options { keep_access_tokens: true, ..Options::default() });
    capture.add_secrets(&fs::read(key_log).unwrap(), 1);
    let mut exchanges = Vec::new();
    let mut take = |event| match event {
        Event::Exchange(exchange) => exchanges.push(exchange),
        Event::Session(_) => {}
        other => panic!("{other:?}"),
    };
    capture.push(&file, &mut take);
    capture.finish(&mut take);
    let mut found = BTreeMap::new();
    for exchange in &exchanges {
        let detail = capture.detail(exchange, &mut |offset, length| {
            file.get(offset as usize..offset as usize + length).map(<[u8]>::to_vec)
        });
        for message in detail.messages {
            let bytes = message.message.unwrap().bytes;
            let of_frame: &mut Vec<(u32, Vec<u8>)> = found.entry(message.reference.frame).or_default();
            of_frame.push((message.reference.record_at, bytes));
        }
    }
    let in_order = |mut messages: Vec<(u32, Vec<u8>)>| {
        messages.sort();
        messages.into_iter().map(|(_, bytes)| bytes).collect()
    };
    found.into_iter().map(|(frame, messages)| (frame, in_order(messages))).collect()
}

fn compare(capture: &Path, key_log: &Path, messages: usize) {
    let (ours, theirs) = (by_ourselves(capture, key_log), by_tshark(capture, key_log));
    let count = ours.values().map(Vec::len).sum::<usize>();
    assert!(count >= messages, "{}: {count} messages", capture.display());
    assert!(ours == theirs, "{}: {ours:02x?} {theirs:02x?}", capture.display());
}

/// Writes a capture of datagrams between one client and one server: pcap, its packets beginning with IPv4.
fn write(path: &Path, datagrams: &[(bool, Vec<u8>)]) {
    const CLIENT: [u8; 4] = [10, 0, 0, 1];
    const SERVER: [u8; 4] = [198, 51, 100, 1];
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4, 2 | 4 << 16, 0, 0, 65_535, 228] {
        file.extend(u32::to_ne_bytes(word));
    }
    for (number, (from_client, payload)) in datagrams.iter().enumerate() {
        let length = payload.len() + 28;
        for word in [0, number, length, length] {
            file.extend((word as u32).to_ne_bytes());
        }
        let [client, server] = [(CLIENT, 50_000u16), (SERVER, 8008)];
        let (from, to) = if *from_client { (client, server) } else { (server, client) };
        file.extend([0x45, 0]);
        file.extend((length as u16).to_be_bytes());
        file.extend([0, 0, 0x40, 0, 64, 17, 0, 0]);
        file.extend([from.0, to.0].as_flattened());
        for word in [from.1, to.1, payload.len() as u16 + 8, 0] {
            file.extend(word.to_be_bytes());
        }
        file.extend(payload);
    }
    fs::write(path, file).unwrap();
}

#[test]
fn wireshark_and_we_decrypt_the_same_in_gcm_ccm_and_ccm_8() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (p256, rsa) = (p256(), rsa());
    for (suite, key) in [
        ("ECDHE-ECDSA-AES128-GCM-SHA256", &p256),
        ("ECDHE-RSA-AES128-GCM-SHA256", &rsa),
        ("ECDHE-ECDSA-AES256-GCM-SHA384", &p256),
        ("ECDHE-RSA-AES256-GCM-SHA384", &rsa),
        ("ECDHE-ECDSA-AES128-CCM", &p256),
        ("ECDHE-ECDSA-AES256-CCM", &p256),
        ("ECDHE-ECDSA-AES128-CCM8", &p256),
        ("ECDHE-ECDSA-AES256-CCM8", &p256),
        ("PSK-AES128-CCM8", &p256),
    ] {
        let (ends, all) = (Ends::new(suite, key), messages());
        let [capture, key_log] = ["pcap", "keys"].map(|end| folder.join(format!("{suite}.{end}")));
        for resumed in [false, true] {
            let first = ends.meet(None, &all);
            let run = if resumed { ends.meet(first.session.as_ref(), &all) } else { first };
            assert_eq!(run.was_resumed, resumed, "{suite}");
            fs::write(&key_log, ends.key_log.lock().unwrap().as_str()).unwrap();
            write(&capture, &run.datagrams);
            compare(&capture, &key_log, all.len());
        }
    }
}

#[test]
fn wireshark_and_we_decrypt_the_same_of_a_run_of_the_chain() {
    let data = |name| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../capture/tests/data").join(name);
    compare(&data("chain.pcap"), &data("chain.keys"), 38);
}
