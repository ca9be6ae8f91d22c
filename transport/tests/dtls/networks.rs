//! Which network's share a session uses.

use crate::pair::{End, LATENCY, Pair, client_config, server_config};
use lowband_transport::dtls::{Config, Event};
use lowband_transport::shares::{Balancers, Network};

fn pair(balancers: &[&str]) -> Pair {
    let balancers = Balancers::parse(balancers.iter().copied()).unwrap();
    Pair::new(client_config(), Config { balancers, ..server_config() })
}

#[test]
fn a_session_belongs_to_the_network_of_its_address() {
    let mut pair = pair(&["10.0.0.0/8"]);
    let (_, session) = pair.establish();
    let network = Network::of(End::Client.address().ip());
    assert_eq!(pair.server.network(session), Some(network));
    pair.server.close(pair.now, session);
    assert_eq!(pair.server.network(session), None);
}

#[test]
fn each_session_behind_a_balancer_stands_alone() {
    let mut pair = pair(&["192.0.2.0/24"]);
    let mut networks = Vec::new();
    for _ in 0..2 {
        let client = pair.connect();
        pair.run_for(LATENCY * 7);
        pair.client.send(pair.now, client, b"hello").unwrap();
        pair.run_for(LATENCY);
        let told = pair.server_events.iter().find_map(|event| match event {
            Event::Connected { session, network, .. } => Some((*session, *network)),
            _ => None,
        });
        let (session, network) = told.unwrap();
        assert!(network.is_alone());
        assert_eq!(pair.server.network(session), Some(network));
        networks.push(network);
        pair.clear();
    }
    assert_ne!(networks[0], networks[1]);
}
