//! JSON texts one behind the other: lines of NDJSON, or texts of several lines, or none between them.

use super::Step;

/// Finds where JSON texts end that follow each other, with or without white space between them.
///
/// Brackets and strings are followed, no more. A text that ends here need not be JSON; one that is JSON ends
/// where it should. A number or a word ends at white space.
#[derive(Clone, Debug, Default)]
pub struct JsonTexts {
    state: State,
    /// Arrays and objects that are open.
    depth: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Between,
    /// In a number or a word outside of all brackets.
    Word,
    Container,
    String,
    /// Behind a backslash in a string.
    Escape,
}

impl JsonTexts {
    /// Makes a search that begins before the first text.
    pub fn new() -> JsonTexts {
        JsonTexts::default()
    }

    /// Takes bytes up to the end of the next text, or to the end of the piece. Call it again with the rest.
    pub fn push(&mut self, piece: &[u8]) -> Step {
        let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        let mut skipped = 0;
        if self.state == State::Between {
            let first = piece.iter().position(|byte| !is_space(byte));
            skipped = first.unwrap_or(piece.len());
            self.state = if first.is_some() { State::Word } else { State::Between };
        }
        let mut at = skipped;
        while let Some(&byte) = piece.get(at) {
            at += 1;
            self.state = match (self.state, byte) {
                (State::String, b'\\') => State::Escape,
                (State::String, b'"') if self.depth > 0 => State::Container,
                (State::String, b'"') => return self.end(skipped, at),
                (State::String, _) => {
                    at += string_end(piece.get(at..).unwrap_or_default());
                    State::String
                }
                (State::Escape, _) => State::String,
                (_, b'"') => State::String,
                (_, b'{' | b'[') => {
                    self.depth = self.depth.saturating_add(1);
                    State::Container
                }
                (State::Container, b'}' | b']') => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return self.end(skipped, at);
                    }
                    State::Container
                }
                (State::Container, _) => State::Container,
                (_, byte) if is_space(&byte) => return self.end(skipped, at - 1),
                _ => State::Word,
            };
        }
        Step { skipped, taken: piece.len() - skipped, ended: false }
    }

    /// Returns true inside a text. The last one, if it is a number or a word, ends with the input.
    pub fn is_inside(&self) -> bool {
        self.state != State::Between
    }

    fn end(&mut self, skipped: usize, at: usize) -> Step {
        *self = JsonTexts::default();
        Step { skipped, taken: at - skipped, ended: true }
    }
}

/// Returns the bytes before the next quote or backslash.
fn string_end(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| matches!(byte, b'"' | b'\\')).unwrap_or(bytes.len())
}
