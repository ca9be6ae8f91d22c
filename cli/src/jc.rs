//! `lowband jc`: JSON to CBOR and back, and CBOR as people read it.
//!
//! ```text
//! argument, file, stdin -> form -> documents -> to_cbor | to_json | shown -> sink
//! ```

mod annotated;
mod base64;
mod documents;
mod form;
mod hex;
pub(crate) mod pretty;
mod refusals;
pub(crate) mod repairs;
mod shown;
mod to_cbor;
mod to_json;

use super::exit::{Exit, Failure};
use super::input::{Input, Source};
use super::output::Sink;
use base64::Alphabet;
use documents::{Ends, convert};
use form::{Form, Unwrap};
use lowband_codec::{EncodeOptions, Encoder, KeyTable, Limits, Policy, diagnostic, sequence};
use refusals::{
    not_cbor, not_cbor_but_empty, not_json, not_json_but_empty, not_notation, not_notation_but_empty,
};
use repairs::{Kept, tell};
use shown::{Shown, View};
use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use to_cbor::ToCbor;
use to_json::ToJson;

/// Convert JSON to CBOR (the default) or CBOR to JSON, with Matrix's integer keys, or show what CBOR says.
///
/// An input may hold several documents: JSON texts, a line each (NDJSON) or not, or CBOR items one behind the
/// other (RFC 8742). Each is converted and written when it has come, so that the input may be of any length.
///
/// CBOR is written in canonical order (RFC 8949 section 4.2.3: shorter keys first), as MSC3079 asks. JSON is
/// written with a line end. Without -out, CBOR is written to stdout as hexadecimal text, a line for each
/// document, also into a pipe; `-out -` writes the bytes.
///
/// Canonical order needs a document as a whole, up to 64 MiB. With --stream keys stay as they are written and
/// documents of any size are converted in little memory, in both directions; longer CBOR is always converted
/// so. Of repeated keys --lenient then keeps the first instead of the last, and what came before an error has
/// been written.
///
/// Arrays and objects may be nested 128 deep, both ways; --lenient writes null for what lies deeper. A
/// server's answers hold 32 levels at most by default, because other readers stop there. --diag and
/// --annotate show 1,024 levels, and documents of up to 64 MiB.
#[derive(Debug, clap::Args)]
#[command(version, after_long_help = after_help(), allow_negative_numbers = true)]
pub(crate) struct JcArgs {
    /// JSON text, or CBOR as hexadecimal text or base64; `@FILE`, or the name of a file, reads the file, `-`
    /// stdin, both as bytes [default: stdin]
    #[arg(value_name = "INPUT")]
    input: Option<OsString>,
    /// From CBOR to JSON
    #[arg(long)]
    c2j: bool,
    /// From CBOR to diagnostic notation (RFC 8949 section 8), which shows what JSON cannot say: byte strings,
    /// tags, NaN, undefined, keys of any type, long forms; integer keys have their names as comments
    #[arg(long, conflicts_with_all = ["from_diag", "annotate", "stream", "lenient"])]
    diag: bool,
    /// From diagnostic notation to CBOR, with the keys that it has
    #[arg(long, conflicts_with_all = ["c2j", "annotate", "stream", "lenient"])]
    from_diag: bool,
    /// Show each byte of CBOR on the left and what it means on the right
    #[arg(long, conflicts_with_all = ["stream", "lenient", "pretty"])]
    annotate: bool,
    /// Write to FILE, which is there whole or not at all; `-` is stdout, with CBOR as bytes
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    out: Option<OsString>,
    /// Version of the key table: 1 is MSC3079's, 0 none
    #[arg(short = 'v', value_name = "VERSION", default_value = "1", value_parser = clap::value_parser!(u8).range(0..=1))]
    key_table: u8,
    /// CBOR is hexadecimal text on either side; white space and colons in it do not matter
    #[arg(long)]
    hex: bool,
    /// CBOR is base64 on either side; both alphabets are read, with padding or without
    #[arg(long, conflicts_with_all = ["hex", "base64url"])]
    base64: bool,
    /// As --base64, but written in the URL-safe alphabet, without padding
    #[arg(long, conflicts_with = "hex")]
    base64url: bool,
    /// Repair what is JSON but not clean (numbers too large, repeated keys, lone surrogates, too deep) and
    /// say so; a byte order mark before it is passed over
    #[arg(long, conflicts_with = "c2j")]
    lenient: bool,
    /// Convert piece by piece: any size, CBOR with indefinite lengths and keys in the order of the input
    #[arg(long)]
    stream: bool,
    /// Indent JSON (of -c2j) or diagnostic notation (of --diag)
    #[arg(long)]
    pretty: bool,
}

