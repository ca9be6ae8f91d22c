//! A Synapse of our own on loopback: new and empty at each start, its database in memory.

use crate::error::{Error, Result};
use crate::parts::Parts;
use crate::ports::Port;
use crate::process::{Process, Recipe};
use crate::wait;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// Time to get ready: the first start of a new installation compiles all of its Python.
const READY_WITHIN: Duration = Duration::from_secs(120);

/// Whether the homeserver limits rates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RateLimits {
    /// Limits so high that they are out of the way.
    #[default]
    Lifted,
    /// `rate-limits.yaml` on top: the third message or login within some seconds is refused.
    Tight,
}

/// A running homeserver.
#[derive(Debug)]
pub struct Synapse {
    /// The homeserver's process, to stop or freeze it.
    pub process: Process,
    port: Port,
}

impl Synapse {
    /// Writes the homeserver's files into `folder` and starts it; `ready` says when it answers.
    pub fn start(parts: &Parts, folder: &Path, limits: RateLimits) -> Result<Synapse> {
        let python = parts.synapse_python()?;
        let port = Port::free()?;
        let mut arguments: Vec<String> = ["-m", "synapse.app.homeserver"].map(String::from).into();
        let files: &[&str] = match limits {
            RateLimits::Lifted => &["homeserver.yaml"],
            RateLimits::Tight => &["homeserver.yaml", "rate-limits.yaml"],
        };
        for &file in files {
            render(parts, folder, port.number(), file)?;
            arguments.extend(["-c".to_owned(), file.to_owned()]);
        }
        render(parts, folder, port.number(), "log.yaml")?;
        write_signing_key(folder)?;
        let process = Process::start(Recipe {
            name: "synapse",
            program: python,
            arguments,
            environment: Vec::new(),
            folder: folder.to_owned(),
        })?;
        Ok(Synapse { process, port })
    }

    /// Waits until the homeserver answers.
    pub async fn ready(&self) -> Result<()> {
        wait::until_ready(&self.process, self.address(), "/_matrix/client/versions", READY_WITHIN).await
    }

    /// Returns the address of the homeserver.
    pub fn address(&self) -> SocketAddr {
        self.port.loopback()
    }

    /// Returns the address of the homeserver as a URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }
}

fn render(parts: &Parts, folder: &Path, port: u16, file: &str) -> Result<()> {
    let template = parts.own("homeserver").join(file);
    let text =
        std::fs::read_to_string(&template).map_err(Error::io(format!("read {}", template.display())))?;
    let text = text.replace("@DIR@", &folder.display().to_string()).replace("@PORT@", &port.to_string());
    std::fs::write(folder.join(file), text).map_err(Error::io(format!("write {file}")))
}

/// Writes the file `ed25519 ID SEED`, the seed as unpadded base64: what `--generate-keys` writes, without
/// starting Python once more for it.
fn write_signing_key(folder: &Path) -> Result<()> {
    let mut seed = [0; 32];
    openssl::rand::rand_bytes(&mut seed).map_err(|why| Error::Setup(format!("no random bytes: {why}")))?;
    let seed = openssl::base64::encode_block(&seed);
    let key = format!("ed25519 a_demo {}\n", seed.trim_end_matches('='));
    std::fs::write(folder.join("signing.key"), key).map_err(Error::io("write the signing key"))
}
