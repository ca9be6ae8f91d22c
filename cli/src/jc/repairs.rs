//! What the lenient policy has repaired, in words.

use super::super::output;
use lowband_codec::Repairs;

/// The one of several equal keys that is written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kept {
    First,
    Last,
}

pub(super) fn tell(repairs: Repairs, kept: Kept) {
    repaired(repairs, kept).for_each(|line| output::message(&line));
}

pub(crate) fn repaired(repairs: Repairs, kept: Kept) -> impl Iterator<Item = String> {
    let Repairs { big_integers, huge_numbers, repeated_keys, lone_surrogates, too_deep } = repairs;
    let kept = match kept {
        Kept::First => "the first was kept",
        Kept::Last => "the last was kept",
    };
    [
        (big_integers, ["whole number", "whole numbers"], "beyond 64 bits, written as floating point"),
        (huge_numbers, ["number", "numbers"], "beyond floating point, written as null"),
        (repeated_keys, ["repeated key:", "repeated keys:"], kept),
        (lone_surrogates, ["lone surrogate,", "lone surrogates,"], "written as U+FFFD"),
        (too_deep, ["array or object", "arrays or objects"], "nested too deep, written as null"),
    ]
    .into_iter()
    .filter(|(count, ..)| *count > 0)
    .map(|(count, [one, many], what)| {
        format!("repaired: {count} {} {what}", if count == 1 { one } else { many })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repairs_are_told_in_the_singular_and_in_the_plural() {
        let all = |count| Repairs {
            big_integers: count,
            huge_numbers: count,
            repeated_keys: count,
            lone_surrogates: count,
            too_deep: count,
        };
        assert_eq!(
            repaired(all(1), Kept::Last).collect::<Vec<_>>(),
            [
                "repaired: 1 whole number beyond 64 bits, written as floating point",
                "repaired: 1 number beyond floating point, written as null",
                "repaired: 1 repeated key: the last was kept",
                "repaired: 1 lone surrogate, written as U+FFFD",
                "repaired: 1 array or object nested too deep, written as null",
            ]
        );
        assert_eq!(
            repaired(all(2), Kept::First).collect::<Vec<_>>(),
            [
                "repaired: 2 whole numbers beyond 64 bits, written as floating point",
                "repaired: 2 numbers beyond floating point, written as null",
                "repaired: 2 repeated keys: the first was kept",
                "repaired: 2 lone surrogates, written as U+FFFD",
                "repaired: 2 arrays or objects nested too deep, written as null",
            ]
        );
        assert_eq!(repaired(all(0), Kept::Last).count(), 0);
    }
}
