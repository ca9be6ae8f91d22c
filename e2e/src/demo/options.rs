//! The options of the demo.

use crate::error::{Error, Result};
use crate::matrix::User;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// The main job against real parts: a homeserver, Envoy and the sidecar on this machine; or without Envoy.
#[derive(Debug, Parser)]
#[command(name = "demo", version, propagate_version = true)]
pub struct Options {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Up or down.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Starts everything, does the main job over DTLS and over HTTPS, shows what it cost, and stays
    /// up until Ctrl-C.
    Up(Up),
    /// Ends what `up` started in a folder, by process id, and nothing else.
    Down {
        /// The run folder.
        #[arg(long, default_value = "run")]
        dir: PathBuf,
    },
}

/// Options of `demo up`.
#[derive(Debug, Args)]
#[command(
    after_help = "With --homeserver, the environment variables USER1, PASSWORD1, USER2 and PASSWORD2 name two accounts \
                        there. Without them only /versions is shown."
)]
pub struct Up {
    /// UDP port of the sidecar, and TCP port of Envoy or of the sidecar itself.
    #[arg(long, default_value_t = 8008, value_parser = clap::value_parser!(u16).range(1..))]
    pub port: u16,
    /// Binds it on all addresses in place of 127.0.0.1: anyone who reaches the machine can register.
    #[arg(long)]
    pub open: bool,
    /// Folder for sockets, certificate, logs and process ids.
    #[arg(long, default_value = "run")]
    pub dir: PathBuf,
    /// Ends after the steps, with status 0 only if each gave the right answer.
    #[arg(long)]
    pub once: bool,
    /// File that gets the table of bytes alone, for tools/pictures. Default: none.
    #[arg(long, value_name = "FILE")]
    pub table: Option<PathBuf>,
    /// Lets the sidecar translate and serve HTTPS by itself, in place of Envoy and the filter.
    #[arg(long)]
    pub without_envoy: bool,
    /// Another homeserver than a local Synapse, such as `https://matrix.example.org`.
    #[arg(long, value_name = "URL")]
    pub homeserver: Option<String>,
}

/// The users of the story.
#[derive(Debug)]
pub(super) enum Cast {
    /// Users that are made for the story, in an empty homeserver.
    New,
    /// Two accounts of an existing homeserver.
    Accounts([User; 2]),
    /// No users: only `/versions` is asked.
    Nobody,
}

impl Cast {
    /// Chooses by the homeserver, and by the variables, of which an empty one counts as not set.
    pub(super) fn choose(
        homeserver: Option<&str>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Cast> {
        const NAMES: [&str; 4] = ["USER1", "PASSWORD1", "USER2", "PASSWORD2"];
        if homeserver.is_none() {
            return Ok(Cast::New);
        }
        let account = |name, password| User { name, password, has_account: true };
        match NAMES.map(|name| variable(name).filter(|value| !value.is_empty())) {
            [Some(name1), Some(password1), Some(name2), Some(password2)] => {
                Ok(Cast::Accounts([account(name1, password1), account(name2, password2)]))
            }
            [None, None, None, None] => Ok(Cast::Nobody),
            some => {
                let missing: Vec<&str> = NAMES
                    .iter()
                    .zip(&some)
                    .filter(|(_, value)| value.is_none())
                    .map(|(&name, _)| name)
                    .collect();
                Err(Error::Setup(format!("set {} too, or none of {}", missing.join(", "), NAMES.join(", "))))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_count_only_with_a_homeserver_and_only_when_complete() {
        let all = |name: &str| Some(name.to_lowercase());
        assert!(matches!(Cast::choose(None, all).unwrap(), Cast::New));
        let Cast::Accounts([one, two]) = Cast::choose(Some("https://h"), all).unwrap() else { panic!() };
        assert_eq!(
            [one.name, one.password, two.name, two.password],
            ["user1", "password1", "user2", "password2"]
        );
        assert!(matches!(Cast::choose(Some("https://h"), |_| Some(String::new())).unwrap(), Cast::Nobody));
        let told = Cast::choose(Some("https://h"), |name| (name != "PASSWORD2").then(String::new)).unwrap();
        assert!(matches!(told, Cast::Nobody));
        let told =
            Cast::choose(Some("https://h"), |name| name.starts_with("USER").then(|| "u".into())).unwrap_err();
        assert_eq!(
            told.to_string(),
            "set PASSWORD1, PASSWORD2 too, or none of USER1, PASSWORD1, USER2, PASSWORD2"
        );
    }
}
