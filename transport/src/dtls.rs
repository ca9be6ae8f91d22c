//! DTLS 1.2 (RFC 6347) over datagrams: a stateless front, OpenSSL for the handshake, our own record
//! layer after it.
//!
//! ```text
//!                    client                                    server
//! handshake, connect | ClientHello                    ------>  hello, cookie, front: nothing is kept
//!                    |                                <------  HelloVerifyRequest
//!   (OpenSSL,        | ClientHello + cookie           ------>  front, then handshake::accept (OpenSSL, flight)
//!    flight)         |        ServerHello ... ServerHelloDone
//!                    | ClientKeyExchange, CCS, Finished ---->  keys, session; OpenSSL's object is dropped
//!   keys, session    |                                <------  CCS, Finished: kept until the first application record
//!                    | application data               <----->  session, record, aead, replay
//! ```
//!
//! A session has an id of its own, apart from its address: all that belongs to the session ends with it, not
//! with its port.
//!
//! Records, hellos and traffic keys as bytes are those of [`lowband_wire::dtls`].
//!
//! The table in `extensions.rs` lists what else OpenSSL agrees to and what keeps it; the one in `front.rs`
//! lists how each kind of ClientHello is answered.
//!
//! Deliberately absent: suites that are not AEAD, renegotiation, compression, client certificates. A session
//! outlives its OpenSSL object, so that an idle one costs some hundred bytes. OpenSSL reads the clock
//! (validity of certificates) and draws its own randomness; nothing else here does.

mod aead;
mod config;
mod context;
mod cookie;
mod counters;
mod endpoint;
mod event;
mod extensions;
mod failure;
mod ffi;
mod flight;
mod front;
mod gathering;
mod handshake;
mod identity;
mod job;
mod patience;
mod pipe;
mod private_key;
mod recut;
mod replay;
mod secrets;
mod session;
mod suite;
mod table;

pub use config::{Config, Limits, ServerIdentity, Verification};
pub use counters::Counters;
pub use endpoint::Endpoint;
pub use event::{CloseReason, Event, PathSize, SendError};
pub use failure::{CertificateFailure, HandshakeFailure};
pub use job::{Done, Job};
pub use lowband_wire::dtls::extension::MaxFragmentLength;
pub use private_key::PrivateKey;
