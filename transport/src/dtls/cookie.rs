//! Cookies of the HelloVerifyRequest (RFC 6347 section 4.2.1): proof that a peer receives at its address, without
//! state.

use hmac::{Hmac, KeyInit, Mac};
use rand_chacha::ChaCha20Rng;
use rand_core::Rng;
use sha2::Sha256;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// A secret is in use for this long and accepted for as long again.
const SECRET_LIFE: Duration = Duration::from_secs(60);
/// 2^64 guesses are enough against somebody who may try for two minutes.
pub(super) const COOKIE_LEN: usize = 8;

/// Makes and checks cookies.
pub(super) struct Cookies {
    rng: ChaCha20Rng,
    current: Hmac<Sha256>,
    previous: Hmac<Sha256>,
    /// When `current` was made; none before the first hello.
    since: Option<Instant>,
}

impl Cookies {
    pub(super) fn new(mut rng: ChaCha20Rng) -> Cookies {
        let (current, previous) = (secret(&mut rng), secret(&mut rng));
        Cookies { rng, current, previous, since: None }
    }

    pub(super) fn make(
        &mut self,
        now: Instant,
        peer: SocketAddr,
        random: &[u8; 32],
        session_id: &[u8],
    ) -> [u8; COOKIE_LEN] {
        self.rotate(now);
        let mac = keyed(&self.current, peer, random, session_id).finalize().into_bytes();
        mac.first_chunk().copied().unwrap_or_default()
    }

    pub(super) fn is_valid(
        &mut self,
        now: Instant,
        peer: SocketAddr,
        random: &[u8; 32],
        session_id: &[u8],
        cookie: &[u8],
    ) -> bool {
        self.rotate(now);
        cookie.len() == COOKIE_LEN
            && [&self.current, &self.previous]
                .into_iter()
                .any(|secret| keyed(secret, peer, random, session_id).verify_truncated_left(cookie).is_ok())
    }

    fn rotate(&mut self, now: Instant) {
        let age = now.saturating_duration_since(*self.since.get_or_insert(now));
        if age >= SECRET_LIFE {
            let next = secret(&mut self.rng);
            let last = std::mem::replace(&mut self.current, next);
            // After a long silence both are out of date.
            self.previous = if age < 2 * SECRET_LIFE { last } else { secret(&mut self.rng) };
            self.since = Some(now);
        }
    }
}

fn secret(rng: &mut ChaCha20Rng) -> Hmac<Sha256> {
    let mut key = [0; 32];
    rng.fill_bytes(&mut key);
    Hmac::new(&pad(key))
}

/// The key type of the HMAC is one block of the hash.
fn pad(key: [u8; 32]) -> hmac::digest::Key<Hmac<Sha256>> {
    let mut block = hmac::digest::Key::<Hmac<Sha256>>::default();
    block.iter_mut().zip(key).for_each(|(to, from)| *to = from);
    block
}

/// Fields of variable length carry their length, so that no two inputs look the same.
fn keyed(secret: &Hmac<Sha256>, peer: SocketAddr, random: &[u8; 32], session_id: &[u8]) -> Hmac<Sha256> {
    let mac = match peer.ip() {
        IpAddr::V4(ip) => secret.clone().chain_update([4]).chain_update(ip.octets()),
        IpAddr::V6(ip) => secret.clone().chain_update([6]).chain_update(ip.octets()),
    };
    mac.chain_update(peer.port().to_be_bytes())
        .chain_update(random)
        .chain_update([session_id.len() as u8])
        .chain_update(session_id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_core::SeedableRng;

    fn peer(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn cookies() -> Cookies {
        Cookies::new(ChaCha20Rng::from_seed([1; 32]))
    }

    #[test]
    fn a_cookie_holds_for_its_peer_random_and_session_id_only() {
        let (mut cookies, now, here) = (cookies(), Instant::now(), peer("192.0.2.1:5000"));
        let cookie = cookies.make(now, here, &[1; 32], &[5]);
        assert!(cookies.is_valid(now, here, &[1; 32], &[5], &cookie));
        assert!(!cookies.is_valid(now, peer("192.0.2.1:5001"), &[1; 32], &[5], &cookie));
        assert!(!cookies.is_valid(now, peer("192.0.2.2:5000"), &[1; 32], &[5], &cookie));
        assert!(!cookies.is_valid(now, peer("[::1]:5000"), &[1; 32], &[5], &cookie));
        assert!(!cookies.is_valid(now, here, &[2; 32], &[5], &cookie));
        assert!(!cookies.is_valid(now, here, &[1; 32], &[], &cookie));
        for end in 0..COOKIE_LEN {
            assert!(!cookies.is_valid(now, here, &[1; 32], &[5], &cookie[..end]), "cut at {end}");
        }
    }

    #[test]
    fn a_cookie_lives_for_one_to_two_minutes() {
        let (mut cookies, start, here) = (cookies(), Instant::now(), peer("192.0.2.1:5000"));
        let mut valid_after = |seconds: u64| {
            let cookie = cookies.make(start, here, &[1; 32], &[]);
            let valid = cookies.is_valid(start + Duration::from_secs(seconds), here, &[1; 32], &[], &cookie);
            cookies.since = None;
            valid
        };
        assert_eq!([0, 59, 60, 119].map(&mut valid_after), [true; 4]);
        assert_eq!([120, 10_000].map(&mut valid_after), [false; 2]);
    }

    #[test]
    fn the_seed_decides_the_cookie() {
        let (now, here) = (Instant::now(), peer("192.0.2.1:5000"));
        let make = |seed| Cookies::new(ChaCha20Rng::from_seed(seed)).make(now, here, &[1; 32], &[]);
        assert_eq!(make([1; 32]), make([1; 32]));
        assert_ne!(make([1; 32]), make([2; 32]));
    }
}
