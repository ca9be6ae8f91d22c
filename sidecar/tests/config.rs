//! Configuration: all mistakes at once, flags before environment, and the exit codes of the binary.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests and their helpers fail by panicking"
)]

use clap::{CommandFactory, Parser};
use lowband_sidecar::config::{Mistake, Options};
use lowband_transport::coap::{Limits, Times};
use openssl::pkey::PKey;
use std::collections::BTreeSet;
use std::fs::Permissions;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;
use std::time::{SystemTime, UNIX_EPOCH};

/// Options whose value is a file name or nothing: no text is wrong in itself.
const NOT_TEXT: [&str; 7] = ["certificate", "key", "key-log", "check-config", "help", "version", "admin"];

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("lowband-config-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn file(&self, name: &str, content: &[u8]) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Returns the flags of a certificate and a key made for the test.
    fn identity(&self) -> Vec<String> {
        let (certificate, key) = identity::self_signed(&self.0);
        vec!["--certificate".into(), certificate, "--key".into(), key]
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[path = "chain/identity.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod identity;

fn check(args: &[String]) -> Vec<Mistake> {
    let args = std::iter::once("lowband-sidecar".to_owned()).chain(args.iter().cloned());
    Options::try_parse_from(args).unwrap().check().map_or_else(|mistakes| mistakes, |_| Vec::new())
}

fn run(args: &[String], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lowband-sidecar"));
    command.args(args).env_clear().envs(environment.iter().copied());
    command.output().unwrap()
}

#[test]
fn the_defaults_are_right_once_there_is_a_certificate() {
    let folder = Folder::new("defaults");
    assert_eq!(check(&folder.identity()), []);
}

#[test]
fn every_option_with_a_wrong_value_is_named_and_all_at_once() {
    let names: BTreeSet<String> = Options::command()
        .get_arguments()
        .filter_map(|argument| argument.get_long().map(str::to_owned))
        .filter(|name| !NOT_TEXT.contains(&name.as_str()))
        .collect();
    let mut args = vec!["--admin".to_owned(), "nowhere".to_owned()];
    for name in &names {
        args.extend([format!("--{name}"), "\u{a7}".to_owned()]);
    }
    let mistakes = check(&args);
    let named: BTreeSet<String> =
        mistakes.iter().map(|m| m.option.trim_start_matches("--").to_owned()).collect();
    let mut expected = names;
    // The files of the defaults are not there either.
    expected.extend(["admin", "certificate", "key"].map(str::to_owned));
    assert_eq!(named, expected);
    assert_eq!(mistakes.len(), expected.len());
    assert!(mistakes.iter().all(|mistake| !mistake.to_string().contains('\n')));
}

#[test]
fn limits_that_contradict_each_other_are_a_mistake() {
    let folder = Folder::new("limits");
    let mut args = folder.identity();
    args.extend(["--upload", "2MiB", "--blockwise-memory", "1MiB"].map(str::to_owned));
    let mistakes = check(&args);
    assert_eq!(mistakes.len(), 1);
    assert_eq!(mistakes[0].option, "--upload");
    for (memory, mistaken) in
        [("7MiB", true), ("65MiB", true), ("8MiB", false), ("64MiB", false), ("half", false)]
    {
        let mut args = folder.identity();
        args.extend(["--upload-memory", memory].map(str::to_owned));
        let named: Vec<_> = check(&args).into_iter().map(|mistake| mistake.option).collect();
        assert_eq!(named, if mistaken { vec!["--upload-memory"] } else { vec![] }, "{memory}");
    }
}

#[test]
fn what_envoy_holds_of_an_answer_is_what_the_option_says_and_a_window_more() {
    let folder = Folder::new("held");
    let charge = |more: &[&str]| {
        let args = folder.identity().into_iter().chain(more.iter().map(|arg| (*arg).to_owned()));
        let args = std::iter::once("lowband-sidecar".to_owned()).chain(args);
        Options::try_parse_from(args).unwrap().check().unwrap().coap_limits.snapshot_at_upstream
    };
    assert_eq!(charge(&[]), 144 << 10);
    assert_eq!(charge(&["--held-by-envoy", "1MiB"]), (1 << 20) + (16 << 10));
    assert_eq!(charge(&["--held-by-envoy", "0"]), 16 << 10);
}

#[test]
fn a_homeserver_takes_the_place_of_envoy_and_not_both_can_be_named() {
    let folder = Folder::new("homeserver");
    let with = |more: &[&str]| {
        [folder.identity(), more.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>()].concat()
    };
    let args = with(&["--homeserver", "https://matrix.example.org"]);
    let args = std::iter::once("lowband-sidecar".to_owned()).chain(args);
    let config = Options::try_parse_from(args).unwrap().check().unwrap();
    let homeserver = config.homeserver.unwrap().homeserver;
    assert_eq!(homeserver.base.to_string(), "https://matrix.example.org");
    // Each kind of client has lanes for all requests that it may have.
    let strangers = lowband_sidecar::translator::MOST_STRANGERS;
    assert_eq!(homeserver.requests, config.upstream.requests + strangers);
    let both = with(&["--homeserver", "http://127.0.0.1:8018", "--upstream", "unix:run/envoy.sock"]);
    let own = folder.identity()[1].clone();
    for (args, option, why) in [
        (both, "--upstream", "does without: leave out --upstream, or --homeserver to ask Envoy"),
        (with(&["--homeserver", "matrix.example.org"]), "--homeserver", "is not a URL like"),
        (
            with(&["--homeserver", "https://a", "--homeserver-ca", "/no/such"]),
            "--homeserver-ca",
            "cannot be read",
        ),
        (with(&["--homeserver-ca", &own]), "--homeserver-ca", "does nothing without --homeserver"),
    ] {
        let mistakes = check(&args);
        assert!(matches!(&*mistakes, [one] if one.option == option && one.why.contains(why)), "{mistakes:?}");
    }
    assert_eq!(check(&with(&["--homeserver", "https://a", "--homeserver-ca", &own])), []);
}

#[test]
fn the_tcp_side_needs_a_homeserver_since_it_is_envoys_otherwise() {
    let folder = Folder::new("public");
    let with = |more: &[&str]| {
        [folder.identity(), more.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>()].concat()
    };
    for (args, options) in [
        (&["--public", "[::]:8008"][..], &["--public"][..]),
        (&["--advertise", "https://a", "--public", "http://[::]:8008"], &["--public", "--advertise"]),
        (&["--advertise", "off", "--public", "off", "--dtls-port", "443"], &[]),
        (&["--homeserver", "http://a", "--advertise", "https://a", "--public", "[::]:8008"], &[]),
    ] {
        let named: Vec<_> = check(&with(args)).into_iter().map(|mistake| mistake.option).collect();
        assert_eq!(named, options, "{args:?}");
    }
}

#[test]
fn a_variable_for_envoys_homeserver_does_not_take_its_place() {
    let folder = Folder::new("both");
    let envoy = ("LOWBAND_UPSTREAM", "unix:run/envoy.sock");
    let wrong = ("LOWBAND_HOMESERVER", "nowhere");
    let checked = [folder.identity(), vec!["--check-config".to_owned()]].concat();
    let by_flag = [checked.clone(), vec!["--homeserver".to_owned(), "https://a".to_owned()]].concat();
    for (args, environment, code) in [
        (&checked, &[envoy, wrong][..], Some(0)),
        (&checked, &[wrong], Some(2)),
        (&by_flag, &[envoy], Some(0)),
        (&by_flag, &[envoy, wrong], Some(0)),
        (&[by_flag.clone(), vec!["--upstream".to_owned(), "unix:x".to_owned()]].concat(), &[], Some(2)),
    ] {
        assert_eq!(told(args, environment).1, code, "{args:?} {environment:?}");
    }
}

#[test]
fn that_envoy_wins_over_a_homeserver_is_told_and_what_takes_it_back_is_not() {
    let folder = Folder::new("wins");
    let args =
        [folder.identity(), ["--udp-buffer=64KiB", "--check-config"].map(str::to_owned).to_vec()].concat();
    let homeserver = ("LOWBAND_HOMESERVER", "http://127.0.0.1:8018");
    let (envoy, none) = (("LOWBAND_UPSTREAM", "unix:x"), ("LOWBAND_UPSTREAM", ""));
    let public = ("LOWBAND_PUBLIC", "[::]:8008");
    let wins = "lowband-sidecar: LOWBAND_UPSTREAM wins over LOWBAND_HOMESERVER: Envoy is asked; to do without \
                it, give LOWBAND_UPSTREAM no value\n";
    let mistake = "lowband-sidecar: --public does nothing without --homeserver, and LOWBAND_UPSTREAM wins over \
                   LOWBAND_HOMESERVER: with Envoy the public port is Envoy's (set by LOWBAND_PUBLIC)\n";
    let both = format!("{wins}{mistake}");
    let empty =
        format!("lowband-sidecar: LOWBAND_ENVOY_MAX_HEAP has no value, so it counts as not set\n{wins}");
    for (environment, expected, code) in [
        (&[homeserver, envoy][..], wins, 0),
        (&[homeserver, envoy, public], &both, 2),
        (&[homeserver, none, public], "", 0),
        (&[envoy], "", 0),
        // A pod in which `render-envoy` has the same environment.
        (&[homeserver, envoy, ("LOWBAND_ENVOY_MAX_HEAP", "335544320")], "", 0),
        (&[homeserver, envoy, ("LOWBAND_ENVOY_MAX_HEAP", "")], &empty, 0),
    ] {
        assert_eq!(told(&args, environment), (expected.to_owned(), Some(code)), "{environment:?}");
    }
    let by_flag = [&args[..], &["--upstream=unix:x".to_owned()]].concat();
    let (text, code) = told(&by_flag, &[homeserver, public]);
    assert_eq!(
        (text.matches("--upstream wins over LOWBAND_HOMESERVER").count(), code),
        (2, Some(2)),
        "{text}"
    );

    let more = ["--listen=127.0.0.1:0", "--admin=off"].map(str::to_owned);
    let wins = wins.trim_end().strip_prefix("lowband-sidecar: ").unwrap();
    let started =
        lines_of_the_start(&[folder.identity(), more.to_vec()].concat(), &[homeserver, envoy], wins);
    assert_eq!(started, [wins]);
}

#[test]
fn each_parameter_of_rfc_7252_is_an_option_of_its_name() {
    let folder = Folder::new("parameters");
    let parse = |more: &[&str]| {
        let args = folder.identity().into_iter().chain(more.iter().map(|arg| (*arg).to_owned()));
        let args = std::iter::once("lowband-sidecar".to_owned()).chain(args);
        Options::try_parse_from(args).unwrap().check().unwrap()
    };
    let ours = parse(&[]);
    assert_eq!(
        format!("{:?}", ours.times),
        format!("{:?}", Times::measured()),
        "the defaults of the library"
    );
    assert_eq!(ours.coap_limits.window, Limits::default().window);
    let given = parse(&[
        "--ack-timeout=3s",
        "--ack-random-factor=1.5",
        "--max-retransmit=4",
        "--nstart=1",
        "--probing-rate=7",
        "--exchange-lifetime=300s",
    ]);
    let seconds = Duration::from_secs;
    assert_eq!((given.times.ack_timeout, given.times.exchange_lifetime), (seconds(3), seconds(300)));
    assert_eq!((given.times.ack_random_factor, given.times.max_retransmit), (1.5, 4));
    assert_eq!((given.times.probing_rate, given.coap_limits.window), (7, 1));
    for wrong in
        ["--ack-random-factor=0.9", "--max-retransmit=61", "--nstart=0", "--nstart=65", "--probing-rate=0"]
    {
        let mistakes = check(&[folder.identity(), vec![wrong.to_owned()]].concat());
        let option = wrong.split('=').next().unwrap();
        assert_eq!(mistakes.iter().map(|mistake| mistake.option).collect::<Vec<_>>(), [option]);
    }
}

#[test]
fn there_are_places_at_the_upstream_for_the_long_polls_of_all_sessions() {
    let folder = Folder::new("places");
    let places = |more: &[&str]| {
        let args = folder.identity().into_iter().chain(more.iter().map(|arg| (*arg).to_owned()));
        let args = std::iter::once("lowband-sidecar".to_owned()).chain(args);
        Options::try_parse_from(args).unwrap().check().unwrap().upstream.requests
    };
    assert_eq!(places(&[]), 16_384, "what envoy.yaml lets through");
    assert_eq!(places(&["--sessions", "2000"]), 2500);
    assert_eq!(places(&["--sessions", "2000", "--upstream-requests", "auto"]), 2500);
    assert_eq!(places(&["--sessions", "20"]), 1024);
    assert_eq!(places(&["--sessions", "1000", "--upstream-requests", "70"]), 70);
    let mistakes = check(&["--upstream-requests", "many"].map(str::to_owned));
    assert!(
        mistakes.iter().any(|mistake| mistake.to_string().ends_with("; auto is allowed too")),
        "{mistakes:?}"
    );
}

#[test]
fn certificate_and_key_are_judged_together() {
    let (folder, other) = (Folder::new("one"), Folder::new("other"));
    let right = folder.identity();
    let foreign_key = other.identity()[3].clone();
    let ed25519 = PKey::generate_ed25519().unwrap().private_key_to_pem_pkcs8().unwrap();
    let ed25519 = folder.file("ed25519.pem", &ed25519);
    let empty = folder.file("empty.pem", b"");
    for (certificate, key, options) in [
        (&right[1], &right[3], &[][..]),
        (&right[1], &foreign_key, &["--key"]),
        (&right[1], &ed25519, &["--key"]),
        (&empty, &empty, &["--certificate", "--key"]),
        (&right[3], &right[1], &["--certificate", "--key"]),
        (&"/nonexistent".to_owned(), &empty, &["--certificate", "--key"]),
    ] {
        let args = ["--certificate", certificate.as_str(), "--key", key.as_str()].map(str::to_owned);
        let mistakes = check(&args);
        let mut named: Vec<_> = mistakes.iter().map(|mistake| mistake.option).collect();
        named.dedup();
        if certificate == &right[1] && key == &foreign_key {
            // It cannot be known which of the two is the wrong one.
            assert_eq!(named.len(), 1, "{mistakes:?}");
        } else {
            assert_eq!(named, options, "{certificate} {key}: {mistakes:?}");
        }
    }
}

#[test]
fn a_wrong_configuration_ends_with_2_and_one_line_for_each_mistake() {
    let output = run(&["--listen".into(), "here".into(), "--upstream".into(), "there".into()], &[]);
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    for (line, option) in lines.iter().zip(["--listen", "--certificate", "--key", "--upstream"]) {
        assert!(line.starts_with(&format!("lowband-sidecar: {option} ")), "{line}");
    }
    for args in [&["--nosuch"][..], &["render-envoy", "--nosuch"]] {
        let (text, code) = told(&args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>(), &[]);
        assert!(text.starts_with("lowband-sidecar: unexpected argument '--nosuch' found\n"), "{text}");
        assert!(text.contains("\nUsage: lowband-sidecar") && code == Some(2), "{text}");
    }
}

#[test]
fn check_config_says_yes_with_0_and_binds_nothing() {
    let folder = Folder::new("check");
    // An address that the machine does not have: binding it would fail.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    let (certificate, key) = identity::Pair::valid(now, now + identity::DAY * 3 / 2).write(&folder.0);
    let mut args = ["--certificate", &certificate, "--key", &key].map(str::to_owned).to_vec();
    args.extend(["--check-config", "--listen", "192.0.2.1:8008"].map(str::to_owned));
    let output = run(&args, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("the configuration is in order; the certificate is valid until "), "{text}");
    assert!(text.ends_with(" GMT, 1 day\n"), "{text}");
}

/// Returns the lines of the log, without time and level, up to the one that ends in `last`; the process is
/// ended then. Where it does not come, `timeout` ends it.
fn lines_of_the_start(args: &[String], environment: &[(&str, &str)], last: &str) -> Vec<String> {
    let mut command = Command::new("timeout");
    command.arg("20").arg(env!("CARGO_BIN_EXE_lowband-sidecar")).args(args).env_clear();
    command.envs(environment.iter().copied()).stderr(Stdio::piped());
    let mut started = command.env("PATH", std::env::var_os("PATH").unwrap()).spawn().unwrap();
    let mut lines = Vec::new();
    for line in BufReader::new(started.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        let text = [" WARN ", " INFO "].iter().find_map(|level| line.split_once(level)).unwrap().1;
        lines.push(text.trim_start().to_owned());
        if text.ends_with(last) {
            break;
        }
    }
    // `timeout` passes the signal on.
    rustix::process::kill_process(rustix::process::Pid::from_child(&started), rustix::process::Signal::TERM)
        .unwrap();
    started.wait().unwrap();
    lines
}

#[test]
fn check_config_says_what_the_start_says_and_ends_with_0_all_the_same() {
    let folder = Folder::new("notes");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    let day = identity::DAY;
    for (from, to, left) in [
        (now - 89 * day, now + day - 1800, "should have been renewed: valid until [...], 23 hours"),
        (now - 85 * day, now + 5 * day + 60, "should have been renewed: valid until [...], 5 days"),
        (now - 70 * day, now + 20 * day + 60, "should be renewed soon: valid until [...], 20 days"),
    ] {
        let (certificate, key) = identity::Pair::valid(from, to).write(&folder.0);
        std::fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
        let log = folder.0.join("keys.log").to_str().unwrap().to_owned();
        let _ = std::fs::remove_file(&log);
        // A buffer that no system grants.
        let args = [
            "--certificate",
            &certificate,
            "--key",
            &key,
            "--key-log",
            &log,
            "--udp-buffer",
            "1GiB",
            "--listen",
            "127.0.0.1:0",
            "--admin",
            "off",
        ]
        .map(str::to_owned);
        let environment = [("LOWBAND_SESIONS", "5")];
        let output = run(&[&args[..], &["--check-config".to_owned()]].concat(), &environment);
        assert!(!std::path::Path::new(&log).exists(), "the check has made a key log");
        assert_eq!(output.status.code(), Some(0));
        let text = String::from_utf8(output.stderr).unwrap();
        let told: Vec<_> =
            text.lines().map(|line| line.strip_prefix("lowband-sidecar: ").unwrap().to_owned()).collect();
        let (before, after) = left.split_once("[...]").unwrap();
        for (line, words) in told.iter().zip([
            &["LOWBAND_SESIONS does nothing"][..],
            &["--key-log", "can decrypt every session"],
            &["every user on this machine can open the private key", "mode 0644", "chmod o= it"],
            &["a small UDP buffer", "net.core.rmem_max"],
            &[before, after],
        ]) {
            assert!(words.iter().all(|word| line.contains(word)), "{line}: {words:?}");
        }
        assert_eq!(told.len(), 5, "{text}");
        assert!(String::from_utf8(output.stdout).unwrap().starts_with("the configuration is in order; "));

        let started = lines_of_the_start(&args, &environment, after);
        let without =
            |line: &&String| !["serving", "times of messages"].iter().any(|word| line.starts_with(word));
        assert_eq!(started.iter().filter(without).collect::<Vec<_>>(), told.iter().collect::<Vec<_>>());
    }
}

/// Returns a port that is free over UDP and TCP at all addresses.
fn free_port() -> u16 {
    loop {
        let tcp = std::net::TcpListener::bind("[::]:0").unwrap();
        let port = tcp.local_addr().unwrap().port();
        if std::net::UdpSocket::bind(("::", port)).is_ok() {
            return port;
        }
    }
}

#[test]
fn check_config_says_of_the_public_port_what_the_start_says() {
    let folder = Folder::new("public-notes");
    let (udp, tcp) = (free_port(), free_port());
    let listen = format!("[::]:{udp}");
    let differs = format!(
        "--public [::]:{tcp}: clients that UDP does not reach fall back to HTTPS at the number of the UDP port, \
         {udp}, and this one differs"
    );
    let clear = format!(
        "--public http://0.0.0.0:{udp}: passwords and access tokens of clients cross the network in clear text, \
         unless what is before this port encrypts them"
    );
    let files = "and 10000000 clients over TCP (--public-connections) may need more";
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    let both = [clear.as_str(), files];
    let both = if limit.is_some_and(|limit| limit < 10_000_000) { &both[..] } else { &both[..1] };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    let day = identity::DAY;
    let (certificate, key) = identity::Pair::valid(now - 70 * day, now + 20 * day + 60).write(&folder.0);
    // The last line of all.
    let left = " GMT, 20 days";
    for (public, connections, told_of) in [
        (format!("[::]:{tcp}"), "4", &[differs.as_str()][..]),
        (format!("http://0.0.0.0:{udp}"), "4", &[&clear]),
        (format!("http://0.0.0.0:{udp}"), "10000000", both),
        (format!("http://127.0.0.1:{udp}"), "4", &[]),
        (format!("[::]:{udp}"), "4", &[]),
    ] {
        let mut args = vec![format!("--certificate={certificate}"), format!("--key={key}")];
        let given = ["--homeserver=http://127.0.0.1:8018", "--admin=off", "--udp-buffer=64KiB", "--listen"];
        args.extend(given.iter().chain(&[&*listen, "--public", &public]).map(|arg| (*arg).to_owned()));
        args.push(format!("--public-connections={connections}"));
        let (checked, code) = told(&[&args[..], &["--check-config".to_owned()]].concat(), &[]);
        assert_eq!((checked.lines().count(), code), (told_of.len() + 1, Some(0)), "{checked}");
        let checked: Vec<_> =
            checked.lines().map(|line| line.strip_prefix("lowband-sidecar: ").unwrap().to_owned()).collect();
        let ends = told_of.iter().copied().chain([left]);
        assert!(checked.iter().zip(ends).all(|(line, end)| line.ends_with(end)), "{checked:?}");
        let started = lines_of_the_start(&args, &[], left);
        let without =
            |line: &&String| !["serving", "times of messages"].iter().any(|word| line.starts_with(word));
        assert_eq!(started.iter().filter(without).collect::<Vec<_>>(), checked.iter().collect::<Vec<_>>());
    }
}

#[test]
fn a_homeserver_in_clear_text_on_another_machine_is_warned_of_once() {
    let folder = Folder::new("clear");
    let line = "lowband-sidecar: --homeserver http://192.0.2.7:8018: passwords and access tokens of clients cross \
                the network to there in clear text\n";
    for (url, expected) in [
        ("http://192.0.2.7:8018", line),
        ("http://127.0.0.1:8018", ""),
        ("http://localhost:8018", ""),
        ("https://192.0.2.7", ""),
    ] {
        let args = ["--udp-buffer=64KiB", "--homeserver", url].map(str::to_owned);
        let checked = [folder.identity(), args.to_vec(), vec!["--check-config".to_owned()]].concat();
        assert_eq!(told(&checked, &[]), (expected.to_owned(), Some(0)), "{url}");
    }
    let args = ["--homeserver=http://192.0.2.7:8018", "--listen=127.0.0.1:0", "--admin=off"];
    let args = [folder.identity(), args.map(str::to_owned).to_vec()].concat();
    let expected = line.trim_end().strip_prefix("lowband-sidecar: ").unwrap();
    let started = lines_of_the_start(&args, &[], expected);
    assert_eq!(started.last().map(String::as_str), Some(expected));
}

#[test]
fn check_config_ends_as_the_start_does_where_that_fails() {
    let folder = Folder::new("fails");
    let exposed = folder.file("keys.log", b"");
    std::fs::set_permissions(&exposed, Permissions::from_mode(0o644)).unwrap();
    for key_log in ["/nonexistent/keys.log", &exposed, "/dev/null"] {
        let mut args = folder.identity();
        args.extend(["--listen", "127.0.0.1:0", "--admin", "off", "--key-log", key_log].map(str::to_owned));
        let (started, code) = told(&args, &[("LOWBAND_LOG_LEVEL", "off")]);
        assert_eq!(code, Some(1), "{started}");
        args.push("--check-config".to_owned());
        let (checked, code) = told(&args, &[]);
        assert_eq!(code, Some(1), "{checked}");
        assert_eq!(checked.lines().last(), started.lines().last(), "{key_log}");
    }
}

#[test]
fn check_config_takes_no_certificate_whose_time_is_not_now() {
    let folder = Folder::new("untimely");
    for (from, to, why) in [
        (0, 86_400, "it has expired on Jan  2 00:00:00 1970 GMT"),
        (4_000_000_000, 4_000_086_400, "it is not valid before Oct  2 07:06:40 2096 GMT"),
    ] {
        let (certificate, key) = identity::Pair::valid(from, to).write(&folder.0);
        let mut args = ["--certificate", &certificate, "--key", &key].map(str::to_owned).to_vec();
        // The program can serve with this certificate, and logs a warning then.
        assert_eq!(check(&args), []);
        // The mistake comes with all others.
        args.extend(["--check-config", "--sessions", "0"].map(str::to_owned));
        let output = run(&args, &[]);
        assert_eq!((output.status.code(), output.stdout), (Some(2), vec![]));
        let text = String::from_utf8(output.stderr).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], format!("lowband-sidecar: --certificate {certificate:?}: {why}"));
        assert!(lines.len() == 2 && lines[1].contains("--sessions"), "{text}");
    }
}

#[test]
fn a_flag_wins_over_the_environment() {
    let folder = Folder::new("environment");
    let mut args = folder.identity();
    args.push("--check-config".to_owned());
    let wrong = run(&args, &[("LOWBAND_LISTEN", "wrong")]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8(wrong.stderr).unwrap().contains("--listen"));
    args.extend(["--listen", "127.0.0.1:1"].map(str::to_owned));
    assert_eq!(run(&args, &[("LOWBAND_LISTEN", "wrong")]).status.code(), Some(0));
}

/// Returns what is written to standard error with these variables, and the exit status.
fn told(args: &[String], environment: &[(&str, &str)]) -> (String, Option<i32>) {
    let output = run(args, environment);
    (String::from_utf8(output.stderr).unwrap(), output.status.code())
}

#[test]
fn a_mistake_names_the_variable_that_its_value_came_from() {
    let folder = Folder::new("variable");
    let args = [folder.identity(), vec!["--check-config".to_owned()]].concat();
    let line = "lowband-sidecar: --sessions \"many\" is not a whole number (set by LOWBAND_SESSIONS)\n";
    assert_eq!(told(&args, &[("LOWBAND_SESSIONS", "many")]), (line.to_owned(), Some(2)));
    let by_flag = [args, vec!["--sessions".to_owned(), "many".to_owned()]].concat();
    let line = "lowband-sidecar: --sessions \"many\" is not a whole number\n";
    assert_eq!(told(&by_flag, &[("LOWBAND_SESSIONS", "5")]), (line.to_owned(), Some(2)));
    let (text, code) = told(&[], &[("LOWBAND_KEY", "/nonexistent/key.pem"), ("LOWBAND_CERTIFICATE", "/x")]);
    assert!(text.contains("No such file or directory (os error 2) (set by LOWBAND_KEY)\n"), "{text}");
    assert_eq!(code, Some(2));
}

#[test]
fn a_variable_without_a_value_counts_as_not_set() {
    let folder = Folder::new("empty");
    let args = [folder.identity(), vec!["--check-config".to_owned()]].concat();
    let every: Vec<_> = Options::command()
        .get_arguments()
        .filter_map(|argument| Some(argument.get_env()?.to_str()?.to_owned()))
        .collect();
    let empty: Vec<_> = every.iter().map(|name| (name.as_str(), "")).collect();
    let (text, code) = told(&args, &empty);
    assert_eq!((text.lines().count(), code), (every.len(), Some(0)), "{text}");
    assert!(text.contains("LOWBAND_SESSIONS has no value, so it counts as not set\n"), "{text}");
}

#[test]
fn a_misspelled_variable_is_told_of_and_those_of_kubernetes_are_not() {
    let folder = Folder::new("misspelled");
    let args = [folder.identity(), vec!["--check-config".to_owned()]].concat();
    let environment = [
        ("LOWBAND_SESIONS", "5"),
        ("LOWBAND_HOMESERVER", "http://127.0.0.1:8018"),
        ("LOWBAND_SERVICE_HOST", "10.96.0.7"),
        ("LOWBAND_PORT_8008_UDP", "udp://10.96.0.7:8008"),
    ];
    let line = "LOWBAND_SESIONS does nothing: no option has this name; LOWBAND_SESSIONS is meant, perhaps";
    assert_eq!(told(&args, &environment), (format!("lowband-sidecar: {line}\n"), Some(0)));
}

#[test]
fn in_json_mode_mistakes_are_json_too() {
    let folder = Folder::new("json");
    let bind = ["--listen", "192.0.2.1:8008", "--admin", "off"].map(str::to_owned);
    let off = ["--log-level", "off"].map(str::to_owned);
    let json = ("LOWBAND_LOG_FORMAT", "json");
    for (args, environment, code, part) in [
        (
            folder.identity(),
            &[json, ("LOWBAND_SESSIONS", "many")][..],
            2,
            "--sessions \"many\" is not a whole number",
        ),
        (
            folder.identity(),
            &[json, ("LOWBAND_SESIONS", "1"), ("LOWBAND_SESSIONS", "many")],
            2,
            "LOWBAND_SESIONS",
        ),
        ([folder.identity(), bind.to_vec()].concat(), &[json], 1, "cannot bind 192.0.2.1:8008/udp"),
        (
            [folder.identity(), bind.to_vec(), off.to_vec()].concat(),
            &[json],
            1,
            "cannot bind 192.0.2.1:8008/udp",
        ),
        (vec!["--no-such-flag".to_owned()], &[json], 2, "--no-such-flag"),
        (
            vec!["render-envoy".to_owned(), "--homeserver".to_owned(), "x".to_owned()],
            &[json],
            2,
            "--homeserver",
        ),
    ] {
        let (text, status) = told(&args, environment);
        assert_eq!(status, Some(code), "{text}");
        let messages: Vec<_> = text.lines().map(message).collect();
        assert!(messages.iter().any(|message| message.contains(part)), "{text}");
    }
}

/// Returns the message of a line in JSON.
fn message(line: &str) -> String {
    let object = lowband_codec::json_to_cbor(line.as_bytes()).unwrap_or_else(|why| panic!("{why}: {line}"));
    lowband_codec::peek::text(&object, "message", None).unwrap().expect("a message").into_owned()
}

#[test]
fn every_option_has_its_variable_and_its_help() {
    for argument in Options::command().get_arguments() {
        let name = argument.get_long().unwrap();
        if ["check-config", "help", "version"].contains(&name) {
            continue;
        }
        let variable = argument.get_env().unwrap_or_else(|| panic!("{name}")).to_str().unwrap();
        let expected = format!("LOWBAND_{}", name.replace('-', "_").to_uppercase());
        assert_eq!(variable, expected, "{name}");
        assert!(argument.get_help().is_some(), "{name}");
    }
}

#[test]
fn an_address_that_cannot_be_bound_ends_with_1() {
    let folder = Folder::new("bind");
    let mut args = folder.identity();
    args.extend(["--listen", "192.0.2.1:8008", "--admin", "off"].map(str::to_owned));
    let output = run(&args, &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("192.0.2.1:8008"));
}

#[test]
fn too_few_open_files_end_with_1_and_no_panic() {
    let folder = Folder::new("files");
    let args = [folder.identity(), ["--listen", "127.0.0.1:0"].map(str::to_owned).to_vec()].concat();
    for (limit, more) in [(5, None), (6, None), (7, None), (15, None), (15, Some("--check-config"))] {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -n {limit}; exec \"$0\" \"$@\"")]);
        command.arg(env!("CARGO_BIN_EXE_lowband-sidecar")).args(&args).args(more).env_clear();
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains(&format!("the limit of open files is {limit}, and 16 are needed")), "{text}");
    }
}

