//! Our client's CoAP against servers of other projects, over plain UDP: libcoap, aiocoap, node-coap, go-coap
//! v3, Californium and the reference's stack. Each server answers blocks in any order, but each forgets,
//! counts or cuts in its own way.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as the test does"
)]

#[path = "foreign_servers/manners.rs"]
mod manners;

use lowband_e2e::foreign_server::{ForeignServer, Library, RESOURCE, body};
use lowband_e2e::loss::From;
use lowband_e2e::parts::Parts;
use lowband_e2e::plain::{Outcome, Passed, Path, Plain};
use lowband_transport::coap::{BlockSize, Code, Limits, Times};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

/// Servers that need nothing but what `make test` installs anyway.
const USUAL: [Library; 4] = [Library::Libcoap, Library::Aiocoap, Library::NodeCoap, Library::Reference];
/// Servers that need another Go or Java.
const MORE: [Library; 2] = [Library::GoCoap, Library::Californium];

/// Lengths of bodies: none, one block, a byte more, and more.
const LENGTHS: [usize; 6] = [0, 1024, 1025, 3_000, 100_000, 1_000_000];
/// Length of the bodies that are read on a bad path or while they change.
const LENGTH: usize = 100_000;
/// Time for one body.
const WITHIN: Duration = Duration::from_secs(90);

