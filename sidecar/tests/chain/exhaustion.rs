//! Resources that are full or used up do not keep clients from being served: a log without a reader, file
//! descriptors, the one thread of the event loop.

use crate::client::{Wire, answer, options};
use crate::harness::{Chain, PATIENCE, eventually, page, value};
use crate::process::Process;
use crate::raw::Raw;
use crate::stub::{handler, ok, streamed};
use lowband_sidecar::backlog::LEAST_SHARE;
use lowband_sidecar::lines::MOST_WAITING;
use lowband_wire::coap::{Code, Method};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use std::time::Instant;
use tokio::task::unconstrained;
use tokio::time::timeout;

/// Bytes that a pipe of Linux holds.
const PIPE: usize = 64 << 10;

#[tokio::test]
async fn a_log_that_nobody_reads_stops_nobody_and_what_it_lacks_is_counted() {
    let mut process = Process::start(ok(), &["--log-level", "debug", "--close-within", "0"]).await;
    let wire = Wire::connect(process.server()).await;
    // A line holds the path. From here on the log has no reader.
    let path = format!("/_matrix/client/v3{}", format!("/{}", "x".repeat(240)).repeat(6));
    // As much may be on its way from the queue to the pipe as waits in it.
    let requests = (PIPE + 2 * MOST_WAITING) / path.len() + 100;
    let mut asked = std::collections::VecDeque::new();
    for _ in 0..requests {
        asked.push_back(wire.ask(Method::Get, options(&path), b""));
        if asked.len() == 16 {
            let response = answer(asked.pop_front().unwrap()).await.unwrap();
            assert_eq!(response.code, Code::CONTENT);
        }
    }
    let (_, text) = page(process.admin(), "/metrics").await.unwrap();
    assert!(value(&text, "lowband_log_lines_lost_total") > 0.0, "{text}");
    process.signal("TERM").await;
    let ended = timeout(PATIENCE, process.child.wait()).await.expect("it waits for its log");
    assert!(ended.unwrap().success());
}

/// Only the first of the C library's heaps grows at the end of the data; each of the others has 64 MiB of
/// addresses, at multiples of that size, whose unused part may not be touched.
#[cfg(all(target_env = "gnu", target_pointer_width = "64"))]
#[tokio::test]
async fn threads_that_sign_and_write_logs_have_no_heaps_of_their_own() {
    const HEAP: u64 = 64 << 20;
    // The page before a thread's stack may end there as well.
    const GUARD: u64 = 1 << 20;
    for (threads, has_more) in [("1", false), ("2", true)] {
        let process = Process::start(ok(), &["--threads", threads]).await;
        let wire = Wire::connect(process.server()).await;
        assert_eq!(wire.get("0").await.code, Code::CONTENT);
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", process.child.id().unwrap())).unwrap();
        let is_end_of_heap = |line: &&str| {
            let (addresses, rest) = line.split_once(' ').unwrap();
            let (begin, end) = addresses.split_once('-').unwrap();
            let [begin, end] = [begin, end].map(|address| u64::from_str_radix(address, 16).unwrap());
            rest.starts_with("---p") && end.is_multiple_of(HEAP) && end - begin > GUARD
        };
        let heaps: Vec<_> = maps.lines().filter(is_end_of_heap).collect();
        assert_eq!(!heaps.is_empty(), has_more, "{threads} threads: {heaps:?}");
    }
}

#[tokio::test]
async fn requests_that_are_refused_here_cost_one_line_a_second() {
    const REQUESTS: usize = 60;
    for (level, expected) in [("info", None), ("debug", Some(REQUESTS))] {
        let mut process = Process::start(ok(), &["--log-level", level, "--close-within", "0"]).await;
        let began = Instant::now();
        let wire = Wire::connect(process.server()).await;
        for _ in 0..REQUESTS {
            assert_eq!(wire.get("/_synapse/admin").await.code, Code::PROXYING_NOT_SUPPORTED);
        }
        process.signal("TERM").await;
        let log = process.rest_of_log().await;
        let most = 1 + began.elapsed().as_secs() as usize;
        let told = log.matches("path=\"/_synapse/admin\"").count();
        match expected {
            None => assert!((1..=most).contains(&told), "{told} of {most}"),
            Some(expected) => assert_eq!(told, expected, "debug leaves out nothing"),
        }
    }
}

