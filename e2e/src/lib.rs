//! Starts and stops the real parts of the chain, and speaks to it from outside: for the end-to-end tests and
//! for the demo.
//!
//! - [`chain`] puts together [`synapse`], [`envoy`] and [`sidecar`], which are child processes ([`process`])
//!   on reserved [`ports`]; [`parts`] knows where their programs are, [`certificate`] makes key and
//!   certificate, [`wait`] waits for them.
//! - [`wire`] speaks [`matrix`] to it in two ways, measured by [`tcp`] and by [`relay`], which can also lose
//!   a flight ([`loss`]) or write down a capture; [`mod@reference`] is a third, by a foreign stack, and
//!   [`hello_world`] what that costs; [`story`] is the main job over either; [`demo`] is `make demo`;
//!   [`fixture`] is what the tests begin with.
//! - [`link_relay`] is a [`link`] of some rate, delay and loss between a client and the sidecar.
//! - [`mod@aiocoap`] is a foreign client without DTLS, for the message layer alone, and [`fetcher`] more of
//!   them that only fetch; they and [`mod@reference`] are driven by lines.
//! - [`foreign_server`] is a foreign server without DTLS, and [`plain`] our client's CoAP on a socket, on a
//!   path that loses and delays.
//! - [`corpus`] is a recorded sample of what Matrix clients ask, to be replayed ([`replay`]); [`twins`]
//!   compares the answers of two homeservers, and [`days`] what two users of a foreign library made of them,
//!   through the [`local_proxy`] or without it; [`tcp_relay`] counts what passes.
//! - [`reference_proxy`] is what a server without Envoy is measured beside.
//!
//! Nothing here stands in for a real part: no fake homeserver, no fake proxy.

pub mod aiocoap;
pub mod call;
pub mod certificate;
pub mod chain;
pub mod corpus;
pub mod days;
pub mod demo;
mod driven;
pub mod envoy;
pub mod error;
pub mod fetcher;
pub mod fixture;
pub mod foreign_server;
pub mod hello_world;
pub mod http1;
pub mod link;
pub mod link_relay;
pub mod local_proxy;
pub mod loss;
pub mod matrix;
pub mod parts;
mod pcap;
pub mod plain;
pub mod ports;
pub mod process;
pub mod reference;
pub mod reference_proxy;
pub mod relay;
pub mod replay;
pub mod sidecar;
pub mod story;
pub mod synapse;
mod sys;
pub mod tcp;
pub mod tcp_relay;
pub mod tell;
pub mod twins;
pub mod wait;
pub mod wire;

pub use error::{Error, Result};
