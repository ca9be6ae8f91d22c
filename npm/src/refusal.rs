//! Why the last call was refused, kept until JavaScript asks.

use lowband_codec::Error;
use lowband_codec::paths::PathError;

/// The reason behind a -1.
#[derive(Clone, Debug, Default)]
pub enum Refusal {
    /// Nothing was refused yet.
    #[default]
    None,
    /// A document could not be converted.
    Document(Error),
    /// A path could not be converted.
    Path(PathError),
    /// Settings or a key table were refused: for programmers, so a sentence suffices.
    Choice(String),
}

impl Refusal {
    /// Returns a length for JavaScript, or -1 and keeps the reason.
    pub fn or_length<E: Into<Refusal>>(&mut self, result: Result<usize, E>) -> i32 {
        match result {
            // The largest `max_output` is far below 2 GiB, and all other counts are smaller still.
            Ok(length) => i32::try_from(length).unwrap_or(i32::MAX),
            Err(reason) => {
                *self = reason.into();
                -1
            }
        }
    }

    /// Returns a value, or none and keeps the reason.
    pub fn or_none<T, E: Into<Refusal>>(&mut self, result: Result<T, E>) -> Option<T> {
        result.map_err(|reason| *self = reason.into()).ok()
    }

    /// Returns the index of a document's error kind in `ErrorKind::ALL`, whose words JavaScript has; else -1.
    pub fn kind(&self) -> i32 {
        match self {
            Refusal::Document(error) => error.kind as i32,
            _ => -1,
        }
    }

    /// Returns a path's error kind: a word of [`PathError`].
    pub fn path_kind(&self) -> &'static str {
        match self {
            Refusal::Path(error) => error.name(),
            _ => "",
        }
    }

    /// Returns a sentence for people; empty for a document's kind, whose sentence JavaScript has.
    pub fn message(&self) -> String {
        match self {
            Refusal::None | Refusal::Document(_) => String::new(),
            Refusal::Path(error) => error.sentence(),
            Refusal::Choice(sentence) => sentence.clone(),
        }
    }

    /// Returns the offset in bytes from the start of a document.
    pub fn offset(&self) -> usize {
        match self {
            Refusal::Document(error) => error.offset,
            _ => 0,
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal::Document(error)
    }
}

impl From<PathError> for Refusal {
    fn from(error: PathError) -> Refusal {
        Refusal::Path(error)
    }
}

impl From<String> for Refusal {
    fn from(sentence: String) -> Refusal {
        Refusal::Choice(sentence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowband_codec::ErrorKind;

    #[test]
    fn a_refusal_is_minus_one_and_says_why_afterwards() {
        let mut refusal = Refusal::default();
        assert_eq!(refusal.or_length(Ok::<usize, Error>(7)), 7);
        assert_eq!((refusal.kind(), refusal.message().as_str(), refusal.offset()), (-1, "", 0));
        let error = Error { kind: ErrorKind::Tag, offset: 9 };
        assert_eq!(refusal.or_length(Err(error)), -1);
        assert_eq!(ErrorKind::ALL.get(refusal.kind() as usize), Some(&ErrorKind::Tag));
        assert_eq!((refusal.message().as_str(), refusal.offset()), ("", 9));
        assert_eq!(refusal.or_length(Err(PathError::Empty)), -1);
        assert_eq!((refusal.path_kind(), refusal.message().as_str()), ("empty", "the path is empty"));
        assert_eq!(refusal.or_length(Err("no".to_owned())), -1);
        assert_eq!((refusal.kind(), refusal.message().as_str(), refusal.offset()), (-1, "no", 0));
    }
}
