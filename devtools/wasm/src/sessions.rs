//! A session as a line of JSON.

use crate::json::{name, number, text};
use lowband_capture::Session;
use lowband_capture::session::{End, Keys, Protection};

/// Appends a session as one object and a newline.
///
/// ```text
/// {"session":3,"client":"10.0.0.1:50000","server":"198.51.100.1:8008","first":"2026-11-30T03:40:00.123456Z",
///  "last":"...","protection":"dtls","keys":"proven","suite":"TLS_...","end":"close_notify by the client",
///  "resumed":false,"access_token":true,"moves":0,"duplicates":0,"handshake_bytes":2031,"bytes_up":...,
///  "bytes_down":...,"datagrams_up":...,"datagrams_down":...,"unread":[{"why":"no_key","count":4,"sentence":"..."}]}
/// ```
pub(crate) fn line(session: &Session, out: &mut String) {
    out.push('{');
    number("session", session.number.into(), out);
    text("client", &session.client.to_string(), out);
    text("server", &session.server.to_string(), out);
    text("first", &session.first.to_string(), out);
    text("last", &session.last.to_string(), out);
    text("protection", if session.protection == Protection::Plain { "none" } else { "dtls" }, out);
    let keys = match session.keys {
        Keys::NotNeeded => "not_needed",
        Keys::Missing => "missing",
        Keys::Unproven => "unproven",
        Keys::Proven => "proven",
    };
    text("keys", keys, out);
    text_or_null("suite", session.suite.map(|suite| suite.name.to_owned()), out);
    text_or_null("end", session.end.map(end), out);
    for (field, is) in [("resumed", session.resumed), ("access_token", session.access_token)] {
        name(field, out);
        out.push_str(if is { "true" } else { "false" });
    }
    for (field, value) in [
        ("moves", session.moves.into()),
        ("duplicates", session.duplicates),
        ("handshake_bytes", session.handshake_up.bytes + session.handshake_down.bytes),
        ("bytes_up", session.up.bytes),
        ("bytes_down", session.down.bytes),
        ("datagrams_up", session.up.datagrams),
        ("datagrams_down", session.down.datagrams),
    ] {
        number(field, value, out);
    }
    name("unread", out);
    out.push('[');
    for (why, count) in &session.unread {
        out.push_str(if out.ends_with('[') { "{" } else { ",{" });
        text("why", why.name(), out);
        number("count", *count, out);
        text("sentence", &why.to_string(), out);
        out.push('}');
    }
    out.push_str("]}\n");
}

fn text_or_null(field: &str, value: Option<String>, out: &mut String) {
    match value {
        Some(value) => text(field, &value, out),
        None => {
            name(field, out);
            out.push_str("null");
        }
    }
}

/// Says how a session ended: by the name of the alert where it is the usual one (RFC 5246 section 7.2).
fn end(end: End) -> String {
    match end {
        End::Replaced { by } => format!("replaced by session {by}"),
        End::Alert { from_client, description } => {
            let alert = match description {
                0 => "close_notify".to_owned(),
                other => format!("alert {other}"),
            };
            format!("{alert} by the {}", if from_client { "client" } else { "server" })
        }
        _ => "ended".to_owned(),
    }
}
