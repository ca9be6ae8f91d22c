//! Cookies of the HelloVerifyRequest (RFC 6347 section 4.2.1): they prove without state that a peer receives
//! at its address.
//!
//! A client may reach another server between its two hellos: behind a balancer, when a replica ends. So the
//! secret comes from the private key, which all replicas of one certificate have in common, and its periods
//! are those of the wall clock. Then each replica takes the cookies of all others, and no client is asked for
//! a new one for ever.

use super::config::ServerIdentity;
use super::identity;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// A cookie belongs to a period of this many seconds of the wall clock. It is accepted in that period and the
/// next, and in the one before, so that the clocks of replicas may differ by as much.
const PERIOD: Duration = Duration::from_secs(60);
/// Bytes of a cookie: 2^64 guesses are enough against an attacker who has three minutes.
pub(super) const COOKIE_LEN: usize = 8;
/// Name of this use of the key, so that nothing else derived from it is equal.
const LABEL: &[u8] = b"lowband DTLS cookie 1";

/// Key of the HMAC that makes cookies.
pub(super) type Secret = [u8; 32];

/// Makes and checks cookies.
pub(super) struct Cookies {
    current: Hmac<Sha256>,
    /// HMAC of a secret that has been replaced, and until when its cookies are accepted.
    previous: Option<(Hmac<Sha256>, Instant)>,
    secret: Secret,
    /// The wall clock at a time. None before it was set: time then begins with the first cookie.
    clock: Option<(Instant, Duration)>,
}

impl Cookies {
    pub(super) fn new(secret: Secret) -> Cookies {
        Cookies { current: keyed(&secret), previous: None, secret, clock: None }
    }

    /// Makes cookies with this secret from now on; those of the one before stay valid until their end.
    pub(super) fn set_secret(&mut self, now: Instant, secret: Secret) {
        if secret == self.secret {
            return;
        }
        self.secret = secret;
        let last = std::mem::replace(&mut self.current, keyed(&secret));
        self.previous = Some((last, now + 2 * PERIOD));
    }

    /// Sets the wall clock to `since_epoch`, the time since 1970.
    pub(super) fn tell_time(&mut self, now: Instant, since_epoch: Duration) {
        self.clock = Some((now, since_epoch));
    }

    pub(super) fn make(
        &mut self,
        now: Instant,
        peer: SocketAddr,
        random: &[u8; 32],
        session_id: &[u8],
    ) -> [u8; COOKIE_LEN] {
        let period = self.period(now);
        let mac = over(&self.current, period, peer, random, session_id).finalize().into_bytes();
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
        if cookie.len() != COOKIE_LEN {
            return false;
        }
        if self.previous.as_ref().is_some_and(|(_, until)| *until <= now) {
            self.previous = None;
        }
        let period = self.period(now);
        let periods = [period, period.wrapping_sub(1), period.wrapping_add(1)];
        let secrets = [Some(&self.current), self.previous.as_ref().map(|(secret, _)| secret)];
        secrets.into_iter().flatten().any(|secret| {
            let fits = |period| over(secret, period, peer, random, session_id).verify_truncated_left(cookie);
            periods.into_iter().any(|period| fits(period).is_ok())
        })
    }

    fn period(&mut self, now: Instant) -> u64 {
        let (at, since_epoch) = *self.clock.get_or_insert((now, Duration::ZERO));
        let here = match now.checked_duration_since(at) {
            Some(later) => since_epoch + later,
            None => since_epoch.saturating_sub(at.duration_since(now)),
        };
        here.as_secs() / PERIOD.as_secs()
    }
}

/// Derives the secret from a certificate's key by HKDF-SHA256 (RFC 5869): one way, so that cookies reveal
/// nothing about the key. None if the key cannot be read.
pub(super) fn secret_of(identity: &ServerIdentity) -> Option<Secret> {
    let key = Zeroizing::new(identity::private_number(identity)?);
    Some(derive(&key, LABEL))
}

/// Computes HKDF without a salt, for one block of output: HMAC(HMAC(0, key), label | 1).
fn derive(key: &[u8], label: &[u8]) -> Secret {
    let extracted = keyed(&[0; 32]).chain_update(key).finalize().into_bytes();
    keyed(&extracted.into()).chain_update(label).chain_update([1]).finalize().into_bytes().into()
}

fn keyed(secret: &Secret) -> Hmac<Sha256> {
    // The key type of the HMAC is one block of the hash.
    let mut block = hmac::digest::Key::<Hmac<Sha256>>::default();
    block.iter_mut().zip(secret).for_each(|(to, from)| *to = *from);
    Hmac::new(&block)
}

