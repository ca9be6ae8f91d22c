//! The environment variables of the options: which of them gave a value, and which do nothing.
//!
//! A variable without a value counts as not set: files for Compose write `LOWBAND_SESSIONS=` for "no wish".
//! One whose name no option has is most likely misspelled, and is told of with the name that is nearest.

use super::reference::{self, Translated};
use super::{Mistake, Options};
use crate::notes::Note;
use clap::builder::Resettable;
use clap::parser::ValueSource;
use clap::{ArgMatches, Command, CommandFactory, FromArgMatches};
use lowband_system::variables;
use std::collections::BTreeSet;
use std::ffi::OsStr;

const PREFIX: &str = "LOWBAND_";
const UPSTREAM: &str = "LOWBAND_UPSTREAM";
const HOMESERVER: &str = "LOWBAND_HOMESERVER";
/// The beginning of variables that mean nothing without Envoy.
const OF_ENVOY: &str = "LOWBAND_ENVOY_";

/// What has been found in the environment.
#[derive(Debug, Default)]
pub struct Environment {
    /// Flags whose value a variable gave, each with its variable.
    given: Vec<(String, String)>,
    notes: Vec<Note>,
}

/// Reads the options of this process from its arguments and its environment.
pub fn read() -> Result<(Options, Environment), clap::Error> {
    let ours = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        let name = name.into_string().ok().filter(|name| name.starts_with(PREFIX))?;
        Some((name, value.to_string_lossy().into_owned()))
    };
    let variables: Vec<_> = std::env::vars_os().filter_map(ours).collect();
    let Translated { arguments, notes: told } = reference::translate(std::env::args_os());
    let mut told: Vec<_> = told.into_iter().chain(notes(&variables)).map(Note::warning).collect();
    let command = without_empty(Options::command());
    let mut used = command.clone();
    let matches = used.try_get_matches_from_mut(arguments)?;
    let mut options = Options::from_arg_matches(&matches).map_err(|error| error.format(&mut used))?;
    let with_envoy = variables.iter().any(|(name, value)| name.starts_with(OF_ENVOY) && !value.is_empty());
    told.extend(settle(&mut options, &matches, with_envoy));
    Ok((options, Environment { given: given(&command, &matches), notes: told }))
}

/// Decides between Envoy and the homeserver where not both are flags. The variable of `--homeserver` is that
/// of `render-envoy --homeserver` as well: where a variable names Envoy's listener beside it, as in a pod
/// with both containers, it is meant for Envoy. A flag wins over a variable. Returns a note where a
/// homeserver is forgotten, unless other variables show that it is meant for Envoy.
fn settle(options: &mut Options, matches: &ArgMatches, with_envoy: bool) -> Option<Note> {
    let source = |id| matches.value_source(id);
    let (winner, without) = match (source("homeserver")?, source("upstream")?) {
        (ValueSource::EnvVariable, ValueSource::EnvVariable) => (UPSTREAM, "give LOWBAND_UPSTREAM no value"),
        (ValueSource::EnvVariable, _) => ("--upstream", "leave --upstream out"),
        (_, ValueSource::EnvVariable) => {
            options.upstream.forget();
            return None;
        }
        _ => return None,
    };
    options.homeserver.forget(winner);
    if with_envoy {
        return None;
    }
    let text = format!("{winner} wins over {HOMESERVER}: Envoy is asked; to do without it, {without}");
    Some(Note { is_warning: false, text })
}

impl Environment {
    /// Describes a mistake with the variable that its value came from, if it came from one.
    pub fn describe(&self, mistake: &Mistake) -> String {
        match self.given.iter().find(|(flag, _)| mistake.option == flag) {
            Some((_, variable)) => format!("{mistake} (set by {variable})"),
            None => mistake.to_string(),
        }
    }

    /// Returns a line for each flag of the reference's, in their order, then one for each variable that does
    /// nothing, in the order of their names, and one where Envoy wins over a homeserver.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }
}

/// Returns the command with options that do not look at variables without a value.
fn without_empty(command: Command) -> Command {
    let names: Vec<_> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    let command = command.mut_args(|arg| match arg.get_env() {
        Some(name) if std::env::var_os(name).is_some_and(|value| value.is_empty()) => {
            arg.env(Resettable::Reset)
        }
        _ => arg,
    });
    names.into_iter().fold(command, |command, name| command.mut_subcommand(name, without_empty))
}

