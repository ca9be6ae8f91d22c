//! A real Envoy with the project's `envoy.yaml`, rendered for this run's ports, folder and homeserver.

use crate::error::{Error, Result};
use crate::http1;
use crate::parts::Parts;
use crate::ports::Port;
use crate::process::{Process, Recipe};
use crate::wait;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Time to get ready: Envoy compiles the filter when it starts.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// Arguments of every Envoy. Two workers are enough for one machine's demo. The access log is written at
/// once, for people who look at it.
const ARGUMENTS: [&str; 11] = [
    "-c",
    "envoy.yaml",
    "--disable-hot-restart",
    "--log-level",
    "warn",
    "--concurrency",
    "2",
    "--file-flush-interval-msec",
    "100",
    // The value of deploy/: it counts once Envoy is asked to drain.
    "--drain-strategy",
    "immediate",
];

/// A running Envoy.
#[derive(Debug)]
pub struct Envoy {
    /// Envoy's process, to stop or freeze it.
    pub process: Process,
    admin: Port,
    metrics: Port,
}

impl Envoy {
    /// Renders the configuration into `folder`, where `certificate.pem` and `key.pem` lie, and starts Envoy;
    /// `ready` says when it serves. Clients are told that `base_url` is the homeserver, if there is one.
    pub fn start(
        parts: &Parts,
        folder: &Path,
        public: &Port,
        homeserver: &str,
        base_url: Option<&str>,
    ) -> Result<Envoy> {
        let program = parts.envoy()?;
        let (admin, metrics) = (Port::free()?, Port::free()?);
        let mut render = Command::new(parts.program("lowband-sidecar")?);
        render.arg("render-envoy");
        render.arg("--public-port").arg(public.number().to_string());
        render.arg("--public-address").arg(public.reach().tcp().to_string());
        render.args(base_url.iter().flat_map(|url| ["--base-url", url]));
        render.arg("--admin-port").arg(admin.number().to_string());
        render.arg("--metrics").arg(metrics.loopback().to_string());
        render.arg("--dir").arg(folder).arg("--wasm").arg(parts.wasm()?).arg("--install").arg(folder);
        render.arg("--homeserver").arg(homeserver);
        let rendered = render.output().map_err(Error::io("run lowband-sidecar render-envoy"))?;
        if !rendered.status.success() {
            let said = String::from_utf8_lossy(&rendered.stderr);
            return Err(Error::Setup(format!(
                "lowband-sidecar render-envoy failed ({}): {}",
                rendered.status,
                said.trim()
            )));
        }
        let process = Process::start(Recipe {
            name: "envoy",
            program,
            arguments: ARGUMENTS.map(String::from).into(),
            environment: Vec::new(),
            folder: folder.to_owned(),
        })?;
        Ok(Envoy { process, admin, metrics })
    }

    /// Waits until Envoy serves.
    pub async fn ready(&self) -> Result<()> {
        wait::until_ready(&self.process, self.admin(), "/ready", READY_WITHIN).await
    }

    /// Returns the address of Envoy's admin interface.
    pub fn admin(&self) -> SocketAddr {
        self.admin.loopback()
    }

    /// Returns the address at which Prometheus finds Envoy's statistics.
    pub fn metrics(&self) -> SocketAddr {
        self.metrics.loopback()
    }

    /// Returns the sum of all Envoy's counters and gauges whose name ends in `suffix`, zero if there is none.
    pub async fn stat(&self, suffix: &str) -> Result<u64> {
        let response = http1::get(self.admin(), "/stats").await?;
        let text = String::from_utf8_lossy(response.body());
        let values = text.lines().filter_map(|line| line.split_once(": "));
        Ok(values
            .filter(|(name, _)| name.ends_with(suffix))
            .filter_map(|(_, value)| value.parse::<u64>().ok())
            .sum())
    }
}
