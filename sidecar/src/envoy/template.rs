//! A text in which words that must be there are replaced.

use std::net::Ipv4Addr;

/// The text with the replacements made so far.
#[derive(Debug)]
pub(super) struct Template {
    name: &'static str,
    text: String,
}

impl Template {
    /// Makes a template of `text`; `name` is for errors.
    pub(super) fn new(name: &'static str, text: &str) -> Template {
        Template { name, text: text.to_owned() }
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }

    /// Replaces a text that must occur exactly `count` times.
    pub(super) fn replace(&mut self, old: &str, new: &str, count: usize) -> Result<(), String> {
        let found = self.text.matches(old).count();
        if found != count {
            return Err(format!(
                "{}: {old:?} occurs {found} times in place of {count}: what renders it has to follow its change",
                self.name
            ));
        }
        self.text = self.text.replace(old, new);
        Ok(())
    }

    /// Removes the `# ` from this many lines, the first of which holds `first` and nothing after it.
    pub(super) fn uncomment(&mut self, first: &str, lines: usize) -> Result<(), String> {
        self.replace(first, first, 1)?;
        let from =
            self.text.split(first).next().map_or(0, |before| before.rfind('\n').map_or(0, |end| end + 1));
        let (before, rest) = self.text.split_at_checked(from).unwrap_or_default();
        let mut text = before.to_owned();
        for (number, line) in rest.split_inclusive('\n').enumerate() {
            match line.split_once("# ") {
                _ if number >= lines => text.push_str(line),
                Some((indent, bare)) if indent.chars().all(|c| c == ' ') => text.extend([indent, bare]),
                _ => {
                    return Err(format!(
                        "{}: {lines} lines of comment are expected from {first:?} on",
                        self.name
                    ));
                }
            }
        }
        self.text = text;
        Ok(())
    }
}

/// Returns a YAML scalar: plain where that is safe, inside braces too, else in double quotes.
pub(super) fn scalar(value: &str) -> String {
    if is_plain(value) {
        return value.to_owned();
    }
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

fn is_plain(value: &str) -> bool {
    if ["true", "false", "null", "yes", "no", "on", "off"].contains(&value) {
        return false;
    }
    let is_inner = |c: char| c.is_ascii_alphanumeric() || "_/.-".contains(c);
    value.parse::<Ipv4Addr>().is_ok()
        || value.starts_with(|c: char| c.is_ascii_alphabetic() || "_/.".contains(c))
            && value.chars().all(is_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_yaml_would_read_as_something_else_is_quoted() {
        for plain in ["/run/lowband", "./x-y_z", "matrix.example.org", "192.0.2.1", "a"] {
            assert_eq!(scalar(plain), plain);
        }
        for (value, quoted) in [
            ("", r#""""#),
            ("true", r#""true""#),
            ("8008", r#""8008""#),
            ("1.2", r#""1.2""#),
            ("::1", r#""::1""#),
            ("synapse:8008", r#""synapse:8008""#),
            ("/a b", r#""/a b""#),
            ("/ü", r#""/ü""#),
            (r#"/"\"#, r#""/\"\\""#),
        ] {
            assert_eq!(scalar(value), quoted);
        }
    }

    #[test]
    fn what_is_not_there_as_often_as_expected_is_told_and_left() {
        let mut text = Template::new("x", "a b a");
        assert!(text.replace("a", "c", 1).is_err());
        assert!(text.replace("d", "c", 1).is_err());
        text.replace("a", "c", 2).unwrap();
        assert_eq!(text.into_text(), "c b c");
    }

    #[test]
    fn comments_are_taken_away_from_so_many_lines() {
        let text = "x:\n  # y:\n  #   z: 1 # one\n  # w:\n";
        let mut two = Template::new("x", text);
        two.uncomment("# y:\n", 2).unwrap();
        assert_eq!(two.into_text(), "x:\n  y:\n    z: 1 # one\n  # w:\n");
        assert!(Template::new("x", "# y:\nz:\n").uncomment("# y:\n", 2).is_err());
        assert!(Template::new("x", "x:\n").uncomment("# y:\n", 1).is_err());
    }
}
