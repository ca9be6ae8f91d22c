//! What is lost on a path: a relay asks about each datagram. One flight of a DTLS handshake is lost once, or
//! a bad path loses some of all datagrams.
//!
//! A flight is known by its first message, which stands in the clear (RFC 6347 section 4.2.4). All that its
//! sender sends from that message on is lost until this message comes again; datagrams from then on have been
//! repeated, and pass.

use lowband_wire::dtls::fragments::Fragments;
use lowband_wire::dtls::handshake::{CLIENT_KEY_EXCHANGE, SERVER_HELLO};
use lowband_wire::dtls::record::{self, ContentType};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A flight of the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flight {
    /// ServerHello to ServerHelloDone.
    Server,
    /// ClientKeyExchange to Finished, of a client without a certificate.
    ClientLast,
}

/// The side that sends a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum From {
    /// The client, sending towards the server.
    Client,
    /// The server, sending towards the client.
    Server,
}

/// A path that silently drops datagrams that are too long for it, and some of the rest.
#[derive(Clone, Copy, Debug)]
pub struct BadPath {
    /// The largest UDP payload that passes.
    pub largest: usize,
    /// Percentage of datagrams that are lost in each direction.
    pub percent: u64,
    /// Seed of the random choice.
    pub seed: u64,
}

impl BadPath {
    /// A path over IPv4 with an MTU of 576.
    pub const SMALL: BadPath = BadPath { largest: 576 - 28, percent: 0, seed: 0 };

    /// Makes a path with random loss alone.
    pub const fn losing(percent: u64, seed: u64) -> BadPath {
        BadPath { largest: usize::MAX, percent, seed }
    }

    /// Returns a function that decides about each datagram, and counts in `lost` how many it takes.
    pub(crate) fn takes(self, lost: Arc<AtomicUsize>) -> impl FnMut(From, &[u8]) -> bool {
        // The generator is SplitMix64.
        let mut state = self.seed;
        move |_, datagram| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            let taken = datagram.len() > self.largest || (mixed >> 33) % 100 < self.percent;
            lost.fetch_add(usize::from(taken), Ordering::Relaxed);
            taken
        }
    }
}

/// The loss of a flight, once.
#[derive(Debug)]
pub(crate) struct Loss {
    flight: Flight,
    state: State,
    lost: Arc<AtomicUsize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    NotYet,
    Losing,
    Over,
}

impl Flight {
    /// Returns the sender of the flight, and its first message (RFC 5246 section 7.4).
    fn begin(self) -> (From, u8) {
        match self {
            Flight::Server => (From::Server, SERVER_HELLO),
            Flight::ClientLast => (From::Client, CLIENT_KEY_EXCHANGE),
        }
    }
}

impl Loss {
    /// Makes the loss of a flight; counts in `lost` how many datagrams it takes.
    pub(crate) fn of(flight: Flight, lost: Arc<AtomicUsize>) -> Loss {
        Loss { flight, state: State::NotYet, lost }
    }

    /// Returns whether this datagram is lost.
    pub(crate) fn takes(&mut self, from: From, datagram: &[u8]) -> bool {
        let (sender, first) = self.flight.begin();
        if from != sender {
            return false;
        }
        if starts_with_message(datagram, first) {
            self.state = if self.state == State::NotYet { State::Losing } else { State::Over };
        }
        let taken = self.state == State::Losing;
        self.lost.fetch_add(usize::from(taken), Ordering::Relaxed);
        taken
    }
}

/// Returns whether the datagram begins with the beginning of a handshake message of this type.
fn starts_with_message(datagram: &[u8], message: u8) -> bool {
    let Ok((record, _)) = record::parse(datagram) else { return false };
    let first = Fragments::new(record.fragment).bodies().next();
    record.content_type == ContentType::Handshake
        && first.is_some_and(|(fragment, _)| fragment.kind == message && fragment.offset == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a record of the handshake, epoch 0, with one message.
    fn handshake(message: u8) -> Vec<u8> {
        let mut record = vec![ContentType::Handshake as u8, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 1, 0, 52];
        record.extend([message, 0, 0, 40, 0, 1, 0, 0, 0, 0, 0, 40]);
        record.extend([9; 40]);
        record
    }

    #[test]
    fn a_bad_path_takes_what_is_too_long_and_its_share_of_the_rest() {
        let lost = Arc::new(AtomicUsize::new(0));
        let mut takes = BadPath::SMALL.takes(Arc::clone(&lost));
        assert!(!takes(From::Client, &[0; 548]) && takes(From::Server, &[0; 549]));
        let mut takes = BadPath::losing(10, 1).takes(Arc::clone(&lost));
        let taken = (0..1000).filter(|_| takes(From::Client, &[0; 1200])).count();
        assert!((70..130).contains(&taken), "{taken}");
        assert_eq!(lost.load(Ordering::Relaxed), 1 + taken);
    }

    #[test]
    fn a_flight_of_several_datagrams_is_lost_until_it_comes_again_and_nothing_else_is() {
        let lost = Arc::new(AtomicUsize::new(0));
        let mut loss = Loss::of(Flight::ClientLast, Arc::clone(&lost));
        let change_cipher_spec = [20, 0xfe, 0xfd, 0, 0];
        for (from, datagram, taken) in [
            (From::Client, &handshake(1)[..], false),
            (From::Server, &handshake(2), false),
            // The server's repetition of something with the same number is not the client's flight.
            (From::Server, &handshake(16), false),
            (From::Client, &handshake(16), true),
            (From::Client, &change_cipher_spec, true),
            (From::Server, &handshake(2), false),
            (From::Client, &handshake(16), false),
            (From::Client, &change_cipher_spec, false),
            (From::Client, &handshake(16), false),
        ] {
            assert_eq!(loss.takes(from, datagram), taken, "{from:?} {datagram:?}");
        }
        assert_eq!(lost.load(Ordering::Relaxed), 2);
    }
}
