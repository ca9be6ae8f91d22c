//! An exchange, what cannot be read, and totals as JSON, one line each.

use super::hide::{self, Secrets};
use super::printable::{Hex, controls_terminal, format_name};
use crate::detail::{Content, Decoded, Detail, MessageDetail, Value};
use crate::exchange::{Body, Exchange, Mark};
use std::fmt::{Display, Write};

/// An object that is being written.
pub(super) struct Object<'o> {
    out: &'o mut String,
    is_empty: bool,
}

impl<'o> Object<'o> {
    pub(super) fn begin(out: &'o mut String) -> Object<'o> {
        out.push('{');
        Object { out, is_empty: true }
    }

    pub(super) fn end(self) {
        self.out.push('}');
    }

    /// Writes a key, and returns where its value goes.
    fn key(&mut self, key: &str) -> &mut String {
        if !std::mem::replace(&mut self.is_empty, false) {
            self.out.push(',');
        }
        self.out.push('"');
        self.out.push_str(key);
        self.out.push_str("\":");
        self.out
    }

    /// Writes a number, or a word of JSON.
    pub(super) fn bare(&mut self, key: &str, value: impl Display) {
        let _infallible = write!(self.key(key), "{value}");
    }

    pub(super) fn text(&mut self, key: &str, value: &str) {
        string(self.key(key), value);
    }

    /// Writes what has a text, which needs no escapes.
    pub(super) fn plain(&mut self, key: &str, value: impl Display) {
        let _infallible = write!(self.key(key), "\"{value}\"");
    }

    fn text_or_null(&mut self, key: &str, value: Option<impl Display>) {
        match value {
            Some(value) => self.plain(key, value),
            None => self.bare(key, "null"),
        }
    }

    pub(super) fn object(&mut self, key: &str, fill: impl FnOnce(&mut Object<'_>)) {
        let mut object = Object::begin(self.key(key));
        fill(&mut object);
        object.end();
    }

    /// Writes an array of what `fill` writes for each item.
    pub(super) fn array<T>(
        &mut self,
        key: &str,
        items: impl IntoIterator<Item = T>,
        fill: impl Fn(&mut String, T),
    ) {
        let out = self.key(key);
        out.push('[');
        for (number, item) in items.into_iter().enumerate() {
            if number > 0 {
                out.push(',');
            }
            fill(out, item);
        }
        out.push(']');
    }
}

/// Writes a string with its quotes (RFC 8259 section 7).
fn string(out: &mut String, text: &str) {
    out.push('"');
    let mut rest = text;
    while let Some(at) =
        rest.find(|character: char| matches!(character, '"' | '\\') || controls_terminal(character))
    {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let mut characters = from.chars();
        match characters.next() {
            Some('"') => out.push_str("\\\""),
            Some('\\') => out.push_str("\\\\"),
            Some('\n') => out.push_str("\\n"),
            Some('\t') => out.push_str("\\t"),
            Some(control) => {
                let _infallible = write!(out, "\\u{:04x}", u32::from(control));
            }
            None => {}
        }
        rest = characters.as_str();
    }
    out.push_str(rest);
    out.push('"');
}

/// Writes an exchange as one object, without a newline. `https_bytes` is [`https::exchange`]'s payload;
/// `detail` adds its messages and bodies.
///
/// ```text
/// {"exchange":17,"time":"2026-11-30T03:40:00.123456Z","client":"10.0.0.1:50000","server":"198.51.100.1:8008",
///  "session":3,"kind":"request","method":"PUT","path":"/_matrix/client/...","query":"","code":"2.05",
///  "state":"complete","bytes_up":312,"bytes_down":96,"datagrams_up":1,"datagrams_down":1,"repeats":0,"ms":21.5,
///  "request_body":{"bytes":40,"json_bytes":52,"format":"application/cbor"},"response_body":null,
///  "https_bytes":926,"observe":false,"frames":[7,8],"notes":[]}
/// ```
///
/// `bytes_up` and `bytes_down` are payload of UDP, with DTLS. `ms` is null without a response.
///
/// [`https::exchange`]: super::https::exchange
pub fn exchange(
    out: &mut String,
    exchange: &Exchange,
    https_bytes: u64,
    detail: Option<&Detail>,
    secrets: Secrets,
) {
    let mut object = Object::begin(out);
    object.bare("exchange", exchange.number);
    object.plain("time", exchange.time);
    object.plain("client", exchange.client);
    object.plain("server", exchange.server);
    object.bare("session", exchange.session);
    object.plain("kind", exchange.kind.name());
    match exchange.method.map(|method| method.method_name().ok_or(method)) {
        None => object.bare("method", "null"),
        Some(Ok(name)) => object.plain("method", name),
        Some(Err(code)) => object.plain("method", code),
    }
    object.text("path", &exchange.path);
    object.text("query", &hide::query(exchange, secrets));
    object.text_or_null("code", exchange.code);
    object.plain("state", exchange.state.name());
    object.bare("bytes_up", exchange.up.bytes);
    object.bare("bytes_down", exchange.down.bytes);
    object.bare("datagrams_up", exchange.up.datagrams);
    object.bare("datagrams_down", exchange.down.datagrams);
    object.bare("repeats", exchange.repeats);
    match exchange.duration {
        Some(duration) => object.bare("ms", milliseconds(duration.as_secs_f64() * 1e3)),
        None => object.bare("ms", "null"),
    }
    body(&mut object, "request_body", exchange.request_body.as_ref());
    body(&mut object, "response_body", exchange.response_body.as_ref());
    object.bare("https_bytes", https_bytes);
    object.bare("observe", exchange.observe);
    object.array("frames", &exchange.messages, |out, message| {
        let _infallible = write!(out, "{}", message.frame);
    });
    object.array("notes", &exchange.notes, |out, note| string(out, note.name()));
    if let Some(detail) = detail {
        details(&mut object, exchange, detail, secrets);
    }
    object.end();
}

/// Rounds to the microsecond, and leaves out zeros at the end.
fn milliseconds(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

fn body(object: &mut Object<'_>, key: &str, body: Option<&Body>) {
    let Some(body) = body else { return object.bare(key, "null") };
    object.object(key, |object| {
        object.bare("bytes", body.bytes);
        match body.json_bytes {
            Some(bytes) => object.bare("json_bytes", bytes),
            None => object.bare("json_bytes", "null"),
        }
        format(object, body.format);
        if body.blocks > 0 {
            object.bare("blocks", body.blocks);
        }
        if let Some(error) = &body.error {
            object.text("error", &error.to_string());
        }
    });
}

/// Writes a Content-Format: by its name, or else its number.
fn format(object: &mut Object<'_>, format: Option<u16>) {
    match format.map(|number| format_name(number).ok_or(number)) {
        None => object.bare("format", "null"),
        Some(Ok(name)) => object.plain("format", name),
        Some(Err(number)) => object.bare("format", number),
    }
}

fn details(object: &mut Object<'_>, exchange: &Exchange, detail: &Detail, secrets: Secrets) {
    object.array("messages", &detail.messages, |out, detail| message(out, exchange, detail, secrets));
    let shown = hide::shows_bodies(exchange, secrets);
    for (key, content) in [("request", &detail.request_body), ("response", &detail.response_body)] {
        match content {
            None => object.bare(key, "null"),
            Some(_) if !shown => object.plain(key, hide::HIDDEN),
            Some(content) => self::content(object, key, content, secrets),
        }
    }
}

/// Writes a body: JSON as it is, text as a string, anything else in hexadecimal.
fn content(object: &mut Object<'_>, key: &str, content: &Content, secrets: Secrets) {
    let bytes = content.readable();
    match (hide::json(content, secrets), std::str::from_utf8(bytes)) {
        (Some(json), _) => object.bare(key, OneLine(&json)),
        (None, _) if !hide::shows_bytes(content, secrets) => object.plain(key, hide::HIDDEN),
        (None, Ok(text)) => object.text(key, text),
        (None, Err(_)) => object.plain(key, Hex(bytes)),
    }
}

fn message(out: &mut String, exchange: &Exchange, detail: &MessageDetail, secrets: Secrets) {
    let reference = &detail.reference;
    let mut object = Object::begin(out);
    object.bare("frame", reference.frame);
    object.bare("ms", milliseconds(reference.time.milliseconds_since(exchange.time)));
    object.plain("from", if reference.from_client { "client" } else { "server" });
    match &detail.message {
        Ok(message) => decoded(&mut object, message, secrets),
        Err(why) => object.plain("unread", why.name()),
    }
    if reference.mark != Mark::First {
        object.plain("note", reference.mark.name());
    }
    object.end();
}

fn decoded(object: &mut Object<'_>, message: &Decoded, secrets: Secrets) {
    object.plain("type", message.kind.abbreviation());
    object.bare("id", message.id);
    object.plain("token", Hex(&message.token));
    object.plain("code", message.code);
    object.array("options", &message.options, |out, option| {
        let mut object = Object::begin(out);
        object.bare("number", option.number);
        if let Some(name) = option.name {
            object.plain("name", name);
        }
        match &option.value {
            Value::Text(text) => object.text("value", &hide::option(option.number, text, secrets)),
            Value::Number(number) => object.bare("value", number),
            Value::Block { num, more, size } => {
                object.plain("value", format_args!("{num}/{}/{}", u8::from(*more), size.bytes()));
            }
            Value::Bytes(bytes) => object.plain("value", Hex(bytes)),
            Value::Hidden { bytes } => {
                object.plain("value", hide::HIDDEN);
                object.bare("bytes", bytes);
            }
        }
        object.end();
    });
    object.bare("bytes", message.payload.len());
}

/// JSON on one line, without what would control a terminal.
struct OneLine<'j>(&'j str);

impl Display for OneLine<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.chars().try_for_each(|character| match character {
            // White space between two words, of which a newline would end the line.
            '\n' | '\r' | '\t' => f.write_char(' '),
            // Outside of strings, JSON has no other one.
            _ if controls_terminal(character) => write!(f, "\\u{:04x}", u32::from(character)),
            _ => f.write_char(character),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::BodyKind;

    #[test]
    fn strings_are_escaped_where_they_must_be() {
        let mut out = String::new();
        string(&mut out, "a\"b\\c\nd\te\u{1}fé\u{7f}\u{9b}\u{202e}g");
        assert_eq!(out, "\"a\\\"b\\\\c\\nd\\te\\u0001fé\\u007f\\u009b\\u202eg\"");
    }

    #[test]
    fn of_the_options_a_parameter_with_a_token_is_hidden() {
        assert_eq!(hide::option(15, "access_token=abc", Secrets::Hidden), "access_token=(hidden)");
        assert_eq!(hide::option(15, "access_token=abc", Secrets::Shown), "access_token=abc");
        // Not a query: a segment of a path.
        assert_eq!(hide::option(11, "access_token=abc", Secrets::Hidden), "access_token=abc");
        // Location-Query and Proxy-Uri.
        assert_eq!(hide::option(20, "loginToken=abc", Secrets::Hidden), "loginToken=(hidden)");
        assert_eq!(hide::option(35, "coap://a?token=abc", Secrets::Hidden), "coap://a?token=(hidden)");
    }

    #[test]
    fn a_body_stays_on_its_line() {
        let body = |bytes: &[u8], json: Option<&[u8]>| {
            let json = json.map(|json| Ok(json.to_vec()));
            let bytes = bytes.to_vec();
            let content = Content { kind: BodyKind::Other, format: None, bytes, unpacked: None, json };
            let mut out = String::new();
            let mut object = Object::begin(&mut out);
            super::content(&mut object, "body", &content, Secrets::Hidden);
            object.end();
            out
        };
        assert_eq!(body(b"", Some(b"{\"a\":\n\r\n1}")), "{\"body\":{\"a\":   1}}");
        assert_eq!(body(b"", Some("[\"\u{9b}\u{2067}é\"]".as_bytes())), "{\"body\":[\"\\u009b\\u2067é\"]}");
        assert_eq!(body(b"line\nline", None), "{\"body\":\"line\\nline\"}");
        assert_eq!(body(&[0xff, 0], None), "{\"body\":\"ff00\"}");
        assert_eq!(body(b"", Some(b"{\"password\":\"a\"}")), "{\"body\":{\"password\":\"(hidden)\"}}");
        assert_eq!(body(b"password=a", None), "{\"body\":\"(hidden)\"}");
    }

    #[test]
    fn milliseconds_have_three_digits_behind_the_point_at_most() {
        assert_eq!(milliseconds(21.4999996).to_string(), "21.5");
        assert_eq!(milliseconds(0.1234).to_string(), "0.123");
        assert_eq!(milliseconds(20.0).to_string(), "20");
    }
}