#[tokio::test]
async fn in_a_flood_of_one_session_the_datagrams_of_others_are_handled() {
    const FLOOD: usize = 300;
    /// Batches that are read before it is known that more is waiting, and after it is known that nothing is.
    const BATCHES: usize = 2 * 32;
    let chain = Chain::start(ok(), &[]).await;
    let (wire, mut flood) = (chain.connect().await, Raw::connect(chain.server).await);
    // All are waiting before the sidecar, a task of this same thread, reads the first one.
    let pings = async {
        for _ in 0..FLOOD {
            let [i0, i1] = flood.id();
            flood.say(&[0x40, 0x00, i0, i1]).await;
        }
    };
    unconstrained(pings).await;
    assert_eq!(wire.get("0").await.code, Code::CONTENT);
    let handled = FLOOD - chain.metric("lowband_udp_datagrams_over_share_total").await as usize;
    assert!((LEAST_SHARE..=LEAST_SHARE + BATCHES).contains(&handled), "{handled}");
    flood.is_served().await;
}

fn limit_descriptors(process: &Process, most: Option<u64>) {
    let pid = Pid::from_raw(process.child.id().unwrap().try_into().unwrap());
    let now = rustix::process::getrlimit(Resource::Nofile);
    let limit = Rlimit { current: most.or(now.current), maximum: now.maximum };
    prlimit(pid, Resource::Nofile, limit).unwrap();
}

#[tokio::test]
async fn sessions_live_on_when_there_are_no_more_file_descriptors() {
    let mut process = Process::start(ok(), &["--certificate-check", "10ms"]).await;
    let wire = Wire::connect(process.server()).await;
    assert_eq!(wire.get("0").await.code, Code::CONTENT);

    limit_descriptors(&process, Some(0));
    let waiting = page(process.admin(), "/healthz");
    let (accepted, ()) = tokio::join!(waiting, async {
        process.line_with("the admin port cannot accept").await;
        assert_eq!(wire.get("0").await.code, Code::CONTENT);
        // A session does not take a descriptor.
        assert_eq!(Wire::connect(process.server()).await.get("0").await.code, Code::CONTENT);
        // Neither can the certificate be read, nor another connection to the upstream be made.
        process.line_with("Too many open files").await;
        process.stub.die().await;
        assert_eq!(wire.get("0").await.code, Code::BAD_GATEWAY);
        process.stub.listen();
        assert_eq!(wire.get("0").await.code, Code::BAD_GATEWAY);
        limit_descriptors(&process, None);
    });
    assert_eq!(accepted.unwrap().0, 200, "it has only had to wait");
    eventually("the upstream is asked again", async || wire.get("0").await.code == Code::CONTENT).await;
    process.line_with("those that are served").await;
}

#[tokio::test]
async fn what_envoy_holds_of_an_answer_that_is_not_read_on_counts_as_the_option_says() {
    const WINDOW: f64 = 16_384.0;
    for (given, held) in [("64KiB", 65_536.0), ("1MiB", 1_048_576.0)] {
        let (pieces, taken) = tokio::sync::mpsc::unbounded_channel();
        let endless = handler(move |_| {
            let (more, reply) = streamed(200, &[("content-type", "application/cbor")]);
            let pieces = pieces.clone();
            async move {
                more.send(Ok(vec![0; 4000].into())).await.unwrap();
                // The answer stays open as long as this is held.
                pieces.send(more).unwrap();
                reply
            }
        });
        let chain = Chain::start(endless, &["--held-by-envoy", given]).await;
        let mut client = Raw::connect(chain.server).await;
        let id = client.id();
        client.say(&[&[0x40, 0x01][..], &id, b"\xb1\x30"].concat()).await;
        chain.metric_reaches("lowband_coap_snapshots_total", 1.0).await;
        chain.metric_becomes("lowband_coap_snapshot_upstream_bytes", held + WINDOW).await;
        drop(taken);
    }
}
