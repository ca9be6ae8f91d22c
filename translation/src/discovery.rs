//! The documents by which clients find the low-bandwidth wire, and by which they could pass it
//! by (MSC3079, "Discovery").
//!
//! | document | what changes |
//! |---|---|
//! | `GET /_matrix/client/versions` | gains `org.matrix.msc3079.low_bandwidth`: the port to which clients send datagrams |
//! | `GET /.well-known/matrix/client` | `m.homeserver.base_url` becomes the advertised one |
//! | answers to login, register, refresh | `well_known.m.homeserver.base_url` likewise |
//!
//! All other bytes stay as the homeserver wrote them: the JSON is not written anew, only some values are
//! exchanged. Path and content identify it as JSON: web servers that serve files give it other types, or
//! none.

use crate::config::Advertise;
use crate::members::Members;
use std::ops::Range;

/// The key in `/versions` until the proposal is part of the specification.
const UNSTABLE: &str = "org.matrix.msc3079.low_bandwidth";
/// The key once it is part of the specification.
const STABLE: &str = "m.low_bandwidth";
/// The versions of the two tables of MSC3079 that this proxy speaks.
const TABLE_VERSION: u8 = 1;

/// A document of the table above.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Document {
    /// The answer to `GET /_matrix/client/versions`.
    Versions,
    /// The answer to `GET /.well-known/matrix/client`.
    WellKnown,
    /// The answer to login, register and refresh.
    Session,
}

/// Why an answer with a document lacks the advertised values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Miss {
    /// The answer has a Content-Encoding that was not requested.
    Encoded,
    /// The answer is not a JSON object.
    NotJson,
    /// The answer is longer than `hold_response_bytes`.
    TooLong,
    /// The answer is a part of the document, which was not requested.
    Partial,
    /// The document has no place for the value.
    NoMember,
}

impl Miss {
    /// Returns the end of a sentence about a document.
    pub fn predicate(self) -> &'static str {
        match self {
            Miss::Encoded => "it comes with a Content-Encoding",
            Miss::NotJson => "it is not a JSON object",
            Miss::TooLong => "it is longer than hold_response_bytes",
            Miss::Partial => "only a part of it comes",
            Miss::NoMember => "it has no base_url where that belongs",
        }
    }
}

impl Document {
    /// Returns the document that a request for these path segments asks for. HEAD counts as GET, since it
    /// asks for the same header fields.
    pub fn of(method: &[u8], path: &[&[u8]]) -> Option<Document> {
        match (method, path) {
            (b"GET" | b"HEAD", [b"", b"_matrix", b"client", b"versions"]) => Some(Document::Versions),
            (b"GET" | b"HEAD", [b"", b".well-known", b"matrix", b"client"]) => Some(Document::WellKnown),
            (b"POST", [b"", b"_matrix", b"client", _version, b"login" | b"register" | b"refresh"]) => {
                Some(Document::Session)
            }
            _ => None,
        }
    }

    /// Returns true if any values of the document are to be exchanged.
    pub fn concerns(self, advertise: &Advertise) -> bool {
        match self {
            Document::Versions => advertise.dtls_port.is_some(),
            Document::WellKnown | Document::Session => advertise.base_url.is_some(),
        }
    }

    /// Returns the document's name for people.
    pub fn title(self) -> &'static str {
        match self {
            Document::Versions => "/_matrix/client/versions",
            Document::WellKnown => "/.well-known/matrix/client",
            Document::Session => "an answer to login, register or refresh",
        }
    }

    /// Returns the document with its values exchanged; `None` if it does not name a homeserver and need not:
    /// most answers to a login do not.
    pub fn rewrite(self, advertise: &Advertise, json: &[u8]) -> Result<Option<Vec<u8>>, Miss> {
        let json = std::str::from_utf8(json).map_err(|_| Miss::NotJson)?;
        let members = Members::of(json).map_err(|_| Miss::NotJson)?;
        let (edits, needed) = match self {
            Document::Versions => (low_bandwidth(advertise, json, &members), true),
            Document::WellKnown => (base_urls(advertise, json, &["m.homeserver", "base_url"]), true),
            Document::Session => {
                let named = members.0.iter().any(|(key, _)| key == "well_known");
                (base_urls(advertise, json, &["well_known", "m.homeserver", "base_url"]), named)
            }
        };
        let edits = edits.unwrap_or_default();
        match (edits.is_empty(), needed) {
            (true, true) => Err(Miss::NoMember),
            (true, false) => Ok(None),
            (false, _) => Ok(Some(exchange(json, edits))),
        }
    }
}

/// Returns the text without a byte order mark, which an editor may have left at its beginning and parsers may
/// ignore (RFC 8259 section 8.1).
pub fn without_mark(json: &[u8]) -> &[u8] {
    json.strip_prefix(b"\xef\xbb\xbf").unwrap_or(json)
}

/// A range of the document and the text that replaces it.
type Edit = (Range<usize>, String);

