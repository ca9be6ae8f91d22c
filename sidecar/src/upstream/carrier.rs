//! Where requests go: to Envoy, which translates, or through the translator to the homeserver.

use super::arriving::Arriving;
use super::outgoing::Outgoing;
use super::pool::Pool;
use super::waiting::Waiting;
use super::{Arrived, Fetch, Settings};
use crate::failure::Failure;
use crate::translator::{Client, Translator};
use http::Request;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::Instant;

#[derive(Debug)]
pub(super) enum Carrier {
    Envoy(Pool),
    Homeserver { translator: Translator, cancel_after: Duration, running_out: Arc<AtomicUsize> },
}

impl Carrier {
    pub(super) fn new(settings: &Settings, translator: Option<Translator>) -> Carrier {
        match translator {
            None => Carrier::Envoy(Pool::new(settings)),
            Some(translator) => Carrier::Homeserver {
                translator,
                cancel_after: settings.cancel_after,
                running_out: Arc::default(),
            },
        }
    }

    /// Returns the number of open connections.
    pub(super) fn connections(&self) -> usize {
        match self {
            Carrier::Envoy(pool) => pool.connections(),
            Carrier::Homeserver { translator, .. } => translator.connections(),
        }
    }

    /// Returns whether the other side could be used at the last attempt; `None` before the first one.
    pub(super) fn is_up(&self) -> Option<bool> {
        match self {
            Carrier::Envoy(pool) => pool.is_up(),
            Carrier::Homeserver { translator, .. } => translator.is_up(),
        }
    }

    /// Returns the number of requests that no client waits for any more.
    pub(super) fn running_out(&self) -> usize {
        match self {
            Carrier::Envoy(pool) => pool.running_out(),
            Carrier::Homeserver { running_out, .. } => running_out.load(Ordering::Relaxed),
        }
    }

    /// Returns the number of requests that were sent again because their connection had broken off.
    pub(super) fn repeated(&self) -> u64 {
        match self {
            Carrier::Envoy(pool) => pool.repeated(),
            Carrier::Homeserver { translator, .. } => translator.repeated(),
        }
    }

    /// Sends a request and waits for the head of its response.
    pub(super) async fn send(&self, request: Request<Outgoing>, fetch: &Fetch) -> Result<Arrived, Failure> {
        let (translator, cancel_after, running_out) = match self {
            Carrier::Envoy(pool) => return pool.send(request, fetch).await,
            Carrier::Homeserver { translator, cancel_after, running_out } => {
                (translator.clone(), *cancel_after, running_out)
            }
        };
        let permit = Arc::clone(&fetch.permit);
        let client = Client::Coap { is_repeatable: fetch.is_repeatable };
        let sending = async move {
            let response = translator.carry(request, client).await;
            // Kept until here, even if the asking task is gone.
            drop(permit);
            response
        };
        let response = Waiting::new(sending, Instant::now() + cancel_after, running_out).await;
        Ok(response.map(Arriving::FromHomeserver))
    }
}
