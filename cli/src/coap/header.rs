//! HTTP headers on the command line, and the CoAP options that some of them become.

use crate::exit::{Exit, Failure};
use lowband_wire::coap::content_format::{self, CBOR, JSON};

/// Headers in the order in which they were given. No `Debug`: one of them is the access token.
pub(crate) struct Headers(Vec<(String, String)>);

/// The part of the headers that CoAP carries.
#[derive(Clone, Default, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct CoapHeaders {
    pub(crate) access_token: Option<String>,
    pub(crate) content_format: Option<u16>,
    pub(crate) accept: Option<u16>,
    /// One line for each header that has no place in CoAP.
    pub(crate) warnings: Vec<String>,
}

impl Headers {
    /// Parses the values of -H. Each is `Name: value`, or `@FILE` with one of them a line. `Name:` takes a
    /// header away that would be sent otherwise.
    pub(crate) fn parse(given: &[String]) -> Result<Headers, Failure> {
        let mut headers = Vec::new();
        for header in given {
            match header.strip_prefix('@') {
                None => headers.push(split(header).ok_or_else(|| malformed("a header of -H"))?),
                Some(path) => {
                    let text = std::fs::read_to_string(path);
                    let text = text.map_err(|error| Failure::new(Exit::Read, format!("{path}: {error}")))?;
                    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty())
                    {
                        let place = || malformed(&format!("{path}: line {number}"));
                        headers.push(split(line).ok_or_else(place)?);
                    }
                }
            }
        }
        Ok(Headers(headers))
    }

    /// Returns the last value of a header; empty where it was taken away.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().rev().find(|(given, _)| given.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Returns whether the body is CBOR by its label: by a Content-Type, or because there is none.
    pub(crate) fn take_cbor(&self) -> bool {
        self.get("content-type").is_none_or(|media_type| content_format::of(media_type) == Some(CBOR))
    }

    /// Returns the options of a request. Content-Format describes a body, so a request without one has none.
    pub(crate) fn to_coap(&self, has_body: bool) -> Result<CoapHeaders, Failure> {
        let mut coap = CoapHeaders::default();
        if has_body {
            coap.content_format = match self.get("content-type") {
                None => Some(CBOR),
                Some("") => None,
                Some(media_type) => Some(number(media_type, "Content-Type")?),
            };
        }
        coap.accept = match self.get("accept") {
            None | Some("") => None,
            Some(list) => accepted(list)?,
        };
        coap.access_token = match self.get("authorization") {
            None | Some("") => None,
            Some(value) => Some(access_token(value)?.to_owned()),
        };
        for (name, value) in self.iter() {
            let carried =
                ["authorization", "content-type", "accept"].iter().any(|own| name.eq_ignore_ascii_case(own));
            if !carried && !value.is_empty() {
                coap.warnings
                    .push(format!("warning: the header {name} is not sent: CoAP has no option for it"));
            }
        }
        Ok(coap)
    }
}

/// Splits `Name: value`; `None` for what has not that form.
fn split(header: &str) -> Option<(String, String)> {
    let (name, value) = header.split_once(':')?;
    let name = name.trim();
    let is_name = !name.is_empty() && !name.contains(char::is_whitespace);
    is_name.then(|| (name.to_owned(), value.trim().to_owned()))
}

/// Makes the failure of a header. It leaves out the header itself, which may be a token, pasted badly.
fn malformed(place: &str) -> Failure {
    let form = "not of the form 'Name: value'; an access token stands in 'Authorization: Bearer TOKEN'";
    Failure::new(Exit::Usage, format!("{place} is {form}"))
}

fn number(media_type: &str, header: &str) -> Result<u16, Failure> {
    content_format::of(media_type).ok_or_else(|| without_number(media_type, header))
}

fn without_number(media_type: &str, header: &str) -> Failure {
    Failure::new(
        Exit::Usage,
        format!(
            "{header}: {media_type}: CoAP has numbers instead of media types; known here are application/cbor, \
             application/json, application/octet-stream and text/plain"
        ),
    )
}

/// Returns the most wanted type of a list that has a number in CoAP (RFC 9110 section 12.5.1): option 17 has
/// room for one. None where any type will do.
fn accepted(list: &str) -> Result<Option<u16>, Failure> {
    let mut wanted: Vec<(u16, &str)> = list.split(',').map(|range| (quality(range), range.trim())).collect();
    let refused: Vec<_> = wanted
        .iter()
        .filter(|(quality, _)| *quality == 0)
        .filter_map(|(_, range)| content_format::of(range))
        .collect();
    wanted.retain(|(quality, range)| *quality > 0 && !range.is_empty());
    // The sort is stable: of equals the first stays first.
    wanted.sort_by_key(|(quality, _)| std::cmp::Reverse(*quality));
    for (_, range) in wanted {
        let essence = range.split(';').next().unwrap_or_default().trim();
        if essence == "*/*" || essence.eq_ignore_ascii_case("application/*") {
            // An answer without Accept is CBOR, the server's choice.
            match (refused.contains(&CBOR), refused.contains(&JSON)) {
                (false, _) => return Ok(None),
                (true, false) => return Ok(Some(JSON)),
                (true, true) => continue,
            }
        }
        if let Some(format) = content_format::of(range) {
            return Ok(Some(format));
        }
    }
    Err(without_number(list, "Accept"))
}

