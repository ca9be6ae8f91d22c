//! The commands that `make` says it would run: nothing is built or installed here.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as the test does"
)]

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// Returns the commands that make these targets when no file of them exists.
fn commands(arguments: &[&str]) -> Vec<String> {
    let mut make = Command::new("make");
    // Options of the make that runs this test are not meant for this one.
    make.env_remove("MAKEFLAGS").env_remove("MAKELEVEL");
    let done = make.current_dir(root()).args(["-n", "-B"]).args(arguments).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn position(commands: &[String], word: &str) -> Option<usize> {
    commands.iter().position(|line| line.contains(word))
}

#[test]
fn rust_is_looked_for_before_the_demo_installs_anything() {
    let commands = commands(&["demo"]);
    let looked = position(&commands, "tools/needed --rust").expect("nobody looks for Rust");
    for later in ["'Looking for system packages'", "'Installing Envoy'", "'Installing Synapse"] {
        assert!(position(&commands, later).unwrap() > looked, "{later}: {commands:#?}");
    }
}

#[test]
fn a_machine_without_rust_is_told_so() {
    let folder = std::env::temp_dir().join(format!("lowband-no-rust-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let look = || {
        let mut needed = Command::new("/bin/bash");
        let done =
            needed.arg(root().join("tools/needed")).arg("--rust").env("PATH", &folder).output().unwrap();
        (done.status.code().unwrap(), String::from_utf8(done.stderr).unwrap())
    };
    let without = look();
    symlink("/bin/true", folder.join("cargo")).unwrap();
    let with = look();
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(without.0 == 1 && without.1.contains("https://rustup.rs"), "{without:?}");
    assert_eq!(with, (0, String::new()));
}

#[test]
fn programs_and_packages_are_built_without_envoy_and_synapse() {
    for target in ["build", "filter", "npm", "image-filter"] {
        let commands = commands(&[target]);
        assert!(position(&commands, "tools/needed --rust").is_some(), "{target}: {commands:#?}");
        for part in ["Installing Envoy", "Installing Synapse"] {
            assert_eq!(position(&commands, part), None, "{target}: {commands:#?}");
        }
    }
}

#[test]
fn a_folder_with_a_blank_in_its_name_is_one_folder() {
    for target in ["demo", "down"] {
        let commands = commands(&[target, "DIR=my run"]);
        assert!(position(&commands, "--dir 'my run'").is_some(), "{target}: {commands:#?}");
    }
}

#[test]
fn the_demo_is_open_only_when_asked() {
    assert_eq!(position(&commands(&["demo"]), "--open"), None);
    assert!(position(&commands(&["demo", "OPEN=1"]), "--open").is_some());
}

#[test]
fn each_target_that_a_message_names_is_in_the_help() {
    let help = Command::new("make").env_remove("MAKEFLAGS").current_dir(root()).arg("help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    for target in ["build", "filter", "setup", "setup-test", "setup-more"] {
        assert!(help.contains(&format!("  make {target} ")), "no {target} in\n{help}");
    }
}
