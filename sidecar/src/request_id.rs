//! The id by which one request is found in the logs of the sidecar, of Envoy and of the homeserver.

use http::HeaderValue;
use std::cell::RefCell;
use std::fmt;

/// Bytes of randomness that are drawn at once: a call of OpenSSL costs more than its bytes.
const AT_ONCE: usize = 64 * 16;

thread_local! {
    static DRAWN: RefCell<Drawn> = const { RefCell::new(Drawn { bytes: [0; AT_ONCE], left: 0 }) };
}

/// Random bytes of which the last `left` are still to be used.
struct Drawn {
    bytes: [u8; AT_ONCE],
    left: usize,
}

impl Drawn {
    fn next(&mut self) -> Option<[u8; 16]> {
        if self.left < 16 {
            openssl::rand::rand_bytes(&mut self.bytes).ok()?;
            self.left = AT_ONCE;
        }
        let rest = self.bytes.get(AT_ONCE - self.left..)?;
        self.left -= 16;
        rest.first_chunk().copied()
    }
}

/// A random UUID (RFC 9562 section 5.4), the form that Envoy gives its own ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestId(u128);

impl RequestId {
    /// Draws an id; `None` if the system has no randomness.
    pub fn draw() -> Option<RequestId> {
        DRAWN.with_borrow_mut(Drawn::next).map(RequestId::from_random)
    }

    /// Makes an id of random bytes: version 4, of the variant that RFC 9562 defines.
    fn from_random(bytes: [u8; 16]) -> RequestId {
        const VERSION: u128 = 0xf << 76;
        const VARIANT: u128 = 0b11 << 62;
        RequestId(u128::from_be_bytes(bytes) & !(VERSION | VARIANT) | 4 << 76 | 0b10 << 62)
    }

    /// Returns the value of the header field `x-request-id`.
    pub fn header(self) -> Option<HeaderValue> {
        HeaderValue::try_from(self.to_string()).ok()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |shift: u32, digits: u32| self.0 >> shift & ((1 << (4 * digits)) - 1);
        let (first, second, third) = (part(96, 8), part(80, 4), part(64, 4));
        write!(f, "{first:08x}-{second:04x}-{third:04x}-{:04x}-{:012x}", part(48, 4), part(0, 12))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn an_id_is_a_uuid_of_version_4() {
        for (bytes, text) in [
            ([0; 16], "00000000-0000-4000-8000-000000000000"),
            ([0xff; 16], "ffffffff-ffff-4fff-bfff-ffffffffffff"),
            (*b"0123456789abcdef", "30313233-3435-4637-b839-616263646566"),
        ] {
            let id = RequestId::from_random(bytes);
            assert_eq!(id.to_string(), text);
            assert_eq!(id.header().unwrap(), text);
        }
        let drawn: HashSet<_> = (0..3 * AT_ONCE / 16).map(|_| RequestId::draw().unwrap().0).collect();
        assert_eq!(drawn.len(), 3 * AT_ONCE / 16);
    }
}
