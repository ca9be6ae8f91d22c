//! Go's flag package, with which the first tool of this name was written, takes `-c2j` and `-out FILE` for
//! long flags; clap takes them for bundles of short ones. Here they become `--c2j` and `--out FILE` before
//! clap sees them. Only `jc` has any.

use std::ffi::{OsStr, OsString};

/// Long flags of `jc` that may be written with one dash.
const FLAGS: [&str; 10] =
    ["annotate", "base64", "base64url", "c2j", "diag", "from-diag", "hex", "lenient", "pretty", "stream"];
/// Long flags of `jc` with a value that may be written with one dash, `-out FILE` or `-out=FILE`.
const FLAGS_WITH_VALUE: [&str; 1] = ["out"];

/// Returns the arguments, with two dashes where these were meant.
pub(crate) fn rewrite(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut rewritten: Vec<OsString> = Vec::new();
    let mut in_jc = false;
    let mut is_value = false;
    let mut flags_are_over = false;
    for (position, argument) in arguments.enumerate() {
        in_jc |= position == 1 && argument == "jc";
        if !in_jc || is_value || flags_are_over {
            is_value = false;
            rewritten.push(argument);
            continue;
        }
        flags_are_over = argument == "--";
        let argument = with_two_dashes(&argument).unwrap_or(argument);
        is_value = takes_next(&argument);
        rewritten.push(argument);
    }
    rewritten
}

fn with_two_dashes(argument: &OsStr) -> Option<OsString> {
    let flag = argument.to_str()?.strip_prefix('-').filter(|flag| !flag.starts_with('-'))?;
    let (name, value) = flag.split_once('=').map_or((flag, None), |(name, value)| (name, Some(value)));
    let known = FLAGS_WITH_VALUE.contains(&name) || (FLAGS.contains(&name) && value.is_none());
    known.then(|| format!("--{flag}").into())
}

/// Returns whether the next argument is the value of this flag, whatever it looks like.
fn takes_next(argument: &OsStr) -> bool {
    argument.to_str().is_some_and(|argument| {
        argument == "-v" || argument.strip_prefix("--").is_some_and(|flag| FLAGS_WITH_VALUE.contains(&flag))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(line: &str) -> String {
        let arguments = rewrite(line.split(' ').map(OsString::from));
        arguments.iter().map(|argument| argument.to_str().unwrap()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn long_flags_of_jc_get_their_second_dash_and_nothing_else_changes() {
        for (given, expected) in [
            ("lowband jc -c2j -", "lowband jc --c2j -"),
            ("lowband jc -out - {}", "lowband jc --out - {}"),
            ("lowband jc -out=f {}", "lowband jc --out=f {}"),
            ("lowband jc --out f --c2j @g", "lowband jc --out f --c2j @g"),
            ("lowband jc -hex -lenient -pretty x", "lowband jc --hex --lenient --pretty x"),
            ("lowband jc -diag -from-diag -annotate x", "lowband jc --diag --from-diag --annotate x"),
            ("lowband jc -base64 -base64url x", "lowband jc --base64 --base64url x"),
            ("lowband jc -v 1 -c2j -", "lowband jc -v 1 --c2j -"),
            ("lowband jc -v=0 -5", "lowband jc -v=0 -5"),
            ("lowband jc -c2j=x", "lowband jc -c2j=x"),
            ("lowband jc -out -c2j {}", "lowband jc --out -c2j {}"),
            ("lowband jc -- -c2j", "lowband jc -- -c2j"),
            ("lowband coap -out -d - -c2j", "lowband coap -out -d - -c2j"),
            ("lowband coap jc -c2j", "lowband coap jc -c2j"),
            ("lowband", "lowband"),
        ] {
            assert_eq!(rewritten(given), expected, "{given}");
        }
    }

    #[test]
    fn arguments_that_are_no_text_are_left_alone() {
        use std::os::unix::ffi::OsStringExt;
        let arguments = vec!["lowband".into(), "jc".into(), OsString::from_vec(vec![b'-', 0xff])];
        assert_eq!(rewrite(arguments.clone().into_iter()), arguments);
    }
}
