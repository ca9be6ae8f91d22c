//! The Envoy filter's state machine: any header bytes, any bodies in any chunks, and in the end any
//! order of phases.
//!
//! First a stream as Envoy drives it: each message that is sent, answered or cut must be in order. Then
//! phases in an order that no host uses.

use arbitrary::{Arbitrary, Unstructured};
use lowband_codec::{KeyTable, cbor_to_json};
use lowband_translation::config::{Advertise, Config};
use lowband_translation::exchange::Exchange;
use lowband_translation::headers::Headers;
use lowband_translation::metrics::Direction;
use lowband_translation::step::{Step, Then};

/// A limit so small that a fuzzer's bodies reach it.
const REQUEST_LIMIT: usize = 300;
const HELD: usize = 40;

#[derive(Arbitrary, Debug)]
struct Script {
    /// The lowest bit: the sidecar is believed. The next one: headers never wait. If the third is set as
    /// well: the answer begins before the request's body.
    switches: u8,
    knows_keys: bool,
    advertises: bool,
    request: Message,
    response: Message,
    /// Number of the host call that the host refuses; `None` for none.
    refuses_at: Option<u8>,
    disorder: Vec<(bool, Phase)>,
}

#[derive(Arbitrary, Debug)]
struct Message {
    fields: Vec<(Name, Value)>,
    body: Vec<u8>,
    /// Lengths of the pieces; the rest of the body is the last one.
    cuts: Vec<u8>,
    late_end: bool,
    trailers: bool,
}

#[derive(Arbitrary, Debug, Clone, Copy)]
enum Phase {
    Headers(bool),
    Body(u8, bool),
    Trailers,
    Taken,
    Refused,
}

#[derive(Arbitrary, Debug)]
enum Name {
    Known(u8),
    Any(Vec<u8>),
}

#[derive(Arbitrary, Debug)]
enum Value {
    Known(u8),
    Any(Vec<u8>),
}

const NAMES: [&str; 12] = [
    ":method",
    ":path",
    ":status",
    "content-type",
    "accept",
    "content-length",
    "content-encoding",
    "vary",
    "lowband-cbor-version",
    "etag",
    "digest",
    "accept-encoding",
];
const VALUES: [&str; 20] = [
    "application/cbor",
    "application/json",
    "application/cbor, application/json;q=0.5",
    "*/*",
    "GET",
    "HEAD",
    "POST",
    "200",
    "204",
    "206",
    "304",
    "gzip",
    "identity",
    "0",
    "1",
    "41",
    "99999999999",
    "/_matrix/media/x",
    "/_matrix/client/versions",
    "/_matrix/client/v3/login",
];

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

impl Message {
    fn fields(&self) -> Fields {
        let known = |table: &[&str], at: u8| table[usize::from(at) % table.len()].as_bytes().to_vec();
        let name = |name: &Name| match name {
            Name::Known(at) => known(&NAMES, *at),
            Name::Any(bytes) => bytes.clone(),
        };
        let value = |value: &Value| match value {
            Value::Known(at) => known(&VALUES, *at),
            Value::Any(bytes) => bytes.clone(),
        };
        self.fields.iter().map(|(n, v)| (name(n), value(v))).collect()
    }

    fn pieces(&self) -> Vec<&[u8]> {
        let (mut pieces, mut rest) = (Vec::new(), self.body.as_slice());
        for cut in &self.cuts {
            let (piece, more) = rest.split_at(usize::from(*cut).min(rest.len()));
            pieces.push(piece);
            rest = more;
        }
        if !rest.is_empty() {
            pieces.push(rest);
        }
        pieces
    }
}

