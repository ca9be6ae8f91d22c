//! An exchange as a line for people, and its messages and bodies below it.
//!
//! ```text
//! TIME (UTC)    CLIENT                 METHOD  CODE     UP    DOWN  DATAGRAMS  REPEATS       MS  PATH
//! 03:40:00.123  10.0.0.1:50000         PUT     2.05    312      96          2        0     21.5  /_matrix/...
//! ```

use super::hide::{self, Secrets};
use super::printable::{Hex, Printable, format_name};
use crate::Time;
use crate::detail::{Content, Decoded, Detail, OptionValue, Value};
use crate::exchange::{BodyError, Exchange, Kind, Mark, Note, State};
use lowband_wire::coap::message::View;
use std::fmt::{Display, Write};

/// What stands above the lines.
pub const HEAD: &str =
    "TIME (UTC)    CLIENT                 METHOD  CODE      UP     DOWN  DATAGRAMS  REPEATS        MS  PATH";

/// Whether text has the escapes of a terminal for colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Colours {
    /// It is plain.
    #[default]
    Plain,
    /// Codes, states and what is less important have colours.
    Coloured,
}

/// A colour of a terminal (ECMA-48 section 8.3.117).
#[derive(Clone, Copy, Debug)]
enum Colour {
    Red,
    Green,
    Yellow,
    Dim,
}

impl Colours {
    /// Returns the text in the colour.
    fn paint<T: Display>(self, colour: Colour, text: T) -> impl Display {
        let escape = match (self, colour) {
            (Colours::Plain, _) => "",
            (Colours::Coloured, Colour::Red) => "\x1b[31m",
            (Colours::Coloured, Colour::Green) => "\x1b[32m",
            (Colours::Coloured, Colour::Yellow) => "\x1b[33m",
            (Colours::Coloured, Colour::Dim) => "\x1b[2m",
        };
        let end = if self == Colours::Plain { "" } else { "\x1b[m" };
        format!("{escape}{text}{end}")
    }
}

/// Writes the day, which stands before the first line of each.
pub fn day(out: &mut String, time: Time, colours: Colours) {
    let _infallible = writeln!(out, "{}", colours.paint(Colour::Dim, time.date()));
}

/// Writes an exchange as one line.
pub fn line(out: &mut String, exchange: &Exchange, secrets: Secrets, colours: Colours) {
    let clock = format!("{}.{:03}", exchange.time.clock(), exchange.time.0 / 1_000_000 % 1_000);
    let method = match (exchange.kind, exchange.method) {
        (Kind::Ping, _) => "ping".to_owned(),
        (Kind::Notification { .. }, _) => "notify".to_owned(),
        (_, None) => "-".to_owned(),
        (_, Some(method)) => method.method_name().map_or_else(|| method.to_string(), str::to_owned),
    };
    let code = format!("{:<4}", exchange.code.map_or_else(|| "-".to_owned(), |code| code.to_string()));
    let colour = match exchange.code.map(|code| code.class()) {
        Some(2) => Colour::Green,
        Some(4) => Colour::Yellow,
        Some(_) => Colour::Red,
        None => Colour::Dim,
    };
    let repeats = format!("{:>7}", exchange.repeats);
    let repeats_colour = if exchange.repeats > 0 { Colour::Yellow } else { Colour::Dim };
    let duration =
        exchange.duration.map_or_else(|| "-".to_owned(), |d| format!("{:.1}", d.as_secs_f64() * 1e3));
    let _infallible = write!(
        out,
        "{clock}  {:<21}  {method:<6}  {}  {:>6}  {:>7}  {:>9}  {}  {duration:>8}  {}",
        exchange.client.to_string(),
        colours.paint(colour, code),
        grouped(exchange.up.bytes),
        grouped(exchange.down.bytes),
        exchange.up.datagrams + exchange.down.datagrams,
        colours.paint(repeats_colour, repeats),
        Printable(&exchange.path),
    );
    let query = hide::query(exchange, secrets);
    if !query.is_empty() {
        let _infallible = write!(out, "?{}", Printable(&query));
    }
    let mut remarks: Vec<String> = Vec::new();
    match exchange.state {
        State::Complete => {}
        State::Unanswered => remarks.push("unanswered".to_owned()),
        State::Reset => remarks.push("refused by a Reset".to_owned()),
        // The note says the same, and says which.
        State::Cut if exchange.notes.contains(&Note::BeginsBefore) => {}
        State::Cut => remarks.push("the capture begins or ends within it".to_owned()),
    }
    remarks.extend(exchange.notes.iter().map(ToString::to_string));
    if !remarks.is_empty() {
        let remarks = format!("[{}]", remarks.join("; "));
        let _infallible = write!(out, "  {}", colours.paint(Colour::Yellow, remarks));
    }
    out.push('\n');
}

/// Writes the messages and bodies of an exchange, each on lines that are indented.
pub fn details(out: &mut String, exchange: &Exchange, detail: &Detail, secrets: Secrets, colours: Colours) {
    for message in &detail.messages {
        let reference = &message.reference;
        let arrow = if reference.from_client { "->" } else { "<-" };
        let since = reference.time.milliseconds_since(exchange.time);
        let _infallible = write!(out, "  {arrow} frame {:<6} +{since:.1} ms  ", reference.frame);
        match &message.message {
            Ok(message) => decoded(out, message, secrets),
            Err(why) => {
                let _infallible = write!(out, "{}", colours.paint(Colour::Red, why));
            }
        }
        if reference.mark != Mark::First {
            let mark = format!("  [{}]", reference.mark.name());
            let _infallible = write!(out, "{}", colours.paint(Colour::Yellow, mark));
        }
        out.push('\n');
    }
    let shown = hide::shows_bodies(exchange, secrets);
    for (name, content) in [("request", &detail.request_body), ("response", &detail.response_body)] {
        if let Some(content) = content {
            body(out, name, content, shown.then_some(secrets));
        }
    }
}

