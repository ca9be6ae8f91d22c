//! A capture for JavaScript: bytes of a file in, lines of JSON out, details of one exchange on demand.
//!
//! Nothing is kept of the file itself: of each exchange its summary and where its messages stand, from which
//! JavaScript reads them again. Dropping the capture ends everything, since nothing runs between two calls.

use crate::pieces::Pieces;
use crate::sessions;
use lowband_capture::detail::Content;
use lowband_capture::key_log::Added;
use lowband_capture::report::hide::{self, Secrets};
use lowband_capture::report::{Faults, Others, Totals, json};
use lowband_capture::{BodyError, Detail, Event, Exchange, MessageRef, Options};
use std::fmt;
use wasm_bindgen::prelude::wasm_bindgen;

/// Messages of all exchanges whose places are kept, some 60 bytes each: 2,097,152, which is more than a
/// capture of 100 MB has. Of exchanges that come later there are lines and no details.
pub const MAX_MESSAGES: usize = 1 << 21;

/// A capture that is being read, or was.
#[wasm_bindgen]
pub struct Capture {
    inner: lowband_capture::Capture,
    secrets: Secrets,
    told: Told,
    /// The exchange whose details were asked for last.
    last: Option<Last>,
}

/// What has come out of the capture.
struct Told {
    secrets: Secrets,
    /// Messages that are kept at most: [`MAX_MESSAGES`], less in tests.
    max_messages: usize,
    /// Lines that JavaScript has not taken yet.
    lines: String,
    exchanges: Pieces<Kept>,
    /// Messages of `exchanges`.
    messages: usize,
    totals: Totals,
    faults: Faults,
    others: Others,
}

/// An exchange that has a line.
struct Kept {
    exchange: Exchange,
    /// What the exchange would have cost over HTTPS, see [`Totals::exchange`].
    https_bytes: u64,
}

struct Last {
    position: usize,
    detail: Detail,
}

impl fmt::Debug for Capture {
    // What it holds may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Capture({} exchanges)", self.told.exchanges.len())
    }
}

impl Told {
    fn new(secrets: Secrets) -> Told {
        Told {
            secrets,
            max_messages: MAX_MESSAGES,
            lines: String::new(),
            exchanges: Pieces::new(),
            messages: 0,
            totals: Totals::default(),
            faults: Faults::default(),
            others: Others::default(),
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Exchange(mut exchange) => {
                let https_bytes = self.totals.exchange(&exchange).payload;
                json::exchange(&mut self.lines, &exchange, https_bytes, None, self.secrets);
                self.lines.push('\n');
                if self.messages + exchange.messages.len() > self.max_messages {
                    exchange.messages = Vec::new();
                }
                exchange.messages.shrink_to_fit();
                self.messages += exchange.messages.len();
                self.exchanges.push(Kept { exchange, https_bytes });
            }
            Event::Session(session) => {
                self.totals.session(&session);
                sessions::line(&session, &mut self.lines);
            }
            Event::Unread(unread) => self.faults.add(unread.message.frame, &unread.why),
            Event::Packet { frame, why } => self.faults.add(frame, &why),
            Event::File(unreadable) => self.faults.add(unreadable.frame, &unreadable.why),
            Event::Other { kind, .. } => self.others.add(kind),
            Event::Foreign { .. } => self.others.add_udp(),
            _ => {}
        }
    }
}

#[wasm_bindgen]
impl Capture {
    /// Makes a capture of which no byte has come. Access tokens, passwords and bodies that may hold them are
    /// hidden unless `show_secrets` is true.
    #[wasm_bindgen(constructor)]
    pub fn new(show_secrets: bool) -> Capture {
        let secrets = if show_secrets { Secrets::Shown } else { Secrets::Hidden };
        let options = Options { keep_access_tokens: show_secrets, ..Options::default() };
        Capture {
            inner: lowband_capture::Capture::new(options),
            secrets,
            told: Told::new(secrets),
            last: None,
        }
    }

    /// Adds the text of a key log, best before the first byte of the file. Returns as JSON how many `secrets`
    /// are new, how many lines are `repeated` or `others` that are not needed, and `unread`: the lines that
    /// cannot be read, each with its number and why; `more_unread` counts those beyond the first hundred.
    pub fn add_secrets(&mut self, key_log: &[u8]) -> String {
        let Added { secrets, repeated, others, unread, more_unread } = self.inner.add_secrets(key_log, 1);
        let mut json = "{".to_owned();
        for (name, count) in
            [("secrets", secrets), ("repeated", repeated), ("others", others), ("more_unread", more_unread)]
        {
            crate::json::number(name, count as u64, &mut json);
        }
        crate::json::name("unread", &mut json);
        json.push('[');
        for line in &unread {
            json.push_str(if json.ends_with('[') { "{" } else { ",{" });
            crate::json::number("line", line.line, &mut json);
            crate::json::text("why", &line.why.to_string(), &mut json);
            json.push('}');
        }
        json.push_str("]}");
        json
    }