pub fn run(data: &[u8]) {
    let Ok(script) = Script::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let base_url = script.advertises.then(|| "https://lb.example.org".to_owned());
    let config = Config {
        hold_headers: script.switches & 2 == 0,
        trusted: script.switches & 1 == 1,
        default_key_table: script.knows_keys.then(KeyTable::v1),
        max_request_bytes: REQUEST_LIMIT,
        hold_response_bytes: HELD,
        advertise: Advertise { dtls_port: script.advertises.then_some(8008), base_url, stable_name: true },
        ..Config::default()
    };
    let mut exchange = Exchange::new(config);
    let calls_left = script.refuses_at.map(usize::from);
    let mut request = Host::new(Direction::Request, &script.request, calls_left);
    request.begin(&mut exchange);
    let hasty = script.switches & 6 == 6;
    if !hasty {
        request.finish(&mut exchange);
    }
    if !request.replied {
        let mut response = Host::new(Direction::Response, &script.response, request.calls_left.take());
        response.begin(&mut exchange);
        if hasty && !response.replied && !response.cut {
            request.calls_left = response.calls_left.take();
            request.finish(&mut exchange);
            assert!(!request.replied, "a second answer");
            response.calls_left = request.calls_left.take();
        }
        if !hasty || !request.cut {
            response.finish(&mut exchange);
        }
    }
    disorder(&mut exchange, &script);
    exchange.counted().for_each(drop);
}

/// Envoy: hands over phases, keeps held bytes, sends on forwarded ones, and refuses a call now and then.
struct Host<'m> {
    direction: Direction,
    message: &'m Message,
    fields: Fields,
    headers_left: bool,
    waits: bool,
    has_body: bool,
    held: Vec<u8>,
    sent: Vec<u8>,
    replied: bool,
    cut: bool,
    /// The number of calls until the host refuses; `None` for never.
    calls_left: Option<usize>,
    refused: bool,
}

impl<'m> Host<'m> {
    fn new(direction: Direction, message: &'m Message, calls_left: Option<usize>) -> Self {
        Host {
            direction,
            message,
            fields: message.fields(),
            headers_left: false,
            waits: false,
            has_body: !message.pieces().is_empty(),
            held: Vec::new(),
            sent: Vec::new(),
            replied: false,
            cut: false,
            calls_left,
            refused: false,
        }
    }

    /// Passes the header fields.
    fn begin(&mut self, exchange: &mut Exchange) {
        let fields = self.fields.clone();
        let headers = Headers::new(fields.iter().map(|(n, v)| (n.as_slice(), v.as_slice())).collect());
        let bodiless = !self.has_body && !self.message.trailers;
        let step = match self.direction {
            Direction::Request => exchange.request_headers(&headers, bodiless),
            Direction::Response => exchange.response_headers(&headers, bodiless),
        };
        self.perform(exchange, step);
    }

    /// Passes the rest of the message.
    fn finish(&mut self, exchange: &mut Exchange) {
        let (direction, message) = (self.direction, self.message);
        let pieces = message.pieces();
        let mut told: Vec<(&[u8], bool)> = pieces.iter().map(|piece| (*piece, false)).collect();
        if message.late_end && self.has_body {
            told.push((b"", false));
        }
        if let Some((_, end)) = told.last_mut() {
            *end = !message.trailers;
        }
        for (piece, end) in told {
            if self.replied || self.cut {
                return;
            }
            self.held.extend(piece);
            let step = match direction {
                Direction::Request => exchange.request_body(self.held.len(), end),
                Direction::Response => exchange.response_body(self.held.len(), end),
            };
            self.perform(exchange, step);
        }
        if message.trailers && !self.replied && !self.cut {
            let step = match direction {
                Direction::Request => exchange.request_trailers(),
                Direction::Response => exchange.response_trailers(),
            };
            self.perform(exchange, step);
        }
        if !self.replied && !self.cut {
            self.check(&message.fields(), &message.body);
        }
    }

    fn perform(&mut self, exchange: &mut Exchange, step: Step) {
        if !self.carry_out(exchange, step) {
            self.refused = true;
            let step = exchange.host_refused(self.direction);
            if !self.carry_out(exchange, step) {
                // The shell closes the stream.
                self.cut = true;
            }
        }
    }

    /// Counts one host call; returns false if the host refuses it.
    fn call(&mut self) -> bool {
        match &mut self.calls_left {
            Some(0) => {
                self.calls_left = None;
                false
            }
            Some(left) => {
                *left -= 1;
                true
            }
            None => true,
        }
    }

