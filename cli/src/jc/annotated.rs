//! Annotated bytes: what stands in the input on the left, indented by what it stands in, and what it means on
//! the right.

use lowband_codec::annotate::{Annotated, Item, Kind};
use std::fmt::Write;
use std::ops::Range;

/// Bytes on one line.
const BYTES_OF_A_LINE: usize = 16;

/// The widest column of bytes; deeper items push their meaning to the right.
const WIDEST: usize = 60;

/// One line: indent in columns, bytes of the input.
struct Line {
    indent: usize,
    bytes: Range<usize>,
    meaning: String,
}

/// Appends a line for each item, and lines for the content of each string.
pub(super) fn append(annotated: &Annotated<'_>, out: &mut Vec<u8>) {
    let width = each_line(annotated).map(|line| line.width()).filter(|width| *width <= WIDEST).max();
    let width = width.unwrap_or_default();
    let mut text = String::new();
    for line in each_line(annotated) {
        text.clear();
        text.extend(std::iter::repeat_n(' ', line.indent));
        for (place, byte) in annotated.cbor().get(line.bytes.clone()).unwrap_or_default().iter().enumerate() {
            let _infallible = write!(text, "{}{byte:02x}", if place > 0 { " " } else { "" });
        }
        if line.meaning.is_empty() {
            text.push('\n');
        } else {
            let _infallible =
                writeln!(text, "{:1$}  # {2}", "", width.saturating_sub(text.len()), line.meaning);
        }
        out.extend_from_slice(text.as_bytes());
    }
}

impl Line {
    fn width(&self) -> usize {
        self.indent + (3 * self.bytes.len()).saturating_sub(1)
    }
}

fn each_line(annotated: &Annotated<'_>) -> impl Iterator<Item = Line> {
    annotated.items().iter().enumerate().flat_map(move |(index, item)| {
        let indent = 2 * item.depth;
        let head = (item.start + usize::from(item.head)).min(item.end);
        let notes = annotated.notes_of(index).iter().map(|note| note.what.sentence());
        let mut meaning = annotated.words(index);
        notes.for_each(|note| meaning.extend([" (", note, ")"]));
        let preview = annotated.preview(index).unwrap_or_default();
        let head = Line { indent, bytes: item.start..head, meaning };
        std::iter::once(head).chain(content(item, indent + 2, preview))
    })
}

/// Returns the lines of a string's content; the first has the beginning of the text.
fn content(item: &Item, indent: usize, preview: String) -> impl Iterator<Item = Line> {
    let is_string = matches!(item.kind, Kind::Text | Kind::Bytes) && item.argument.is_some();
    let from = item.start + usize::from(item.head);
    let end = if is_string { item.end } else { from };
    let mut preview = Some(preview);
    (from..end).step_by(BYTES_OF_A_LINE).map(move |start| Line {
        indent,
        bytes: start..(start + BYTES_OF_A_LINE).min(end),
        meaning: preview.take().unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowband_codec::annotate::Options;

    fn lines(cbor: &[u8]) -> String {
        let mut out = Vec::new();
        append(&Annotated::new(cbor, Options::default()), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_item_has_a_line_and_the_content_of_strings_more() {
        let cbor = b"\xa3\x02\x66m.room\x03\xa1\x18\x1b\x60\x09\x9f\xc1\x19\x04\xd2\x41\xff\xff";
        let expected = "\
a3                     # map of 3 pairs
  02                   # key 2: type
  66                   # text of 6 bytes
    6d 2e 72 6f 6f 6d  # \"m.room\"
  03                   # key 3: content
  a1                   # map of 1 pair
    18 1b              # key 27: body
    60                 # text of 0 bytes
  09                   # key 9: unsigned
  9f                   # array of indefinite length, 2 elements
    c1                 # tag 1: seconds since 1970 (a CBOR tag has no form in JSON)
      19 04 d2         # integer 1234
    41                 # byte string of 1 byte (a CBOR byte string has no form in JSON)
      ff               # h'ff'
    ff                 # break: end of the array
";
        assert_eq!(lines(cbor), expected);
    }

    #[test]
    fn a_long_text_has_lines_of_sixteen_bytes() {
        let cbor = [b"\x78\x21".as_slice(), &[b'a'; 33]].concat();
        let row = ["61"; 16].join(" ");
        let preview = "a".repeat(33);
        let column = 2 + row.len();
        let expected =
            format!("{:column$}  # text of 33 bytes\n  {row}  # \"{preview}\"\n  {row}\n  61\n", "78 21");
        assert_eq!(lines(&cbor), expected);
    }

    #[test]
    fn what_was_read_before_a_mistake_is_there() {
        let expected = "\
82      # array of 2 elements, cut
  01    # integer 1
  62    # text of 2 bytes, cut
    61  # \"a\"...
";
        assert_eq!(lines(b"\x82\x01\x62a"), expected);
        assert_eq!(lines(b"\x82\x01\x1c"), "82    # array of 2 elements, cut\n  01  # integer 1\n");
    }
}
