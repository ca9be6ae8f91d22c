//! `lowband`: the command line of the low-bandwidth wire.
//!
//! ```text
//! argv -> cli::argv (Go's long flags) -> clap -> cli::coap | cli::jc -> cli::exit
//! ```

mod cli;

fn main() -> std::process::ExitCode {
    cli::run(std::env::args_os())
}
