//! The whole chain in one run folder: homeserver, Envoy, sidecar; or homeserver and sidecar, without Envoy.

use crate::certificate::Certificate;
use crate::envoy::Envoy;
use crate::error::{Error, Result};
use crate::parts::{Parts, Translator};
use crate::ports::Port;
use crate::sidecar::Sidecar;
use crate::synapse::{RateLimits, Synapse};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// Longest path of a unix socket in bytes: `sun_path` of unix(7), less its closing zero.
const LONGEST_SOCKET_PATH: usize = 107;

/// The homeserver at the end of the chain.
#[derive(Clone, Debug)]
pub enum Homeserver {
    /// A Synapse of our own.
    Own(RateLimits),
    /// An existing homeserver, at this URL.
    At(String),
}

/// How a chain is laid out.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The run folder, an absolute path; it must exist.
    pub folder: PathBuf,
    /// The end of the chain.
    pub homeserver: Homeserver,
    /// Arguments for the sidecar besides those that every run needs.
    pub sidecar: &'static [&'static str],
    /// The part that translates.
    pub translator: Translator,
    /// Whether discovery and login name the chain as the homeserver, so that clients stay on it. Otherwise
    /// their answers are the homeserver's own.
    pub base_url: bool,
}

/// The parts of a chain. Dropped in the order of the fields: no part sees the one behind it vanish.
#[derive(Debug)]
pub struct Chain {
    /// Terminates DTLS and CoAP.
    pub sidecar: Sidecar,
    /// Takes HTTP/2 from the sidecar, and HTTPS and HTTP from any client. `None` where the sidecar
    /// translates.
    pub envoy: Option<Envoy>,
    /// Our own homeserver. `None` if the chain has an existing one.
    pub synapse: Option<Synapse>,
    /// The certificate that clients must believe.
    pub certificate: Certificate,
    folder: PathBuf,
    port: Port,
}

impl Chain {
    /// Starts all parts at once. They are not ready yet: see [`Chain::ready`].
    pub fn start(parts: &Parts, layout: Layout, port: Port) -> Result<Chain> {
        let Layout { folder, homeserver, sidecar, translator, base_url } = layout;
        let base_url = base_url.then(|| format!("https://localhost:{}", port.number()));
        let socket = folder.join("envoy.sock");
        if socket.as_os_str().len() > LONGEST_SOCKET_PATH {
            return Err(Error::Setup(format!(
                "{} is longer than the {LONGEST_SOCKET_PATH} bytes that a unix socket takes: choose a shorter folder",
                socket.display()
            )));
        }
        let certificate = Certificate::make(&folder)?;
        let (synapse, homeserver) = match homeserver {
            Homeserver::Own(limits) => {
                let synapse = Synapse::start(parts, &folder, limits)?;
                let url = synapse.url();
                (Some(synapse), url)
            }
            Homeserver::At(url) => (None, url),
        };
        let (envoy, sidecar) = match translator {
            Translator::Envoy => (
                Some(Envoy::start(parts, &folder, &port, &homeserver, base_url.as_deref())?),
                Sidecar::start(parts, &folder, &port, &certificate, sidecar)?,
            ),
            Translator::Sidecar => {
                let advertise = base_url.as_deref().map(|url| ["--advertise", url]);
                let more = [sidecar, advertise.as_ref().map_or(&[], |pair| pair.as_slice())].concat();
                let homeserver = homeserver.as_str();
                (None, Sidecar::start_without_envoy(parts, &folder, &port, &certificate, homeserver, &more)?)
            }
        };
        Ok(Chain { sidecar, envoy, synapse, certificate, folder, port })
    }

    /// Waits until each part answers.
    pub async fn ready(&self) -> Result<()> {
        self.sidecar.ready().await?;
        if let Some(envoy) = &self.envoy {
            envoy.ready().await?;
        }
        match &self.synapse {
            Some(synapse) => synapse.ready().await,
            None => Ok(()),
        }
    }

    /// Returns an error as soon as one part has ended by itself.
    pub fn check(&self) -> Result<()> {
        let synapse = self.synapse.as_ref().map(|synapse| &synapse.process);
        let envoy = self.envoy.as_ref().map(|envoy| &envoy.process);
        [Some(&self.sidecar.process), envoy, synapse].into_iter().flatten().try_for_each(|part| part.check())
    }

    /// Returns how many requests of the sidecar wait for the homeserver, as the part knows that translates.
    pub async fn waiting_requests(&self) -> Result<u64> {
        match &self.envoy {
            Some(envoy) => envoy.stat("http.sidecar.downstream_rq_active").await,
            None => self.sidecar.metric("lowband_requests_in_flight").await,
        }
    }

    /// Returns where low-bandwidth clients send to (UDP) and where all others connect to (TCP).
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port.number()).into()
    }

    /// Returns the folder of logs, pid files and configuration.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}
