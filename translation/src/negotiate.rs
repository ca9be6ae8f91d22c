//! The form of a body, and the form that an answer must have (RFC 9110 sections 8.3.1, 12.4.2, 12.5.1;
//! MSC3079).
//!
//! Parameters other than `q` are ignored: `application/json; charset=utf-8` is JSON, in `Content-Type` and in
//! `Accept`. Elements that cannot be parsed are ignored one by one: an odd header costs no client its answer.

use std::cmp::Ordering;

/// The two forms of a Matrix body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// `application/json`, and every message without a body or with one of another type.
    #[default]
    Json,
    /// A body of type `application/cbor`.
    Cbor,
}

impl Form {
    /// Returns the media type of the form.
    pub fn media_type(self) -> &'static str {
        match self {
            Form::Json => "application/json",
            Form::Cbor => "application/cbor",
        }
    }

    fn subtype(self) -> &'static [u8] {
        match self {
            Form::Json => b"json",
            Form::Cbor => b"cbor",
        }
    }
}

/// Returns the form that a `Content-Type` names, if it is one of the two.
pub fn form_of(content_type: &[u8]) -> Option<Form> {
    if let Some(form) = bare(content_type) {
        return Some(form);
    }
    let range = Range::parse(content_type)?;
    [Form::Json, Form::Cbor].into_iter().find(|form| range.matches(*form) == Some(Specificity::Exact))
}

/// Chooses the form of the answer, from `Accept` and the form of the request's body.
///
/// The higher q wins; at equal q the more specific range; and if both forms are equally welcome, CBOR if it
/// is listed by name, else the form that the client itself used. A wildcard alone never turns the answer to a
/// JSON request into CBOR (MSC3079: its `Accept` must include `application/cbor`).
pub fn answer(accept: Option<&[u8]>, request: Form) -> Form {
    if let Some(form) = accept.and_then(bare) {
        return form;
    }
    let ranges: Vec<Range<'_>> =
        elements(accept.unwrap_or_default(), b',').filter_map(Range::parse).collect();
    if ranges.is_empty() {
        return request;
    }
    let (json, cbor) = (Preference::of(Form::Json, &ranges), Preference::of(Form::Cbor, &ranges));
    let named = cbor.specificity == Some(Specificity::Exact);
    let welcome = cbor.q > 0 && (named || request == Form::Cbor);
    match (welcome, cbor.cmp(&json)) {
        (true, Ordering::Greater | Ordering::Equal) => Form::Cbor,
        _ => Form::Json,
    }
}

/// Returns the form whose media type is the whole value, in lower case: most programs write it so, and it
/// needs no parsing.
fn bare(value: &[u8]) -> Option<Form> {
    [Form::Json, Form::Cbor].into_iter().find(|form| value == form.media_type().as_bytes())
}

/// How welcome one form is; the derived order is the order of preference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Preference {
    q: u16,
    specificity: Option<Specificity>,
}

impl Preference {
    /// Rates a form. The most specific range that matches gives the q (RFC 9110 section 12.5.1), the highest
    /// one if several are equal.
    fn of(form: Form, ranges: &[Range<'_>]) -> Self {
        let matching = ranges.iter().filter_map(|range| Some((range.matches(form)?, range.q)));
        matching
            .max()
            .map_or_else(Self::default, |(specificity, q)| Preference { q, specificity: Some(specificity) })
    }
}

/// How much a media range says about what it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Specificity {
    /// The range `*/*`, which matches all.
    Any,
    /// The range `application/*`, which matches a type.
    Type,
    /// The media type `application/cbor` itself.
    Exact,
}

/// One element of `Accept`, or the one value of `Content-Type`.
struct Range<'a> {
    main: &'a [u8],
    sub: &'a [u8],
    /// The q value in thousandths; 1000 if the element has none.
    q: u16,
}

