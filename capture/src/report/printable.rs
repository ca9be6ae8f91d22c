//! Characters and bytes as they may stand in a line.

use lowband_wire::coap::content_format;
use std::fmt::{self, Display, Write};

/// Returns whether a character would control a terminal, or the order in which it shows others: controls,
/// separators of lines, and what directs text (UAX 9 section 2).
pub fn controls_terminal(character: char) -> bool {
    let directs = matches!(
        character,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    directs || character.is_control()
}

/// Text from the network: what would control a terminal is shown as an escape.
pub(super) struct Printable<'t>(pub(super) &'t str);

impl Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| match character {
            _ if controls_terminal(character) => write!(f, "{}", character.escape_default()),
            _ => f.write_char(character),
        })
    }
}

/// Returns the name of a Content-Format: that of its media type, or of packed CBOR, which has none.
pub(super) fn format_name(number: u16) -> Option<&'static str> {
    let packed = (number == content_format::PACKED).then_some("packed CBOR");
    packed.or_else(|| content_format::media_type(number))
}

/// Bytes in hexadecimal.
pub(super) struct Hex<'b>(pub(super) &'b [u8]);

impl Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