#[test]
fn a_key_log_that_cannot_be_opened_is_named_with_its_flag_and_its_variable() {
    let folder = Folder::new("no-key-log");
    let mut args = folder.identity();
    args.extend(["--listen", "127.0.0.1:0", "--admin", "off"].map(str::to_owned));
    let (text, code) = told(&args, &[("LOWBAND_KEY_LOG", "/nonexistent/keys.log")]);
    assert_eq!(code, Some(1));
    let words = ["(--key-log, LOWBAND_KEY_LOG)", "/nonexistent/keys.log", "No such file"];
    assert!(words.iter().all(|word| text.contains(word)), "{text}");
}

#[test]
fn a_key_log_that_others_can_open_ends_with_1_and_the_remedy() {
    let folder = Folder::new("key-log");
    let mut args = folder.identity();
    let file = folder.file("keys.log", b"");
    std::fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    args.extend(["--listen", "127.0.0.1:0", "--admin", "off", "--key-log", &file].map(str::to_owned));
    let output = run(&args, &[]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains(&file) && text.contains("chmod 600"), "{text}");
}

#[test]
fn the_version_is_that_of_the_package() {
    for (arguments, name) in [
        (&["--version"][..], "lowband-sidecar"),
        (&["render-envoy", "-V"], "lowband-sidecar-render-envoy"),
        (&["man", "-V"], "lowband-sidecar-man"),
    ] {
        let output = run(&arguments.iter().map(|argument| (*argument).to_owned()).collect::<Vec<_>>(), &[]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text.trim(), format!("{name} {}", env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn what_ends_it_is_told_once_whatever_is_logged() {
    let folder = Folder::new("ends");
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap();
    for how in [&["--log-level", "off"][..], &["--log-level", "info"], &["--log-format", "json"]] {
        let mut args = folder.identity();
        args.extend(how.iter().map(|argument| (*argument).to_owned()));
        args.push(format!("--listen={listen}"));
        let output = run(&args, &[]);
        assert_eq!(output.status.code(), Some(1));
        let lines = String::from_utf8(output.stderr).unwrap();
        let told =
            lines.lines().filter(|line| line.contains(&format!("cannot bind {listen}/udp (--listen): ")));
        assert_eq!(told.count(), 1, "{how:?}: {lines}");
    }
}

#[test]
fn a_port_of_the_operators_that_is_taken_is_told_with_its_flag() {
    let folder = Folder::new("admin");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let admin = taken.local_addr().unwrap();
    let mut args = folder.identity();
    args.extend(["--listen=127.0.0.1:0".to_owned(), format!("--admin={admin}")]);
    let output = run(&args, &[]);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(told.matches(&format!("cannot bind {admin}/tcp (--admin): ")).count(), 1, "{told}");
}

/// Returns what stands behind `key` in the first line that has it, up to a blank or the end of a YAML map.
fn yaml<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let line = text.lines().find_map(|line| line.trim_start().strip_prefix(key))?;
    Some(line.trim_start().split([' ', '}']).next().unwrap_or_default())
}

#[test]
fn kubernetes_waits_for_the_whole_end_and_moves_flows_before_it() {
    /// Time from the sidecar's end to Envoy's as a kubelet sees it, although it is a matter of milliseconds.
    const ENVOY: Duration = Duration::from_secs(3);
    let deployment = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/40-deployment.yaml");
    let text = std::fs::read_to_string(deployment).unwrap();
    let folder = Folder::new("kubernetes");
    let mut args = folder.identity();
    for argument in Options::command().get_arguments() {
        let (Some(flag), Some(variable)) = (argument.get_long(), argument.get_env()) else { continue };
        if !["grace-period", "close-within", "linger"].contains(&flag) {
            continue;
        }
        // An absent value means that the default holds.
        let key = format!("- {{ name: {}, value:", variable.to_str().unwrap());
        args.extend(yaml(&text, &key).map(|value| format!("--{flag}={value}")));
    }
    let args = std::iter::once("lowband-sidecar".to_owned()).chain(args);
    let end = Options::try_parse_from(args).unwrap().check().unwrap().end;
    let granted: u64 = yaml(&text, "terminationGracePeriodSeconds:").unwrap().parse().unwrap();
    let pause = yaml(&text, "lifecycle: { preStop: { sleep: { seconds:").unwrap().parse().unwrap();
    assert_eq!(Duration::from_secs(granted), Duration::from_secs(pause) + end.longest() + ENVOY, "{end:?}");
    let drains = text.split("--drain-time-s, \"").nth(1).unwrap().split('"').next().unwrap();
    assert!(drains.parse::<u64>().unwrap() >= granted, "Envoy closes its port while the sidecar still ends");
    // A kubelet asks each second and believes the second failure; kube-proxy needs a moment.
    assert!(end.linger >= Duration::from_secs(2), "{end:?}");
    let probe = text.split("path: /readyz").nth(1).unwrap();
    assert_eq!((yaml(probe, "periodSeconds:"), yaml(probe, "failureThreshold:")), (Some("1"), Some("2")));
}
