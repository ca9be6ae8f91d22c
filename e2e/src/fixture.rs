//! What an end-to-end test begins with: a chain shared by the tests of one file, and commands that cannot
//! hang.
//!
//! A chain in a static is never dropped; its processes end with the test's process all the same
//! ([`crate::process`]).

use crate::chain::{Chain, Homeserver, Layout};
use crate::error::{Error, Result};
use crate::http1::Http1;
use crate::matrix::{self, SignedIn, User};
use crate::parts::{Parts, Translator};
use crate::ports::Port;
use crate::reference::Reference;
use crate::synapse::{RateLimits, Synapse};
use crate::wire::{self, Wire};
use lowband_client::Connection;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;
use tokio::runtime::Runtime;

/// The longest that a command of a test may take.
const COMMAND_WITHIN: Duration = Duration::from_secs(60);

/// A chain that is ready, and the runtime that its connections live on.
#[derive(Debug)]
pub struct Fixture {
    /// The programs of the chain.
    pub chain: Chain,
    /// The paths of their programs.
    pub parts: Parts,
    runtime: Runtime,
}

/// A chain made by the first test that asks; the others get this chain, or the reason why there is none.
pub type Shared = OnceLock<std::result::Result<Fixture, String>>;

impl Fixture {
    /// Starts a chain with a homeserver of our own, in the folder `target/e2e/NAME`.
    pub fn start(name: &str, limits: RateLimits, sidecar: &'static [&'static str]) -> Result<Fixture> {
        Fixture::start_before(name, Homeserver::Own(limits), sidecar)
    }

    /// Starts a chain in front of any homeserver, laid out as [`Parts::translator`] says.
    pub fn start_before(
        name: &str,
        homeserver: Homeserver,
        sidecar: &'static [&'static str],
    ) -> Result<Fixture> {
        let runtime = Runtime::new().map_err(Error::io("start a runtime"))?;
        let parts = Parts::from_environment();
        let translator = parts.translator();
        let folder = match translator {
            Translator::Envoy => parts.test_folder(name)?,
            Translator::Sidecar => parts.test_folder(&format!("{name}-without-envoy"))?,
        };
        let layout = Layout { folder, homeserver, sidecar, translator, base_url: false };
        let chain = runtime.block_on(async {
            let chain = Chain::start(&parts, layout, Port::free_for_both()?)?;
            chain.ready().await?;
            Ok::<_, Error>(chain)
        })?;
        Ok(Fixture { chain, parts, runtime })
    }

    /// Returns the shared chain of a test file, started with the defaults.
    pub fn shared(shared: &'static Shared, name: &str) -> Result<&'static Fixture> {
        let started = shared
            .get_or_init(|| Fixture::start(name, RateLimits::Lifted, &[]).map_err(|why| why.to_string()));
        started.as_ref().map_err(|why| Error::Setup(why.clone()))
    }

    /// Runs the asynchronous work of a test.
    pub fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Returns the homeserver behind the chain.
    pub fn synapse(&self) -> Result<&Synapse> {
        self.chain
            .synapse
            .as_ref()
            .ok_or_else(|| Error::Setup("this chain has no homeserver of its own".to_owned()))
    }

    /// Opens a new DTLS session.
    pub async fn connection(&self) -> Result<Connection> {
        wire::connect(self.chain.address(), &self.chain.certificate.certificate).await
    }

    /// Opens a new DTLS session for JSON.
    pub async fn coap(&self) -> Result<Wire> {
        self.connection().await.map(Wire::Coap)
    }

    /// Opens a new HTTPS connection for JSON.
    pub async fn https(&self) -> Result<Wire> {
        Wire::https(self.chain.address(), &self.chain.certificate.certificate).await
    }

    /// Opens a new HTTPS connection for any content.
    pub async fn http1(&self) -> Result<Http1> {
        Http1::tls(self.chain.address(), &self.chain.certificate.certificate).await
    }

    /// Opens a new DTLS session of the client on the reference's stack.
    pub async fn reference(&self) -> Result<Reference> {
        Reference::start(&self.parts, self.chain.address()).await
    }

    /// Registers a new user on a new DTLS session. Each test has names of its own.
    pub async fn register(&self, name: &str) -> Result<(Wire, SignedIn)> {
        let mut wire = self.coap().await?;
        let user = matrix::sign_in(&mut wire, &User::new(name)).await?;
        Ok((wire, user))
    }

    /// Runs a command to its end, in the run folder and with our programs in `PATH`.
    pub async fn output(&self, mut command: Command) -> Result<Output> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(
            [self.parts.bin().to_owned()].into_iter().chain(std::env::split_paths(&path)),
        );
        let path = path.map_err(|why| Error::Setup(format!("PATH: {why}")))?;
        command.env("PATH", path).current_dir(self.chain.folder()).stdin(Stdio::null());
        output(command, COMMAND_WITHIN).await
    }

    /// Runs a line in the shell, all of whose commands must succeed. Returns its standard output.
    pub async fn shell(&self, line: &str) -> Result<Vec<u8>> {
        let mut command = Command::new("bash");
        command.args(["-e", "-o", "pipefail", "-c", line]);
        let output = self.output(command).await?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let got = format!("{}: {said}{}", output.status, String::from_utf8_lossy(&output.stdout));
        Err(Error::Wrong { what: line.to_owned(), expected: "status 0".to_owned(), got })
    }
}

/// Runs a command to its end, which must come within `limit`.
pub async fn output(command: Command, limit: Duration) -> Result<Output> {
    let what = format!("{command:?}");
    let mut command = tokio::process::Command::from(command);
    let done = tokio::time::timeout(limit, command.kill_on_drop(true).output()).await;
    let late = Error::NoAnswer { what: what.clone(), why: format!("still running after {limit:?}") };
    done.map_err(|_| late)?.map_err(Error::io(format!("run {what}")))
}
