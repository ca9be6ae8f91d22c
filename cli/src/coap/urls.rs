//! The URLs of a command, with `--url` and without, in the order in which they stand.

use super::url::{self, Destination};
use crate::exit::{Exit, Failure};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

/// The URLs in their order. There is one at least.
#[derive(Clone, Debug, Default)]
pub(super) struct Urls(Vec<String>);

const PLAIN: &str = "plain_url";
const NAMED: &str = "url";

impl Urls {
    /// Returns the destination of each. Fails if they cannot be asked for on one session.
    pub(super) fn destinations(&self) -> Result<Vec<Destination>, Failure> {
        let all = self.0.iter().map(|url| url::parse(url)).collect::<Result<Vec<_>, _>>()?;
        let first = all.first().ok_or_else(|| Failure::new(Exit::Url, "there is no URL"))?;
        match all.iter().find(|one| one.authority != first.authority || one.clear_text != first.clear_text) {
            None => Ok(all),
            Some(other) => Err(Failure::new(
                Exit::Url,
                format!(
                    "several URLs are asked for on one session, so host, port and scheme are the same: {} is not {}",
                    other.authority, first.authority
                ),
            )),
        }
    }
}

impl Args for Urls {
    fn augment_args(command: Command) -> Command {
        let plain = Arg::new(PLAIN)
            .value_name("URL")
            .action(ArgAction::Append)
            .num_args(1..)
            .required_unless_present(NAMED)
            .help(
                "`coaps://HOST[:PORT]/PATH[?QUERY]`; paths of MSC3079's table are sent as their one-character codes",
            );
        let named = Arg::new(NAMED)
            .long("url")
            .value_name("URL")
            .action(ArgAction::Append)
            .help("A URL, as it may stand without --url");
        command.arg(plain).arg(named)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Urls::augment_args(command)
    }
}

impl FromArgMatches for Urls {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Urls, clap::Error> {
        let of = |id| {
            let values = matches.get_many::<String>(id).into_iter().flatten().cloned();
            matches.indices_of(id).into_iter().flatten().zip(values)
        };
        let mut all: Vec<(usize, String)> = of(PLAIN).chain(of(NAMED)).collect();
        all.sort_unstable();
        Ok(Urls(all.into_iter().map(|(_, url)| url).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Urls::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Urls, clap::Error> {
        let command = Urls::augment_args(Command::new("coap").no_binary_name(true));
        let command = command.arg(Arg::new("flag").short('f').action(ArgAction::SetTrue));
        Urls::from_arg_matches(&command.try_get_matches_from(arguments)?)
    }

    #[test]
    fn urls_keep_the_order_of_the_command_line() {
        for (arguments, expected) in [
            (&["a"][..], &["a"][..]),
            (&["--url", "a"], &["a"]),
            (&["--url=a", "b", "--url", "c", "-f", "d"], &["a", "b", "c", "d"]),
            (&["a", "b", "--url", "c"], &["a", "b", "c"]),
        ] {
            assert_eq!(parse(arguments).unwrap().0, expected, "{arguments:?}");
        }
        assert!(parse(&[]).is_err());
    }

    #[test]
    fn urls_of_several_hosts_ports_or_schemes_are_refused() {
        let destinations =
            |urls: &[&str]| Urls(urls.iter().map(|url| (*url).to_owned()).collect()).destinations();
        let same = destinations(&["coaps://hs/a", "https://HS:8008/b?c", "hs/a"]).unwrap();
        assert_eq!(same.iter().map(|one| one.target.as_str()).collect::<Vec<_>>(), ["/a", "/b?c", "/a"]);
        for other in ["other/a", "hs:9/a", "http://hs/a"] {
            assert_eq!(destinations(&["hs/a", other]).unwrap_err().exit, Exit::Url, "{other}");
        }
    }
}
