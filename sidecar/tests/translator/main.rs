//! The translator by itself, between requests as the two sides of the server make them and a homeserver in
//! this process.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests and their helpers fail by panicking"
)]

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use lowband_codec::{DecodeOptions, Decoder, EncodeOptions, Encoder, KeyTable, Limits};
use lowband_sidecar::homeserver::base::Base;
use lowband_sidecar::homeserver::{self, Roots};
use lowband_sidecar::translator::{Client, Settings, TranslatedBody, Translator};
use lowband_translation::config::Advertise;
use serde_json::Value;
use std::time::Duration;

mod carried;
mod failures;
mod long;
mod streams;
mod stub;
mod talks;
mod tls;

#[path = "../chain/identity.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod identity;

const COAP: Client = Client::Coap { is_repeatable: false };
const REPEATABLE: Client = Client::Coap { is_repeatable: true };
/// Time for what nothing but a mistake makes longer.
const PATIENCE: Duration = Duration::from_secs(30);

fn stranger() -> Client {
    Client::Stranger { address: [192, 0, 2, 1].into(), is_secure: true, id: None }
}

fn settings(url: &str) -> Settings {
    Settings {
        homeserver: homeserver::Settings {
            base: Base::parse(url).unwrap(),
            roots: Roots::default(),
            requests: 1000,
            connect_timeout: Duration::from_secs(5),
            ping: Duration::from_secs(20),
        },
        largest_body: 8 << 20,
        unread_answers: 64 << 20,
        advertise: Advertise::default(),
    }
}

fn translator(url: &str) -> Translator {
    Translator::new(&settings(url)).unwrap()
}

fn get(path: &str) -> Request<Full<Bytes>> {
    Request::get(path).header("accept", "application/cbor").body(Full::default()).unwrap()
}

fn post(path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let request = Request::post(path).header("content-type", "application/cbor");
    request.body(Full::new(body.into())).unwrap()
}

fn header<'r, B>(response: &'r Response<B>, name: &str) -> Option<&'r str> {
    response.headers().get(name).map(|value| value.to_str().unwrap())
}

async fn whole(response: Response<TranslatedBody>) -> Bytes {
    tokio::time::timeout(PATIENCE, response.into_body().collect()).await.unwrap().unwrap().to_bytes()
}

/// Reads an answer in CBOR with the keys of version 1.
async fn document(response: Response<TranslatedBody>) -> Value {
    assert_eq!(header(&response, "content-type"), Some("application/cbor"));
    decoded(&whole(response).await)
}

fn decoded(cbor: &[u8]) -> Value {
    let limits = Limits { max_output: 64 << 20, max_input: 64 << 20, ..Limits::default() };
    let mut json = Vec::new();
    Decoder::new(DecodeOptions { keys: Some(KeyTable::v1()), limits }).decode(cbor, &mut json).unwrap();
    serde_json::from_slice(&json).unwrap()
}

fn cbor(json: &str) -> Vec<u8> {
    let mut cbor = Vec::new();
    Encoder::new(EncodeOptions::default()).encode(json.as_bytes(), &mut cbor).unwrap();
    cbor
}
