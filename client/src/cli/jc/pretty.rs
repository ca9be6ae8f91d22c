//! Indented JSON. Works on the bytes, so that the order of keys and the spelling of numbers stay as they are.

/// `json` is one valid JSON text without white space between its tokens, as the codec writes it.
pub(crate) fn indent(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len() * 2);
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    let mut bytes = json.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if in_string {
            out.push(byte);
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            continue;
        }
        match byte {
            b'{' | b'[' => {
                out.push(byte);
                match bytes.next_if(|next| matches!(next, b'}' | b']')) {
                    Some(closing) => out.push(closing),
                    None => {
                        depth += 1;
                        new_line(&mut out, depth);
                    }
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut out, depth);
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                new_line(&mut out, depth);
            }
            b':' => out.extend_from_slice(b": "),
            _ => {
                in_string = byte == b'"';
                out.push(byte);
            }
        }
    }
    out
}

fn new_line(out: &mut Vec<u8>, depth: usize) {
    out.push(b'\n');
    out.extend(std::iter::repeat_n(b' ', 2 * depth));
}

#[cfg(test)]
mod tests {
    use super::*;

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
    }

    #[test]
    fn what_stands_in_strings_is_left_alone() {
        for scalar in [r#""{[,:]}""#, r#""\"{\\""#, r#""\\""#, "12", "true", r#""""#] {
            assert_eq!(indent(scalar.as_bytes()), scalar.as_bytes());
        }
        assert_eq!(indent(br#"["\\",1]"#), b"[\n  \"\\\\\",\n  1\n]");
    }
}
