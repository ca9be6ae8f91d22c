//! The low-bandwidth wire (MSC3079) as bytes: what a datagram contains, read and written.
//!
//! ```text
//!   [coap]   options | numbers, code | block        words: GET, Uri-Path, block 3 of 1,024 bytes
//!                     message
//!                        ^
//!                        | plaintext of a record: one message
//!                        |
//!   [dtls]            record        <-- keys, aead <-- suite, master secret
//!                        ^
//!              hello, fragments, alert              in clear text, before there are keys
//! ```
//!
//! Functions of bytes, and nothing else: no socket, no clock, no randomness, no state, no OpenSSL. So the
//! same parsers serve a server, a client and a reader of captures, the last one in a browser as well: the
//! crate builds for wasm32.
//!
//! A parser says what is wrong, as a value. Nothing is counted or logged here, and nothing that arrives makes
//! it panic. What an error means for a session or for a request is for the caller to decide.
//!
//! Deliberately absent: encryption itself (the caller has an AEAD), suites that are not AEAD, certificates,
//! and the meaning of a message to those before and after it.

pub mod coap;
pub mod dtls;
pub mod packed;
mod reader;
