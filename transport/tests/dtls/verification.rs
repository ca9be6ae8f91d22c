//! Which servers the connecting side trusts, and what it reports when it does not.

use crate::certificates::{Authority, identity, p256};
use crate::pair::{End, Pair, client_config, server_config};
use lowband_transport::Mistake;
use lowband_transport::dtls::{
    CertificateFailure, CloseReason, Config, Endpoint, Event, ServerIdentity, Verification,
};
use std::time::Duration;

/// Returns what becomes of a connection to `name`.
fn connect(authority: &Authority, verification: Verification, name: &str) -> Result<(), CertificateFailure> {
    connect_to(authority.identity(&p256()), verification, name)
}

fn connect_to(
    server: ServerIdentity,
    verification: Verification,
    name: &str,
) -> Result<(), CertificateFailure> {
    let server = Config { server: Some(server), ..Config::default() };
    let client = Config { client: Some(verification), ..Config::default() };
    let mut pair = Pair::new(client, server);
    pair.client.connect(pair.now, End::Server.address(), name).unwrap();
    pair.run_for(Duration::from_secs(2));
    match &pair.client_events[..] {
        [Event::Connected { .. }] => Ok(()),
        [Event::Closed { why: CloseReason::Certificate(why), .. }] => {
            // An alert has informed the server, which keeps nothing.
            assert_eq!((pair.server.counters().half_open, pair.server.counters().handshakes_refused), (0, 1));
            Err(*why)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_server_with_the_right_name_from_a_trusted_authority_is_believed() {
    let authority = Authority::new();
    for name in ["server.test", "server.test.", "SERVER.test", "a.wild.test", "192.0.2.200", "2001:db8::200"]
    {
        assert_eq!(connect(&authority, authority.roots(), name), Ok(()), "{name}");
    }
}

#[test]
fn wrong_names_addresses_and_authorities_are_told_apart() {
    let authority = Authority::new();
    for name in ["other.test", "a.b.wild.test", "wild.test"] {
        let why = connect(&authority, authority.roots(), name).unwrap_err();
        assert_eq!((why.code, why.text), (CertificateFailure::WRONG_NAME, "hostname mismatch"), "{name}");
    }
    for name in ["192.0.2.201", "2001:db8::201"] {
        let why = connect(&authority, authority.roots(), name).unwrap_err();
        assert_eq!(
            (why.code, why.text),
            (CertificateFailure::WRONG_ADDRESS, "IP address mismatch"),
            "{name}"
        );
    }
    for verification in [Authority::new().roots(), Verification::System] {
        let why = connect(&authority, verification, "server.test").unwrap_err();
        assert!(why.to_string().contains("certificate"), "{why}");
    }
}

#[test]
fn a_certificate_whose_time_is_not_now_is_told_from_others() {
    let authority = Authority::new();
    for (days, expected) in
        [((-9, -1), CertificateFailure::EXPIRED), ((1, 9), CertificateFailure::NOT_YET_VALID)]
    {
        let key = p256();
        let server = identity(&[authority.issue_for_days(&key, days)], &key);
        let why = connect_to(server, authority.roots(), "server.test").unwrap_err();
        assert_eq!(why.code, expected, "{why}");
    }
}

#[test]
fn without_verification_any_server_is_believed() {
    assert_eq!(connect(&Authority::new(), Verification::None, "other.test"), Ok(()));
}

#[test]
fn names_that_cannot_be_names_are_refused_before_anything_is_sent() {
    let mut client = Endpoint::new(client_config(), [1; 32]).unwrap();
    let now = std::time::Instant::now();
    for name in ["", ".", "a b", "a\0b", "m\u{fc}ller.test", &"a".repeat(254)] {
        let error = client.connect(now, End::Server.address(), name).unwrap_err();
        assert_eq!(error.mistakes(), [Mistake::ServerName(name.to_owned())]);
        assert!(error.to_string().ends_with("is not a server name"), "{error}");
    }
    assert!(client.poll_transmit().is_none());
    let mut server = Endpoint::new(server_config(), [1; 32]).unwrap();
    let error = server.connect(now, End::Server.address(), "server.test").unwrap_err();
    assert_eq!(error.mistakes(), [Mistake::DoesNotConnect]);
}

#[test]
fn an_ip_address_does_not_go_into_sni() {
    let hello = |name: &str| {
        let mut client = Endpoint::new(client_config(), [1; 32]).unwrap();
        client.connect(std::time::Instant::now(), End::Server.address(), name).unwrap();
        client.poll_transmit().unwrap().bytes
    };
    let contains = |bytes: &[u8], text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    assert!(contains(&hello("server.test"), b"server.test"));
    assert!(!contains(&hello("192.0.2.200"), b"192.0.2.200"));
}
