//! The local proxy, `lowband proxy`, as a person would start it beside a client.

use crate::error::Result;
use crate::parts::Parts;
use crate::ports::Port;
use crate::process::{Process, Recipe};
use crate::wait;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

const READY_WITHIN: Duration = Duration::from_secs(20);

/// A running local proxy.
#[derive(Debug)]
pub struct LocalProxy {
    /// The proxy's process, to stop or freeze it.
    pub process: Process,
    port: Port,
}

impl LocalProxy {
    /// Starts a proxy for the server at `https://localhost:PORT`, whose certificate it believes because of
    /// `certificate`; `ready` says when it answers. `more` goes behind the arguments that every run needs.
    pub fn start(
        parts: &Parts,
        folder: &Path,
        server: SocketAddr,
        certificate: &Path,
        more: &[&str],
    ) -> Result<LocalProxy> {
        let port = Port::free()?;
        let options = [
            ("--homeserver", format!("https://localhost:{}", server.port())),
            ("--listen", port.loopback().to_string()),
            ("--cacert", certificate.display().to_string()),
        ];
        // What works is found anew in each run.
        let mut arguments = vec!["proxy".to_owned(), "--no-state".to_owned()];
        arguments.extend(options.into_iter().flat_map(|(name, value)| [name.to_owned(), value]));
        arguments.extend(more.iter().map(|&argument| argument.to_owned()));
        let process = Process::start(Recipe {
            name: "local-proxy",
            program: parts.program("lowband")?,
            arguments,
            environment: Vec::new(),
            folder: folder.to_owned(),
        })?;
        Ok(LocalProxy { process, port })
    }

    /// Waits until the proxy answers what its server has said.
    pub async fn ready(&self) -> Result<()> {
        wait::until_ready(&self.process, self.address(), "/_matrix/client/versions", READY_WITHIN).await
    }

    /// Returns the address that clients use as their homeserver.
    pub fn address(&self) -> SocketAddr {
        self.port.loopback()
    }

    /// Returns the address as a URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }
}