    /// Reads the next bytes of the file.
    pub fn push(&mut self, bytes: &[u8]) {
        let Capture { inner, told, .. } = self;
        inner.push(bytes, &mut |event| told.take(event));
    }

    /// Ends the file: what is open comes out.
    pub fn finish(&mut self) {
        let Capture { inner, told, .. } = self;
        inner.finish(&mut |event| told.take(event));
    }

    /// Returns the lines since the last call: an object for each exchange, as `lowband show --json` writes
    /// it, and for each session that is over.
    pub fn take(&mut self) -> String {
        std::mem::take(&mut self.told.lines)
    }

    /// Returns lines about the whole, as `lowband show --json` writes them at the end: what cannot be read,
    /// by its reason and with frames; what is not CoAP; the totals.
    pub fn summary(&self) -> String {
        let mut lines = String::new();
        self.told.faults.json(&mut lines);
        self.told.others.json(&mut lines);
        self.told.totals.json(&mut lines);
        lines
    }

    /// Returns true if the file should be read once more, after [`Capture::rewind`]: secrets came behind what
    /// they decrypt.
    pub fn wants_another_pass(&self) -> bool {
        self.inner.wants_another_pass()
    }

    /// Forgets everything but the secrets.
    pub fn rewind(&mut self) {
        self.inner.rewind();
        self.told = Told::new(self.secrets);
        self.last = None;
    }

    /// Returns the number of exchanges so far. The exchanges have positions from 0, in the order of their
    /// lines.
    #[wasm_bindgen(getter)]
    pub fn length(&self) -> usize {
        self.told.exchanges.len()
    }

    /// Returns what [`Capture::detail`] needs of the file: offset and length of each piece, one behind the
    /// other.
    pub fn places(&self, position: usize) -> Vec<f64> {
        self.told.exchanges.get(position).map(|kept| places(&kept.exchange)).unwrap_or_default()
    }

    /// Returns an exchange with its `messages` and its bodies `request` and `response`, as
    /// `lowband show --json -v` writes it; empty for an exchange that does not exist. `bytes` are the pieces
    /// of the file that [`Capture::places`] names, joined.
    pub fn detail(&mut self, position: usize, bytes: &[u8]) -> String {
        let Some(Kept { exchange, https_bytes }) = self.told.exchanges.get(position) else {
            return String::new();
        };
        let mut rest = bytes;
        let mut read = |_offset: u64, length: usize| {
            let (piece, behind) = rest.split_at_checked(length)?;
            rest = behind;
            Some(piece.to_vec())
        };
        let detail = self.inner.detail(exchange, &mut read);
        let mut line = String::new();
        json::exchange(&mut line, exchange, *https_bytes, Some(&detail), self.secrets);
        self.last = Some(Last { position, detail });
        line
    }

    /// Returns a body of the exchange whose details were asked for last, as it was sent, or unpacked if that
    /// was packed CBOR; `undefined` if there is none, or it may hold secrets.
    pub fn body(&self, response: bool) -> Option<Vec<u8>> {
        self.content(response).map(|content| content.readable().to_vec())
    }

    /// Returns what is to be known about what [`Capture::body`] returns: that it was sent as packed CBOR, or
    /// why it cannot be unpacked. `undefined` of any other body.
    pub fn body_remark(&self, response: bool) -> Option<String> {
        let content = self.content(response)?;
        let (sent, readable) = (content.bytes.len(), content.readable().len());
        Some(match (&content.unpacked, &content.json) {
            (Some(_), Some(Err(BodyError::NotPacked(why)))) => {
                format!("Sent as packed CBOR, and not readable: {why}. Shown as it was sent.")
            }
            (Some(_), _) => format!("Sent as packed CBOR, {sent} bytes. Shown unpacked, {readable} bytes."),
            (None, _) => return None,
        })
    }

    /// Returns what a body of an exchange is: `cbor`, `json`, `text` or `other`; `undefined` if there is
    /// none.
    pub fn body_kind(&self, position: usize, response: bool) -> Option<String> {
        let Kept { exchange, .. } = self.told.exchanges.get(position)?;
        let body = if response { &exchange.response_body } else { &exchange.request_body };
        body.as_ref().map(|body| body.kind.name().to_owned())
    }
}