fn given(command: &Command, matches: &ArgMatches) -> Vec<(String, String)> {
    if let Some((name, matches)) = matches.subcommand()
        && let Some(command) = command.find_subcommand(name)
    {
        return given(command, matches);
    }
    let from_variable = command.get_arguments().filter_map(|arg| {
        let (flag, variable) = (arg.get_long()?, arg.get_env()?.to_str()?);
        let source = matches.value_source(arg.get_id().as_str());
        (source == Some(ValueSource::EnvVariable)).then(|| (format!("--{flag}"), variable.to_owned()))
    });
    from_variable.collect()
}

/// Returns the names of all variables that some option has.
fn known() -> BTreeSet<String> {
    let command = Options::command();
    let all = command.get_subcommands().flat_map(Command::get_arguments).chain(command.get_arguments());
    all.filter_map(|arg| arg.get_env().and_then(OsStr::to_str)).map(str::to_owned).collect()
}

fn notes(variables: &[(String, String)]) -> Vec<String> {
    let known = known();
    let has_homeserver = variables.iter().any(|(name, value)| name == HOMESERVER && !value.is_empty());
    let mut notes: Vec<_> = variables
        .iter()
        // This is how a unit that is made for Envoy is told to do without.
        .filter(|(name, value)| !(has_homeserver && name == UPSTREAM && value.is_empty()))
        .filter_map(|(name, value)| match known.contains(name) {
            true => value.is_empty().then(|| format!("{name} has no value, so it counts as not set")),
            false => variables::misspelled(name, value, &known),
        })
        .collect();
    notes.sort();
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(variables: &[(&str, &str)]) -> Vec<String> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        notes(&variables.iter().map(owned).collect::<Vec<_>>())
    }

    #[test]
    fn a_misspelled_variable_is_told_of_with_the_name_that_was_meant() {
        for (name, meant) in [
            ("LOWBAND_SESIONS", "LOWBAND_SESSIONS"),
            ("LOWBAND_LOGLEVEL", "LOWBAND_LOG_LEVEL"),
            ("LOWBAND_HOME_SERVER", "LOWBAND_HOMESERVER"),
            ("LOWBAND_ENVOY_ADMN_PORT", "LOWBAND_ENVOY_ADMIN_PORT"),
        ] {
            let line = format!("{name} does nothing: no option has this name; {meant} is meant, perhaps");
            assert_eq!(noted(&[(name, "5")]), [line]);
        }
        let line = "LOWBAND_WHATEVER_ELSE does nothing: no option has this name";
        assert_eq!(noted(&[("LOWBAND_WHATEVER_ELSE", "1"), ("LOWBAND_SESSIONS", "5")]), [line]);
    }

    #[test]
    fn what_kubernetes_sets_for_its_services_is_none_of_ours() {
        let variables = [
            ("LOWBAND_SERVICE_HOST", "10.96.0.7"),
            ("LOWBAND_SERVICE_PORT", "8008"),
            ("LOWBAND_SERVICE_PORT_DTLS", "8008"),
            ("LOWBAND_PORT", "udp://10.96.0.7:8008"),
            ("LOWBAND_PORT_8008_UDP", "udp://10.96.0.7:8008"),
            ("LOWBAND_PORT_8008_UDP_PROTO", "udp"),
            ("LOWBAND_PORT_8008_UDP_PORT", "8008"),
            ("LOWBAND_PORT_8008_UDP_ADDR", "10.96.0.7"),
            ("LOWBAND_TCP_SERVICE_HOST", "10.96.0.8"),
            ("LOWBAND_TCP_PORT_8008_TCP_ADDR", "10.96.0.8"),
        ];
        assert_eq!(noted(&variables), [""; 0]);
        for misspelled in [("LOWBAND_PORT", "8008"), ("LOWBAND_PORT_UDP", "8008")] {
            assert_eq!(noted(&[misspelled]).len(), 1, "{misspelled:?}");
        }
    }

    #[test]
    fn a_variable_without_a_value_is_told_to_count_as_not_set() {
        let line = "LOWBAND_SESSIONS has no value, so it counts as not set";
        assert_eq!(noted(&[("LOWBAND_SESSIONS", "")]), [line]);
        let upstream = ("LOWBAND_UPSTREAM", "");
        assert_eq!(noted(&[upstream, ("LOWBAND_HOMESERVER", "http://127.0.0.1:8018")]), [""; 0]);
        assert_eq!(noted(&[upstream]).len(), 1);
        assert_eq!(noted(&[upstream, ("LOWBAND_HOMESERVER", "")]).len(), 2);
    }
}
