//! The sidecar, as an operator would start it.

use crate::certificate::Certificate;
use crate::error::{Error, Result};
use crate::http1;
use crate::parts::Parts;
use crate::ports::Port;
use crate::process::{Process, Recipe};
use crate::wait;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

const READY_WITHIN: Duration = Duration::from_secs(20);

/// A running sidecar.
#[derive(Debug)]
pub struct Sidecar {
    /// The sidecar's process, to stop or freeze it.
    pub process: Process,
    admin: Port,
}

impl Sidecar {
    /// Starts the sidecar before an Envoy, on the UDP port of the same number as Envoy's public one; `ready`
    /// says when it serves. `more` goes behind the arguments that every run needs.
    pub fn start(
        parts: &Parts,
        folder: &Path,
        port: &Port,
        certificate: &Certificate,
        more: &[&str],
    ) -> Result<Sidecar> {
        let socket = format!("unix:{}", folder.join("envoy.sock").display());
        Sidecar::start_with(parts, folder, port, certificate, &["--upstream", &socket], more)
    }

    /// Starts the sidecar before the homeserver at this URL, without Envoy: it serves the TCP port as well.
    pub fn start_without_envoy(
        parts: &Parts,
        folder: &Path,
        port: &Port,
        certificate: &Certificate,
        homeserver: &str,
        more: &[&str],
    ) -> Result<Sidecar> {
        let public = SocketAddr::new(port.reach().tcp(), port.number()).to_string();
        let layout = ["--homeserver", homeserver, "--public", &public];
        Sidecar::start_with(parts, folder, port, certificate, &layout, more)
    }

    fn start_with(
        parts: &Parts,
        folder: &Path,
        port: &Port,
        certificate: &Certificate,
        layout: &[&str],
        more: &[&str],
    ) -> Result<Sidecar> {
        let admin = Port::free()?;
        let options = [
            ("--listen", SocketAddr::new(port.reach().udp(), port.number()).to_string()),
            ("--certificate", certificate.certificate.display().to_string()),
            ("--key", certificate.key.display().to_string()),
            ("--admin", admin.loopback().to_string()),
        ];
        let mut arguments: Vec<String> =
            options.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect();
        arguments.extend(layout.iter().chain(more).map(|&argument| argument.to_owned()));
        let process = Process::start(Recipe {
            name: "sidecar",
            program: parts.program("lowband-sidecar")?,
            arguments,
            environment: Vec::new(),
            folder: folder.to_owned(),
        })?;
        Ok(Sidecar { process, admin })
    }

    /// Waits until the sidecar answers a DTLS request of its own.
    pub async fn ready(&self) -> Result<()> {
        wait::until_ready(&self.process, self.admin(), "/readyz", READY_WITHIN).await
    }

    /// Returns whether the sidecar says at this moment that it is ready.
    pub async fn ready_now(&self) -> bool {
        http1::get(self.admin(), "/readyz").await.is_ok_and(|response| response.status() == 200)
    }

    /// Returns the sum of the numbers whose series begins with this: a name, or a name with all its labels.
    pub async fn metric(&self, series: &str) -> Result<u64> {
        let response = http1::get(self.admin(), "/metrics").await?;
        let text = String::from_utf8_lossy(response.body());
        let is_end = |rest: &str| series.ends_with('}') || rest.starts_with(['{', ' ', ',']);
        let lines = text.lines().filter(|line| line.strip_prefix(series).is_some_and(is_end));
        let values: Vec<u64> = lines.filter_map(|line| line.rsplit_once(' ')?.1.parse().ok()).collect();
        match values.is_empty() {
            true => Err(Error::Setup(format!("no {series} in /metrics"))),
            false => Ok(values.into_iter().sum()),
        }
    }

    /// Returns the address of the sidecar's admin interface.
    pub fn admin(&self) -> SocketAddr {
        self.admin.loopback()
    }
}
