//! A capture of a whole run, read by Wireshark with and without the plugin, by `lowband show` and by the
//! page, each with the key log of the sidecar, as people do who read captures.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as the test does"
)]

use lowband_e2e::fixture::Fixture;
use lowband_e2e::matrix::{self, User};
use lowband_e2e::parts::system_program;
use lowband_e2e::reference::Reference;
use lowband_e2e::relay::Relay;
use lowband_e2e::synapse::RateLimits;
use lowband_e2e::wire::Wire;
use serde_json::{Value, json};
use std::process::Command;

/// Name of the capture in the run folder, as the page for operators calls it.
const CAPTURE: &str = "capture.pcap";
const KEY_LOG: &str = "keys.log";
const PAGE: &str = include_str!("../../docs/operations.md");

/// Fields that tshark prints for each datagram; several values of one field are joined by commas.
const FIELDS: [&str; 6] = [
    "dtls.record.content_type",
    "coap.code",
    "coap.opt.uri_path",
    "coap.opt.uri_query",
    "_ws.malformed",
    "_ws.expert.message",
];
/// Content type of application data (RFC 6347 section 4.1).
const APPLICATION_DATA: &str = "23";
/// The plugin that reads the protocol for Wireshark, and the fields of it that the test looks at.
const PLUGIN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../devtools/wireshark/lowband.lua");
const PLUGIN_FIELDS: [&str; 6] =
    ["lowband.code", "lowband.method", "lowband.path", "lowband.json", "lowband.blocks", "lowband.error"];
/// Wireshark 4.0 takes options that it does not know for malformed, or notes them: 256 and 257 are MSC3079's,
/// 292 is RFC 9175's, 65020 is ours.
const UNKNOWN_TO_WIRESHARK: [&str; 4] = [
    "Invalid Option Number 256",
    "Invalid Option Number 257",
    "Invalid Option Number 292",
    "Unknown Option Number 65020",
];

/// One datagram of the capture.
#[derive(Debug)]
struct Row {
    records: String,
    /// Code as one number: 69 is 2.05.
    code: String,
    path: String,
    query: String,
    malformed: String,
    expert: String,
}

impl Row {
    fn parse(line: &str) -> Row {
        let mut cells = line.split('\t').map(str::to_owned);
        let mut next = || cells.next().unwrap_or_else(|| panic!("{line:?}"));
        Row {
            records: next(),
            code: next(),
            path: next().replace(',', "/"),
            query: next(),
            malformed: next(),
            expert: next(),
        }
    }

    /// Returns method, path and query of a request.
    fn request(&self) -> Option<(&str, &str, &str)> {
        let methods = [("1", "GET"), ("2", "POST"), ("3", "PUT"), ("4", "DELETE")];
        let (_, method) = methods.into_iter().find(|(code, _)| *code == self.code)?;
        Some((method, &self.path, &self.query))
    }
}

/// Returns the page's command that reads the capture and has this word.
fn command(word: &str) -> &'static str {
    let lines = PAGE.lines().map(|line| line.trim_start_matches("$ "));
    let mut reads = lines.filter(|line| line.starts_with("tshark ") && line.contains(CAPTURE));
    reads.find(|line| line.contains(KEY_LOG) && line.contains(word)).expect("the page's command")
}

/// Runs a command of tshark with these fields, and returns what it prints.
async fn fields_of(fixture: &Fixture, command: &str, fields: &[&str]) -> String {
    system_program("tshark", "setup-test").unwrap();
    let fields: String = fields.iter().map(|field| format!(" -e {field}")).collect();
    let told = fixture.shell(&format!("{command} -T fields{fields}")).await.unwrap();
    String::from_utf8(told).unwrap()
}

/// Reads the capture with the command of the page for operators.
async fn read(fixture: &Fixture) -> Vec<Row> {
    let told = fields_of(fixture, command("dtls.port==8008,coap"), &FIELDS).await;
    told.lines().map(Row::parse).collect()
}

