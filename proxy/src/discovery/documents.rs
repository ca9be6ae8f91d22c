//! The two documents that lead to a homeserver, read. No I/O.

use super::base::Base;
use serde_json::Value;

/// Keys of the entry in `/versions` that names the UDP port (MSC3079, "Discovery"): until the proposal is
/// part of the specification, and then.
const LOW_BANDWIDTH: [&str; 2] = ["org.matrix.msc3079.low_bandwidth", "m.low_bandwidth"];

/// What `/.well-known/matrix/client` says (Client-Server API, "Server discovery", "Well-known URI").
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum WellKnown {
    /// The API is there.
    Base(Base),
    /// IGNORE: there is no such document.
    Ignore,
    /// FAIL_PROMPT: what is there is of no use, and the user has to say where the API is.
    Prompt(String),
    /// FAIL_ERROR: what is there would lead astray.
    Error(String),
}

/// Reads the answer to `GET /.well-known/matrix/client`. Its Content-Type does not count: web servers that
/// serve files give it any.
pub(crate) fn well_known(status: u16, body: &[u8], clear_text: bool) -> WellKnown {
    match status {
        404 => return WellKnown::Ignore,
        200 => {}
        status => return WellKnown::Prompt(format!("it is answered with {status}")),
    }
    let Some(document) = object(body) else {
        return WellKnown::Prompt("it is not a JSON object".into());
    };
    let base_url = document.get("m.homeserver").and_then(|homeserver| homeserver.get("base_url"));
    let Some(base_url) = base_url.and_then(Value::as_str) else {
        return WellKnown::Prompt("it does not name m.homeserver.base_url".into());
    };
    match Base::parse(base_url, clear_text) {
        // What serves clear text on this machine is for the user to name, and not for a server.
        Ok(base) if base.is_clear_text() && !clear_text => {
            WellKnown::Error("its base_url cannot be used: it is not an https:// address".into())
        }
        Ok(base) => WellKnown::Base(base),
        Err(why) => WellKnown::Error(format!("its base_url cannot be used: {why}")),
    }
}

/// What `/_matrix/client/versions` says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Versions {
    /// The port for datagrams, if the server names one.
    pub(crate) udp_port: Option<u16>,
}

/// Reads the answer to `GET /_matrix/client/versions` in JSON: that of a homeserver lists versions.
pub(crate) fn versions(status: u16, body: &[u8]) -> Result<Versions, String> {
    if status != 200 {
        return Err(format!("it is answered with {status}"));
    }
    let document = object(body).ok_or("it is not a JSON object")?;
    if !document.get("versions").is_some_and(Value::is_array) {
        return Err("it lists no versions".into());
    }
    let entry = LOW_BANDWIDTH.iter().find_map(|key| document.get(*key));
    let port = entry.and_then(|entry| entry.get("dtls")).and_then(Value::as_u64);
    Ok(Versions { udp_port: port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0) })
}

/// Parses an object. A byte order mark is what an editor may have left at its beginning.
fn object(body: &[u8]) -> Option<Value> {
    let body = lowband_translation::discovery::without_mark(body);
    serde_json::from_slice(body).ok().filter(Value::is_object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_has_the_consequence_of_the_specification() {
        let base = |url| WellKnown::Base(Base::parse(url, false).unwrap());
        let of = |status, body: &str| well_known(status, body.as_bytes(), false);
        let naming = |url: &str| format!(r#"{{"m.homeserver":{{"base_url":"{url}"}},"x":1}}"#);
        assert_eq!(of(200, &naming("https://hs.example.org")), base("https://hs.example.org"));
        assert_eq!(of(200, &naming("https://hs.example.org/")), base("https://hs.example.org"));
        assert_eq!(of(200, &format!("\u{feff}{}", naming("https://a/b"))), base("https://a/b"));
        assert_eq!(of(404, &naming("https://hs.example.org")), WellKnown::Ignore);
        for (status, body) in [
            (500, ""),
            (403, "{}"),
            (204, ""),
            (301, ""),
            (200, ""),
            (200, "<html>"),
            (200, "[]"),
            (200, "{}"),
            (200, r#"{"m.homeserver":"https://a"}"#),
            (200, r#"{"m.homeserver":{"base_url":1}}"#),
        ] {
            assert!(matches!(of(status, body), WellKnown::Prompt(_)), "{status} {body}");
        }
        let own = ["http://127.0.0.1:8009", "http://localhost:8008", "http://[::1]"];
        for url in
            ["", "hs.example.org", "ftp://hs", "http://hs.example.org", "https://"].into_iter().chain(own)
        {
            assert!(matches!(of(200, &naming(url)), WellKnown::Error(_)), "{url}");
        }
        assert_eq!(
            well_known(200, naming("http://hs.example.org").as_bytes(), true),
            WellKnown::Base(Base::parse("http://hs.example.org", true).unwrap())
        );
    }

    #[test]
    fn versions_name_the_port_for_datagrams() {
        let port = |entry: &str| versions(200, format!(r#"{{"versions":["v1.1"]{entry}}}"#).as_bytes());
        for (entry, udp_port) in [
            ("", None),
            (r#","org.matrix.msc3079.low_bandwidth":{"dtls":8009,"cbor_enum_version":1}"#, Some(8009)),
            (r#","m.low_bandwidth":{"dtls":1}"#, Some(1)),
            (r#","m.low_bandwidth":{"dtls":1},"org.matrix.msc3079.low_bandwidth":{"dtls":2}"#, Some(2)),
            (r#","m.low_bandwidth":{"dtls":0}"#, None),
            (r#","m.low_bandwidth":{"dtls":65536}"#, None),
            (r#","m.low_bandwidth":{"dtls":"8008"}"#, None),
            (r#","m.low_bandwidth":8008"#, None),
        ] {
            assert_eq!(port(entry), Ok(Versions { udp_port }), "{entry}");
        }
        for (status, body) in [(404, r#"{"versions":[]}"#), (200, "{}"), (200, "<html>"), (200, "")] {
            assert!(versions(status, body.as_bytes()).is_err(), "{status} {body}");
        }
    }
}
