//! What the CoAP layer keeps of a session that has asked once and rests since. A process of its own, because
//! all that is on its heap is counted.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "the zero of a fake clock")]

use coap_lite::{CoapOption, MessageClass, MessageType, Packet};
use lowband_transport::SessionId;
use lowband_transport::coap::{Code, Limits, ResponseOptions, Server, ServerEvent, Times};
use lowband_transport::shares::Network;
use std::alloc::{GlobalAlloc, Layout, System};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The heap of the system, which counts what is in use.
struct Counted;

static BYTES: AtomicUsize = AtomicUsize::new(0);
static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

/// Returns the bytes of an allocation, as the C library of GNU takes it from the heap: a word before it, in
/// steps of two.
fn size(layout: Layout) -> usize {
    (layout.size() + 8).next_multiple_of(16).max(32)
}

#[expect(unsafe_code, reason = "an allocator is unsafe")]
// SAFETY: all is done by the heap of the system.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(size(layout), Relaxed);
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: the caller keeps to the same contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        BYTES.fetch_sub(size(layout), Relaxed);
        ALLOCATIONS.fetch_sub(1, Relaxed);
        // SAFETY: the caller keeps to the same contract.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, new: usize) -> *mut u8 {
        BYTES.fetch_sub(size(layout), Relaxed);
        BYTES.fetch_add((new + 8).next_multiple_of(16).max(32), Relaxed);
        // SAFETY: the caller keeps to the same contract.
        unsafe { System.realloc(place, layout, new) }
    }
}

#[global_allocator]
static HEAP: Counted = Counted;

/// Returns the bytes and the allocations that are in use.
fn in_use() -> [usize; 2] {
    [BYTES.load(Relaxed), ALLOCATIONS.load(Relaxed)]
}

/// Makes a PUT that sends "Hello World" to a room, with an access token.
fn put() -> Vec<u8> {
    let mut packet = Packet::new();
    packet.header.set_version(1);
    packet.header.set_type(MessageType::Confirmable);
    packet.header.code = MessageClass::from(Code::PUT.0);
    packet.header.message_id = 1;
    packet.set_token(vec![7; 8]);
    for segment in ["9", "!aaaaaaaaaaaaaaaaaaaaaaa:matrix.example.org", "m.room.message", "1"] {
        packet.add_option(CoapOption::UriPath, segment.as_bytes().to_vec());
    }
    packet.add_option(CoapOption::from(256), vec![b'a'; 40]);
    packet.payload = vec![b'x'; 40];
    packet.to_bytes_unlimited().unwrap()
}

struct Sessions {
    server: Server,
    now: Instant,
    count: u64,
    put: Vec<u8>,
}

impl Sessions {
    /// Adds sessions; each asks once, and is answered.
    fn add(&mut self, count: u64) {
        for number in self.count..self.count + count {
            let (session, network) = (SessionId(number), Network::of(Ipv4Addr::LOCALHOST.into()));
            self.now += Duration::from_millis(1);
            self.server.session_opened(self.now, session, Some(Duration::from_millis(100)));
            self.server.handle_message(self.now, session, network, &self.put);
            let Some(ServerEvent::Request { exchange, .. }) = self.server.poll_event() else { panic!() };
            self.server.respond_head(self.now, exchange, Code::CHANGED, ResponseOptions::default());
            self.server.respond_chunk(self.now, exchange, &[b'y'; 48], true);
            while self.server.poll_transmit().is_some() {}
            assert_eq!(self.server.poll_event(), None);
        }
        self.count += count;
    }

    /// Lets time pass until the last exchange is forgotten.
    fn rest(&mut self) {
        self.now += Times::measured().exchange_lifetime;
        while let Some(due) = self.server.poll_timeout().filter(|due| *due <= self.now) {
            self.server.handle_timeout(due);
        }
        assert_eq!((self.server.poll_timeout(), self.server.counters().remembered_bytes), (None, 0));
    }
}

#[test]
fn a_session_that_rests_costs_little_and_leaves_few_holes_behind() {
    let mut sessions = Sessions {
        server: Server::new(Times::measured(), Limits::default(), [1; 32]),
        now: Instant::now(),
        count: 0,
        put: put(),
    };
    sessions.add(2_000);
    sessions.rest();
    let before = in_use();
    sessions.add(10_000);
    let remembered = in_use();
    sessions.rest();
    let at_rest = in_use();
    let each =
        |from: [usize; 2], to: [usize; 2], what: usize| (to[what] as f64 - from[what] as f64) / 10_000.0;
    let [bytes, allocations] = [0, 1].map(|what| each(before, at_rest, what));
    let holes = each(at_rest, remembered, 1);
    println!(
        "at rest: {bytes:.0} bytes in {allocations:.2} allocations; in the heap for minutes: {holes:.2}"
    );
    assert!(bytes < 300.0, "{bytes}");
    // The access token, what bears it, and a part of a table.
    assert!(allocations < 2.5, "{allocations}");
    // An allocation that is freed after minutes leaves a hole: the answer, and nothing else.
    assert!(holes < 1.1, "{holes}");
    let begin = in_use();
    (0..sessions.count).for_each(|number| sessions.server.session_closed(sessions.now, SessionId(number)));
    let left = begin[0] - in_use()[0];
    assert_eq!(sessions.server.sessions_in_memory(), 0);
    assert!(left >= 12_000 * 200, "{left}");
}
