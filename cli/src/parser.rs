//! The parser of the command line, and what it is to overlook: flags that stand there twice, and variables of
//! the environment without a value.

use clap::{Arg, ArgAction, Parser};
use std::ffi::{OsStr, OsString};

/// Parses the arguments, the name of the program first.
pub(crate) fn parse<P: Parser>(arguments: &[OsString]) -> Result<P, clap::Error> {
    parse_in(arguments, |name| std::env::var_os(name))
}

fn parse_in<P: Parser>(
    arguments: &[OsString],
    variable: impl Fn(&OsStr) -> Option<OsString>,
) -> Result<P, clap::Error> {
    let mut command =
        P::command().mut_subcommands(|command| command.mut_args(|argument| lenient(argument, &variable)));
    let matches = command.try_get_matches_from_mut(arguments)?;
    P::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

fn lenient(argument: Arg, variable: impl Fn(&OsStr) -> Option<OsString>) -> Arg {
    let id = argument.get_id().clone();
    let is_flag = matches!(argument.get_action(), ArgAction::SetTrue);
    let has_no_value = argument.get_env().and_then(variable).is_some_and(|value| value.is_empty());
    // As with curl, `-k --insecure` is no mistake.
    let argument = if is_flag { argument.overrides_with(id) } else { argument };
    // A file for a service writes `LOWBAND_PROXY_LISTEN=` for "no wish".
    if has_no_value { argument.env(None::<&'static str>) } else { argument }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(subcommand)]
        command: Command,
    }

    #[derive(Debug, clap::Subcommand)]
    enum Command {
        Do {
            #[arg(short, long)]
            flag: bool,
            #[arg(long, env = "LOWBAND_TEST_PORT", default_value = "1")]
            port: u16,
        },
    }

    fn parsed(line: &str, value: Option<&str>) -> Result<(bool, u16), String> {
        let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let line: Result<Line, _> = parse_in(&arguments, |name| {
            assert_eq!(name, "LOWBAND_TEST_PORT");
            value.map(OsString::from)
        });
        let Command::Do { flag, port } = line.map_err(|error| error.to_string())?.command;
        Ok((flag, port))
    }

    #[test]
    fn flags_may_stand_there_twice_and_values_may_not() {
        assert_eq!(parsed("x do -f --flag -ff", None), Ok((true, 1)));
        assert!(parsed("x do --port 1 --port 2", None).unwrap_err().contains("multiple times"));
    }

    #[test]
    fn a_variable_without_a_value_counts_as_not_set_and_an_argument_without_one_does_not() {
        assert_eq!(parsed("x do", Some("")), Ok((false, 1)));
        assert_eq!(parsed("x do --port 2", Some("")), Ok((false, 2)));
        assert!(parsed("x do --port=", None).is_err());
    }
}
