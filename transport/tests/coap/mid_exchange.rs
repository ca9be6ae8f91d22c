//! Ends and silences in the middle of an exchange: a session that another one replaces, a client that is
//! never heard again.

use super::sim::*;
use lowband_transport::coap::Code;

#[test]
fn a_session_replaced_in_mid_exchange_fails_what_it_carried_and_the_new_one_works() {
    let mut sim = Sim::new(1);
    sim.answer = Box::new(|_| Answer::new(body(50_000, 1)).in_chunks(5000, SECOND));
    let old = sim.open(1);
    let upload = sim.request(old, post("up", body(2_000_000, 2)));
    let download = sim.request(old, get("down"));
    sim.pass(300 * MS);
    sim.server.session_closed(sim.now, old);
    sim.client.session_closed(sim.now, old);
    let new = sim.open(2);
    let response = sim.ask(new, get("down"));
    assert_eq!((response.code, response.body.len()), (Code::CONTENT, 50_000));
    assert!(sim.results[&upload].is_err() && sim.results[&download].is_err());
    assert_eq!(sim.cancelled.len(), 1);
    sim.pass(100 * SECOND);
    assert_eq!(sim.server.blockwise_bytes(), 0);
}

#[test]
fn an_upload_cut_off_for_good_leaves_nothing_and_is_never_executed() {
    let mut sim = Sim::new(1);
    let session = sim.open(1);
    let exchange = sim.request(session, post("up", body(2_000_000, 2)));
    sim.pass(300 * MS);
    sim.lose = Box::new(|_, _| true);
    sim.pass(110 * SECOND);
    assert!(sim.results[&exchange].is_err());
    assert!(sim.server.blockwise_bytes() > 10_000);
    sim.pass(300 * SECOND);
    assert_eq!((sim.server.blockwise_bytes(), sim.executed.len()), (0, 0));
    // Once the link works again, the next request is answered whole.
    sim.lose = Box::new(|_, _| false);
    sim.answer = Box::new(echo);
    assert!(sim.ask(session, post("up", body(50_000, 3))).body == body(50_000, 3));
}

#[test]
fn a_body_goes_on_after_a_silence_where_it_was() {
    let mut sim = Sim::new(1);
    sim.answer = Box::new(|_| Answer::new(body(1_000_000, 1)));
    let session = sim.open(1);
    let exchange = sim.request(session, get("down"));
    let moved = |sim: &Sim| sim.client.progress(exchange).map_or(0, |progress| progress.moved);
    assert!(sim.run(60 * SECOND, |sim| moved(sim) > 500_000));
    sim.lose = Box::new(|_, _| true);
    sim.pass(40 * SECOND);
    assert!((500_000..1_000_000).contains(&moved(&sim)) && !sim.results.contains_key(&exchange));
    sim.lose = Box::new(|_, _| false);
    assert!(sim.run(60 * SECOND, |sim| sim.results.contains_key(&exchange)));
    assert!(sim.results[&exchange].clone().unwrap().body == body(1_000_000, 1));
    let path = sim.client.path(session).unwrap();
    assert!(path.blocks_again < 200, "what had come is not asked for again: {path:?}");
    assert_eq!((sim.executed.len(), sim.client.counters().downloads_restarted), (1, 0));
}
