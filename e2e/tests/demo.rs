//! The demo itself, on other ports and in another folder than its defaults, as `make demo PORT=.. DIR=..`
//! would run it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as the test does"
)]

use lowband_e2e::fixture::output;
use lowband_e2e::http1;
use lowband_e2e::matrix::{self, User};
use lowband_e2e::parts::Parts;
use lowband_e2e::ports::Port;
use lowband_e2e::process::{PidFile, Process, Recipe};
use lowband_e2e::synapse::{RateLimits, Synapse};
use lowband_e2e::wait;
use lowband_e2e::wire::Wire;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

const DEMO: &str = env!("CARGO_BIN_EXE_demo");
const WITHIN: Duration = Duration::from_secs(180);

async fn demo(arguments: &[&str]) -> Output {
    demo_with(arguments, &[]).await
}

async fn demo_with(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(DEMO);
    command.args(arguments).envs(environment.iter().copied());
    output(command, WITHIN).await.unwrap()
}

/// Returns a port for the demo to bind anew: the demo refuses a port that another program holds.
fn number_of_free_port() -> String {
    Port::free_for_both().unwrap().number().to_string()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn nothing_runs_in(folder: &Path) -> bool {
    PidFile::all_running(folder).is_empty()
}

#[tokio::test]
async fn once_does_every_step_shows_the_table_and_leaves_nothing_behind() {
    for (name, more) in [("demo_once", &[][..]), ("demo_once_without_envoy", &["--without-envoy"])] {
        let folder = Parts::from_environment().test_folder(name).unwrap();
        let (dir, port) = (folder.display().to_string(), number_of_free_port());
        let arguments = ["up", "--once", "--port", &port, "--dir", &dir];
        let done = demo(&[&arguments, more].concat()).await;
        let said = said(&done);
        assert!(done.status.success(), "{said}");
        for expected in [
            "\"versions\": [",
            "@bob:lb.test reads \"Hello World\" from @alice:lb.test",
            "datagrams",
            "send \"Hello World\"",
        ] {
            assert!(said.contains(expected), "no {expected:?} in {said}");
        }
        assert_eq!(said.contains("Envoy"), more.is_empty(), "{said}");
        assert!(!said.contains('\x1b'), "colours where no terminal is");
        assert!(nothing_runs_in(&folder));
    }
}

/// Returns the addresses, as the kernel writes them, at which this port is served (proc_net(5)).
fn bound(table: &str, port: u16) -> BTreeSet<String> {
    const LISTENING: &str = "0A";
    const UNCONNECTED: &str = "07";
    let table = std::fs::read_to_string(table).unwrap();
    let rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let served = rows.filter(|row| [LISTENING, UNCONNECTED].contains(&row[3]));
    let sockets = served
        .filter_map(|row| row[1].split_once(':').map(|(at, number)| (at.to_owned(), number.to_owned())));
    sockets.filter(|(_, number)| *number == format!("{port:04X}")).map(|(at, _)| at).collect()
}

/// Runs these lines in a shell on a terminal. Returns what the terminal shows, without its colours.
async fn paste(lines: &str, folder: &Path) -> Output {
    let pasted = folder.join("pasted");
    std::fs::write(&pasted, format!("set -e -o pipefail\n{lines}")).unwrap();
    let mut terminal = Command::new("script");
    terminal.args(["--quiet", "--return", "--command", &format!("bash '{}'", pasted.display()), "/dev/null"]);
    terminal.env("TERM", "xterm").stdin(std::process::Stdio::null());
    let mut done = output(terminal, WITHIN).await.unwrap();
    let mut shown = Vec::new();
    let mut is_colour = false;
    for byte in done.stdout {
        is_colour |= byte == 0x1b;
        if !is_colour {
            shown.push(byte);
        }
        is_colour &= !byte.is_ascii_alphabetic();
    }
    done.stdout = shown;
    done
}

async fn what_it_prints_can_be_pasted(printed: &str, folder: &Path) {
    let (_, lines) = printed.split_once("another terminal:").unwrap();
    let done = paste(lines, folder).await;
    assert!(done.status.success(), "{}", said(&done));
    for expected in ["\"versions\": [", "\"event_id\"", "\"body\":\"Hello again\""] {
        assert!(said(&done).contains(expected), "no {expected} in {}", said(&done));
    }
    // The demo is an example of a server on which all is well.
    let shown = said(&done);
    let checks: Vec<_> = DOCTORS.iter().map(|name| check(&shown, name)).collect();
    assert_eq!(checks, DOCTORS.map(|_| Some("ok")), "{shown}");
}

/// What `lowband doctor` looks at.
const DOCTORS: [&str; 10] =
    ["name", "https", "udp", "dtls", "certificate", "coap", "agreement", "well-known", "large", "round trip"];

/// Returns what `lowband doctor` has said of this check.
fn check<'a>(shown: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = shown.lines().filter_map(|line| line.split_once(' '));
    lines.find(|(_, rest)| rest.trim_start().starts_with(&format!("{name} "))).map(|(verdict, _)| verdict)
}

