//! What all streams of one listener share: its settings, and the translations that are asked for again and
//! again.

use crate::config::Config;
use crate::negotiate::Form;
use lowband_codec::{KeyTable, Repairs};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// What all streams of one listener share. Each is made by [`Exchange::new`](crate::exchange::Exchange::new)
/// with a clone of the [`Arc`].
#[derive(Debug, Default)]
pub struct Common {
    pub(crate) config: Config,
    pub(crate) versions: Recent,
}

impl From<Config> for Arc<Common> {
    fn from(config: Config) -> Self {
        Arc::new(Common { config, versions: Recent::default() })
    }
}

/// The last answers to `/versions`, each with its translation. Every client asks for this document first, and
/// many before each login; the homeserver's text hardly ever changes. The translation depends on nothing but
/// the text, the form, the key table and the settings, so a text that is equal in each byte has the same.
#[derive(Debug, Default)]
pub(crate) struct Recent(Mutex<VecDeque<Known>>);

/// A text with its translation.
#[derive(Clone, Debug)]
struct Known {
    json: Box<[u8]>,
    to: Form,
    keys: Option<&'static KeyTable>,
    translated: Translated,
}

/// The whole body of an answer, and what was repaired on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Translated {
    pub(crate) body: Vec<u8>,
    pub(crate) repairs: Repairs,
}

impl Recent {
    /// Translations that are kept: JSON, CBOR with and without integer keys, and one of a homeserver that
    /// gives some users another text.
    const MOST: usize = 4;
    /// The longest text in bytes that is kept, so that a homeserver fills 128 KiB at most.
    const LONGEST: usize = 16 << 10;

    /// Returns the translation of a text that has been translated in the same way.
    pub(crate) fn get(&self, json: &[u8], to: Form, keys: Option<&'static KeyTable>) -> Option<Translated> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().find(|known| known.is_for(json, to, keys)).map(|known| known.translated.clone())
    }

    /// Keeps a translation in place of the oldest one.
    pub(crate) fn put(&self, json: &[u8], to: Form, keys: Option<&'static KeyTable>, made: &Translated) {
        if json.len().max(made.body.len()) > Recent::LONGEST {
            return;
        }
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.truncate(Recent::MOST - 1);
        known.push_front(Known { json: json.into(), to, keys, translated: made.clone() });
    }
}

impl Known {
    fn is_for(&self, json: &[u8], to: Form, keys: Option<&'static KeyTable>) -> bool {
        let same_keys = match (self.keys, keys) {
            (Some(one), Some(other)) => std::ptr::eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        };
        self.to == to && same_keys && *self.json == *json
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(body: &str) -> Translated {
        Translated { body: body.into(), repairs: Repairs::default() }
    }

    #[test]
    fn a_translation_is_known_for_its_text_form_and_keys_alone() {
        let (recent, keys) = (Recent::default(), Some(KeyTable::v1()));
        recent.put(b"{}", Form::Cbor, keys, &made("cbor"));
        recent.put(b"{}", Form::Json, keys, &made("json"));
        assert_eq!(recent.get(b"{}", Form::Cbor, keys), Some(made("cbor")));
        assert_eq!(recent.get(b"{}", Form::Json, keys), Some(made("json")));
        assert_eq!(recent.get(b"{ }", Form::Cbor, keys), None);
        assert_eq!(recent.get(b"{}", Form::Cbor, None), None);
    }

    #[test]
    fn the_oldest_translation_goes_and_long_ones_never_come() {
        let recent = Recent::default();
        for text in ["0", "1", "2", "3", "4"] {
            recent.put(text.as_bytes(), Form::Cbor, None, &made(text));
        }
        let known = |text: &str| recent.get(text.as_bytes(), Form::Cbor, None).is_some();
        assert_eq!(["0", "1", "2", "3", "4"].map(known), [false, true, true, true, true]);
        let long = "5".repeat(Recent::LONGEST + 1);
        recent.put(long.as_bytes(), Form::Cbor, None, &made("5"));
        recent.put(b"5", Form::Cbor, None, &made(&long));
        assert_eq!([long.as_str(), "5", "1"].map(known), [false, false, true]);
    }
}
