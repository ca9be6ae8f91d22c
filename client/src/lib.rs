//! The other end of the low-bandwidth wire: an asynchronous connection over [`lowband_transport::Client`].
//!
//! ```text
//! Request -> target + sticky -> lowband_transport::Client -> driver -> UDP socket
//! Response <------------------- lowband_transport::Client <- driver <- UDP socket
//! ```
//!
//! ```no_run
//! # async fn example() -> Result<(), lowband_client::Error> {
//! use lowband_client::{ConnectOptions, Connection, Request, Verification};
//! let connection = Connection::connect(ConnectOptions {
//!     server: ([192, 0, 2, 1], 8008).into(),
//!     server_name: "matrix.example.org".into(),
//!     verification: Verification::System,
//!     connect_timeout: std::time::Duration::from_secs(30),
//! })
//! .await?;
//! let versions = connection.request(Request::get("/_matrix/client/versions")).await?;
//! println!("{} {:?}", versions.code.with_reason(), lowband_codec::cbor_to_json(&versions.body));
//! connection.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! A [`Connection`] has one session and ends with it. An app wants a [`LastingConnection`], which dials again
//! and repeats what can be repeated without harm. Either can show how far a body is
//! ([`Connection::request_with_progress`]) and what the path is like ([`Connection::path`]).
//!
//! Absent on purpose: resolving names, and looking into bodies. A body is what the caller gives, usually CBOR
//! made by `lowband_codec`.

mod connection;
mod driver;
mod error;
mod incoming;
pub mod key_log;
mod lasting;
mod message;
mod packing;
mod redial;
mod settings;
mod sticky;
mod target;
pub mod tls;
pub mod trace;

pub use connection::{ConnectOptions, Connection};
pub use error::Error;
pub use incoming::Incoming;
pub use lasting::LastingConnection;
pub use message::{Request, Response};
pub use redial::Redial;
pub use settings::{Settings, TokenUse};
pub use target::TargetError;

pub use lowband_transport::coap::{
    Derived, Direction, FailReason, Limits, PathReport, Progress, ProtocolError, Times,
};
pub use lowband_transport::dtls::{CertificateFailure, CloseReason, HandshakeFailure, Verification};
pub use lowband_transport::{Mistake, SetupError};
pub use lowband_wire::coap::fault::Unsendable;
pub use lowband_wire::coap::numbers::{MAX_ACCESS_TOKEN, MAX_OPTION};
pub use lowband_wire::coap::{Code, Method, content_format};
pub use lowband_wire::packed::NotPacked;
