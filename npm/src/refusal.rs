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
    /// Choices or a key table: for programmers, so a sentence is all.
    Choice(String),
}

impl Refusal {
    /// A length for JavaScript, or -1 with the reason kept.
    pub fn or_length<E: Into<Refusal>>(&mut self, result: Result<usize, E>) -> i32 {
        match result {
            // The largest `max_output` is far below 2 GiB, and everything else that is counted smaller still.
            Ok(length) => i32::try_from(length).unwrap_or(i32::MAX),
            Err(reason) => {
                *self = reason.into();
                -1
            }
        }
    }

    /// A value, or none with the reason kept.
    pub fn or_none<T, E: Into<Refusal>>(&mut self, result: Result<T, E>) -> Option<T> {
        result.map_err(|reason| *self = reason.into()).ok()
    }

    /// Of a document: the place of the kind in `ErrorKind::ALL`, which JavaScript has with its
    /// words; else -1.
    pub fn kind(&self) -> i32 {
        match self {
            Refusal::Document(error) => error.kind as i32,
            _ => -1,
        }
    }

    /// Of a path: a word of [`PathError`].
    pub fn path_kind(&self) -> &'static str {
        match self {
            Refusal::Path(error) => error.name(),
            _ => "",
        }
    }

    /// A sentence for people, which a document's kind has on JavaScript's side.
    pub fn message(&self) -> String {
        match self {
            Refusal::None | Refusal::Document(_) => String::new(),
            Refusal::Path(error) => error.sentence(),
            Refusal::Choice(sentence) => sentence.clone(),
        }
    }

    /// Bytes from the start of a document.
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