#[tokio::test]
async fn it_stays_up_until_down_ends_it_and_a_second_one_is_told_what_to_change() {
    let folder = Parts::from_environment().test_folder("demo_stays").unwrap();
    let dir = folder.join("run").display().to_string();
    let port = number_of_free_port();
    let recipe = Recipe {
        name: "demo_stays",
        program: DEMO.into(),
        arguments: ["up", "--port", &port, "--dir", &dir].map(String::from).into(),
        environment: Vec::new(),
        folder: folder.clone(),
    };
    let demo_process = Process::start(recipe).unwrap();
    wait::until("that the demo says how to talk to it", WITHIN, async || {
        if let Err(why) = demo_process.check() {
            panic!("{why}");
        }
        let log = std::fs::read_to_string(demo_process.log()).unwrap();
        if log.contains("messages?dir=b") { Ok(()) } else { Err(log) }
    })
    .await
    .unwrap();
    what_it_prints_can_be_pasted(&std::fs::read_to_string(demo_process.log()).unwrap(), &folder).await;
    let address = (std::net::Ipv4Addr::LOCALHOST, port.parse().unwrap()).into();
    assert_eq!(http1::get(address, "/_matrix/client/versions").await.unwrap().status(), 200);

    let same_folder = demo(&["up", "--once", "--port", &number_of_free_port(), "--dir", &dir]).await;
    assert!(!same_folder.status.success());
    let down = format!("make down DIR={dir}`");
    assert!(said(&same_folder).contains(&down), "{}", said(&same_folder));
    let other = folder.join("other").display().to_string();
    let same_port = demo(&["up", "--once", "--port", &port, "--dir", &other]).await;
    assert!(!same_port.status.success());
    assert!(said(&same_port).contains("PORT="), "{}", said(&same_port));
    let account = [("USER1", "erin")];
    let no_password =
        demo_with(&["up", "--port", &port, "--dir", &other, "--homeserver", "http://127.0.0.1:1"], &account)
            .await;
    assert!(said(&no_password).contains("set PASSWORD1, USER2, PASSWORD2 too"), "{}", said(&no_password));
    assert!(!Path::new(&other).exists(), "a demo that was refused left its folder");
    let no_port = demo(&["up", "--port", "0", "--dir", &other]).await;
    assert!(!no_port.status.success() && said(&no_port).contains("0 is not in 1.."), "{}", said(&no_port));
    for table in ["/proc/net/tcp", "/proc/net/udp"] {
        let only = BTreeSet::from(["0100007F".to_owned()]);
        assert_eq!(bound(table, port.parse().unwrap()), only, "{table}: not at 127.0.0.1 alone");
    }

    let down = demo(&["down", "--dir", &dir]).await;
    assert!(down.status.success(), "{}", said(&down));
    assert!(nothing_runs_in(Path::new(&dir)));
    let again = demo(&["down", "--dir", &dir]).await;
    assert!(again.status.success() && said(&again).contains("nothing"), "{}", said(&again));
}

#[tokio::test]
async fn another_homeserver_is_used_as_it_is_by_two_accounts_there_or_for_versions_only() {
    let parts = Parts::from_environment();
    let folder = parts.test_folder("demo_homeserver").unwrap();
    let synapse = Synapse::start(&parts, &folder, RateLimits::Lifted).unwrap();
    synapse.ready().await.unwrap();
    for name in ["erin", "frank"] {
        let mut wire = Wire::http(synapse.address()).await.unwrap();
        matrix::sign_in(&mut wire, &User::new(name)).await.unwrap();
    }
    let [erin, frank] = ["erin", "frank"].map(User::new);
    let dir = folder.join("run").display().to_string();
    let port = number_of_free_port();
    let arguments = ["up", "--once", "--port", &port, "--dir", &dir, "--homeserver", &synapse.url()];

    let accounts = [
        ("USER1", erin.name.as_str()),
        ("PASSWORD1", &erin.password),
        ("USER2", &frank.name),
        ("PASSWORD2", &frank.password),
    ];
    let done = demo_with(&arguments, &accounts).await;
    assert!(done.status.success(), "{}", said(&done));
    assert!(
        said(&done).contains("@frank:lb.test reads \"Hello World\" from @erin:lb.test"),
        "{}",
        said(&done)
    );

    let nobody = accounts.map(|(name, _)| (name, ""));
    let done = demo_with(&arguments, &nobody).await;
    assert!(done.status.success(), "{}", said(&done));
    assert!(said(&done).contains("Only /versions was shown"), "{}", said(&done));
    assert!(!said(&done).contains("create room"), "{}", said(&done));

    let wrong = accounts.map(|(name, value)| (name, if name == "PASSWORD2" { "wrong" } else { value }));
    let done = demo_with(&arguments, &wrong).await;
    assert!(!done.status.success());
    assert!(
        said(&done).contains("M_FORBIDDEN") && said(&done).contains("The logs are in"),
        "{}",
        said(&done)
    );
    synapse.process.check().unwrap();
}
