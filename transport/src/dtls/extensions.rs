//! What the two hellos can agree on with OpenSSL 3.0 in DTLS 1.2, and what keeps it. OpenSSL takes part in
//! the handshake only: an agreement that concerns records, messages or times afterwards has to be honoured by
//! us, or must not be made.
//!
//! | extension | our answer as a server | what keeps it |
//! |---|---|---|
//! | max_fragment_length (RFC 6066 section 4) | agreed on | OpenSSL cuts the flight, whose datagrams are no longer than one record; [`Session`] seals nothing longer; CoAP takes blocks and messages that fit |
//! | extended_master_secret (RFC 7627) | agreed on | the master secret is taken from OpenSSL as it is |
//! | renegotiation_info (RFC 5746) | agreed on, empty | never renegotiated: each attempt gets the warning no_renegotiation, and the session goes on |
//! | supported_groups, ec_point_formats (RFC 8422) | X25519, P-256, P-384; uncompressed | the handshake alone |
//! | signature_algorithms, signature_algorithms_cert | chosen from, not answered | the handshake alone |
//! | encrypt_then_mac (RFC 7366) | refused ([`super::ffi::no_encrypt_then_mac`]) | concerns CBC suites, of which we have none |
//! | session_ticket (RFC 5077), session ids | refused: no tickets, an empty id | each handshake is a full one |
//! | server_name (RFC 6066 section 3) | not acknowledged | there is one certificate for every name |
//! | application_layer_protocol_negotiation (RFC 7301) | not answered | CoAP is all there is |
//! | status_request, signed_certificate_timestamp | not answered | no such data; a client that insists ends the handshake itself |
//! | use_srtp (RFC 5764) | not answered | we have no profile |
//! | compression methods | null alone | OpenSSL 3.0 compresses nothing in DTLS |
//! | heartbeat (RFC 6520), record_size_limit (RFC 8449), connection_id (RFC 9146), padding, supported_versions, post-quantum groups, whatever is unknown | not answered | OpenSSL 3.0 does not know them in DTLS |
//!
//! None of these changes a timer: flights and the message layer have their own. As a client we offer what
//! OpenSSL offers by itself, without tickets and encrypt_then_mac, and max_fragment_length where the
//! configuration asks for it. A server that agrees to what was not offered ends the handshake, by OpenSSL.
//!
//! [`Session`]: super::session::Session

use super::ffi;
use lowband_wire::dtls::extension::MaxFragmentLength;
use lowband_wire::dtls::record::MAX_PLAINTEXT;
use openssl::ssl::SslSessionRef;

/// Returns how many bytes of plaintext a record of this session may have.
pub(super) fn largest_plaintext(session: &SslSessionRef) -> usize {
    let agreed = MaxFragmentLength::from_code(ffi::agreed_max_fragment_length(session));
    agreed.map_or(MAX_PLAINTEXT, MaxFragmentLength::bytes)
}