/// Checks a property of all these servers at once, and fails with everything that is wrong.
fn each<F>(libraries: &[Library], check: impl Fn(Library) -> F)
where
    F: Future<Output = Vec<String>> + Send + 'static,
{
    let wrong = Runtime::new().unwrap().block_on(async {
        let mut checks = JoinSet::new();
        for library in libraries {
            checks.spawn(check(*library));
        }
        checks.join_all().await.concat()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

async fn serve(library: Library) -> ForeignServer {
    ForeignServer::start(&Parts::from_environment(), library).await.unwrap()
}

async fn client(server: &ForeignServer, limits: Limits, path: Path) -> Plain {
    Plain::start(server.address(), Times::measured(), limits, path).await.unwrap()
}

/// Returns what is wrong with a body that must have come, in this version.
fn whole(outcome: &Outcome, length: usize, version: u32) -> Option<String> {
    match outcome {
        Ok(response) if response.code == Code::CONTENT && response.body == body(length, version) => None,
        Ok(response) => Some(format!(
            "{:?} with {} bytes of {length}, of the versions {:?}",
            response.code,
            response.body.len(),
            versions(&response.body)
        )),
        Err(why) => Some(format!("no body: {why}")),
    }
}

/// Returns the versions whose lines are in a body, and where each is first met.
fn versions(body: &[u8]) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    for (number, line) in body.chunks_exact(16).enumerate() {
        let version = String::from_utf8_lossy(&line[8..14]).into_owned();
        if found.iter().all(|(_, known)| *known != version) {
            found.push((number * 16, version));
        }
    }
    found
}

/// Returns how many blocks have arrived.
fn arrived(log: &[Passed]) -> usize {
    log.iter().filter(|passed| passed.from == From::Server && !passed.lost && passed.payload > 0).count()
}

/// Returns how many requests for blocks of a body of this length have gone out. Who is not told the length
/// asks beyond the end.
fn asked(log: &[Passed], length: usize) -> usize {
    let requests = log.iter().filter(|passed| passed.from == From::Client && passed.code == Code::GET);
    requests.filter(|request| request.block.is_none_or(|block| block.offset() < length.max(1))).count()
}

/// Returns how many requests were sent again under their id.
fn copies(log: &[Passed]) -> usize {
    let requests = log.iter().filter(|passed| passed.from == From::Client && passed.code == Code::GET);
    let mut ids = BTreeSet::new();
    requests.filter(|request| !ids.insert(request.id.0)).count()
}

/// Returns how many blocks a body of this length has, as the server cuts it.
fn blocks(log: &[Passed], length: usize) -> usize {
    let size = log.iter().filter(|passed| passed.from == From::Server).find_map(|passed| passed.block);
    length.div_ceil(size.map_or(1024, |block| block.size.bytes())).max(1)
}

async fn bodies_of_all_lengths(library: Library) -> Vec<String> {
    let mut server = serve(library).await;
    let mut wrong = Vec::new();
    server.change(LENGTHS[0]).await.unwrap();
    for (length, next) in LENGTHS.into_iter().zip(LENGTHS.into_iter().skip(1).chain([0])) {
        let mut client = client(&server, Limits::default(), Path::CLEAR).await;
        let exchange = client.get(RESOURCE);
        let outcome = client.finish(exchange, WITHIN).await.unwrap();
        let mut complaints = manners::complaints(client.log(), length);
        complaints.extend(whole(&outcome, length, server.version()));
        let runs = server.change(next).await.unwrap();
        // libcoap and node-coap run it for copies of a message as well, and a busy machine makes copies.
        if runs as usize > 1 + copies(client.log()) {
            complaints.push(format!("the handler has run {runs} times"));
        }
        let (asked, needed) = (asked(client.log(), length), blocks(client.log(), length));
        // Some servers answer so much out of order, and a busy machine so late, that an answer seems lost.
        if asked > needed + needed / 2 {
            complaints.push(format!("{asked} requests for {needed} blocks"));
        }
        if !complaints.is_empty() {
            wrong.push(format!("{library:?}, {length} bytes:\n{}", complaints.join("\n")));
            wrong.push(client.told(20));
        }
    }
    server.end().await.unwrap();
    wrong
}

#[test]
fn bodies_of_all_lengths_come_whole_by_few_more_requests_than_blocks() {
    each(&USUAL, bodies_of_all_lengths);
}

#[test]
#[ignore = "needs what `make test-more` installs"]
fn bodies_of_all_lengths_come_whole_from_the_servers_that_need_more() {
    each(&MORE, bodies_of_all_lengths);
}

/// A body that changes once, after the first block, in the middle, or shortly before the end. It keeps its
/// length, so that only its lines tell.
async fn changed_once(library: Library) -> Vec<String> {
    let mut server = serve(library).await;
    server.change(LENGTH).await.unwrap();
    let mut wrong = Vec::new();
    for blocks in [1, 2, 40, 95] {
        let path = Path { delay: Duration::from_millis(1)..Duration::from_millis(3), ..Path::CLEAR };
        let mut client = client(&server, Limits::default(), path).await;
        let exchange = client.get(RESOURCE);
        let early = client.run(exchange, WITHIN, |log| arrived(log) >= blocks).await.unwrap();
        assert!(early.is_none(), "{library:?}: over after {blocks} blocks");
        server.change(LENGTH).await.unwrap();
        let outcome = client.finish(exchange, WITHIN).await.unwrap();
        wrong.extend(
            mixed(&outcome, LENGTH).map(|what| {
                format!("{library:?}, changed after {blocks} blocks: {what}\n{}", client.told(20))
            }),
        );
    }
    server.end().await.unwrap();
    wrong
}

/// Returns what is wrong with an outcome that may be any one version, or an error.
fn mixed(outcome: &Outcome, length: usize) -> Option<String> {
    let Ok(response) = outcome else { return None };
    if response.code != Code::CONTENT {
        return None;
    }
    let (_, version) = versions(&response.body).into_iter().next()?;
    whole(outcome, length, version.parse().unwrap())
}

#[test]
fn a_body_that_changes_while_it_is_read_comes_whole_or_not_at_all() {
    each(&USUAL, changed_once);
}

#[test]
#[ignore = "needs what `make test-more` installs"]
fn a_body_that_changes_comes_whole_or_not_at_all_from_the_servers_that_need_more() {
    each(&MORE, changed_once);
}

/// A body that changes while only its last block is missing, whose answer is lost: go-coap and Californium
/// forget a body once its last block was asked for, and none of it tells that another one follows.
async fn last_answer_lost(library: Library) -> Vec<String> {
    let mut server = serve(library).await;
    server.change(LENGTH).await.unwrap();
    let path = Path { delay: Duration::from_millis(1)..Duration::from_millis(3), ..Path::CLEAR };
    let mut client = client(&server, Limits::default(), path).await;
    let size =
        if library == Library::Californium { BlockSize::MAX.smaller().unwrap() } else { BlockSize::MAX };
    let last = u32::try_from((LENGTH - 1) / size.bytes()).unwrap();
    client.lose_answer(last, size);
    let exchange = client.get(RESOURCE);
    let is_lost = |log: &[Passed]| log.iter().any(|passed| passed.lost);
    assert!(client.run(exchange, WITHIN, is_lost).await.unwrap().is_none());
    server.change(LENGTH).await.unwrap();
    let outcome = client.finish(exchange, WITHIN).await.unwrap();
    let wrong = mixed(&outcome, LENGTH).map(|what| format!("{library:?}: {what}\n{}", client.told(40)));
    server.end().await.unwrap();
    wrong.into_iter().collect()
}

#[test]
fn the_last_block_comes_of_the_same_body_when_its_answer_is_lost() {
    each(&USUAL, last_answer_lost);
}

#[test]
#[ignore = "needs what `make test-more` installs"]
fn the_last_block_comes_of_the_same_body_from_the_servers_that_need_more() {
    each(&MORE, last_answer_lost);
}

/// Some readers on bad paths, while the body changes all the time.
async fn changing_all_the_time(library: Library) -> Vec<String> {
    const READERS: u64 = 6;
    const LENGTH: usize = 40_000;
    let mut server = serve(library).await;
    server.change(LENGTH).await.unwrap();
    let mut readers = JoinSet::new();
    for seed in 1..=READERS {
        let delay = Duration::from_millis(5)..Duration::from_millis(10);
        let mut client = client(&server, Limits::default(), Path { delay, percent: 5, seed }).await;
        readers.spawn(async move {
            let exchange = client.get(RESOURCE);
            let outcome = client.finish(exchange, WITHIN).await.unwrap();
            let wrong = mixed(&outcome, LENGTH)
                .map(|what| format!("{library:?}, seed {seed}: {what}\n{}", client.told(40)));
            (outcome.is_ok(), wrong)
        });
    }
    let mut told = Vec::new();
    let mut change = tokio::time::interval(Duration::from_millis(100));
    while !readers.is_empty() {
        tokio::select! {
            Some(reader) = readers.join_next() => told.push(reader.unwrap()),
            _ = change.tick() => {
                server.change(LENGTH).await.unwrap();
            }
        }
    }
    server.end().await.unwrap();
    let mut wrong: Vec<String> = told.iter().filter_map(|(_, wrong)| wrong.clone()).collect();
    if !told.iter().any(|(is_whole, _)| *is_whole) {
        wrong.push(format!("{library:?}: no reader had a body"));
    }
    wrong
}

#[test]
fn a_body_that_changes_all_the_time_is_never_mixed_on_bad_paths() {
    each(&USUAL, changing_all_the_time);
}

#[test]
#[ignore = "needs what `make test-more` installs"]
fn a_body_that_changes_all_the_time_is_never_mixed_by_the_servers_that_need_more() {
    each(&MORE, changing_all_the_time);
}

/// Two requests for the same resource at once, in one session; the body changes in between.
async fn two_at_once(library: Library) -> Vec<String> {
    let mut server = serve(library).await;
    server.change(LENGTH).await.unwrap();
    let path = Path { delay: Duration::from_millis(1)..Duration::from_millis(3), ..Path::CLEAR };
    let mut client = client(&server, Limits::default(), path).await;
    let first = client.get(RESOURCE);
    assert!(client.run(first, WITHIN, |log| arrived(log) >= 10).await.unwrap().is_none());
    server.change(LENGTH).await.unwrap();
    let second = client.get(RESOURCE);
    let mut wrong = Vec::new();
    for exchange in [first, second] {
        let outcome = client.finish(exchange, WITHIN).await.unwrap();
        wrong.extend(mixed(&outcome, LENGTH).map(|what| format!("{library:?}: {what}\n{}", client.told(40))));
    }
    server.end().await.unwrap();
    wrong
}

#[test]
fn two_bodies_of_one_resource_at_once_are_kept_apart() {
    each(&USUAL, two_at_once);
}

#[test]
#[ignore = "needs what `make test-more` installs"]
fn two_bodies_of_one_resource_at_once_are_kept_apart_by_the_servers_that_need_more() {
    each(&MORE, two_at_once);
}

/// Bodies over a path that delays by 50 to 100 ms and loses, with a window and without.
async fn bad_paths(library: Library) -> Vec<String> {
    const SEEDS: [u64; 3] = [1, 2, 3];
    let mut server = serve(library).await;
    server.change(LENGTH).await.unwrap();
    let mut readers = JoinSet::new();
    for seed in SEEDS {
        for window in [1, Limits::default().body_window] {
            let delay = Duration::from_millis(50)..Duration::from_millis(100);
            let limits = Limits { body_window: window, ..Limits::default() };
            let mut client = client(&server, limits, Path { delay, percent: 2, seed }).await;
            readers.spawn(async move {
                let exchange = client.get(RESOURCE);
                let outcome = client.finish(exchange, WITHIN).await.unwrap();
                let mut wrong = manners::complaints(client.log(), LENGTH);
                wrong.extend(whole(&outcome, LENGTH, 1));
                let took = client.log().last().map_or(WITHIN, |last| last.at);
                let found = client.report().and_then(|report| report.window).unwrap_or_default();
                println!("{library:?}, seed {seed}, window {window}: {took:?}, {:?}", client.report());
                if found < window.min(8) || found > window {
                    wrong.push(format!("a window of {found}"));
                }
                (seed, window, took, wrong, client.told(60))
            });
        }
    }
    let mut read = readers.join_all().await;
    read.sort_by_key(|(seed, window, ..)| (*seed, *window));
    server.end().await.unwrap();
    let mut wrong = Vec::new();
    for (seed, window, _, complaints, told) in &read {
        if !complaints.is_empty() {
            let complaints = complaints.join("\n");
            wrong.push(format!("{library:?}, seed {seed}, window {window}:\n{complaints}\n{told}"));
        }
    }
    for pair in read.chunks(2) {
        let [(seed, _, one, ..), (_, _, many, _, told)] = pair else { panic!("one reader of two") };
        // Each of these servers answers blocks in any order.
        if *many * 2 > *one {
            wrong.push(format!("{library:?}, seed {seed}: {many:?}, one at a time {one:?}\n{told}"));
        }
    }
    wrong
}

#[test]
fn a_window_of_blocks_takes_half_the_time_of_one_at_a_time_on_bad_paths() {
    each(&USUAL, bad_paths);
}

#[test]
#[ignore = "needs what `make test-more` installs"]
fn a_window_of_blocks_takes_half_the_time_with_the_servers_that_need_more() {
    each(&MORE, bad_paths);
}