impl Capture {
    /// Returns a body of the exchange whose details were asked for last, if it may be shown.
    fn content(&self, response: bool) -> Option<&Content> {
        let Last { position, detail } = self.last.as_ref()?;
        let Kept { exchange, .. } = self.told.exchanges.get(*position)?;
        let content = if response { &detail.response_body } else { &detail.request_body };
        content.as_ref().filter(|content| hide::shows_body(exchange, content, self.secrets))
    }
}

fn places(exchange: &Exchange) -> Vec<f64> {
    let place = |message: &MessageRef| {
        let offset = message.offset? + u64::from(message.record_at);
        Some([offset as f64, f64::from(message.length.saturating_sub(message.record_at))])
    };
    exchange.messages.iter().filter_map(place).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::fs;
    use std::path::Path;

    fn load(name: &str) -> Vec<u8> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../capture/tests/data");
        fs::read(folder.join(name)).unwrap()
    }

    fn lines(text: &str) -> Vec<Value> {
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Reads a capture in pieces; returns its lines.
    fn read(capture: &mut Capture, file: &[u8]) -> Vec<Value> {
        let mut lines = String::new();
        for piece in file.chunks(1000) {
            capture.push(piece);
            lines.push_str(&capture.take());
        }
        capture.finish();
        lines.push_str(&capture.take());
        assert_eq!(capture.take(), "");
        self::lines(&lines)
    }

    fn detail(capture: &mut Capture, file: &[u8], position: usize) -> Value {
        let places = capture.places(position);
        let bytes: Vec<u8> = places
            .chunks(2)
            .flat_map(|place| &file[place[0] as usize..][..place[1] as usize])
            .copied()
            .collect();
        serde_json::from_str(&capture.detail(position, &bytes)).unwrap()
    }

    #[test]
    fn each_exchange_has_a_line_and_details_from_the_file() {
        let file = load("demo.pcap");
        let mut capture = Capture::new(false);
        let added: Value = serde_json::from_str(&capture.add_secrets(&load("demo.keys"))).unwrap();
        assert!(added["secrets"].as_u64().unwrap() > 0, "{added}");
        let all = read(&mut capture, &file);
        let exchanges: Vec<&Value> = all.iter().filter(|line| line.get("exchange").is_some()).collect();
        assert_eq!(exchanges.len(), capture.length());
        assert!(exchanges.iter().any(|line| line["code"] == "2.05"), "{exchanges:?}");
        let mut bodies = 0;
        for (position, line) in exchanges.iter().enumerate() {
            let detail = detail(&mut capture, &file, position);
            assert_eq!(detail["path"], line["path"]);
            assert_eq!(detail["https_bytes"], line["https_bytes"]);
            for message in detail["messages"].as_array().unwrap() {
                assert!(message.get("unread").is_none(), "{message}");
            }
            let length = line["response_body"]["bytes"].as_u64();
            if let Some(body) = capture.body(true) {
                bodies += 1;
                assert_eq!(Some(body.len() as u64), length);
            } else {
                assert!(length.is_none() || detail["response"] == "(hidden)", "{detail}");
            }
            assert_eq!(capture.body_kind(position, true).is_some(), length.is_some());
        }
        assert!(bodies > 0);
        let sessions: Vec<&Value> = all.iter().filter(|line| line.get("protection").is_some()).collect();
        assert!(sessions.iter().any(|session| session["keys"] == "proven"), "{sessions:?}");
        let summary = lines(&capture.summary());
        assert_eq!(summary.last().unwrap()["totals"]["exchanges"], capture.length());
    }

    #[test]
    fn secrets_that_come_late_ask_for_another_pass() {
        let file = load("demo.pcap");
        let mut capture = Capture::new(false);
        let without = read(&mut capture, &file);
        assert!(capture.length() == 0 && !without.is_empty());
        assert!(!capture.wants_another_pass());
        assert!(capture.summary().contains("the key log has no line for the session"));
        capture.add_secrets(&load("demo.keys"));
        assert!(capture.wants_another_pass());
        capture.rewind();
        assert!(!read(&mut capture, &file).is_empty() && capture.length() > 0);
        assert!(!capture.wants_another_pass());
    }

    #[test]
    fn secret_bodies_are_hidden_unless_they_are_to_be_shown() {
        let file = load("demo.pcap");
        let shown = |show: bool| {
            let mut capture = Capture::new(show);
            capture.add_secrets(&load("demo.keys"));
            read(&mut capture, &file);
            let register = (0..capture.length()).find(|position| {
                detail(&mut capture, &file, *position)["path"].as_str().unwrap().ends_with("/register")
            });
            let detail = detail(&mut capture, &file, register.unwrap());
            (detail["request"].is_object(), capture.body(false).is_some())
        };
        assert_eq!((shown(false), shown(true)), ((false, false), (true, true)));
    }

    #[test]
    fn beyond_the_limit_there_are_lines_without_details() {
        let file = load("demo.pcap");
        let mut capture = Capture::new(false);
        capture.told.max_messages = 3;
        capture.add_secrets(&load("demo.keys"));
        let lines = read(&mut capture, &file);
        let with_frames =
            lines.iter().filter(|line| line["frames"].as_array().is_some_and(|f| !f.is_empty()));
        assert_eq!(with_frames.count(), capture.length());
        let kept: usize = (0..capture.length()).map(|position| capture.places(position).len() / 2).sum();
        assert!((1..=3).contains(&kept), "{kept}");
        let without = (0..capture.length()).find(|position| capture.places(*position).is_empty()).unwrap();
        let detail = detail(&mut capture, &file, without);
        assert_eq!((detail["messages"].as_array().unwrap().len(), &detail["response"]), (0, &Value::Null));
    }

    #[test]
    fn lines_of_a_key_log_that_cannot_be_read_are_named() {
        let mut capture = Capture::new(false);
        let added: Value =
            serde_json::from_str(&capture.add_secrets(b"# fine\nCLIENT_RANDOM 00 11\nnonsense\n")).unwrap();
        assert_eq!(added["unread"].as_array().unwrap().len(), 2);
        assert_eq!(added["unread"][1]["line"], 3);
        assert_eq!(added["unread"][1]["why"], "not a label of a key log");
    }

    /// Returns a pcap of one PUT in clear CoAP with this body of packed CBOR.
    fn packed_put(body: &[u8]) -> Vec<u8> {
        // An empty token, Uri-Path `xy`, Content-Format 65060.
        let coap = [&b"\x40\x03\x00\x01\xb2xy\x12\xfe\x24\xff"[..], body].concat();
        let length = |before: usize| ((before + coap.len()) as u16).to_be_bytes();
        let mut ip = [&[0x45, 0][..], &length(28), &[0, 0, 0, 0, 64, 17, 0, 0]].concat();
        ip.extend([10, 0, 0, 1, 10, 0, 0, 2, 0xc3, 0x50, 0x16, 0x33]);
        ip.extend([&length(8)[..], &[0, 0], &coap].concat());
        let mut file = b"\xd4\xc3\xb2\xa1\x02\0\x04\0\0\0\0\0\0\0\0\0\xff\xff\0\0\x65\0\0\0".to_vec();
        file.extend(
            [&[0; 8][..], &(ip.len() as u32).to_le_bytes(), &(ip.len() as u32).to_le_bytes(), &ip].concat(),
        );
        file
    }

    #[test]
    fn a_packed_body_is_given_unpacked_with_a_remark_and_a_broken_one_with_the_reason() {
        let unpacked = b"\xa1\x02\x6em.room.message";
        for (body, secrets, shown, remark) in [
            (
                &b"\xa1\x02\xe0"[..],
                false,
                Some(&unpacked[..]),
                "Sent as packed CBOR, 3 bytes. Shown unpacked, 17 bytes.",
            ),
            // Behind what no packer writes there may be any secret.
            (b"\xa1\x02\xc1", false, None, ""),
            (
                b"\xa1\x02\xc1",
                true,
                Some(b"\xa1\x02\xc1"),
                "Sent as packed CBOR, and not readable: byte 2 of the packed body stands for nothing. Shown as it \
                 was sent.",
            ),
        ] {
            let mut capture = Capture::new(secrets);
            let file = packed_put(body);
            read(&mut capture, &file);
            let detail = detail(&mut capture, &file, 0);
            assert_eq!(capture.body(false).as_deref(), shown, "{detail}");
            assert_eq!(capture.body_remark(false).unwrap_or_default(), remark);
            assert_eq!(
                (capture.body_kind(0, false).as_deref(), capture.body_remark(true)),
                (Some("cbor"), None)
            );
            assert_eq!(detail["request_body"]["bytes"], 3);
        }
    }

    #[test]
    fn what_does_not_exist_is_empty() {
        let mut capture = Capture::new(false);
        assert_eq!(
            (capture.detail(0, b"").as_str(), capture.places(0), capture.body(true)),
            ("", vec![], None)
        );
        assert_eq!(capture.body_kind(0, true), None);
    }
}