fn after_help() -> String {
    format!(
        r#"Examples:
  lowband jc '{{"type":"m.room.message"}}'
  lowband jc -out - event.json | lowband coap -d - URL
  lowband coap URL | lowband jc -c2j
  lowband jc -c2j --pretty a1026e6d2e726f6f6d2e6d657373616765
  lowband jc -c2j oQJhYQ==
  lowband jc --diag answer.cbor
  lowband jc --annotate a1026e6d2e726f6f6d2e6d657373616765
  lowband jc --from-diag '{{2: "m.room.message", -1: 1(1363896240)}}'
  lowband jc -out events.cbor < events.ndjson
  lowband jc --stream -out export.cbor @export.json

Long flags may be written with one dash (-c2j, -out), as in Go.

{}"#,
        Exit::help_of_jc()
    )
}

/// The longest document, in bytes, that is converted as a whole: it is held in memory with its other form.
const MAX_WHOLE: usize = 64 << 20;

/// Bytes for the keys of the open objects of a document in pieces: more than any document of Matrix has, and
/// still not a danger to the user of the command.
const MAX_KEYS: usize = 256 << 20;

/// Returns limits of depth and keys alone: what has been read and written in pieces is not kept.
fn limits() -> Limits {
    Limits { max_input: usize::MAX, max_output: usize::MAX, max_keys: MAX_KEYS, ..Limits::default() }
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    ToCbor,
    FromNotation,
    ToJson,
    Show(View),
}

impl JcArgs {
    fn way(&self) -> Way {
        match (self.annotate, self.diag, self.from_diag, self.c2j) {
            (true, ..) => Way::Show(View::Annotated),
            (_, true, ..) => Way::Show(View::Diagnostic { pretty: self.pretty }),
            (_, _, true, _) => Way::FromNotation,
            (.., true) => Way::ToJson,
            _ => Way::ToCbor,
        }
    }

    /// Returns the form of CBOR that a flag names.
    fn form(&self) -> Option<Form> {
        match (self.hex, self.base64, self.base64url) {
            (true, ..) => Some(Form::Hex),
            (_, true, _) => Some(Form::Base64(Alphabet::Standard)),
            (.., true) => Some(Form::Base64(Alphabet::UrlSafe)),
            _ => None,
        }
    }

    fn policy(&self) -> Policy {
        if self.lenient { Policy::Lenient } else { Policy::Strict }
    }

    /// Returns where the input is. An argument that is not what is wanted, but is the name of a file, is that
    /// file.
    fn source(&self) -> Result<Source<'_>, Failure> {
        let Some(argument) = &self.input else {
            if io::stdin().is_terminal() {
                let message = "nothing to convert: give INPUT, or pipe it in; `-` reads what you type";
                return Err(Failure::new(Exit::Usage, message));
            }
            return Ok(Source::Stdin);
        };
        let source = Source::parse(argument);
        let other = matches!(source, Source::Inline(argument) if !self.is_understood(argument.as_bytes()));
        Ok(if other && Path::new(argument).is_file() { Source::File(argument) } else { source })
    }

    /// Returns true for an argument that is itself what is wanted.
    fn is_understood(&self, argument: &[u8]) -> bool {
        match self.way() {
            Way::ToCbor => {
                let options = EncodeOptions { policy: Policy::Lenient, ..EncodeOptions::default() };
                Encoder::new(options).encode(argument, &mut Vec::new()).is_ok()
            }
            Way::FromNotation => diagnostic::to_cbor(argument, &diagnostic::LIMITS).is_ok(),
            Way::ToJson | Way::Show(_) => {
                form::of_argument(argument).is_some() || form::of_byte_string(argument).is_some()
            }
        }
    }
}

pub(crate) fn run(arguments: JcArgs) -> Result<(), Failure> {
    let way = arguments.way();
    if arguments.pretty && !matches!(way, Way::ToJson | Way::Show(_)) {
        let message = "--pretty indents JSON or diagnostic notation: it goes with -c2j or --diag";
        return Err(Failure::new(Exit::Usage, message));
    }
    let source = arguments.source()?;
    let sink = Sink::parse(arguments.out.as_deref());
    let keys = (arguments.key_table == 1).then(KeyTable::v1);
    let converted = match way {
        Way::ToCbor => to_cbor(&arguments, &source, &sink, keys),
        Way::FromNotation => from_notation(&arguments, &source, &sink),
        Way::ToJson => {
            let mut to_json = ToJson::new(keys, arguments.stream, arguments.pretty);
            from_cbor(&arguments, &source, &sink, &mut to_json)
        }
        Way::Show(view) => {
            from_cbor(&arguments, &source, &sink, &mut Shown::new(keys, view, source.to_string()))
        }
    };
    converted.map_err(|failure| match source {
        Source::Inline(argument) if failure.exit == Exit::BadInput && is_like_a_name(argument.as_bytes()) => {
            failure.with_hint(Some("there is no file of that name either"))
        }
        _ => failure,
    })
}

