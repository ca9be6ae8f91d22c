//! Renewal of the certificate while the server runs.

use crate::certificates::{Authority, identity, p256};
use crate::pair::{End, LATENCY, Pair, data, server_config};
use lowband_transport::Mistake;
use lowband_transport::dtls::{Config, Endpoint, Event, ServerIdentity};
use std::time::Duration;

/// A server whose certificate is of the first authority, and the next one, of the second.
struct Renewal {
    pair: Pair,
    old: Authority,
    new: Authority,
    renewed: ServerIdentity,
}

impl Renewal {
    /// Makes the server and both authorities, and a client that trusts the first authority only.
    fn prepare() -> Renewal {
        let (old, new) = (Authority::new(), Authority::new());
        let server = Config { server: Some(old.identity(&p256())), ..Config::default() };
        let renewed = new.identity(&p256());
        Renewal { pair: Pair::new(believing(&old), server), old, new, renewed }
    }

    fn renew(&mut self) {
        self.pair.server.renew_identity(self.pair.now, &self.renewed).unwrap();
    }

    /// Returns whether a new client that trusts only this authority gets a session.
    fn is_shown(&mut self, authority: fn(&Renewal) -> &Authority) -> bool {
        self.pair.client = Endpoint::new(believing(authority(self)), [4; 32]).unwrap();
        self.pair.clear();
        self.pair.connect();
        self.pair.run_for(Duration::from_secs(1));
        is_connected(&self.pair)
    }
}

fn believing(authority: &Authority) -> Config {
    Config { client: Some(authority.roots()), ..Config::default() }
}

fn is_connected(pair: &Pair) -> bool {
    pair.client_events.iter().any(|event| matches!(event, Event::Connected { .. }))
}

#[test]
fn a_session_goes_on_and_who_comes_then_is_shown_the_new_certificate() {
    let mut renewal = Renewal::prepare();
    let (client, server) = renewal.pair.establish();
    renewal.renew();
    let pair = &mut renewal.pair;
    pair.client.send(pair.now, client, b"still").unwrap();
    pair.server.send(pair.now, server, b"here").unwrap();
    pair.run_for(LATENCY * 2);
    assert_eq!(data(&pair.client_events), [b"here"]);
    assert_eq!(data(&pair.server_events), [b"still"]);
    let is_closed = |event: &Event| matches!(event, Event::Closed { .. });
    assert!(!pair.client_events.iter().chain(&pair.server_events).any(is_closed));
    assert!(!renewal.is_shown(|renewal| &renewal.old));
    assert!(renewal.is_shown(|renewal| &renewal.new));
}

#[test]
fn a_handshake_under_way_finishes_with_the_certificate_that_it_began_with() {
    let mut renewal = Renewal::prepare();
    let pair = &mut renewal.pair;
    pair.connect();
    // The first flight with a certificate is lost; it is repeated after a second.
    pair.link =
        Box::new(|sent| if sent.from == End::Server && sent.number > 0 { vec![] } else { vec![LATENCY] });
    pair.run_for(LATENCY * 4);
    assert_eq!((pair.server.counters().half_open, is_connected(pair)), (1, false));
    renewal.renew();
    let pair = &mut renewal.pair;
    pair.link = Box::new(|_| vec![LATENCY]);
    pair.run_for(Duration::from_secs(3));
    assert!(is_connected(pair), "{:?}", pair.client_events);
    assert_eq!(pair.server.counters().sessions, 1);
}

#[test]
fn a_cookie_of_before_is_taken_and_leads_to_the_new_certificate() {
    let mut renewal = Renewal::prepare();
    renewal.pair.client = Endpoint::new(believing(&renewal.new), [4; 32]).unwrap();
    renewal.pair.connect();
    // The hello has arrived, its HelloVerifyRequest is on the way back.
    renewal.pair.run_for(LATENCY * 3 / 2);
    assert_eq!(renewal.pair.server.counters().cookies_sent, 1);
    renewal.renew();
    renewal.pair.run_for(Duration::from_secs(1));
    assert!(is_connected(&renewal.pair), "{:?}", renewal.pair.client_events);
    assert_eq!(renewal.pair.server.counters().cookies_sent, 1);
}

#[test]
fn what_does_not_fit_is_told_and_the_old_certificate_stays() {
    let mut renewal = Renewal::prepare();
    let misfit = identity(&[renewal.new.issue(&p256())], &p256());
    let told = renewal.pair.server.renew_identity(renewal.pair.now, &misfit).unwrap_err();
    assert_eq!(told.to_string(), "private key: it does not belong to the certificate");
    let nothing = ServerIdentity { certificate_chain: vec![], private_key: vec![].into() };
    let told = renewal.pair.server.renew_identity(renewal.pair.now, &nothing).unwrap_err();
    assert_eq!(told.mistakes().len(), 2);
    assert!(renewal.is_shown(|renewal| &renewal.old));
}

#[test]
fn who_does_not_accept_has_nothing_to_renew() {
    let mut renewal = Renewal::prepare();
    let Pair { client, now, .. } = &mut renewal.pair;
    let told = client.renew_identity(*now, &renewal.renewed).unwrap_err();
    assert_eq!(told.mistakes(), [Mistake::DoesNotAccept]);
    let mut server = Endpoint::new(server_config(), [5; 32]).unwrap();
    assert!(server.renew_identity(*now, &renewal.renewed).is_ok());
}
