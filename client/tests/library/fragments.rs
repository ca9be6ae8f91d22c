//! A message that fits into no datagram of the path, because of a long access token, arrives in
//! fragments of IP.

use crate::connection::connect;
use crate::stub_server::{StubServer, content};
use lowband_client::{MAX_ACCESS_TOKEN, Method, Request, Settings};
use std::process::Command;

/// Set in the copy of this test that has a network of its own, whose loopback takes no more than 1,280 bytes.
const IN_NARROW_NETWORK: &str = "LOWBAND_NARROW_NETWORK";

#[test]
fn the_longest_access_token_arrives_over_a_path_of_1280_bytes() {
    if std::env::var_os(IN_NARROW_NETWORK).is_some() {
        let up = Command::new("ip").args(["link", "set", "dev", "lo", "mtu", "1280", "up"]).status();
        assert!(up.expect("the package iproute2 is missing: make setup-test").success());
        return tokio::runtime::Runtime::new().unwrap().block_on(send_the_longest_token());
    }
    let here = std::env::current_exe().unwrap();
    let name = "fragments::the_longest_access_token_arrives_over_a_path_of_1280_bytes";
    let mut copy = Command::new("unshare");
    copy.args(["--user", "--map-root-user", "--net"]).arg(here).args([name, "--exact", "--nocapture"]);
    let done = copy.env(IN_NARROW_NETWORK, "1").output().expect("the package util-linux is missing");
    let told = [done.stdout, done.stderr].concat();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&told));
}

async fn send_the_longest_token() {
    let stub = StubServer::start(|seen| content(seen.body.clone()));
    let connection = connect(&stub, Settings::default()).await;
    let before = fragments_made();
    let token = "t".repeat(MAX_ACCESS_TOKEN);
    let upload = Request {
        access_token: Some(token.clone()),
        body: vec![7; 5000],
        ..Request::new(Method::Put, "/_matrix/client/v3/x")
    };
    let response = connection.request(upload).await.unwrap();
    assert_eq!(response.body, [7; 5000]);
    let seen = stub.only_request();
    assert!(seen.options.authorization.as_deref() == Some(&token));
    // The 5,200 bytes leave in five pieces; the blocks that follow are of 1,024 bytes, and whole.
    assert_eq!(fragments_made() - before, 5);
}

/// Returns how many fragments the system has made since the network was made (`/proc/net/snmp`,
/// `FragCreates`).
fn fragments_made() -> u64 {
    let table = std::fs::read_to_string("/proc/self/net/snmp").unwrap();
    let mut lines = table.lines().filter(|line| line.starts_with("Ip:")).map(str::split_whitespace);
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let made = names.zip(values).find(|(name, _)| *name == "FragCreates").unwrap();
    made.1.parse().unwrap()
}
