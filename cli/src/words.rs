//! Counts in words.

use std::fmt::Display;

/// Returns a count with its noun: `1 byte`, `2 bytes`.
pub(crate) fn counted<N: Copy + Display + PartialEq + From<u8>>(count: N, noun: &str) -> String {
    format!("{count} {noun}{}", if count == N::from(1) { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_told_in_the_singular_and_none_and_many_in_the_plural() {
        let told = [0_usize, 1, 2, 11].map(|count| counted(count, "byte"));
        assert_eq!(told, ["0 bytes", "1 byte", "2 bytes", "11 bytes"]);
    }
}
