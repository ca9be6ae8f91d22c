//! The answer, and how it is written: as its bytes, or as the JSON that they stand for.

use crate::exit::{Exit, Failure};
use crate::output::{self, Sink};
use crate::screen;
use crate::words::counted;
use lowband_capture::report::text::Colours;
use lowband_codec::{DecodeOptions, Decoder, EncodeOptions, Encoder, Error, KeyTable, Policy};
use lowband_wire::coap::Code;
use lowband_wire::coap::content_format::{self, APPLICATION_CBOR, APPLICATION_JSON, CBOR, JSON};
use std::str;
use std::time::Duration;

/// An answer of either protocol.
pub(crate) struct Answer {
    /// Status line, options or headers, and an empty line, for -i.
    pub(crate) head: String,
    /// The server's own words about the error, for codes of 4.00 and more.
    pub(crate) error: Option<String>,
    /// `2.05`, or `200` of HTTP.
    pub(crate) code: String,
    /// The status that the code is in HTTP.
    pub(crate) http_code: u16,
    /// When to ask again, where the server says so.
    pub(crate) ask_again: Option<Duration>,
    pub(crate) form: Form,
    pub(crate) body: Vec<u8>,
}

/// What the server calls the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Cbor,
    Json,
    /// Something else, by the name of its type.
    Other(String),
    /// The server does not say. Over CoAP the body of an error may then be a text for people (RFC 7252
    /// section 5.5.2).
    Unlabelled,
}

impl Form {
    /// Returns the form of a Content-Format, option 12.
    pub(crate) fn of_number(number: Option<u16>) -> Form {
        match number {
            None => Form::Unlabelled,
            Some(CBOR) => Form::Cbor,
            Some(JSON) => Form::Json,
            Some(number) => Form::Other(
                content_format::media_type(number)
                    .map_or_else(|| format!("Content-Format {number}"), str::to_owned),
            ),
        }
    }

    /// Returns the form of a media type as HTTP has it, with or without parameters.
    pub(crate) fn of_media_type(media_type: Option<&str>) -> Form {
        match media_type {
            None => Form::Unlabelled,
            Some(media_type) => match content_format::of(media_type) {
                Some(CBOR) => Form::Cbor,
                Some(JSON) => Form::Json,
                _ => Form::Other(media_type.to_owned()),
            },
        }
    }

    /// Returns the media type; empty where there is none.
    pub(crate) fn name(&self) -> String {
        match self {
            Form::Cbor => APPLICATION_CBOR.to_owned(),
            Form::Json => APPLICATION_JSON.to_owned(),
            Form::Other(name) => name.clone(),
            Form::Unlabelled => String::new(),
        }
    }
}

/// Returns the status of HTTP that a code is: 200 for what is done, 201 for 2.01, and 404 for 4.04.
pub(crate) fn in_http(code: Code) -> u16 {
    match code.class() {
        2 if code == Code::new(2, 1) => 201,
        2 => 200,
        class => 100 * u16::from(class) + u16::from(code.detail()),
    }
}

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum View {
    /// As it came.
    Bytes,
    /// CBOR as JSON in one line, all else as it came.
    Json,
    /// For a person at a terminal: JSON in lines, text as it is, nothing else.
    Screen(Colours),
}

impl View {
    /// Returns the view that is wanted. `json`: the user has asked for JSON, `raw`: for the bytes.
    pub(crate) fn of(sink: &Sink, json: bool, raw: bool) -> View {
        match (raw, sink.is_terminal(), json) {
            (true, ..) => View::Bytes,
            (_, true, _) => View::Screen(output::colours()),
            (.., true) => View::Json,
            _ => View::Bytes,
        }
    }
}

impl Answer {
    /// Returns the body as it is to be written. Fails if it cannot be written so.
    pub(crate) fn body(&self, view: View) -> Result<Vec<u8>, Failure> {
        let as_it_is = || self.body.clone();
        if view == View::Bytes || self.body.is_empty() {
            return Ok(as_it_is());
        }
        match &self.form {
            Form::Cbor => match (to_json(&self.body), view) {
                (Ok(json), _) => Ok(in_view(&json, view)),
                (Err(error), View::Screen(_)) => {
                    let text = self.text().ok_or_else(|| not_cbor(error))?;
                    output::message(&format!("the answer is labelled CBOR and is not: {error}"));
                    Ok(text)
                }
                (Err(error), _) => Err(not_cbor(error)),
            },
            Form::Json if view == View::Json => Ok(as_it_is()),
            Form::Json => match str::from_utf8(&self.body) {
                Ok(json) if is_json(&self.body) => Ok(in_view(json, view)),
                _ => self.text().ok_or_else(|| self.binary()),
            },
            Form::Unlabelled if matches!(self.body.first(), Some(0x80..=0xbf)) => match to_json(&self.body) {
                Ok(json) => Ok(in_view(&json, view)),
                Err(_) if view == View::Json => Ok(as_it_is()),
                Err(_) => Err(self.binary()),
            },
            Form::Other(_) | Form::Unlabelled if view == View::Json => Ok(as_it_is()),
            Form::Other(_) | Form::Unlabelled => self.text().ok_or_else(|| self.binary()),
        }
    }

    /// Returns the body, with the end of a line, if it is a text that leaves a terminal as it is.
    fn text(&self) -> Option<Vec<u8>> {
        let text = str::from_utf8(&self.body).ok().filter(|text| screen::is_harmless(text))?;
        Some(with_line_end(text.to_owned()))
    }

