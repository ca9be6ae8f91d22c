//! Messages for who looks on: in the clear, but for access tokens and other secrets in their options.

use crate::trace::{Message, Trace, Tracer};
use lowband_transport::client::Overheard;
use lowband_wire::coap::message::{Malformed, View};
use lowband_wire::coap::numbers::{AUTHORIZATION, LOCATION_QUERY, PROXY_URI, URI_QUERY};
use std::ops::Range;

/// Stands for each byte of a secret.
const MASK: u8 = b'*';

/// Parts of the names of parameters whose values are secret: `access_token`, `loginToken`, `client_secret`.
const SECRET_NAMES: [&str; 3] = ["token", "password", "secret"];

/// Shows a message, without its secrets.
pub(super) fn trace(tracer: &Tracer, message: Overheard) {
    let Overheard { sent, mut bytes } = message;
    match secrets(&bytes) {
        Ok(secrets) => {
            for secret in secrets {
                bytes.get_mut(secret).into_iter().for_each(|secret| secret.fill(MASK));
            }
            let message = Message::new(&bytes);
            tracer.see(if sent { Trace::MessageSent(message) } else { Trace::MessageReceived(message) });
        }
        Err(why) => tracer.see(Trace::Unreadable(why)),
    }
}

/// Returns where the secrets of a message stand.
fn secrets(message: &[u8]) -> Result<Vec<Range<usize>>, Malformed> {
    let secret = |(number, value): (u16, &[u8])| {
        let hidden_from = match number {
            AUTHORIZATION | PROXY_URI => 0,
            URI_QUERY | LOCATION_QUERY => value_of_secret(value)?,
            _ => return None,
        };
        // The value is a part of the message, so the distance is where it stands there.
        let start = value.as_ptr().addr().saturating_sub(message.as_ptr().addr());
        Some(start + hidden_from..start + value.len())
    };
    Ok(View::parse(message)?.options().filter_map(secret).collect())
}

/// Returns where the value of a parameter begins, if it is secret.
fn value_of_secret(parameter: &[u8]) -> Option<usize> {
    let text = String::from_utf8_lossy(parameter);
    let (name, _) = text.split_once('=')?;
    let name = name.to_ascii_lowercase();
    SECRET_NAMES.iter().any(|secret| name.contains(secret)).then_some(())?;
    parameter.iter().position(|byte| *byte == b'=').map(|at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowband_wire::coap::Code;
    use lowband_wire::coap::message::{Kind, MessageId, Outgoing, Token};
    use lowband_wire::coap::numbers::URI_PATH;
    use std::sync::{Arc, Mutex};

    /// Returns the options that a tracer is shown of a message.
    fn shown(options: &[(u16, &str)]) -> Vec<(u16, String)> {
        let options = options.iter().map(|(number, value)| (*number, value.as_bytes().to_vec())).collect();
        let message = Outgoing { code: Code::GET, token: Token::EMPTY, options, payload: b"secret".to_vec() };
        let bytes = message.encode(Kind::Confirmable, MessageId(7)).unwrap();
        let length = bytes.len();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sees = Arc::clone(&seen);
        let tracer = Tracer::new(move |what| {
            assert!(!format!("{what:?}").contains("secret"), "{what:?}");
            let Trace::MessageSent(message) = what else { panic!("{what:?}") };
            assert_eq!(message.bytes().len(), length);
            let view = message.view().unwrap();
            assert_eq!((view.id, view.payload), (MessageId(7), &b"secret"[..]));
            let options =
                view.options().map(|(number, value)| (number, String::from_utf8_lossy(value).into()));
            sees.lock().unwrap().extend(options);
        });
        trace(&tracer, Overheard { sent: true, bytes });
        std::mem::take(&mut *seen.lock().unwrap())
    }

    #[test]
    fn access_tokens_and_other_secrets_are_asterisks_and_all_else_is_shown() {
        let given = [
            (URI_PATH, "sync"),
            (URI_QUERY, "since=s72"),
            (URI_QUERY, "access_token=secret"),
            (URI_QUERY, "loginToken=secret=x"),
            (URI_QUERY, "client_secret=\u{e9}"),
            (URI_QUERY, "token"),
            (AUTHORIZATION, "syt_secret"),
        ];
        let expected = [
            (URI_PATH, "sync"),
            (URI_QUERY, "since=s72"),
            (URI_QUERY, "access_token=******"),
            (URI_QUERY, "loginToken=********"),
            (URI_QUERY, "client_secret=**"),
            (URI_QUERY, "token"),
            (AUTHORIZATION, "**********"),
        ];
        assert_eq!(shown(&given), expected.map(|(number, value)| (number, value.to_owned())));
    }

    #[test]
    fn of_what_is_no_message_no_byte_is_shown() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sees = Arc::clone(&seen);
        let tracer = Tracer::new(move |what| {
            assert!(matches!(what, Trace::Unreadable(Malformed::Version)));
            sees.lock().unwrap().push(format!("{what:?}"));
        });
        trace(&tracer, Overheard { sent: false, bytes: b"\xffsecret".to_vec() });
        assert_eq!(*seen.lock().unwrap(), ["Unreadable(Version)"]);
    }
}
