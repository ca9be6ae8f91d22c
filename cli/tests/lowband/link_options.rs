//! `lowband coap`: what it tells of a link, and what can be set for one.

use crate::command::{coap, lowband, run, status, stderr};
use crate::slow_link::SlowLink;
use crate::stub_server::{StubServer, content};
use std::process::Output;
use std::time::{Duration, Instant};

fn over(link: &SlowLink, arguments: &[&str]) -> Output {
    run(&[&["coap", "-k"], arguments, &[&link.url("/any")]].concat())
}

/// Returns what follows `begin` in the only line that begins so.
fn line<'t>(told: &'t str, begin: &str) -> &'t str {
    let mut lines = told.lines().filter_map(|line| line.strip_prefix(begin));
    let line = lines.next().unwrap_or_else(|| panic!("{begin} is missing in: {told}"));
    assert_eq!(lines.next(), None, "{begin} is there twice");
    line
}

#[test]
fn verbose_ends_with_the_path_and_the_time_of_the_request_without_the_handshake() {
    const LATENCY: Duration = Duration::from_millis(50);
    let stub = StubServer::start(|_| content(vec![7; 5000]));
    let link = SlowLink::start(stub.address, LATENCY);
    let begin = Instant::now();
    let output = over(&link, &["-v", "--window", "1"]);
    let all = begin.elapsed();
    assert_eq!((status(&output), output.stdout.len()), (0, 5000));
    let told = stderr(&output);
    let path = line(&told, "* path: ");
    let (window, rest) = path.split_once(", round trip ").unwrap();
    assert_eq!(window, "window 1 blocks");
    let (times, blocks) = rest.split_once("; ").unwrap();
    let (smoothed, least) = times.strip_suffix(" ms").unwrap().split_once(" ms, least ").unwrap();
    let (smoothed, least): (u64, u64) = (smoothed.parse().unwrap(), least.parse().unwrap());
    assert!(smoothed >= least && least >= 100, "{path}");
    let words: Vec<_> = blocks.split_whitespace().filter(|word| word.parse::<u64>().is_err()).collect();
    assert_eq!(words.join(" "), "blocks, of them again, lists");
    assert!(blocks.split(' ').next().unwrap().parse::<u64>().unwrap() >= 4, "{blocks}");

    let seconds = line(&told, "* answered in ").strip_suffix(" s").unwrap();
    let (_, decimals) = seconds.split_once('.').unwrap();
    assert_eq!(decimals.len(), 3, "{seconds}");
    // Five blocks of a round trip each; the handshake has taken two more at least.
    let took = Duration::from_secs_f64(seconds.parse().unwrap());
    assert!(took >= 8 * LATENCY && took + 4 * LATENCY <= all, "{took:?} of {all:?}");
}

#[test]
fn verbose_tells_no_time_where_there_is_no_answer() {
    let stub = StubServer::start(|_| crate::stub_server::Reply::CloseSession);
    let output = coap(&stub, "/any", &["-v", "--no-redial"]);
    assert_ne!(status(&output), 0);
    let told = stderr(&output);
    assert!(!told.contains("answered in"), "{told}");
    assert!(line(&told, "* path: ").starts_with("window none, round trip "), "{told}");
}

#[test]
fn the_window_says_how_many_blocks_are_on_their_way_at_once() {
    let stub = StubServer::start(|_| content(vec![7; 30_000]));
    let link = SlowLink::start(stub.address, Duration::from_millis(5));
    assert_eq!(status(&over(&link, &["--window", "1"])), 0);
    assert_eq!(link.most_on_their_way(), 1);
    for wrong in ["0", "65", "-1", "many"] {
        let output = over(&link, &[&format!("--window={wrong}")]);
        let told = stderr(&output);
        assert!(status(&output) == 2 && told.contains("--window") && told.contains(wrong), "{told}");
    }
}

#[test]
fn parameters_of_the_rfc_decide_when_a_request_is_given_up() {
    let stub = StubServer::start(|_| content("x"));
    let link = SlowLink::start(stub.address, Duration::from_millis(300));
    let impatient = "rfc7252,ACK_TIMEOUT=0.02,ACK_RANDOM_FACTOR=1,MAX_RETRANSMIT=2";
    let output = over(&link, &["-v", "--no-redial", "--times", impatient]);
    let told = stderr(&output);
    assert_eq!(status(&output), 28, "{told}");
    assert!(told.contains("after all retransmissions"), "{told}");
    // The request is sent again twice, as the same message.
    for copies in ["  [copy 2]\n", "  [copy 3]\n"] {
        assert_eq!(told.matches(copies).count(), 1, "{told}");
    }
    // 20 and 40 ms, and 80 ms until it is given up.
    let follows = line(&told, "* MAX_TRANSMIT_SPAN ");
    assert!(follows.starts_with("0.1 s, MAX_TRANSMIT_WAIT 0.1 s, "), "{follows}");
    assert!(follows.ends_with(", EXCHANGE_LIFETIME 247.0 s, NON_LIFETIME 100.1 s"), "{follows}");
    assert_eq!(status(&over(&link, &["--times", "NSTART=1"])), 0, "the others are as ever");
}

#[test]
fn a_wrong_parameter_is_named_with_its_flag() {
    for (list, part) in [
        (
            "ACK_TIMEOUT=2,MAX_RETRANSMIT=99",
            r#""MAX_RETRANSMIT=99": max_retransmit is 99; it must be 0 to 60"#,
        ),
        ("DEFAULT_LEISURE=5", r#""DEFAULT_LEISURE=5": is for multicast"#),
        ("WHATEVER=5", r#""WHATEVER=5": there are ACK_TIMEOUT"#),
    ] {
        let output = lowband().args(["coap", "--times", list, "localhost"]).output().unwrap();
        let told = stderr(&output);
        assert_eq!(status(&output), 2, "{told}");
        assert!(told.contains("'--times <LIST>'") && told.contains(part), "{told}");
    }
    let output = lowband().args(["coap", "--http", "--times", "NSTART=1", "localhost"]).output().unwrap();
    assert_eq!(status(&output), 2);
}
