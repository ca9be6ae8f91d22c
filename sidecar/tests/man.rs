//! The man pages, as `make man` writes them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests and their helpers fail by panicking"
)]

use clap::CommandFactory;
use lowband_sidecar::config::Options;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// Returns the pages by their file names.
fn pages(folder: &Path, environment: &[(&str, &str)]) -> BTreeMap<String, String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lowband-sidecar"));
    command.arg("man").arg(folder.join("new/man")).env_clear().envs(environment.iter().copied());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let files = std::fs::read_dir(folder.join("new/man")).unwrap().map(|entry| entry.unwrap().path());
    files
        .map(|file| {
            let name = file.file_name().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read_to_string(file).unwrap())
        })
        .collect()
}

#[test]
fn the_pages_hold_every_option_and_what_no_option_says() {
    let folder = std::env::temp_dir().join(format!("lowband-man-{}", std::process::id()));
    let pages_here = pages(&folder, &[]);
    assert_eq!(pages(&folder, &[("LOWBAND_LISTEN", "192.0.2.1:1"), ("LOWBAND_HOMESERVER", "x")]), pages_here);
    std::fs::remove_dir_all(&folder).unwrap();
    let names: Vec<_> = pages_here.keys().map(String::as_str).collect();
    assert_eq!(names, ["lowband-sidecar-man.8", "lowband-sidecar-render-envoy.8", "lowband-sidecar.8"]);

    let mut program = Options::command();
    program.build();
    let task = program.find_subcommand("render-envoy").unwrap();
    for (page, command) in [("lowband-sidecar.8", &program), ("lowband-sidecar-render-envoy.8", task)] {
        let text = &pages_here[page];
        for argument in command.get_arguments() {
            let flag = format!(r"\fB\-\-{}\fR", argument.get_long().unwrap().replace('-', r"\-"));
            assert!(text.contains(&flag), "{page}: {flag}");
            if let Some(variable) = argument.get_env() {
                assert!(text.contains(variable.to_str().unwrap()), "{page}: {variable:?}");
            }
        }
    }
    let text = &pages_here["lowband-sidecar.8"];
    let head = concat!(
        r#".TH lowband-sidecar 8 " " "lowband "#,
        env!("CARGO_PKG_VERSION"),
        r#"" "Low-bandwidth Matrix""#
    );
    assert!(text.lines().any(|line| line.trim_end() == head), "{text}");
    for heading in
        ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "SIGNALS", "FILES", "SEE ALSO"]
    {
        let plain = format!("\n.SH {heading}\n");
        let quoted = format!("\n.SH \"{heading}\"\n");
        assert!(text.contains(&plain) || text.contains(&quoted), "{heading}");
    }
}

#[test]
fn the_unit_names_the_page() {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/systemd/lowband-sidecar.service");
    let unit = std::fs::read_to_string(unit).unwrap();
    assert!(unit.lines().any(|line| line == "Documentation=man:lowband-sidecar(8)"), "{unit}");
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_lowband-sidecar")).args(["man", "/dev/null/man"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.starts_with("lowband-sidecar: /dev/null/man: "), "{text}");
}