/// Hashes the inputs. Fields of variable length are preceded by their length, so that no two inputs
/// look the same.
fn over(
    secret: &Hmac<Sha256>,
    period: u64,
    peer: SocketAddr,
    random: &[u8; 32],
    session_id: &[u8],
) -> Hmac<Sha256> {
    let mac = secret.clone().chain_update(period.to_be_bytes());
    let mac = match peer.ip() {
        IpAddr::V4(ip) => mac.chain_update([4]).chain_update(ip.octets()),
        IpAddr::V6(ip) => mac.chain_update([6]).chain_update(ip.octets()),
    };
    mac.chain_update(peer.port().to_be_bytes())
        .chain_update(random)
        .chain_update([session_id.len() as u8])
        .chain_update(session_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANDOM: &[u8; 32] = &[1; 32];

    fn peer(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn here() -> SocketAddr {
        peer("192.0.2.1:5000")
    }

    fn cookies() -> Cookies {
        Cookies::new([1; 32])
    }

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn a_cookie_holds_for_its_peer_random_and_session_id_only() {
        let (mut cookies, now, here) = (cookies(), Instant::now(), here());
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
        let start = Instant::now();
        for (made_at, valid) in
            [(0, [true, true, true, false, false]), (59, [true, true, false, false, false])]
        {
            let mut cookies = cookies();
            cookies.tell_time(start, seconds(6_000_000 + made_at));
            let cookie = cookies.make(start, here(), RANDOM, &[]);
            let found = [0, 59, 119, 120, 10_000]
                .map(|after| cookies.is_valid(start + seconds(after), here(), RANDOM, &[], &cookie));
            assert_eq!(found, valid, "made {made_at} s after the beginning of a period");
        }
    }

    #[test]
    fn replicas_with_one_secret_take_each_others_cookies_while_their_clocks_differ_by_a_minute_at_most() {
        let start = Instant::now();
        // Their steady clocks began at other times.
        for (ahead, valid) in [(0, true), (60, true), (-60, true), (120, false), (-120, false)] {
            let (mut one, mut other) = (cookies(), cookies());
            one.tell_time(start, seconds(6_000_000));
            let there = start + seconds(500);
            other.tell_time(there, seconds((6_000_000 + ahead) as u64));
            let cookie = one.make(start, here(), RANDOM, &[]);
            assert_eq!(other.is_valid(there, here(), RANDOM, &[], &cookie), valid, "{ahead} s ahead");
        }
        let cookie = Cookies::new([2; 32]).make(start, here(), RANDOM, &[]);
        assert!(!cookies().is_valid(start, here(), RANDOM, &[], &cookie), "of another secret");
    }

    #[test]
    fn a_wall_clock_that_is_put_back_harms_cookies_of_later_periods_alone() {
        let (mut cookies, start) = (cookies(), Instant::now());
        cookies.tell_time(start, seconds(6_000_000));
        let cookie = cookies.make(start, here(), RANDOM, &[]);
        cookies.tell_time(start + seconds(1), seconds(6_000_000 - 30));
        assert!(cookies.is_valid(start + seconds(1), here(), RANDOM, &[], &cookie));
        assert!(cookies.is_valid(start, here(), RANDOM, &[], &cookie), "asked for a time before it");
    }

    #[test]
    fn cookies_of_a_replaced_secret_hold_until_their_end() {
        let (mut cookies, start) = (cookies(), Instant::now());
        let old = cookies.make(start, here(), RANDOM, &[]);
        cookies.set_secret(start, [2; 32]);
        let new = cookies.make(start, here(), RANDOM, &[]);
        assert_ne!(old, new);
        // Setting the same secret again changes nothing.
        cookies.set_secret(start, [2; 32]);
        for cookie in [old, new] {
            assert!(cookies.is_valid(start + seconds(119), here(), RANDOM, &[], &cookie));
            assert!(!cookies.is_valid(start + seconds(120), here(), RANDOM, &[], &cookie));
        }
        let late = cookies.make(start + seconds(120), here(), RANDOM, &[]);
        assert!(cookies.is_valid(start + seconds(120), here(), RANDOM, &[], &late));
        // The old secret alone makes no cookies that are accepted now.
        let mut last = Cookies::new([1; 32]);
        last.tell_time(start, Duration::ZERO);
        let made = last.make(start + seconds(121), here(), RANDOM, &[]);
        assert!(!cookies.is_valid(start + seconds(121), here(), RANDOM, &[], &made));
    }

    #[test]
    fn the_derivation_is_that_of_rfc_5869() {
        // Appendix A.3: no salt, no info; the first 32 of its 42 bytes.
        let expected = [
            0x8d, 0xa4, 0xe7, 0x75, 0xa5, 0x63, 0xc1, 0x8f, 0x71, 0x5f, 0x80, 0x2a, 0x06, 0x3c, 0x5a, 0x31,
            0xb8, 0xa1, 0x1f, 0x5c, 0x5e, 0xe1, 0x87, 0x9e, 0xc3, 0x45, 0x4e, 0x5f, 0x3c, 0x73, 0x8d, 0x2d,
        ];
        assert_eq!(derive(&[0x0b; 22], b""), expected);
        assert_ne!(derive(&[0x0b; 22], b"x"), expected);
    }
}
