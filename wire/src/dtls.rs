//! DTLS 1.2 (RFC 6347) as bytes: records, handshake messages, suites, traffic keys.
//!
//! ```text
//!          hello, hello::body, extension      what the two hellos say
//!     fragments, handshake   |   alert        messages and pieces of them
//!                record, connection_id        what a datagram consists of
//!
//!      suite -> keys -> aead                  what opens a protected record: key, nonce, additional data
//! ```
//!
//! The AEAD itself is the caller's: OpenSSL in a server, another library in a reader of captures.

pub mod aead;
pub mod alert;
pub mod connection_id;
pub mod extension;
pub mod fragments;
pub mod handshake;
pub mod hello;
pub mod keys;
pub mod record;
pub mod suite;
