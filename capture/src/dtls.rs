//! Sessions of DTLS 1.2 (RFC 6347) as a capture shows them: which record belongs to which, and what it says.
//!
//! ```text
//! datagram -> records -> epoch 0: hellos -> randoms, suite, Connection IDs --.
//!                                                 key log -> master secret --+-> keys
//!                     -> epoch 1: session by addresses, or by Connection ID -> plaintext, or why not
//! ```

mod aead;
mod flow_key;
mod pieces;
mod seen;
mod sessions;
mod tracked;

pub(crate) use sessions::{Content, Found, Sessions};