    fn carry_out(&mut self, exchange: &mut Exchange, step: Step) -> bool {
        for edit in step.edits {
            assert!(!self.headers_left, "edits after the headers have left");
            if !self.call() {
                return false;
            }
            self.fields.retain(|(name, _)| *name != *edit.name);
            self.fields.extend(edit.value.map(|value| (edit.name.to_vec(), value.into_owned())));
        }
        let waited = std::mem::replace(&mut self.waits, step.then == Then::Hold);
        match step.then {
            Then::Forward => {
                self.headers_left = true;
                self.sent.append(&mut self.held);
            }
            Then::Hold => assert!(self.sent.is_empty(), "held after a part of it has left"),
            Then::Take => {
                self.waits = waited;
                if !self.call() {
                    return false;
                }
                let body = self.held.clone();
                let step = match self.direction {
                    Direction::Request => exchange.request_taken(&body),
                    Direction::Response => exchange.response_taken(&body),
                };
                return self.carry_out(exchange, step);
            }
            Then::Replace(body) => {
                assert!(self.has_body, "a body for a message without one");
                if !self.call() {
                    return false;
                }
                self.headers_left = true;
                self.held.clear();
                self.sent.extend(body);
            }
            Then::Reply(reply) => {
                let answers_late = self.direction == Direction::Request;
                assert!(answers_late || !self.headers_left, "a reply after the headers have left");
                assert!(self.sent.is_empty(), "a reply after a part of the body has left");
                assert!(reply.status >= 400);
                if !self.call() {
                    return false;
                }
                self.replied = true;
            }
            Then::Cut => {
                assert!(self.headers_left, "cut where an error could have been told");
                self.cut = true;
            }
        }
        true
    }

    /// Checks a message that has been sent to its end.
    fn check(&self, came: &Fields, body: &[u8]) {
        assert!(self.headers_left && self.held.is_empty() && !self.waits, "the message hangs");
        let is_cbor = |fields: &Fields| one(fields, "content-type") == Some(b"application/cbor");
        match self.direction {
            Direction::Request if self.sent != body => {
                serde_json::from_slice::<serde_json::Value>(&self.sent)
                    .expect("what has been translated is JSON");
            }
            Direction::Response if self.sent != body && is_cbor(&self.fields) => {
                cbor_to_json(&self.sent).expect("what has been translated is CBOR");
            }
            _ => {}
        }
        if self.sent != body
            && let Some(length) = one(&self.fields, "content-length")
        {
            assert_eq!(length, self.sent.len().to_string().as_bytes(), "a stale length, once {came:?}");
        }
        if self.direction == Direction::Request {
            let told = |name: &[u8]| name.len() >= 8 && name[..8].eq_ignore_ascii_case(b"lowband-");
            assert!(!self.fields.iter().any(|(name, _)| told(name)), "told to the homeserver");
        }
    }
}

/// Returns the value of the only field of this name.
fn one<'f>(fields: &'f Fields, name: &str) -> Option<&'f [u8]> {
    let mut values = fields.iter().filter(|(n, _)| n == name.as_bytes()).map(|(_, value)| value.as_slice());
    values.next().filter(|_| values.next().is_none())
}

fn disorder(exchange: &mut Exchange, script: &Script) {
    for (of_request, phase) in &script.disorder {
        let message = if *of_request { &script.request } else { &script.response };
        let fields = message.fields();
        let headers = Headers::new(fields.iter().map(|(n, v)| (n.as_slice(), v.as_slice())).collect());
        let _ = match (of_request, *phase) {
            (true, Phase::Headers(end)) => exchange.request_headers(&headers, end),
            (false, Phase::Headers(end)) => exchange.response_headers(&headers, end),
            (true, Phase::Body(held, end)) => exchange.request_body(usize::from(held), end),
            (false, Phase::Body(held, end)) => exchange.response_body(usize::from(held), end),
            (true, Phase::Trailers) => exchange.request_trailers(),
            (false, Phase::Trailers) => exchange.response_trailers(),
            (true, Phase::Taken) => exchange.request_taken(&message.body),
            (false, Phase::Taken) => exchange.response_taken(&message.body),
            (true, Phase::Refused) => exchange.host_refused(Direction::Request),
            (false, Phase::Refused) => exchange.host_refused(Direction::Response),
        };
    }
}