/// Makes the entry of `/versions` under each wanted name: in place of an existing entry, else as the last
/// one.
fn low_bandwidth(advertise: &Advertise, json: &str, members: &Members<'_>) -> Option<Vec<Edit>> {
    let port = advertise.dtls_port?;
    let entry = format!(
        r#"{{"dtls":{port},"cbor_enum_version":{TABLE_VERSION},"coap_enum_version":{TABLE_VERSION}}}"#
    );
    let end = json.trim_ascii_end().len().checked_sub(1)?;
    let (mut edits, mut more) = (Vec::new(), String::new());
    for name in [Some(UNSTABLE), advertise.stable_name.then_some(STABLE)].into_iter().flatten() {
        let known = edits.len();
        let same_name = members.0.iter().filter(|(key, _)| key == name);
        edits.extend(same_name.map(|(_, value)| (span(json, value.get()), entry.clone())));
        if edits.len() == known {
            let comma = if members.0.is_empty() && more.is_empty() { "" } else { "," };
            more.push_str(&format!("{comma}\"{name}\":{entry}"));
        }
    }
    edits.push((end..end, more));
    Some(edits)
}

/// Replaces the text under this path of names, at each occurrence of a repeated name: readers take the first
/// or the last.
fn base_urls(advertise: &Advertise, json: &str, path: &[&str]) -> Option<Vec<Edit>> {
    let url = serde_json::to_string(advertise.base_url.as_deref()?).ok()?;
    let mut values = vec![json];
    for name in path {
        let members =
            values.into_iter().filter_map(|value| Members::of(value).ok()).flat_map(|members| members.0);
        values = members.filter(|(key, _)| key == name).map(|(_, value)| value.get()).collect();
    }
    let texts = values.into_iter().filter(|value| value.starts_with('"'));
    Some(texts.map(|value| (span(json, value), url.clone())).collect())
}

/// Returns the range of a part within the document.
fn span(json: &str, part: &str) -> Range<usize> {
    let start = (part.as_ptr() as usize).saturating_sub(json.as_ptr() as usize);
    start..start + part.len()
}

