//! The man pages, of section 8 (programs of administrators). They are made of the same description of the
//! options as `--help`, so that they cannot fall behind it.

use crate::config::Options;
use clap::{Args, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use std::io;
use std::path::PathBuf;

/// Where the pages go.
#[derive(Args, Debug, Clone)]
pub struct Destination {
    /// The folder; it is made where it is missing.
    #[arg(value_name = "FOLDER")]
    pub folder: PathBuf,
}

/// Why the pages are not all there.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", folder.display())]
pub struct Error {
    folder: PathBuf,
    source: io::Error,
}

/// A section that the options do not hold: its heading, and its entries, each with its explanation.
type Section = (&'static str, &'static [(&'static str, &'static str)]);

const SECTIONS: [Section; 4] = [
    (
        "EXIT STATUS",
        &[
            ("0", "The program has ended as it was asked to, or did what a subcommand asks for."),
            ("1", "It cannot start or go on, with one line that says why: a port is taken, for example."),
            ("2", "The configuration is wrong, with one line for each mistake. Nothing was begun."),
        ],
    ),
    (
        "SIGNALS",
        &[
            (
                "SIGTERM, SIGINT",
                "Ends in order: clients are told one after the other (--close-within), and what runs is \
                 finished (--grace-period). A second one ends all sessions at once, a third one the process.",
            ),
            ("SIGHUP", "Looks at certificate and key at once, in place of every --certificate-check."),
            ("SIGUSR1, SIGUSR2", "Nothing."),
        ],
    ),
    (
        "FILES",
        &[
            (
                "run/certificate.pem, run/key.pem",
                "Certificate chain and key, unless the options name others.",
            ),
            ("run/envoy.sock", "The socket of Envoy, which has to run as the same user."),
            ("/etc/lowband/sidecar.env", "Options for the systemd unit, one LOWBAND_NAME=value a line."),
        ],
    ),
    (
        "SEE ALSO",
        &[
            (
                "lowband(1)",
                "The command line for clients; `lowband doctor` says where the path to a server ends.",
            ),
            ("systemd.service(5)", "The unit is lowband-sidecar.service, of type notify."),
        ],
    ),
];

/// Writes the page of the program and one of each task that has options of its own into the folder.
pub fn write(to: &Destination) -> Result<(), Error> {
    let failed = |source| Error { folder: to.folder.clone(), source };
    std::fs::create_dir_all(&to.folder).map_err(failed)?;
    for (name, page) in pages().map_err(failed)? {
        std::fs::write(to.folder.join(name), page).map_err(failed)?;
    }
    Ok(())
}

/// Returns the name and the text of each page.
fn pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut program = Options::command();
    // The pages must not depend on the variables of the one who makes them.
    program = program.mut_args(|arg| arg.hide_env_values(true));
    program.build();
    let name = program.get_name().to_owned();
    let tasks: Vec<_> = program.get_subcommands().cloned().collect();
    let mut usage = vec![format!("{name} [OPTIONS]")];
    usage.extend(tasks.iter().map(|task| {
        let folder = if task.get_positionals().next().is_some() { "FOLDER" } else { "[OPTIONS]" };
        format!("{name} {} {folder}", task.get_name())
    }));
    // With each of the options by name nobody would find the way through.
    let program = program.override_usage(usage.join("\n"));
    std::iter::once(program)
        .chain(tasks)
        .map(|command| {
            let is_program = command.get_name() == name;
            let page = Man::new(command)
                .section("8")
                // An empty date would vanish, and what follows would take its place (man(7)).
                .date(" ")
                .source(concat!("lowband ", env!("CARGO_PKG_VERSION")))
                .manual("Low-bandwidth Matrix");
            let mut text = Vec::new();
            page.render_title(&mut text)?;
            page.render_name_section(&mut text)?;
            page.render_synopsis_section(&mut text)?;
            page.render_description_section(&mut text)?;
            page.render_options_section(&mut text)?;
            if is_program {
                page.render_subcommands_section(&mut text)?;
                SECTIONS.iter().try_for_each(|section| render(section, &mut text))?;
            }
            Ok((page.get_filename(), text))
        })
        .collect()
}

fn render((heading, entries): &Section, text: &mut Vec<u8>) -> io::Result<()> {
    let mut section = Roff::default();
    section.control("SH", [*heading]);
    for (entry, explanation) in *entries {
        section.control("TP", []);
        section.text([bold(*entry)]);
        section.text([roman(*explanation)]);
    }
    section.to_writer(text)
}
