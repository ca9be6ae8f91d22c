//! Shows what each byte of a CBOR item says, for people who look for a mistake.
//!
//! ```sh
//! cargo run -p lowband-codec --example annotate
//! ```

use lowband_codec::annotate::{Annotated, Options};

/// An event as a client would write it by mistake: the time is tagged, and the last text is cut.
const EVENT: &[u8] = b"\xa4\x02\x66m.room\x08\xc1\x1a\x65\x53\xf1\x00\x18\x1b\x65Hello\x03\x69cut";

fn main() {
    print!("{}", lines(&Annotated::new(EVENT, Options::default())));
}

/// Returns a line for each item: the offset, the bytes of the head, the meaning, what is wrong with it.
fn lines(annotated: &Annotated<'_>) -> String {
    let mut lines = String::new();
    for (index, item) in annotated.items().iter().enumerate() {
        let head = annotated.cbor().get(item.start..item.start + usize::from(item.head)).unwrap_or_default();
        let head: String = head.iter().map(|byte| format!("{byte:02x}")).collect();
        let indent = 2 * item.depth;
        let (words, preview) = (
            annotated.words(index),
            annotated.preview(index).map_or(String::new(), |text| format!(" {text}")),
        );
        let notes: String =
            annotated.notes_of(index).iter().map(|note| format!(" ({})", note.what.sentence())).collect();
        lines.push_str(&format!("{:>4}  {head:<10}  {:indent$}{words}{preview}{notes}\n", item.start, ""));
    }
    lines.push_str(&format!("{}\n", annotated.json()));
    if let Some(error) = annotated.error() {
        lines.push_str(&format!("{error}\n"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_runs() {
        main();
    }

    #[test]
    fn the_mistakes_stand_where_they_are() {
        let lines = lines(&Annotated::new(EVENT, Options::default()));
        assert!(lines.contains("tag 1: seconds since 1970 (a CBOR tag has no form in JSON)\n"), "{lines}");
        assert!(lines.contains("text of 9 bytes, cut \"cut\"...\n"), "{lines}");
        assert!(lines.ends_with("byte 29: the input ends inside a value\n"), "{lines}");
    }
}