fn exchange(json: &str, mut edits: Vec<Edit>) -> Vec<u8> {
    edits.sort_by_key(|(range, _)| range.start);
    let mut out = Vec::with_capacity(json.len() + edits.iter().map(|(_, text)| text.len()).sum::<usize>());
    let mut from = 0;
    for (range, text) in edits {
        out.extend(json.as_bytes().get(from..range.start).unwrap_or_default());
        out.extend(text.as_bytes());
        from = range.end;
    }
    out.extend(json.as_bytes().get(from..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::Segments;

    fn advertise() -> Advertise {
        Advertise {
            dtls_port: Some(8008),
            base_url: Some("https://lb.example.org:8448".to_owned()),
            stable_name: false,
        }
    }

    fn rewritten(document: Document, advertise: &Advertise, json: &str) -> Option<String> {
        document.rewrite(advertise, json.as_bytes()).ok()?.map(|json| String::from_utf8(json).unwrap())
    }

    #[test]
    fn documents_are_known_by_method_and_path() {
        use Document::{Session, Versions, WellKnown};
        for (method, path, document) in [
            ("GET", "/_matrix/client/versions", Some(Versions)),
            ("GET", "/_matrix/client/versions?x=/y", Some(Versions)),
            ("HEAD", "/_matrix/client/versions", Some(Versions)),
            ("POST", "/_matrix/client/versions", None),
            ("GET", "/_matrix/client/versions/", None),
            ("GET", "/_matrix/client/v3/versions", None),
            ("GET", "/.well-known/matrix/client", Some(WellKnown)),
            ("GET", "/.well-known/matrix/server", None),
            ("POST", "/_matrix/client/v3/login", Some(Session)),
            ("POST", "/_matrix/client/r0/register?kind=guest", Some(Session)),
            ("POST", "/_matrix/client/v3/refresh", Some(Session)),
            ("GET", "/_matrix/client/v3/login", None),
            ("POST", "/_matrix/client/v3/login/x", None),
            ("POST", "/x/_matrix/client/v3/login", None),
            ("GET", "", None),
            ("", "?", None),
        ] {
            let segments = Segments::of(path.as_bytes());
            assert_eq!(Document::of(method.as_bytes(), segments.as_slice()), document, "{method} {path}");
        }
    }

    #[test]
    fn versions_gains_one_entry_and_keeps_every_byte() {
        let entry =
            r#""org.matrix.msc3079.low_bandwidth":{"dtls":8008,"cbor_enum_version":1,"coap_enum_version":1}"#;
        for (json, expected) in [
            (r#"{"versions":["v1.1"]}"#, format!(r#"{{"versions":["v1.1"],{entry}}}"#)),
            (
                " { \"a\" : 1.0e0 ,\n\"b\":\"\\u00e4}\" } \n",
                format!(" {{ \"a\" : 1.0e0 ,\n\"b\":\"\\u00e4}}\" ,{entry}}} \n"),
            ),
            ("{}", format!("{{{entry}}}")),
            ("{ }", format!("{{ {entry}}}")),
        ] {
            assert_eq!(rewritten(Document::Versions, &advertise(), json).as_deref(), Some(expected.as_str()));
        }
    }

    #[test]
    fn an_entry_of_the_homeserver_gives_way_to_what_is_advertised_here() {
        let stable = Advertise { stable_name: true, ..advertise() };
        let json = r#"{"org.matrix.msc3079.low_\u0062andwidth" : {"dtls":1}, "versions":[]}"#;
        let value = r#"{"dtls":8008,"cbor_enum_version":1,"coap_enum_version":1}"#;
        let expected = format!(
            r#"{{"org.matrix.msc3079.low_\u0062andwidth" : {value}, "versions":[],"m.low_bandwidth":{value}}}"#
        );
        assert_eq!(rewritten(Document::Versions, &stable, json), Some(expected));
        let both = rewritten(Document::Versions, &stable, "{}").unwrap();
        let both: serde_json::Value = serde_json::from_str(&both).unwrap();
        assert_eq!(both[UNSTABLE], both[STABLE]);
        assert_eq!(both.as_object().unwrap().len(), 2);
    }

    #[test]
    fn a_base_url_is_exchanged_where_it_stands_and_nothing_else_is() {
        let json = r#"{"x": "base_url", "m.homeserver": { "base_url" : "https:\/\/hs.example.org" }, "m.identity_server":{"base_url":"https://id"}}"#;
        let expected = json.replace(r"https:\/\/hs.example.org", "https://lb.example.org:8448");
        assert_eq!(rewritten(Document::WellKnown, &advertise(), json), Some(expected));

        let login = format!(r#"{{"user_id":"@a:b","well_known":{json},"m.homeserver":{{"base_url":"x"}}}}"#);
        let expected = login.replacen(r"https:\/\/hs.example.org", "https://lb.example.org:8448", 1);
        assert_eq!(rewritten(Document::Session, &advertise(), &login), Some(expected));
    }

    #[test]
    fn a_name_that_occurs_twice_is_no_way_around() {
        let json = r#"{"m.homeserver":{"base_url":"a","base_url":"b"},"m.homeserver":{"base_url":"c"}}"#;
        let got = rewritten(Document::WellKnown, &advertise(), json).unwrap();
        assert_eq!(got.matches("https://lb.example.org:8448").count(), 3, "{got}");
    }

    #[test]
    fn what_holds_nothing_to_exchange_stays() {
        let nothing = Advertise { dtls_port: None, base_url: None, stable_name: true };
        for json in [r#"{"m.homeserver":{"base_url":"a"}}"#, "{}"] {
            for document in [Document::Versions, Document::WellKnown, Document::Session] {
                assert_eq!(rewritten(document, &nothing, json), None);
            }
        }
        for json in [
            "{}",
            r#"{"m.homeserver":"base_url"}"#,
            r#"{"m.homeserver":{"base_url":1}}"#,
            "[]",
            "",
            "{\"a\":",
        ] {
            assert_eq!(rewritten(Document::WellKnown, &advertise(), json), None, "{json}");
        }
        for json in ["[]", "null", "", "{", "{} {}", "\"{}\""] {
            assert_eq!(rewritten(Document::Versions, &advertise(), json), None, "{json}");
        }
        assert_eq!(Document::Versions.rewrite(&advertise(), b"{\"a\":\"\xff\"}"), Err(Miss::NotJson));
    }

    #[test]
    fn why_nothing_is_exchanged_is_told_where_something_should_be() {
        use Document::{Session, Versions, WellKnown};
        use Miss::{NoMember, NotJson};
        for (document, json, expected) in [
            (Versions, "[]", Err(NotJson)),
            (Versions, "", Err(NotJson)),
            (WellKnown, "<html>", Err(NotJson)),
            (WellKnown, "{} x", Err(NotJson)),
            (WellKnown, "{}", Err(NoMember)),
            (WellKnown, r#"{"m.homeserver":{"base_url":null}}"#, Err(NoMember)),
            (Session, r#"{"user_id":"@a:b"}"#, Ok(None)),
            (Session, r#"{"well_known":{}}"#, Err(NoMember)),
            (Session, "x", Err(NotJson)),
        ] {
            assert_eq!(document.rewrite(&advertise(), json.as_bytes()), expected, "{document:?} {json}");
        }
    }

    #[test]
    fn one_mark_is_left_out_and_only_at_the_beginning() {
        for (json, without) in
            [("\u{feff}{}", "{}"), ("{}", "{}"), ("\u{feff}\u{feff}", "\u{feff}"), (" \u{feff}", " \u{feff}")]
        {
            assert_eq!(without_mark(json.as_bytes()), without.as_bytes(), "{json:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_document_is_rewritten_or_left(json in r#"[ {}\[\],:"\\a1]{0,24}|\{("(m.homeserver|base_url|well_known|x)":(\{"base_url":"y"\}|"z"|1),?){0,3}\}"#) {
            for document in [Document::Versions, Document::WellKnown, Document::Session] {
                if let Ok(Some(new)) = document.rewrite(&advertise(), json.as_bytes()) {
                    let new: serde_json::Value = serde_json::from_slice(&new).unwrap();
                    let old: serde_json::Value = serde_json::from_str(&json).unwrap();
                    proptest::prop_assert_eq!(new.is_object(), old.is_object());
                }
            }
        }
    }
}
