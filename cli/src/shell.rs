//! What a system needs besides the program: completions for shells, and man pages. Both are made of the same
//! description of the flags as `--help`, so that they cannot fall behind it.

mod page;

use crate::exit::{Exit, Failure};
use crate::output::Sink;
use clap::Command;
use clap_complete::Shell;
use std::fs;
use std::path::PathBuf;

/// Write completions for a shell to stdout
#[derive(Debug, clap::Args)]
#[command(after_help = COMPLETIONS_HELP)]
pub(crate) struct CompletionsArgs {
    /// The shell that is to complete commands and flags
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

const COMPLETIONS_HELP: &str = "Examples:
  lowband completions bash > ~/.local/share/bash-completion/completions/lowband
  lowband completions zsh > ~/.zfunc/_lowband
  lowband completions fish > ~/.config/fish/completions/lowband.fish";

/// Write the man pages, one of the program and one of each command, into a folder
#[derive(Debug, clap::Args)]
pub(crate) struct ManArgs {
    /// The folder; it is made where it is missing
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

pub(crate) fn completions(arguments: &CompletionsArgs, mut program: Command) -> Result<(), Failure> {
    let name = program.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut program, name, &mut script);
    Sink::Stdout.write(&script)
}

pub(crate) fn man(arguments: &ManArgs, program: Command) -> Result<(), Failure> {
    let failed = |error| Failure::new(Exit::Write, format!("{}: {error}", arguments.folder.display()));
    fs::create_dir_all(&arguments.folder).map_err(failed)?;
    let mut program = program.disable_help_subcommand(true);
    program.build();
    for command in std::iter::once(&program).chain(program.get_subcommands()) {
        let page = page::render(command, &program).map_err(failed)?;
        Sink::File(arguments.folder.join(page::file_name(command))).write(&page)?;
    }
    Ok(())
}
