//! Dials all addresses of a host over UDP: the next one beside the first where that is silent.

use super::Udp;
use crate::names::Names;
use crate::settings::Settings;
use crate::stats::Stats;
use lowband_client::trace::Meter;
use lowband_client::{Error, LastingConnection};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Silence of an address after which the next one is dialled beside it: longer than the round trip of a
/// satellite, since each dial costs bytes.
const NEXT_ADDRESS: Duration = Duration::from_secs(1);
/// Most addresses of a name that are dialled.
const ADDRESSES: usize = 6;

/// What a dial needs. Cheap to clone.
#[derive(Clone)]
pub(super) struct Dialler {
    pub(super) settings: Arc<Settings>,
    pub(super) names: Names,
    pub(super) stats: Stats,
}

/// The meters of a dial, by which others see whether the server has been heard. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Heard(Arc<Mutex<Vec<Arc<Meter>>>>);

impl Heard {
    /// Returns whether any datagram has come back.
    pub(super) fn any(&self) -> bool {
        let meters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        meters.iter().any(|meter| meter.traffic().datagrams_in > 0)
    }

    fn add(&self, meter: Arc<Meter>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(meter);
    }
}

impl Dialler {
    /// Dials the addresses of a host until one makes a session.
    pub(super) async fn host(
        &self,
        host: &str,
        port: u16,
        heard: &Heard,
    ) -> Result<(LastingConnection, Udp), Error> {
        let mut addresses = self.names.addresses(host, port).await?.into_iter().take(ADDRESSES);
        let mut dials = JoinSet::new();
        let mut next = addresses.next();
        let mut why_not = None;
        loop {
            if let Some(server) = next.take() {
                let udp = Udp { server, server_name: host.to_owned() };
                let (dialler, heard) = (self.clone(), heard.clone());
                dials.spawn(async move {
                    dialler.address(&udp, &heard).await.map(|connection| (connection, udp))
                });
            }
            let is_last = addresses.len() == 0;
            tokio::select! {
                outcome = dials.join_next() => match outcome {
                    Some(Ok(Ok(connected))) => return Ok(connected),
                    Some(Ok(Err(error))) => {
                        why_not = Some(error);
                        next = addresses.next();
                    }
                    // The task was cancelled with the runtime.
                    Some(Err(_)) => {}
                    None => return Err(why_not.unwrap_or(Error::ConnectTimeout(Duration::ZERO))),
                },
                () = sleep(NEXT_ADDRESS), if !is_last && !heard.any() => next = addresses.next(),
            }
        }
    }

    /// Dials one address.
    pub(super) async fn address(&self, udp: &Udp, heard: &Heard) -> Result<LastingConnection, Error> {
        let meter = self.stats.meter(udp.server);
        heard.add(Arc::clone(&meter));
        let settings = lowband_client::Settings { meter: Some(meter), ..self.settings.client_settings() };
        LastingConnection::connect_with(self.settings.connect_options(udp), settings, self.settings.redial())
            .await
    }
}
