//! SSLKEYLOGFILE.

use crate::pair::{Pair, client_config, server_config};
use lowband_transport::dtls::Config;
use std::time::Duration;

#[test]
fn both_ends_tell_the_same_secret_in_nss_format_and_only_when_asked() {
    let (client, server) = (client_config(), server_config());
    let mut pair = Pair::new(Config { key_log: true, ..client }, Config { key_log: true, ..server });
    pair.establish();
    let line = pair.client.poll_key_log().unwrap();
    let [label, random, secret] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
    assert_eq!((label, random.len(), secret.len()), ("CLIENT_RANDOM", 64, 96));
    assert_eq!(pair.server.poll_key_log(), Some(line));
    assert_eq!((pair.client.poll_key_log(), pair.server.poll_key_log()), (None, None));

    let mut pair = Pair::default();
    pair.establish();
    pair.run_for(Duration::from_secs(1));
    assert_eq!((pair.client.poll_key_log(), pair.server.poll_key_log()), (None, None));
}

#[test]
fn lines_that_nobody_fetches_are_dropped_beyond_32_and_counted() {
    let mut pair = Pair::new(Config { key_log: true, ..client_config() }, server_config());
    for _ in 0..35 {
        pair.connect();
        pair.run_for(Duration::from_secs(1));
    }
    let mut lines = 0;
    while pair.client.poll_key_log().is_some() {
        lines += 1;
    }
    assert_eq!((lines, pair.client.counters().key_log_lost), (32, 3));
}
