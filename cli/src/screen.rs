//! What a person reads on a terminal: JSON in lines and colours, and text that cannot work the terminal.

use crate::jc::pretty::Indenter;
use lowband_capture::report::controls_terminal;
use lowband_capture::report::text::Colours;
use std::fmt::Write;

/// Escapes of the colours (ECMA-48, SGR), and of their end.
const KEY: &str = "\x1b[1;34m";
const TEXT: &str = "\x1b[32m";
const NUMBER: &str = "\x1b[36m";
const WORD: &str = "\x1b[35m";
const END: &str = "\x1b[m";

/// Returns whether a text leaves a terminal as it is: nothing that controls it but line ends and tabs.
pub(crate) fn is_harmless(text: &str) -> bool {
    text.chars().all(|character| !controls_terminal(character) || matches!(character, '\n' | '\r' | '\t'))
}

/// Lays a valid JSON text out over lines, without an end to the last. What JSON may hold as it is and
/// terminals obey (U+007F to U+009F, and what directs text) is written as escapes.
pub(crate) fn lay_out(json: &str, colours: Colours) -> String {
    let mut spread = Vec::with_capacity(2 * json.len());
    Indenter::default().push(without_white_space(json).as_bytes(), &mut spread);
    paint(&String::from_utf8_lossy(&spread), colours)
}

/// Removes the white space between tokens, which an [`Indenter`] does not expect.
fn without_white_space(json: &str) -> String {
    let (mut in_string, mut escaped) = (false, false);
    let keep = |character: &char| {
        if in_string {
            in_string = escaped || *character != '"';
            escaped = !escaped && *character == '\\';
            return true;
        }
        in_string = *character == '"';
        !character.is_ascii_whitespace()
    };
    json.chars().filter(keep).collect()
}

fn paint(json: &str, colours: Colours) -> String {
    let mut out = String::with_capacity(2 * json.len());
    let mut rest = json;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => length_of_string(rest),
            _ if is_scalar(first) => rest.find(|next| !is_scalar(next)).unwrap_or(rest.len()),
            _ => first.len_utf8(),
        };
        let (token, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        let colour = match first {
            '"' if after.starts_with(':') => KEY,
            '"' => TEXT,
            '-' | '0'..='9' => NUMBER,
            _ if is_scalar(first) => WORD,
            _ => "",
        };
        let is_painted = colours == Colours::Coloured && !colour.is_empty();
        out.push_str(if is_painted { colour } else { "" });
        for character in token.chars() {
            match character {
                // A line end between tokens is the only other control character of a JSON text.
                control if controls_terminal(control) && control != '\n' => {
                    let _infallible = write!(out, "\\u{:04x}", u32::from(control));
                }
                other => out.push(other),
            }
        }
        out.push_str(if is_painted { END } else { "" });
        rest = after;
    }
    out
}

/// Returns whether a character is part of a number, or of `true`, `false` and `null`.
fn is_scalar(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '-' | '+' | '.')
}

/// Returns the length in bytes of the string, with its quotes, that a text begins with.
fn length_of_string(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: [&str; 6] = [
        r#"{"a":[1,-2.5e+3,{"b\"c":"d\\"}],"":null,"x:":true}"#,
        r#""\\""#,
        r#""a\"b:""#,
        "[]",
        "-1",
        r#"{"\\":"\\\"","k":{}}"#,
    ];

    /// Removes the colours.
    fn plain(painted: &str) -> String {
        [KEY, TEXT, NUMBER, WORD, END]
            .iter()
            .fold(painted.to_owned(), |text, escape| text.replace(escape, ""))
    }

    #[test]
    fn colours_change_nothing_but_the_colour() {
        for text in TEXTS {
            assert_eq!(plain(&lay_out(text, Colours::Coloured)), lay_out(text, Colours::Plain), "{text}");
            assert_eq!(without_white_space(&lay_out(text, Colours::Plain)), text);
            assert_eq!(without_white_space(text), text);
        }
        assert!(!lay_out(TEXTS[0], Colours::Plain).contains('\x1b'));
    }

    #[test]
    fn keys_texts_numbers_and_words_have_their_colours() {
        let painted = lay_out(r#"{"a":"b","c":[-1,null]}"#, Colours::Coloured);
        let coloured = |colour: &str, token: &str| format!("{colour}{token}{END}");
        for token in [
            coloured(KEY, "\"a\""),
            coloured(TEXT, "\"b\""),
            coloured(KEY, "\"c\""),
            coloured(NUMBER, "-1"),
            coloured(WORD, "null"),
        ] {
            assert!(painted.contains(&token), "{token:?} is missing in {painted:?}");
        }
    }

    #[test]
    fn white_space_between_tokens_is_that_of_the_layout() {
        assert_eq!(lay_out(" {\"a b\" :\r\n\t1 } ", Colours::Plain), "{\n  \"a b\": 1\n}");
    }

    #[test]
    fn what_a_terminal_could_obey_is_escaped_or_harmful() {
        assert_eq!(
            lay_out("\"\u{9b}31m\u{7f}\u{e9}\"", Colours::Coloured).matches(['\u{9b}', '\u{7f}']).count(),
            0
        );
        assert_eq!(lay_out("\"\u{9b}\u{7f}\u{e9}\"", Colours::Plain), "\"\\u009b\\u007f\u{e9}\"");
        for (text, harmless) in [
            ("a\r\n\tb", true),
            ("", true),
            ("\x1b[31m", false),
            ("\u{9b}31m", false),
            ("\u{202e}", false),
            ("\0", false),
        ] {
            assert_eq!(is_harmless(text), harmless, "{text:?}");
        }
    }
}