/// Returns the quality of a type in thousandths; one that cannot be read is not a reason to leave the type
/// out.
fn quality(range: &str) -> u16 {
    let parameters = range.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
    let mut values =
        parameters.filter(|(name, _)| name.trim().eq_ignore_ascii_case("q")).map(|(_, value)| value);
    let quality: f32 = values
        .next()
        .and_then(|value| value.trim().parse().ok())
        .filter(|quality: &f32| quality.is_finite())
        .unwrap_or(1.0);
    (quality.clamp(0.0, 1.0) * 1000.0) as u16
}

/// Returns the token, given with the scheme `Bearer` or none: Matrix has no other scheme, and option 256 has
/// no room for one.
fn access_token(value: &str) -> Result<&str, Failure> {
    match value.split_once(char::is_whitespace) {
        None => Ok(value),
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        Some(_) => Err(Failure::new(Exit::Usage, "Authorization: CoAP carries `Bearer TOKEN` only")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(given: &[&str]) -> Headers {
        Headers::parse(&given.iter().map(|header| (*header).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn content_types_become_content_formats() {
        for (given, expected) in [
            (&[][..], Some(60)),
            (&["Content-Type: application/cbor"], Some(60)),
            (&["content-type:application/json"], Some(50)),
            (&["Content-Type: application/json; charset=utf-8"], Some(50)),
            (&["Content-Type: application/octet-stream"], Some(42)),
            (&["Content-Type: text/plain"], Some(0)),
            (&["Content-Type: application/json", "Content-Type: application/cbor"], Some(60)),
            (&["Content-Type:"], None),
        ] {
            assert_eq!(headers(given).to_coap(true).unwrap().content_format, expected, "{given:?}");
            assert_eq!(
                headers(given).to_coap(false).unwrap().content_format,
                None,
                "{given:?} without a body"
            );
        }
    }

    #[test]
    fn accept_becomes_option_17() {
        for (given, expected) in [
            (&[][..], None),
            (&["Accept: application/json"], Some(50)),
            (&["ACCEPT: application/cbor"], Some(60)),
            (&["Accept: */*"], None),
            (&["Accept:"], None),
            (&["Accept: application/cbor, application/json"], Some(60)),
            (&["Accept: application/json, application/cbor"], Some(50)),
            (&["Accept: application/json;q=0.5, application/cbor;q=0.9"], Some(60)),
            (&["Accept: application/json; Q=0.5 ,application/cbor"], Some(60)),
            (&["Accept: text/html, application/xhtml+xml, application/json;q=0.9, */*;q=0.8"], Some(50)),
            (&["Accept: image/avif, image/png, */*;q=0.8"], None),
            (&["Accept: application/cbor;q=0, application/json"], Some(50)),
            (&["Accept: application/cbor;q=0, */*"], Some(50)),
            (&["Accept: application/json;q=0, */*"], None),
            (&["Accept: application/cbor;q=nan"], Some(60)),
            (&["Accept: application/*, application/json;q=0.9"], None),
            (&["Accept: , application/cbor,"], Some(60)),
            (&["Accept: application/json;q=no, application/cbor"], Some(50)),
        ] {
            assert_eq!(headers(given).to_coap(false).unwrap().accept, expected, "{given:?}");
        }
    }

    #[test]
    fn authorization_becomes_the_bare_token() {
        for given in ["Authorization: Bearer abc", "authorization: bearer   abc", "Authorization: abc"] {
            let token = headers(&[given]).to_coap(false).unwrap().access_token;
            assert_eq!(token.as_deref(), Some("abc"), "{given}");
        }
        let failure = headers(&["Authorization: Basic abc"]).to_coap(false).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert!(!failure.to_string().contains("abc"), "{failure}");
    }

    #[test]
    fn other_headers_are_warned_about_by_name() {
        let coap =
            headers(&["User-Agent: x", "Cookie: secret", "Accept: */*", "X-Empty:"]).to_coap(false).unwrap();
        assert_eq!(coap.warnings.len(), 2);
        assert!(
            coap.warnings[1].contains("Cookie") && !coap.warnings[1].contains("secret"),
            "{:?}",
            coap.warnings
        );
    }

    #[test]
    fn what_has_no_number_is_refused() {
        for given in [
            "Content-Type: text/html",
            "Accept: image/png",
            "Accept: image/png, text/html",
            "Accept: application/cbor;q=0",
        ] {
            let failure = headers(&[given]).to_coap(true).unwrap_err();
            assert_eq!(failure.exit, Exit::Usage, "{given}");
        }
    }

    #[test]
    fn malformed_headers_are_refused_and_not_repeated() {
        for given in ["Bearer secret", ": secret", "A secret: b"] {
            let failure = Headers::parse(&[given.to_owned()]).err().unwrap();
            assert_eq!(failure.exit, Exit::Usage);
            assert!(!failure.to_string().contains("secret"), "{failure}");
        }
    }
}
