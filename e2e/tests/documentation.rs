//! The README and the pages show what really happens: their commands give the output printed under them, the
//! table of bytes is the demo's, the table of options is that of `--help`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as the test does"
)]

use lowband_e2e::fixture::{Fixture, Shared, output};
use lowband_e2e::parts::Parts;
use lowband_e2e::ports::Port;
use lowband_e2e::process::{Process, Recipe};
use lowband_e2e::wait;
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

static SHARED: Shared = Shared::new();

/// Line between the outputs of two commands of one shell.
const BORDER: &str = "\u{1}border\u{1}\n";
/// Text in a page that stands for any output.
const ANYTHING: &str = "[...]";
/// The pages whose commands are run here, and how many each has at least. docs/kubernetes.md has a
/// test in `e2e/kubernetes`.
const PAGES: [(&str, usize); 2] = [("README.md", 4), ("docs/clients.md", 8)];
const OPERATIONS: &str = "docs/operations.md";
const DEMO_WITHIN: Duration = Duration::from_secs(180);
/// Allowed difference of a ratio, in points. A run may have an acknowledgement of TCP more or less, which is
/// a point or two.
const MOST_DRIFT: i32 = 4;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn read(page: &str) -> String {
    std::fs::read_to_string(root().join(page)).unwrap()
}

/// Returns the contents of a page's fenced blocks of one kind.
fn blocks(page: &str, kind: &str) -> Vec<String> {
    blocks_of(&read(page), kind)
}

fn blocks_of(text: &str, kind: &str) -> Vec<String> {
    let blocks = text.split("\n```").skip(1).step_by(2);
    blocks.filter_map(|block| Some(block.strip_prefix(kind)?.strip_prefix('\n')?.to_owned() + "\n")).collect()
}

/// Returns the commands and the output that stands under each.
fn commands(block: &str) -> Vec<(String, String)> {
    let mut commands: Vec<(String, String)> = Vec::new();
    for line in block.lines() {
        match line.strip_prefix("$ ") {
            Some(command) => commands.push((command.to_owned(), String::new())),
            None => {
                let output = &mut commands.last_mut().expect("a block begins with a command").1;
                output.push_str(line);
                output.push('\n');
            }
        }
    }
    commands
}

fn is_as_shown(shown: &str, got: &str) -> bool {
    let mut pieces = shown.trim_end().split(ANYTHING);
    let Some(mut rest) = got.strip_prefix(pieces.next().unwrap_or_default()) else { return false };
    let mut open_end = false;
    for piece in pieces {
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
        open_end = piece.is_empty();
    }
    open_end || rest.trim_end().is_empty()
}

/// Makes a folder that looks like the checkout with a demo running in it.
fn checkout(fixture: &Fixture) -> PathBuf {
    let folder = Parts::from_environment().test_folder("documentation_checkout").unwrap();
    symlink(fixture.chain.folder(), folder.join("run")).unwrap();
    for part in ["capture", "envoy-filter", "envoy.yaml"] {
        symlink(root().join(part), folder.join(part)).unwrap();
    }
    std::fs::create_dir(folder.join("target")).unwrap();
    let filter = Parts::from_environment().wasm().unwrap();
    symlink(filter, folder.join("target/lowband-filter.wasm")).unwrap();
    folder
}

/// Runs the commands of one block in one shell, so that a `cd` holds for the commands after it.
fn run(fixture: &Fixture, folder: &Path, commands: &[(String, String)]) -> String {
    let port = fixture.chain.address().port().to_string();
    let script: String = commands
        .iter()
        .map(|(command, _)| format!("{} 2>&1\nprintf '{BORDER}'\n", command.replace("8008", &port)))
        .collect();
    // Commands that show an error end with one; what counts is their output.
    let script = format!("set +e +o pipefail; cd '{}'\n{script}", folder.display());
    let got = fixture.run(fixture.shell(&script)).unwrap_or_else(|why| panic!("{why}"));
    String::from_utf8(got).unwrap()
}

#[test]
fn the_commands_of_the_pages_give_the_output_under_them() {
    let fixture = Fixture::shared(&SHARED, "documentation").unwrap_or_else(|why| panic!("{why}"));
    let folder = checkout(fixture);
    for (page, least) in PAGES {
        let mut count = 0;
        for block in blocks(page, "console") {
            let commands = commands(&block);
            let got = run(fixture, &folder, &commands);
            for ((command, shown), got) in commands.iter().zip(got.split(BORDER)) {
                assert!(is_as_shown(shown, got), "{page}: $ {command}\nshown:\n{shown}\ngot:\n{got}");
                count += 1;
            }
        }
        assert!(count >= least, "only {count} commands were found in {page}");
    }
}

