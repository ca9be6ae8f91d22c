//! Which way requests go.

use crate::https::Https;
use crate::settings::Settings;
use lowband_client::LastingConnection;
use std::net::SocketAddr;
use std::sync::Arc;

/// The port for datagrams where nothing else is known.
const PORT: u16 = 8008;

/// A way to the homeserver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// CBOR over CoAP and DTLS.
    Udp(Udp),
    /// CBOR over HTTPS.
    HttpsCbor,
    /// JSON over HTTPS.
    HttpsJson,
}

/// Where datagrams go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Udp {
    pub(crate) server: SocketAddr,
    pub(crate) server_name: String,
}

/// The ways to the homeserver, and which of them works.
#[derive(Clone)]
pub(crate) struct Ways(Arc<Settings>);

impl Ways {
    /// Begins to look for ways.
    pub(crate) fn start(settings: &Arc<Settings>, _https: &Https) -> Ways {
        Ways(Arc::clone(settings))
    }

    /// Returns the way of the next request, as soon as one is known to work.
    pub(crate) async fn best(&self) -> Way {
        match self.0.udp.as_deref() {
            Some(target) => resolve(target).await.map_or(Way::HttpsJson, Way::Udp),
            None => Way::HttpsJson,
        }
    }

    /// Returns the first session, once.
    pub(crate) fn take_first(&self) -> Option<LastingConnection> {
        None
    }

    /// Notes that a dial or a request over UDP failed by the link.
    pub(crate) fn udp_failed(&self, why: &lowband_client::Error) {
        tracing::debug!(%why, "UDP does not get through");
    }

    /// Notes that an answer came over UDP.
    pub(crate) fn udp_answered(&self) {}
}

async fn resolve(target: &str) -> Option<Udp> {
    let has_port = target.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let address = if has_port { target.to_owned() } else { format!("{target}:{PORT}") };
    let server = tokio::net::lookup_host(&address).await.ok()?.next()?;
    let (name, _port) = address.rsplit_once(':')?;
    Some(Udp { server, server_name: name.trim_matches(['[', ']']).to_owned() })
}