/// Writes one message in a line, as [`details`] does, without what is secret in its options; `plaintext` are
/// its bytes.
pub fn message(out: &mut String, message: &View<'_>, plaintext: &[u8]) {
    decoded(out, &Decoded::of(message, plaintext, true), Secrets::Hidden);
}

fn decoded(out: &mut String, message: &Decoded, secrets: Secrets) {
    let code = message.code.method_name().map_or_else(|| message.code.with_reason(), str::to_owned);
    let kind = message.kind.abbreviation();
    let _infallible = write!(out, "{kind} {} {code}", message.id);
    if !message.token.is_empty() {
        let _infallible = write!(out, "  token {}", Hex(&message.token));
    }
    for option in &message.options {
        out.push_str("  ");
        option_value(out, option, secrets);
    }
    if !message.payload.is_empty() {
        let _infallible = write!(out, "  {}", counted(message.payload.len() as u64, "byte"));
    }
}

fn option_value(out: &mut String, option: &OptionValue, secrets: Secrets) {
    let _infallible = match option.name {
        Some(name) => write!(out, "{name} "),
        None => write!(out, "option {} ", option.number),
    };
    let _infallible = match &option.value {
        Value::Text(text) => write!(out, "{}", Printable(&hide::option(option.number, text, secrets))),
        Value::Number(number) => write!(out, "{number}"),
        Value::Block { num, more, size } => write!(out, "{num}/{}/{}", u8::from(*more), size.bytes()),
        Value::Bytes(bytes) if bytes.is_empty() => write!(out, "(empty)"),
        Value::Bytes(bytes) => write!(out, "0x{}", Hex(bytes)),
        Value::Hidden { bytes } => write!(out, "{} {}", hide::HIDDEN, counted(*bytes as u64, "byte")),
    };
}

/// Writes a body; `secrets` is None for one that is hidden as a whole.
fn body(out: &mut String, name: &str, content: &Content, secrets: Option<Secrets>) {
    let format = content.format.map(|format| match format_name(format) {
        Some(name) => format!(" of {name}"),
        None => format!(" of format {format}"),
    });
    let bytes = counted(content.bytes.len() as u64, "byte");
    let _infallible = write!(out, "  {name}: {bytes}{}", format.unwrap_or_default());
    if let (Some(unpacked), Some(Ok(_) | Err(BodyError::Unpacked(_)))) = (&content.unpacked, &content.json) {
        let _infallible = write!(out, ", {} as CBOR", grouped(unpacked.len() as u64));
    }
    match &content.json {
        Some(Ok(json)) => {
            let _infallible = write!(out, ", {} as JSON", grouped(json.len() as u64));
        }
        Some(Err(error)) => {
            let _infallible = write!(out, ", not readable: {error}");
        }
        None => {}
    }
    let json = secrets.and_then(|secrets| hide::json(content, secrets));
    let shown = secrets.is_some_and(|secrets| json.is_some() || hide::shows_bytes(content, secrets));
    if !shown {
        let _infallible = writeln!(out, " {}", hide::HIDDEN);
        return;
    }
    let readable = content.readable();
    let _infallible = match (&json, std::str::from_utf8(readable)) {
        (Some(json), _) => write!(out, "\n    {}", Printable(json)),
        (_, Ok(text)) => write!(out, "\n    {}", Printable(text)),
        (_, Err(_)) => write!(out, "\n    {}", Hex(readable)),
    };
    out.push('\n');
}

/// Writes `1234567` as `1,234,567`.
pub(super) fn grouped(number: u64) -> String {
    let (thousands, rest) = (number / 1_000, number % 1_000);
    if thousands == 0 { rest.to_string() } else { format!("{},{rest:03}", grouped(thousands)) }
}

/// Writes `1 exchange` or `2 exchanges`.
pub(super) fn counted(number: u64, what: &str) -> String {
    format!("{} {what}{}", grouped(number), if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_control_a_terminal_is_escaped() {
        let shown = Printable("a\x1b[31mb\nc\u{9b}d\u{202e}é\u{200f}\u{2028}\u{2069}").to_string();
        assert_eq!(shown, "a\\u{1b}[31mb\\nc\\u{9b}d\\u{202e}é\\u{200f}\\u{2028}\\u{2069}");
    }

    #[test]
    fn colours_are_escapes_or_nothing() {
        assert_eq!(Colours::Plain.paint(Colour::Red, "x").to_string(), "x");
        assert_eq!(Colours::Coloured.paint(Colour::Red, "x").to_string(), "\x1b[31mx\x1b[m");
    }

    #[test]
    fn thousands_are_grouped() {
        assert_eq!([0, 999, 1_000, 1_002_003].map(grouped), ["0", "999", "1,000", "1,002,003"]);
        assert_eq!([0, 1, 2].map(|number| counted(number, "byte")), ["0 bytes", "1 byte", "2 bytes"]);
    }
}