/// One message as the plugin shows it; only the last block of a body has its JSON.
#[derive(Debug)]
struct Shown {
    code: String,
    method: String,
    path: String,
    json: String,
    blocks: String,
    error: String,
}

impl Shown {
    fn parse(line: &str) -> Shown {
        let mut cells = line.split('\t').map(str::to_owned);
        let mut next = || cells.next().unwrap_or_else(|| panic!("{line:?}"));
        Shown { code: next(), method: next(), path: next(), json: next(), blocks: next(), error: next() }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.json).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Reads the capture with the plugin and the page's command for it, up to the fields that the page names.
async fn read_by_plugin(fixture: &Fixture) -> Vec<Shown> {
    let (command, _) = command("-T fields -e lowband.code").split_once(" -Y ").unwrap();
    let command = format!("{command} -X lua_script:{PLUGIN} -Y lowband");
    fields_of(fixture, &command, &PLUGIN_FIELDS).await.lines().map(Shown::parse).collect()
}

/// Reads the capture with our own reader: its exchanges, and what it says of the whole.
async fn show(fixture: &Fixture) -> (Vec<Value>, Vec<Value>) {
    let folder = fixture.chain.folder();
    let mut command = Command::new(fixture.parts.program("lowband").unwrap());
    command.arg("show").arg(folder.join(CAPTURE)).arg("--key-log").arg(folder.join(KEY_LOG)).arg("--json");
    let output = fixture.output(command).await.unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let told = text.lines().map(|line| serde_json::from_str(line).unwrap());
    told.partition(|value: &Value| !value["exchange"].is_null())
}

/// Reads the capture with the page, in a browser: what it exports.
async fn export(fixture: &Fixture) -> Vec<Value> {
    let folder = fixture.chain.folder();
    let mut command = Command::new(system_program("node", "setup-test").unwrap());
    command.arg(fixture.parts.file("devtools/test/export.js"));
    command.arg(folder.join(CAPTURE)).arg(folder.join(KEY_LOG));
    let output = fixture.output(command).await.unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn four_readers_decrypt_a_run_and_find_its_requests_and_nothing_malformed() {
    let fixture = Fixture::start("capture", RateLimits::Lifted, &["--key-log", KEY_LOG]).unwrap();
    fixture.run(async {
        let ca = &fixture.chain.certificate.certificate;
        let capture = fixture.chain.folder().join(CAPTURE);
        let relay = Relay::capturing(fixture.chain.address(), &capture).await.unwrap();
        let port = relay.address().port();

        // Our client knows nothing of a key log, and offers ChaCha20-Poly1305 first.
        let mut ours = Wire::coap(relay.address(), ca).await.unwrap();
        let user = matrix::sign_in(&mut ours, &User::new("capture")).await.unwrap();
        let room = matrix::create_room(&mut ours, &user, &[]).await.unwrap();
        let text = "several blocks up. ".repeat(200);
        let event = matrix::send(&mut ours, &user, &room, "1", &text).await.unwrap();
        let mut reference =
            Wire::Reference(Box::new(Reference::start(&fixture.parts, relay.address()).await.unwrap()));
        let synced = matrix::sync(&mut reference, &user, "timeout=0").await.unwrap();
        matrix::expect_message(&synced, &room, &event, &text).unwrap();
        for (program, path) in
            [("coap-client-openssl", "_matrix/client/versions"), ("coap-client-gnutls", "0")]
        {
            let mut command = Command::new(system_program(program, "setup-test").unwrap());
            command.arg("-C").arg(ca).arg(format!("coaps://localhost:{port}/{path}"));
            assert!(fixture.output(command).await.unwrap().status.success(), "{program}");
        }

        let rows = read(&fixture).await;
        for row in &rows {
            let is_well = row.expert.is_empty() && row.malformed.is_empty();
            assert!(is_well || UNKNOWN_TO_WIRESHARK.contains(&&*row.expert), "{row:?}");
            // Every encrypted record has been decrypted, and holds CoAP.
            let is_secret = row.records.split(',').any(|kind| kind == APPLICATION_DATA);
            assert_eq!(is_secret, !row.code.is_empty(), "{row:?}");
        }
        // Each block is a request of its own.
        let mut requests: Vec<_> = rows.iter().filter_map(Row::request).collect();
        let blocks = requests.len();
        requests.dedup();
        let sent = format!("9/{room}/m.room.message/1");
        let expected = [
            ("POST", "4", ""),
            ("POST", "G", ""),
            ("PUT", &*sent, ""),
            ("GET", "7", "timeout=0"),
            ("GET", "_matrix/client/versions", ""),
            ("GET", "0", ""),
        ];
        assert_eq!(requests, expected);
        // Blocks: 4 of the message, some of the sync.
        assert!(blocks >= expected.len() + 8, "{blocks}");
        for (code, least) in [("69", expected.len()), ("95", 3)] {
            let count = rows.iter().filter(|row| row.code == code).count();
            assert!(count >= least, "{count} times {code}");
        }

        let shown = read_by_plugin(&fixture).await;
        assert!(shown.iter().all(|row| row.error.is_empty()), "{shown:#?}");
        let is_request = |row: &&Shown| row.code == row.method;
        let mut requests: Vec<_> =
            shown.iter().filter(is_request).map(|row| (&*row.method, &*row.path)).collect();
        requests.dedup();
        let path = format!("/_matrix/client/r0/rooms/{room}/send/m.room.message/1");
        let expected = [
            ("POST", "/_matrix/client/r0/register"),
            ("POST", "/_matrix/client/r0/createRoom"),
            ("PUT", &*path),
            ("GET", "/_matrix/client/r0/sync"),
            ("GET", "/_matrix/client/versions"),
        ];
        assert_eq!(requests, expected);
        let of_message: Vec<_> =
            shown.iter().filter(|row| row.path == path && !row.json.is_empty()).collect();
        let [sent, answer] = &*of_message else { panic!("{of_message:#?}") };
        assert_eq!(sent.json(), json!({"msgtype": "m.text", "body": text}));
        assert_eq!((&*sent.blocks, &*answer.code), ("4", "2.05 Content"));
        assert_eq!(answer.json(), json!({"event_id": event}));
        let is_sync = |row: &&Shown| row.path.ends_with("/sync") && !row.json.is_empty();
        let syncs: Vec<_> = shown.iter().filter(is_sync).collect();
        let [sync] = &*syncs else { panic!("{syncs:#?}") };
        assert_eq!(sync.json(), synced);

        // Ours makes one exchange of all blocks, and of the codes of MSC3079 the paths that they stand for.
        let (exchanges, whole) = show(&fixture).await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let found: Vec<_> =
            exchanges.iter().map(|exchange| (text(&exchange["method"]), text(&exchange["path"]))).collect();
        let versions = ("GET", "versions".to_owned());
        let expected = [
            ("POST", "r0/register".to_owned()),
            ("POST", "r0/createRoom".to_owned()),
            ("PUT", format!("r0/rooms/{room}/send/m.room.message/1")),
            ("GET", "r0/sync".to_owned()),
            versions.clone(),
            versions,
        ];
        assert_eq!(
            found,
            expected.map(|(method, path)| (method.to_owned(), format!("/_matrix/client/{path}")))
        );
        assert!(
            exchanges.iter().all(|exchange| exchange["state"] == "complete" && exchange["code"] == "2.05")
        );
        // Both have seen the same messages, and ours has nothing else to say than the totals.
        let frames: usize =
            exchanges.iter().map(|exchange| exchange["frames"].as_array().unwrap().len()).sum();
        assert_eq!(frames, rows.iter().filter(|row| !row.code.is_empty()).count());
        assert_eq!(export(&fixture).await, exchanges);
        assert_eq!(whole.len(), 1, "{whole:?}");
        assert_eq!(whole[0]["totals"]["datagrams"], rows.len());
    });
}