/// Makes an empty folder with the filter that `make filter` has built, and `envoy` in the `PATH`.
fn operators_folder(parts: &Parts) -> (PathBuf, String) {
    let folder = parts.test_folder("documentation_operations").unwrap();
    std::fs::create_dir(folder.join("target")).unwrap();
    symlink(parts.wasm().unwrap(), folder.join("target/lowband-filter.wasm")).unwrap();
    let programs = parts.test_folder("documentation_envoy").unwrap();
    // Another Envoy of this machine may have taken what two of them need for a hot restart.
    let envoy =
        format!("#!/bin/sh\nexec '{}' \"$@\" --disable-hot-restart\n", parts.envoy().unwrap().display());
    std::fs::write(programs.join("envoy"), envoy).unwrap();
    std::fs::set_permissions(programs.join("envoy"), Permissions::from_mode(0o700)).unwrap();
    let path = std::env::var("PATH").unwrap();
    (folder, format!("{}:{}:{path}", parts.bin().display(), programs.display()))
}

/// Runs "Start it", as it is printed, but for the homeserver; the ports of this machine are set by variables.
#[test]
fn what_an_operator_is_told_to_start_serves_from_an_empty_folder() {
    let fixture = Fixture::shared(&SHARED, "documentation").unwrap_or_else(|why| panic!("{why}"));
    let page = read(OPERATIONS)
        .replace("https://matrix.example.org", &fixture.chain.synapse.as_ref().unwrap().url());
    let (_, section) = page.split_once("\n## Start it\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let [make, prove] = &blocks_of(section, "console")[..] else { panic!("{section}") };
    let [start] = &blocks_of(section, "sh")[..] else { panic!("{section}") };

    let (folder, path) = operators_folder(&fixture.parts);
    let (public, envoy_admin, admin) =
        (Port::free_for_both().unwrap(), Port::free().unwrap(), Port::free().unwrap());
    let number = public.number().to_string();
    let environment = [
        ("PATH", path),
        ("LOWBAND_PUBLIC_PORT", number.clone()),
        ("LOWBAND_ENVOY_ADMIN_PORT", envoy_admin.number().to_string()),
        ("LOWBAND_LISTEN", format!("[::]:{number}")),
        ("LOWBAND_ADMIN", admin.loopback().to_string()),
    ];
    let shown = |block: &str| {
        let commands = commands(&block.replace(":8008", &format!(":{number}")));
        let script: String =
            commands.iter().map(|(command, _)| format!("{command} 2>&1\nprintf '{BORDER}'\n")).collect();
        let mut shell = Command::new("bash");
        shell.args(["-c", &script]).current_dir(&folder).envs(environment.iter().cloned());
        let got = fixture.run(output(shell, DEMO_WITHIN)).unwrap().stdout;
        let got = String::from_utf8(got).unwrap();
        for ((command, shown), got) in commands.iter().zip(got.split(BORDER)) {
            // OpenSSL's own output is not printed on the page.
            let is_openssl = command.starts_with("openssl");
            assert!(is_openssl || is_as_shown(shown, got), "$ {command}\nshown:\n{shown}\ngot:\n{got}");
        }
        commands.len()
    };
    assert_eq!(shown(make), 5);
    let parts: Vec<Process> = ["envoy", "sidecar"]
        .into_iter()
        .zip(start.lines())
        .map(|(name, line)| {
            Process::start(Recipe {
                name,
                program: "bash".into(),
                arguments: vec!["-c".to_owned(), format!("exec {line}")],
                environment: environment
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), value.clone()))
                    .collect(),
                folder: folder.clone(),
            })
            .unwrap()
        })
        .collect();
    assert_eq!(start.lines().count(), parts.len(), "{start}");
    fixture.run(async {
        wait::until_ready(&parts[0], envoy_admin.loopback(), "/ready", DEMO_WITHIN).await.unwrap();
        wait::until_ready(&parts[1], admin.loopback(), "/readyz", DEMO_WITHIN).await.unwrap();
    });
    assert_eq!(shown(prove), 2);
}

/// Returns a row of the table without its numbers, which differ from run to run.
fn shape(row: &str) -> String {
    let is_number = |word: &str| word.chars().all(|c| c.is_ascii_digit() || c == ',');
    row.split_whitespace().map(|word| if is_number(word) { "N" } else { word }).collect::<Vec<_>>().join(" ")
}

/// Returns the last column of a row: the bytes of CoAP in per cent of those of HTTPS.
fn ratio(row: &str) -> Option<i32> {
    row.rsplit_once('|')?.1.trim().strip_suffix(" %")?.parse().ok()
}

