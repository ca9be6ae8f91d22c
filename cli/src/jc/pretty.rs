//! Indented JSON. Works on the bytes, so that the order of keys and the spelling of numbers stay as they are.

/// Indents JSON in pieces: one valid text without white space between its tokens, as the codec writes it.
#[derive(Debug, Default)]
pub(crate) struct Indenter {
    depth: usize,
    /// Whether the last byte has opened a container, which may be empty.
    opened: bool,
    in_string: bool,
    escaped: bool,
}

impl Indenter {
    pub(crate) fn push(&mut self, json: &[u8], out: &mut Vec<u8>) {
        for &byte in json {
            if self.in_string {
                out.push(byte);
                self.in_string = self.escaped || byte != b'"';
                self.escaped = !self.escaped && byte == b'\\';
                continue;
            }
            let closes = matches!(byte, b'}' | b']');
            match (std::mem::take(&mut self.opened), closes) {
                (true, false) => {
                    self.depth += 1;
                    new_line(out, self.depth);
                }
                (false, true) => {
                    self.depth = self.depth.saturating_sub(1);
                    new_line(out, self.depth);
                }
                _ => {}
            }
            out.push(byte);
            match byte {
                b'{' | b'[' => self.opened = true,
                b',' => new_line(out, self.depth),
                b':' => out.push(b' '),
                b'"' => self.in_string = true,
                _ => {}
            }
        }
    }
}

fn new_line(out: &mut Vec<u8>, depth: usize) {
    out.push(b'\n');
    out.extend(std::iter::repeat_n(b' ', 2 * depth));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn indent(json: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        Indenter::default().push(json, &mut out);
        out
    }

    #[test]
    fn containers_are_spread_over_lines_and_empty_ones_are_not() {
        let indented =
            String::from_utf8(indent(br#"{"a":[1,-2.5e3],"b":{},"c":[],"d":{"e":null}}"#)).unwrap();
        let expected = r#"{
  "a": [
    1,
    -2.5e3
  ],
  "b": {},
  "c": [],
  "d": {
    "e": null
  }
}"#;
        assert_eq!(indented, expected);
        let (mut indenter, mut in_pieces) = (Indenter::default(), Vec::new());
        for piece in br#"{"a":[1,-2.5e3],"b":{},"c":[],"d":{"e":null}}"#.chunks(1) {
            indenter.push(piece, &mut in_pieces);
        }
        assert_eq!(in_pieces, expected.as_bytes());
    }

    #[test]
    fn what_stands_in_strings_is_left_alone() {
        for scalar in [r#""{[,:]}""#, r#""\"{\\""#, r#""\\""#, "12", "true", r#""""#] {
            assert_eq!(indent(scalar.as_bytes()), scalar.as_bytes());
        }
        assert_eq!(indent(br#"["\\",1]"#), b"[\n  \"\\\\\",\n  1\n]");
    }
}