    fn binary(&self) -> Failure {
        let named = match &self.form {
            Form::Other(name) => format!("{name}, "),
            Form::Json => "labelled JSON, ".to_owned(),
            Form::Cbor | Form::Unlabelled => String::new(),
        };
        let message = format!(
            "the answer is binary ({named}{}) and does not go to a terminal: -o FILE keeps it, a pipe takes \
             it, -r writes it all the same",
            counted(self.body.len(), "byte")
        );
        Failure::new(Exit::Write, message)
    }
}

fn to_json(cbor: &[u8]) -> Result<String, Error> {
    let mut json = Vec::new();
    let options = DecodeOptions { keys: Some(KeyTable::v1()), ..DecodeOptions::default() };
    Decoder::new(options).decode(cbor, &mut json)?;
    Ok(String::from_utf8_lossy(&json).into_owned())
}

/// Returns true for one JSON text, however unusual its numbers are.
fn is_json(text: &[u8]) -> bool {
    let options = EncodeOptions { policy: Policy::Lenient, ..EncodeOptions::default() };
    Encoder::new(options).encode(text, &mut Vec::new()).is_ok()
}

fn in_view(json: &str, view: View) -> Vec<u8> {
    with_line_end(match view {
        View::Screen(colours) => screen::lay_out(json, colours),
        View::Json | View::Bytes => json.to_owned(),
    })
}

fn with_line_end(mut text: String) -> Vec<u8> {
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text.into_bytes()
}

fn not_cbor(error: Error) -> Failure {
    Failure::new(
        Exit::Transfer,
        format!(
            "the answer is not CBOR that JSON can say: {error}; -r writes its bytes, which `lowband jc --diag` \
             shows"
        ),
    )
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Returns an answer without a body.
    pub(in super::super) fn answer_of(http_code: u16, ask_again: Option<Duration>) -> Answer {
        let (head, code) = (String::new(), http_code.to_string());
        Answer { head, error: None, code, http_code, ask_again, form: Form::Unlabelled, body: Vec::new() }
    }

    fn answer(form: Form, body: &[u8]) -> Answer {
        Answer { form, body: body.to_vec(), ..answer_of(200, None) }
    }

    #[test]
    fn codes_have_their_status_in_http() {
        for (class, detail, expected) in
            [(2, 5, 200), (2, 4, 200), (2, 1, 201), (4, 4, 404), (4, 29, 429), (5, 3, 503)]
        {
            assert_eq!(in_http(Code::new(class, detail)), expected);
        }
    }

    const SCREEN: View = View::Screen(Colours::Plain);
    /// What `{"a":[1]}` is in CBOR.
    const MAP: &[u8] = b"\xa1\x61a\x81\x01";

    #[test]
    fn an_answer_is_written_as_its_form_and_the_view_have_it() {
        let other = || Form::Other("text/plain".into());
        for (form, body, json, screen) in [
            (Form::Cbor, MAP, "{\"a\":[1]}\n", "{\n  \"a\": [\n    1\n  ]\n}\n"),
            (Form::Unlabelled, MAP, "{\"a\":[1]}\n", "{\n  \"a\": [\n    1\n  ]\n}\n"),
            (Form::Json, b"{\"a\" : 1}", "{\"a\" : 1}", "{\n  \"a\": 1\n}\n"),
            (Form::Json, b"{not}", "{not}", "{not}\n"),
            (Form::Unlabelled, b"no such option", "no such option", "no such option\n"),
            (other(), b"words\n", "words\n", "words\n"),
            (Form::Cbor, b"", "", ""),
        ] {
            let answer = answer(form, body);
            assert_eq!(answer.body(View::Bytes).unwrap(), body);
            assert_eq!(String::from_utf8(answer.body(View::Json).unwrap()).unwrap(), json);
            assert_eq!(String::from_utf8(answer.body(SCREEN).unwrap()).unwrap(), screen);
        }
    }

    #[test]
    fn binary_never_goes_to_a_terminal_and_passes_into_a_pipe() {
        for form in [Form::Other("image/png".into()), Form::Unlabelled, Form::Json] {
            for body in [&b"\x89PNG\x1a"[..], b"\x9f\x9f", b"\x1b[31m"] {
                let answer = answer(form.clone(), body);
                let failure = answer.body(SCREEN).unwrap_err();
                assert_eq!(failure.exit, Exit::Write, "{form:?} {body:?}");
                assert!(failure.to_string().contains("-o FILE"), "{failure}");
                assert_eq!(answer.body(View::Json).unwrap(), body);
            }
        }
    }

    #[test]
    fn cbor_that_json_cannot_say_is_refused_where_json_is_wanted() {
        for view in [View::Json, SCREEN] {
            let failure = answer(Form::Cbor, b"\xa1\x61a\x41\x00").body(view).unwrap_err();
            assert_eq!(failure.exit, Exit::Transfer);
            assert!(failure.to_string().contains("byte 3"), "{failure}");
        }
        assert_eq!(answer(Form::Cbor, b"words").body(SCREEN).unwrap(), b"words\n");
    }

    #[test]
    fn forms_have_numbers_and_names() {
        assert_eq!(Form::of_number(Some(60)), Form::Cbor);
        assert_eq!(Form::of_number(Some(50)), Form::Json);
        assert_eq!(Form::of_number(None), Form::Unlabelled);
        assert_eq!(Form::of_number(Some(9999)), Form::Other("Content-Format 9999".into()));
        assert_eq!(Form::of_media_type(Some("application/json; charset=utf-8")), Form::Json);
        assert_eq!(Form::of_media_type(Some("APPLICATION/CBOR")), Form::Cbor);
        assert_eq!(Form::of_media_type(Some("image/png")), Form::Other("image/png".into()));
        assert_eq!(Form::of_media_type(None), Form::Unlabelled);
    }
}
