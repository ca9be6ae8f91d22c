//! Carries HTTP exchanges to the homeserver and translates them on the way: what Envoy and its filter do
//! where there is an Envoy, by the same decisions (`lowband_translation`).
//!
//! ```text
//! request -> Exchange, routes -> as it came, or as JSON once it is whole -> homeserver
//! answer  <- as it came, as CBOR whole, or as CBOR piece by piece <- Exchange <-
//! ```
//!
//! Nothing is held of what need not be looked into. A request in CBOR is held whole, an answer that becomes
//! CBOR up to a limit (`Config::hold_response_bytes`); above it each piece goes on as it comes. Dropping the
//! future or the body of the answer ends the request at the homeserver.
//!
//! | file | holds |
//! |---|---|
//! | `stream` | one exchange: what the decisions become |
//! | `answer` | the body of an answer |
//! | `upload` | the body of a request that goes on as it comes |
//! | `fields` | header fields: those of one hop, those that nobody believes, edits |
//! | `routes` | the paths that lead to the homeserver |
//! | `own` | the answers that come from here |
//! | `pieces` | a body that is held |
//! | `strangers` | how much of all this one client on TCP may have |
//! | `counts` | what is counted |

use crate::homeserver::{self, Homeserver};
use crate::request_id::RequestId;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use lowband_codec::KeyTable;
use lowband_translation::common::Common;
use lowband_translation::config::{Advertise, Config};
use openssl::error::ErrorStack;
use std::error::Error;
use std::net::IpAddr;
use std::sync::Arc;

mod answer;
mod counts;
mod fields;
mod own;
mod pieces;
mod routes;
mod strangers;
mod stream;
mod upload;

pub use answer::{BodyError, HELD as HELD_OF_AN_ANSWER, TranslatedBody};
pub use counts::Counts;
pub use strangers::MOST as MOST_STRANGERS;
use strangers::Strangers;
use stream::Stream;

/// The settings of a translator.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where requests go.
    pub homeserver: homeserver::Settings,
    /// Bytes of the largest body of a request in CBOR, as CBOR and as JSON.
    pub largest_body: usize,
    /// Bytes of answers to strangers that wait for their clients, at most.
    pub unread_answers: usize,
    /// The values that discovery documents state.
    pub advertise: Advertise,
}

/// Translates between clients and a homeserver. Clones are cheap and share everything.
#[derive(Debug, Clone)]
pub struct Translator {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    homeserver: Homeserver,
    /// For requests of the sidecar itself.
    for_coap: Arc<Common>,
    /// For requests of everybody else.
    for_strangers: Arc<Common>,
    strangers: Arc<Strangers>,
    counts: Arc<Counts>,
}

/// The client of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// A client on CoAP, for which the sidecar speaks. Its fields are believed: `lowband-cbor-version`,
    /// `x-forwarded-for`, `x-forwarded-proto`, `x-request-id`.
    Coap {
        /// True if the request may be sent again when the connection breaks off and it is unknown whether
        /// the homeserver has seen it.
        is_repeatable: bool,
    },
    /// A client on TCP. None of these fields is believed; the homeserver gets those that are known here.
    Stranger {
        /// The address of its socket.
        address: IpAddr,
        /// Whether its connection is protected by TLS.
        is_secure: bool,
        /// The id of the request in all logs; one is drawn for `None`.
        id: Option<RequestId>,
    },
}

/// An extension of answers to requests of which the homeserver has heard nothing.
#[derive(Debug, Clone, Copy)]
pub struct NotPassedOn;

impl Translator {
    /// Makes a translator; it connects when the first request comes.
    ///
    /// # Errors
    ///
    /// Fails if OpenSSL cannot be set up.
    pub fn new(settings: &Settings) -> Result<Translator, ErrorStack> {
        let config = Config {
            max_request_bytes: settings.largest_body,
            advertise: settings.advertise.clone(),
            ..Config::default()
        };
        let for_coap = Config { trusted: true, default_key_table: Some(KeyTable::v1()), ..config.clone() };
        Ok(Translator {
            shared: Arc::new(Shared {
                homeserver: Homeserver::new(&settings.homeserver)?,
                for_coap: for_coap.into(),
                strangers: Arc::new(Strangers::new(&config, MOST_STRANGERS, settings.unread_answers)),
                counts: Arc::default(),
                for_strangers: config.into(),
            }),
        })
    }

    /// Carries a request to the homeserver, and its answer back. What fails on the way becomes a Matrix error
    /// in the form that the client reads.
    pub async fn carry<B>(&self, request: Request<B>, client: Client) -> Response<TranslatedBody>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        Stream::new(Arc::clone(&self.shared), client).carry(request).await
    }

    /// Returns what is counted.
    pub fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.shared.counts)
    }

    /// Returns the number of requests of strangers in flight, and the bytes of those that have not ended.
    pub fn held_by_strangers(&self) -> (usize, usize) {
        self.shared.strangers.held()
    }

    /// Returns the bytes of answers that strangers do not read.
    pub fn unread_by_strangers(&self) -> usize {
        self.shared.strangers.unread()
    }

    /// Returns the number of open connections to the homeserver.
    pub fn connections(&self) -> usize {
        self.shared.homeserver.connections()
    }

    /// Returns whether the homeserver could be used at the last attempt; `None` before the first one.
    pub fn is_up(&self) -> Option<bool> {
        self.shared.homeserver.is_up()
    }

    /// Returns the number of requests that were sent again because their connection had broken off.
    pub fn repeated(&self) -> u64 {
        self.shared.homeserver.repeated()
    }
}