/// Returns true for `event.json` and `dir/event`, and for nothing that is JSON, CBOR in text or notation.
fn is_like_a_name(argument: &[u8]) -> bool {
    let of_a_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-/~".contains(byte) || !byte.is_ascii();
    argument.iter().all(of_a_name)
        && argument.iter().any(u8::is_ascii_alphabetic)
        && argument.iter().any(|byte| matches!(byte, b'.' | b'/'))
}

/// Returns the form in which CBOR is written.
fn form_of_output(arguments: &JcArgs, sink: &Sink) -> Result<Form, Failure> {
    let form = match (arguments.form(), &arguments.out) {
        (Some(form), _) => form,
        (None, None) => Form::Hex,
        (None, Some(_)) => Form::Bytes,
    };
    if form == Form::Bytes && sink == &Sink::Stdout && io::stdout().is_terminal() {
        let message = "CBOR as bytes does not go to a terminal: leave -out away for hexadecimal text, name a \
                       file, or pipe it on";
        return Err(Failure::new(Exit::Usage, message));
    }
    Ok(form)
}

fn to_cbor(
    arguments: &JcArgs,
    source: &Source<'_>,
    sink: &Sink,
    keys: Option<&KeyTable>,
) -> Result<(), Failure> {
    let form = form_of_output(arguments, sink)?;
    let mut to_cbor = ToCbor::new(keys, arguments.policy(), arguments.stream, form, source.to_string());
    let found = convert(source.open()?, &mut Unwrap::Bytes, Ends::of_json(), sink, &mut to_cbor, |found| {
        if found.documents == 0 { Err(not_json_but_empty(source, found.bytes)) } else { Ok(()) }
    });
    if found.is_ok() {
        tell(to_cbor.repairs(), if arguments.stream { Kept::First } else { Kept::Last });
    }
    found
}

fn from_cbor(
    arguments: &JcArgs,
    source: &Source<'_>,
    sink: &Sink,
    converter: &mut dyn documents::Convert,
) -> Result<(), Failure> {
    let (input, form) = match (arguments.form(), source) {
        (Some(form), _) => (source.open()?, form),
        (None, Source::Inline(argument)) => match form::of_byte_string(argument.as_bytes()) {
            Some(bytes) => (Input::of(bytes), Form::Bytes),
            None => (source.open()?, form::of_argument(argument.as_bytes()).unwrap_or(Form::Hex)),
        },
        (None, _) => (source.open()?, Form::Bytes),
    };
    convert(input, &mut Unwrap::of(form), Ends::of_cbor(), sink, converter, |found| {
        if found.documents == 0 { Err(not_cbor_but_empty(source)) } else { Ok(()) }
    })
}

fn from_notation(arguments: &JcArgs, source: &Source<'_>, sink: &Sink) -> Result<(), Failure> {
    let form = form_of_output(arguments, sink)?;
    let text = source.read(MAX_WHOLE)?;
    let cbor = diagnostic::to_cbor(&text, &diagnostic::LIMITS).map_err(|error| not_notation(error, &text))?;
    if cbor.is_empty() {
        return Err(not_notation_but_empty(source));
    }
    let mut out = Vec::new();
    for item in sequence::items(&cbor, diagnostic::LIMITS.max_depth) {
        let item = item.map_err(|error| not_cbor(documents::Place::START, error))?;
        form.append(cbor.get(item).unwrap_or_default(), true, &mut out);
    }
    sink.write(&out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_like_the_name_of_a_file_is_nothing_else() {
        for name in ["event.json", "dir/event", "./a", "\u{e9}t\u{e9}.json"] {
            assert!(is_like_a_name(name.as_bytes()), "{name}");
        }
        for other in ["{}", "{\"a.b\":1}", "1.5", "a1026161", "tru", "a b.json", ""] {
            assert!(!is_like_a_name(other.as_bytes()), "{other}");
        }
    }
}
