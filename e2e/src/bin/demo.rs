//! `demo up` and `demo down`: parses, runs, sets the exit status.

use clap::Parser;
use lowband_e2e::demo::{self, Command, Options};
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Options::parse().command {
        Command::Up(options) => demo::up(options).await,
        Command::Down { dir } => demo::down(&dir),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("demo: {why}");
            ExitCode::FAILURE
        }
    }
}
