//! Key logs in the format of SSLKEYLOGFILE, and the suites that they need.

use crate::pair::{End, Pair, client_config, server_config};
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
fn whichever_end_logs_keys_its_sessions_take_aes_gcm_which_wireshark_can_read() {
    /// Bytes around the plaintext of a record: header (RFC 6347 section 4.1), explicit nonce (RFC 5288
    /// section 3), tag.
    const CHACHA20_POLY1305: usize = 13 + 16;
    const AES_GCM: usize = 13 + 8 + 16;
    let table = [(false, false, CHACHA20_POLY1305), (true, false, AES_GCM), (false, true, AES_GCM)];
    for (at_client, at_server, overhead) in table {
        let client = Config { key_log: at_client, ..client_config() };
        let mut pair = Pair::new(client, Config { key_log: at_server, ..server_config() });
        let (session, _) = pair.establish();
        pair.client.send(pair.now, session, &[0; 100]).unwrap();
        pair.run_for(Duration::from_secs(1));
        assert_eq!(pair.trace[0].from, End::Client);
        assert_eq!(pair.trace[0].bytes.len(), 100 + overhead, "{at_client} {at_server}");
    }
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
