//! Requests, bodies and answers for the simulation.

use super::dice::Dice;
use super::{Answer, Executed};
use lowband_transport::coap::{Method, Request, RequestOptions};

pub(crate) fn options(path: &str) -> RequestOptions {
    RequestOptions { path: path.split('/').map(String::from).collect(), ..Default::default() }
}

pub(crate) fn get(path: &str) -> Request {
    Request { method: Method::Get, options: options(path), body: vec![] }
}

pub(crate) fn put(path: &str, body: Vec<u8>) -> Request {
    Request { method: Method::Put, options: options(path), body }
}

pub(crate) fn post(path: &str, body: Vec<u8>) -> Request {
    Request { method: Method::Post, options: options(path), body }
}

/// Makes a body in which every block differs from every other, and from that of another seed.
pub(crate) fn body(length: usize, seed: u64) -> Vec<u8> {
    let mut dice = Dice::new(seed ^ 0xb0d1);
    let mut body = Vec::with_capacity(length + 8);
    while body.len() < length {
        body.extend(dice.u64().to_le_bytes());
    }
    body.truncate(length);
    body
}

/// Answers each request with its own body.
pub(crate) fn echo(request: &Executed) -> Answer {
    Answer::new(request.body.clone())
}