impl<'a> Range<'a> {
    fn parse(element: &'a [u8]) -> Option<Self> {
        let mut parts = elements(element, b';');
        let media_type = parts.next()?;
        let slash = media_type.iter().position(|byte| *byte == b'/')?;
        let (main, sub) = (media_type.get(..slash)?, media_type.get(slash + 1..)?);
        if !is_token(main) || !is_token(sub) {
            return None;
        }
        let weight = parts.find_map(|part| match part {
            [b'q' | b'Q', b'=', value @ ..] => Some(thousandths(value)),
            _ => None,
        });
        Some(Range { main, sub, q: weight.unwrap_or(Some(1000))? })
    }

    fn matches(&self, form: Form) -> Option<Specificity> {
        match (self.main, self.sub) {
            (b"*", b"*") => Some(Specificity::Any),
            (main, _) if !main.eq_ignore_ascii_case(b"application") => None,
            (_, b"*") => Some(Specificity::Type),
            (_, sub) => sub.eq_ignore_ascii_case(form.subtype()).then_some(Specificity::Exact),
        }
    }
}

/// Splits a list into its elements, without the white space around them. A separator inside a quoted string
/// does not count (RFC 9110 section 5.6.4); a string that is not closed ends with the value.
fn elements(list: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    list.split(move |byte| {
        match (*byte, quoted, escaped) {
            (_, true, true) => escaped = false,
            (b'\\', true, false) => escaped = true,
            (b'"', ..) => quoted = !quoted,
            (byte, false, _) => return byte == separator,
            _ => {}
        }
        false
    })
    .map(<[u8]>::trim_ascii)
    .filter(|element| !element.is_empty())
}

/// Returns true for a token (RFC 9110 section 5.6.2).
fn is_token(text: &[u8]) -> bool {
    let special = |byte: &u8| b"!#$%&'*+-.^_`|~".contains(byte);
    !text.is_empty() && text.iter().all(|byte| byte.is_ascii_alphanumeric() || special(byte))
}

