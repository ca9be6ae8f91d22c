//! Bodies in blocks, in both directions, on a link without faults.

use super::sim::*;
use lowband_transport::coap::{BlockSize, Code, Limits, Times};

#[test]
fn bodies_of_every_size_around_the_block_size_arrive_whole_in_both_directions() {
    for size in [16, 64, 1024] {
        let block_size = (0..=6).filter_map(BlockSize::from_szx).find(|block| block.bytes() == size).unwrap();
        for length in [0, 1, size - 1, size, size + 1, 2 * size - 1, 2 * size, 2 * size + 1, 7 * size + 3] {
            let limits = Limits { block_size, ..Limits::default() };
            let mut sim = Sim::with(3, Times::rfc7252(), Times::rfc7252(), limits);
            sim.answer = Box::new(echo);
            let session = sim.open(1);
            let sent = body(length, 1);
            let response = sim.ask(session, post("x", sent.clone()));
            assert_eq!((response.code, response.body == sent), (Code::CONTENT, true), "{size} {length}");
            assert_eq!(sim.executed.len(), 1);
            assert!(sim.executed[0].body == sent);
            let blocks = length.div_ceil(size).max(1);
            // The last block of the request brings the first of the response (RFC 7959 section 3.3).
            assert_eq!(sim.sent_to(To::Server), 2 * blocks - 1, "{size} {length}");
        }
    }
}
