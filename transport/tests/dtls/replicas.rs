//! Several servers with one private key behind one address: a client changes servers between its two hellos.

use crate::certificates::{Authority, p256};
use crate::pair::{End, Pair, client_config};
use lowband_transport::dtls::{Config, Endpoint, Event, ServerIdentity};
use openssl::pkey::{PKey, Private};
use std::time::Duration;

/// A time in 2026, in the middle of a period of cookies.
const WALL_CLOCK: Duration = Duration::from_secs(1_790_000_010);

fn identity(key: &PKey<Private>) -> ServerIdentity {
    Authority::new().identity(key)
}

fn server(identity: ServerIdentity) -> Config {
    Config { server: Some(identity), ..Config::default() }
}

/// Sends the first hello to one server, and all that follows to the other. Returns whether a session comes of
/// that, and how often the second server asked for a cookie.
fn changes_servers(one: ServerIdentity, other: ServerIdentity, apart: Duration) -> (bool, u64) {
    let mut first = Endpoint::new(server(one), [3; 32]).unwrap();
    let mut pair = Pair::new(client_config(), server(other));
    // The servers have been started at other times, and do not know of each other.
    first.tell_time(pair.now, WALL_CLOCK);
    let later = pair.now + Duration::from_secs(5);
    pair.server.tell_time(later, WALL_CLOCK + Duration::from_secs(5) + apart);

    let client = pair.client.connect(pair.now, End::Server.address(), "server.test").unwrap();
    let hello = pair.client.poll_transmit().unwrap();
    first.handle_datagram(pair.now, End::Client.address(), None, &hello.bytes);
    let answer = first.poll_transmit().unwrap();
    assert_eq!(first.counters().cookies_sent, 1);
    pair.inject(End::Client, &answer.bytes);
    pair.run_for(Duration::from_secs(10));
    let is_connected = pair.client_events.iter().any(|event| match event {
        Event::Connected { session, .. } => *session == client,
        _ => false,
    });
    (is_connected, pair.server.counters().cookies_sent)
}

#[test]
fn a_hello_that_changes_servers_is_not_asked_again_where_they_have_one_key() {
    for key in [p256(), crate::certificates::rsa()] {
        // As after a renewal: another certificate, the same key.
        assert_eq!(changes_servers(identity(&key), identity(&key), Duration::ZERO), (true, 0));
        let minute = Duration::from_secs(60);
        assert_eq!(changes_servers(identity(&key), identity(&key), minute), (true, 0));
    }
    let (one, key) = (Authority::new(), p256());
    let sec1 = key.ec_key().unwrap().private_key_to_pem().unwrap();
    let other_form = ServerIdentity { private_key: sec1.into(), ..one.identity(&key) };
    assert_eq!(changes_servers(one.identity(&key), other_form, Duration::ZERO), (true, 0));
}

#[test]
fn with_keys_of_their_own_it_is_asked_once_more() {
    assert_eq!(changes_servers(identity(&p256()), identity(&p256()), Duration::ZERO), (true, 1));
}