/// Returns rows of the README's table that the demo has not printed, or has printed with another ratio.
fn drifted(page: &str, printed: &str) -> Vec<String> {
    let mut printed = printed.lines();
    let mut is_the_same = |shown: &str| {
        let Some(row) = printed.next() else { return false };
        let is_near = match (ratio(shown), ratio(row)) {
            (Some(shown), Some(got)) => (shown - got).abs() <= MOST_DRIFT,
            (shown, got) => shown == got,
        };
        is_near && shape(shown) == shape(row)
    };
    page.lines().filter(|shown| !is_the_same(shown)).map(str::to_owned).collect()
}

#[tokio::test]
async fn the_table_of_the_readme_is_the_demos() {
    let table =
        blocks("README.md", "text").into_iter().find(|block| block.contains("CoAP:")).expect("the table");
    let folder = Parts::from_environment().test_folder("documentation_demo").unwrap();
    let port = Port::free_for_both().unwrap().number().to_string();
    let mut demo = Command::new(env!("CARGO_BIN_EXE_demo"));
    let file = folder.join("table.txt");
    demo.args(["up", "--once", "--port", &port, "--table"]).arg(&file).arg("--dir").arg(folder);
    let done = output(demo, DEMO_WITHIN).await.unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{said}{}", String::from_utf8_lossy(&done.stderr));
    let printed = std::fs::read_to_string(file).unwrap();
    assert!(said.contains(&printed), "the file is not the table on the screen:\n{printed}\n{said}");
    let drifted = drifted(&table, &printed);
    assert!(drifted.is_empty(), "`make pictures` mends README.md: {drifted:#?} are in the demo\n{printed}");
    assert_eq!(printed.lines().count(), table.lines().count(), "{printed}");
}

/// Compares flags and defaults in the table of the operators' page with `--help`.
#[test]
fn the_options_of_the_page_for_operators_are_the_sidecars() {
    let sidecar = Parts::from_environment().program("lowband-sidecar").unwrap();
    let help = Command::new(sidecar).arg("--help").output().unwrap().stdout;
    let help = String::from_utf8(help).unwrap();
    let words = |cell: &str| -> Vec<String> {
        cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()
    };
    let mut count = 0;
    for row in read(OPERATIONS).lines().filter(|line| line.starts_with("| `--")) {
        let cells: Vec<&str> = row.split('|').collect();
        let (flags, variables, defaults) = (words(cells[1]), words(cells[2]), words(cells[3]));
        assert_eq!((flags.len(), flags.len()), (variables.len(), defaults.len()), "{row}");
        for ((flag, variable), default) in flags.iter().zip(&variables).zip(&defaults) {
            let (_, from_flag) = help.split_once(&format!("{flag} <")).unwrap_or_else(|| panic!("no {flag}"));
            let (told, from_variable) = from_flag
                .split_once(&format!("[env: {variable}="))
                .unwrap_or_else(|| panic!("no {variable}"));
            let of_option = from_variable.split("\n      --").next().unwrap();
            let found = of_option.split_once("[default: ").and_then(|(_, rest)| rest.split_once("]\n"));
            // What depends on other options is a default of its text, not of clap.
            let is_told = found.map_or_else(|| told.contains(default), |(found, _)| found == default);
            assert!(is_told, "the default of {flag} is not `{default}`");
            count += 1;
        }
    }
    assert!(count >= 29, "only {count} options were found");
}

#[test]
fn a_row_drifts_by_its_step_or_its_ratio_and_not_by_its_bytes() {
    let page = "step | ratio\nsend | 2 216 272 | 24 %\njoin | 2 210 266 | 26 %\n";
    let printed = |send: &str, join: &str| format!("step | ratio\n{send}\n{join}\n");
    let join = "join | 3 211 267 | 22 %";
    assert_eq!(drifted(page, &printed("send | 2 217 273 | 28 %", join)), [""; 0]);
    for other in ["send | 2 216 272 | 29 %", "sent | 2 216 272 | 24 %", "send | 2 216 272 |"] {
        assert_eq!(drifted(page, &printed(other, join)), ["send | 2 216 272 | 24 %"]);
    }
    assert_eq!(drifted(page, "step | ratio\n").len(), 2);
}

#[test]
fn a_wildcard_stands_for_anything_and_the_rest_must_be_there() {
    assert!(is_as_shown("a[...]c\n", "abbc\n"));
    assert!(is_as_shown("a\n[...]", "a\nb\nc\n"));
    assert!(is_as_shown("", ""));
    assert!(!is_as_shown("a[...]c\n", "abb\n"));
    assert!(!is_as_shown("a\n", "a\nb\n"));
    assert!(!is_as_shown("", "x\n"));
}
