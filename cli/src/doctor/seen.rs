//! What a handshake shows of the server before anything is encrypted, and what messages went out more than
//! once.

use lowband_client::trace::Trace;
use lowband_wire::coap::message::Kind;
use lowband_wire::dtls::fragments::{Fragment, Fragments};
use lowband_wire::dtls::handshake::{CERTIFICATE, SERVER_HELLO};
use lowband_wire::dtls::record::{ContentType, DTLS_1_2, Records};
use lowband_wire::dtls::suite::Suite;
use openssl::asn1::Asn1Time;
use openssl::x509::{X509, X509Ref};
use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;

/// Bytes of a handshake message that are put together at most; a certificate chain has a few thousand.
const MAX_MESSAGE: usize = 64 << 10;

/// What has been seen of a connection.
#[derive(Default)]
pub(crate) struct Seen {
    hello: Pieces,
    certificate: Pieces,
    /// Bytes of the largest datagram that has arrived, UDP payload.
    pub(crate) largest: usize,
    /// Datagrams that have arrived.
    pub(crate) datagrams: u64,
    /// Bytes of the largest payload of a message that has arrived.
    pub(crate) largest_payload: usize,
    /// Ids of the confirmable messages that have been sent.
    ids: HashSet<u16>,
    /// Confirmable messages sent, copies included.
    sent: usize,
}

/// The certificate of a server and those that came with it.
pub(crate) struct Chain {
    /// Names and addresses that it is made out to.
    pub(crate) names: Vec<String>,
    /// Seconds until the first certificate of the chain ends; negative after it.
    pub(crate) left: i64,
    /// Seconds that this certificate is valid for in all.
    pub(crate) lifetime: i64,
    pub(crate) certificates: usize,
    pub(crate) bytes: usize,
    /// Datagrams that brought it.
    pub(crate) datagrams: usize,
}

impl Seen {
    pub(crate) fn see(&mut self, what: Trace<'_>) {
        match what {
            Trace::Received(datagram) => self.received(datagram),
            Trace::MessageReceived(message) => {
                let payload = message.view().map_or(0, |view| view.payload.len());
                self.largest_payload = self.largest_payload.max(payload);
            }
            Trace::MessageSent(message) => {
                if let Ok(view) = message.view()
                    && view.kind == Kind::Confirmable
                {
                    self.sent += 1;
                    self.ids.insert(view.id.0);
                }
            }
            _ => {}
        }
    }

    fn received(&mut self, datagram: &[u8]) {
        self.datagrams += 1;
        self.largest = self.largest.max(datagram.len());
        let (hello, certificate) = (&mut self.hello, &mut self.certificate);
        let mut is_new = false;
        for record in Records::new(datagram).map_while(Result::ok) {
            if record.content_type != ContentType::Handshake || record.number.epoch() != 0 {
                continue;
            }
            for (fragment, body) in Fragments::new(record.fragment).bodies() {
                match fragment.kind {
                    SERVER_HELLO => drop(hello.add(fragment, body)),
                    CERTIFICATE => is_new |= certificate.add(fragment, body),
                    _ => {}
                }
            }
        }
        certificate.datagrams += usize::from(is_new);
    }

    /// Returns version and cipher suite as people call them; `None` before the server has chosen.
    pub(crate) fn chosen(&self) -> Option<(String, String)> {
        let hello = self.hello.whole()?;
        let (version, rest) = hello.split_first_chunk::<2>()?;
        let (length, rest) = rest.get(32..)?.split_first()?;
        let suite = u16::from_be_bytes(*rest.get(usize::from(*length)..)?.first_chunk::<2>()?);
        let version =
            if *version == DTLS_1_2 { "DTLS 1.2".into() } else { format!("version {version:02x?}") };
        let name =
            Suite::from_id(suite).map_or_else(|| format!("suite {suite:#06x}"), |suite| suite.name.into());
        Some((version, name))
    }

    /// Returns the certificate; `None` before all of it has come, or if it cannot be read.
    pub(crate) fn chain(&self) -> Option<Chain> {
        let message = self.certificate.whole()?;
        let certificates = certificates(message)?;
        let ends: Option<Vec<(i64, i64)>> = certificates.iter().map(|one| validity(one)).collect();
        let (left, lifetime) = ends?.into_iter().min()?;
        Some(Chain {
            names: names(certificates.first()?),
            left,
            lifetime,
            certificates: certificates.len(),
            bytes: message.len(),
            datagrams: self.certificate.datagrams,
        })
    }

