//! `lowband`: the command line of the low-bandwidth wire.
//!
//! ```text
//! argv (Go's long flags) -> clap -> coap | doctor | jc | proxy | show | completions | man -> exit status
//! ```

mod argv;
mod coap;
mod doctor;
mod environment;
mod exit;
mod input;
mod jc;
mod output;
mod parser;
mod progress;
mod proxy;
mod screen;
mod shell;
mod show;
mod tips;
mod words;

use clap::{CommandFactory, Parser};
use exit::{Exit, Failure};
use std::process::ExitCode;

/// Low-bandwidth Matrix (MSC3079): CBOR over CoAP over DTLS.
#[derive(Debug, Parser)]
#[command(
    name = "lowband",
    version,
    propagate_version = true,
    max_term_width = 110,
    arg_required_else_help = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Coap(Box<coap::CoapArgs>),
    Doctor(doctor::DoctorArgs),
    Jc(jc::JcArgs),
    Proxy(Box<proxy::ProxyArgs>),
    Show(show::ShowArgs),
    Completions(shell::CompletionsArgs),
    Man(shell::ManArgs),
}

fn main() -> ExitCode {
    let arguments = argv::rewrite(std::env::args_os());
    let outcome = match parser::parse::<Cli>(&arguments) {
        Ok(cli) => match cli.command {
            Command::Coap(arguments) => coap::run(*arguments),
            Command::Doctor(arguments) => doctor::run(arguments),
            Command::Jc(arguments) => jc::run(arguments),
            Command::Proxy(arguments) => proxy::run(*arguments),
            Command::Show(arguments) => show::run(arguments),
            Command::Completions(arguments) => shell::completions(&arguments, Cli::command()),
            Command::Man(arguments) => shell::man(&arguments, Cli::command()),
        },
        Err(error) => {
            let error = tips::improve(error, &arguments);
            if error.use_stderr() {
                // What is missing may be there under a wrong name.
                if arguments.get(1).is_some_and(|command| command == "proxy") {
                    proxy::misspelled().iter().for_each(|line| output::message(line));
                }
                output::refusal(&error);
                Err(Failure::silent(Exit::Usage))
            } else {
                // Help goes to stdout, which its reader may have closed: that is not a failure.
                let _ = error.print();
                Ok(())
            }
        }
    };
    match outcome {
        Ok(()) => ExitCode::from(Exit::Success.status()),
        Err(failure) => {
            if let Some(message) = &failure.message {
                output::message(message);
            }
            ExitCode::from(failure.exit.status())
        }
    }
}
