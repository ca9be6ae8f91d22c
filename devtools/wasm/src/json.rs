//! Small JSON texts for JavaScript.

use lowband_codec::Error;

/// Appends a text in quotes, escaped.
pub(crate) fn quote(text: &str, json: &mut String) {
    json.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => json.extend(['\\', character]),
            '\0'..' ' => {
                let digit = |nibble: u32| char::from_digit(nibble, 16).unwrap_or('0');
                let code = u32::from(character);
                json.extend(['\\', 'u', '0', '0', digit(code >> 4), digit(code & 15)]);
            }
            _ => json.push(character),
        }
    }
    json.push('"');
}

/// Appends `"name":`, with a comma before it behind another field.
pub(crate) fn name(name: &str, json: &mut String) {
    if !json.ends_with(['{', '[']) {
        json.push(',');
    }
    quote(name, json);
    json.push(':');
}

/// Appends a field with a text.
pub(crate) fn text(field: &str, text: &str, json: &mut String) {
    name(field, json);
    quote(text, json);
}

/// Appends a field with a number.
pub(crate) fn number(field: &str, number: u64, json: &mut String) {
    name(field, json);
    json.push_str(&number.to_string());
}

/// Returns a refusal: where it is, in bytes and in UTF-16 if the input is a text; the word for programs, and
/// the sentence for people.
pub(crate) fn error(error: Error, utf16: Option<usize>) -> String {
    let mut json = "{".to_owned();
    number("offset", error.offset as u64, &mut json);
    if let Some(utf16) = utf16 {
        number("utf16", utf16 as u64, &mut json);
    }
    text("kind", error.kind.name(), &mut json);
    text("sentence", error.kind.sentence(), &mut json);
    json.push('}');
    json
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowband_codec::ErrorKind;

    #[test]
    fn every_character_comes_back() {
        let all: String = (0..0x100).chain([0x2028, 0x1f600]).filter_map(char::from_u32).collect();
        let mut json = String::new();
        quote(&all, &mut json);
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), all);
    }

    #[test]
    fn an_error_says_where_and_why() {
        let error = error(Error { kind: ErrorKind::Tag, offset: 9 }, Some(7));
        let sentence = ErrorKind::Tag.sentence();
        assert_eq!(error, format!(r#"{{"offset":9,"utf16":7,"kind":"tag","sentence":"{sentence}"}}"#));
    }
}