    /// Returns how many confirmable messages there were, and how many times one was sent again.
    pub(crate) fn messages(&self) -> (usize, usize) {
        (self.ids.len(), self.sent - self.ids.len())
    }
}

/// Reads the certificates of a Certificate message (RFC 5246 section 7.4.2).
fn certificates(message: &[u8]) -> Option<Vec<X509>> {
    let mut rest = message.get(3..)?;
    let mut all = Vec::new();
    while let Some((&[a, b, c], after)) = rest.split_first_chunk::<3>() {
        let (one, after) = after.split_at_checked(u32::from_be_bytes([0, a, b, c]) as usize)?;
        all.push(X509::from_der(one).ok()?);
        rest = after;
    }
    Some(all)
}

/// Returns the seconds that are left, and those from the beginning to the end.
fn validity(certificate: &X509Ref) -> Option<(i64, i64)> {
    let now = Asn1Time::days_from_now(0).ok()?;
    let between = |from: &openssl::asn1::Asn1TimeRef| {
        let difference = from.diff(certificate.not_after()).ok()?;
        Some(i64::from(difference.days) * 86_400 + i64::from(difference.secs))
    };
    Some((between(&now)?, between(certificate.not_before())?))
}

fn names(certificate: &X509Ref) -> Vec<String> {
    let names = certificate.subject_alt_names().into_iter().flatten();
    let one = |name: openssl::x509::GeneralName| {
        let address = |bytes: &[u8]| match bytes.len() {
            4 => Some(IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?)),
            _ => Some(IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?)),
        };
        name.dnsname().map(str::to_owned).or_else(|| Some(address(name.ipaddress()?)?.to_string()))
    };
    names.filter_map(one).collect()
}

/// The pieces of one handshake message.
#[derive(Default)]
struct Pieces {
    bytes: Vec<u8>,
    /// Where pieces begin, and where they end.
    pieces: BTreeMap<usize, usize>,
    /// Datagrams that brought pieces.
    datagrams: usize,
}

impl Pieces {
    /// Adds a piece; returns whether it is a new one.
    fn add(&mut self, fragment: Fragment, body: &[u8]) -> bool {
        if fragment.length > MAX_MESSAGE {
            return false;
        }
        if self.bytes.len() != fragment.length {
            *self = Pieces { bytes: vec![0; fragment.length], ..Pieces::default() };
        }
        let end = fragment.offset.saturating_add(body.len());
        let Some(place) = self.bytes.get_mut(fragment.offset..end) else { return false };
        place.copy_from_slice(body);
        let known = self.pieces.entry(fragment.offset).or_default();
        let is_new = *known < end;
        *known = end.max(*known);
        is_new
    }

    /// Returns the message, if no piece is missing.
    fn whole(&self) -> Option<&[u8]> {
        let mut reached = 0;
        for (&from, &to) in &self.pieces {
            if from > reached {
                return None;
            }
            reached = reached.max(to);
        }
        (reached == self.bytes.len() && reached > 0).then_some(&self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fragment(length: usize, offset: usize) -> Fragment {
        Fragment { kind: CERTIFICATE, length, message_seq: 2, offset }
    }

    #[test]
    fn pieces_in_any_order_make_a_message_and_copies_are_not_new() {
        let mut pieces = Pieces::default();
        assert!(pieces.add(fragment(5, 3), b"de"));
        assert_eq!(pieces.whole(), None);
        assert!(!pieces.add(fragment(5, 3), b"de"));
        assert!(pieces.add(fragment(5, 0), b"abc"));
        assert_eq!(pieces.whole(), Some(&b"abcde"[..]));
    }

    #[test]
    fn pieces_that_do_not_fit_or_are_too_many_are_left_out() {
        let mut pieces = Pieces::default();
        assert!(!pieces.add(fragment(5, 4), b"de"));
        assert!(!pieces.add(fragment(MAX_MESSAGE + 1, 0), b"x"));
        assert_eq!((pieces.whole(), pieces.bytes.len()), (None, 5));
    }

    #[test]
    fn a_message_that_is_cut_anywhere_is_no_certificate() {
        for message in [&b""[..], b"\0\0", b"\0\0\x04\0\0\x01", b"\0\0\x04\0\0\x01\x30"] {
            assert!(certificates(message).is_none(), "{message:?}");
        }
    }
}