/// Parses a q value into thousandths (RFC 9110 section 12.4.2): `0`, `1`, and up to three digits after the
/// point.
fn thousandths(text: &[u8]) -> Option<u16> {
    let (whole, fraction) = match text {
        [whole @ (b'0' | b'1')] => (whole, &[][..]),
        [whole @ (b'0' | b'1'), b'.', fraction @ ..] if fraction.len() <= 3 => (whole, fraction),
        _ => return None,
    };
    let digits = [Some(whole), fraction.first(), fraction.get(1), fraction.get(2)];
    let value = digits.into_iter().try_fold(0, |value, digit| {
        let digit = *digit.unwrap_or(&b'0');
        digit.is_ascii_digit().then(|| value * 10 + u16::from(digit - b'0'))
    })?;
    (value <= 1000).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types_of_the_two_forms_in_any_case_and_with_parameters() {
        for (value, form) in [
            ("application/cbor", Some(Form::Cbor)),
            ("Application/CBOR", Some(Form::Cbor)),
            (" application/cbor ; a=b", Some(Form::Cbor)),
            ("application/json;charset=UTF-8", Some(Form::Json)),
            ("application/json; a=\"x;y,\\\"z\"", Some(Form::Json)),
            ("application/json;", Some(Form::Json)),
            ("application/jsonx", None),
            ("application/problem+json", None),
            ("application/cbor-seq", None),
            ("text/json", None),
            ("application", None),
            ("application/", None),
            ("/cbor", None),
            ("", None),
            (";", None),
            ("*/*", None),
            ("application/*", None),
            ("application/cbor, application/json", None),
            ("application/cbor/x", None),
            ("application /cbor", None),
        ] {
            assert_eq!(form_of(value.as_bytes()), form, "{value:?}");
        }
        assert_eq!(form_of(b"application/cbor\xff"), None);
        assert_eq!(form_of(b"application/cbor; a=\xff"), Some(Form::Cbor));
    }

    /// Each row: `Accept`, the answer to a request with a JSON body or none, the answer to one with a CBOR
    /// body.
    #[test]
    fn the_answer_follows_accept_and_then_the_request() {
        use Form::{Cbor, Json};
        for (accept, to_json, to_cbor) in [
            // No form is named.
            ("", Json, Cbor),
            (",, ,", Json, Cbor),
            ("*/*", Json, Cbor),
            ("*/*;q=0.1", Json, Cbor),
            ("application/*", Json, Cbor),
            // One form is named.
            ("application/cbor", Cbor, Cbor),
            ("APPLICATION/Cbor", Cbor, Cbor),
            ("application/json", Json, Json),
            ("text/html, application/cbor", Cbor, Cbor),
            ("application/cbor;charset=\"a,b\"", Cbor, Cbor),
            // Both forms are named.
            ("application/cbor, application/json", Cbor, Cbor),
            ("application/json, application/cbor", Cbor, Cbor),
            ("application/json, application/cbor;q=0.9", Json, Json),
            ("application/json;q=0.9, application/cbor", Cbor, Cbor),
            ("application/json;q=0.899,application/cbor;q=0.9", Cbor, Cbor),
            ("application/cbor;q=0.5;q=0.9, application/json;q=0.7", Json, Json),
            // A name beside a wildcard: the more specific range gives the q.
            ("application/json, */*", Json, Json),
            ("application/json, text/plain, */*", Json, Json),
            ("application/cbor, */*", Cbor, Cbor),
            ("application/cbor;q=0.5, */*", Json, Json),
            ("application/cbor;q=0, */*", Json, Json),
            ("application/json;q=0, */*", Json, Cbor),
            ("application/*;q=0.2, */*;q=0.8", Json, Cbor),
            ("*/*, application/*;q=0", Json, Json),
            ("application/json;q=0.5, */*;q=0.8", Json, Cbor),
            // Neither form is welcome.
            ("image/png", Json, Json),
            ("text/*", Json, Json),
            ("application/cbor;q=0", Json, Json),
            ("application/cbor;q=0, application/json;q=0", Json, Json),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Json, Cbor),
            // Elements that cannot be parsed are ignored.
            ("application/cbor;q=2", Json, Cbor),
            ("application/cbor;q=1.001", Json, Cbor),
            ("application/cbor;q=0.1234", Json, Cbor),
            ("application/cbor;q=.5", Json, Cbor),
            ("application/cbor;q=, application/json;q=0.1", Json, Json),
            ("cbor", Json, Cbor),
            ("application/cbor, \u{fc}", Cbor, Cbor),
            ("application/json;a=\"b, application/cbor", Json, Json),
            // A quote after a backslash does not close a string, and a backslash after a string is not an
            // escape.
            ("application/json;a=\"\\\", application/cbor\"", Json, Json),
            ("application/json;a=\"\\\\\", application/cbor", Cbor, Cbor),
            // Limits of q.
            ("application/cbor;q=1.000, application/json;q=1.", Cbor, Cbor),
            ("application/cbor;q=0.001", Cbor, Cbor),
            ("application/cbor;q=0.000, application/json;q=0.", Json, Json),
            ("application/cbor;Q=0.5, application/json;Q=0.4", Cbor, Cbor),
        ] {
            assert_eq!(answer(Some(accept.as_bytes()), Json), to_json, "{accept:?}, JSON or none");
            assert_eq!(answer(Some(accept.as_bytes()), Cbor), to_cbor, "{accept:?}, CBOR");
        }
        assert_eq!((answer(None, Json), answer(None, Cbor)), (Json, Cbor));
    }

    proptest::proptest! {
        #[test]
        fn a_json_request_never_gets_cbor_unless_accept_names_it(accept in ".{0,40}|(application|\\*|,|/|;|q=0|cbor|json|\\*/\\*){0,8}") {
            let named = accept.to_ascii_lowercase().contains("application/cbor");
            assert!(named || answer(Some(accept.as_bytes()), Form::Json) == Form::Json);
        }

        #[test]
        fn any_bytes_are_read(bytes: Vec<u8>) {
            form_of(&bytes);
            answer(Some(&bytes), Form::Cbor);
        }
    }
}
