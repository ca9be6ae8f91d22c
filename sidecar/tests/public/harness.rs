//! A sidecar without Envoy in this process, on ports that the system picks.

use crate::homeserver::{Handler, Homeserver};
use crate::identity::self_signed;
use clap::Parser;
use lowband_sidecar::config::{Config, Options};
use lowband_sidecar::public::Settings;
use lowband_sidecar::{Error, Sockets, run};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// The time limit of all waits: nothing in these tests takes longer unless it is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Server {
    /// The public port.
    pub address: SocketAddr,
    pub homeserver: Homeserver,
    pub folder: Folder,
    admin: SocketAddr,
    reload: mpsc::Sender<()>,
    shutdown: Option<oneshot::Sender<()>>,
    hurry: Option<oneshot::Sender<()>>,
    running: JoinHandle<Result<(), Error>>,
}

/// A temporary folder that is removed with its value.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("lowband-public-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Server {
    /// Starts a server with TLS and further options.
    pub(crate) async fn tls(handler: Handler, options: &[&str]) -> Server {
        Server::tuned("https", handler, options, |_| {}).await
    }

    /// Starts a server in clear text.
    pub(crate) async fn clear(handler: Handler, options: &[&str]) -> Server {
        Server::tuned("http", handler, options, |_| {}).await
    }

    /// Starts a server whose public port has other settings than options can give.
    pub(crate) async fn tuned(
        scheme: &str,
        handler: Handler,
        options: &[&str],
        tune: impl FnOnce(&mut Settings),
    ) -> Server {
        let folder = Folder::new();
        let homeserver = Homeserver::start(handler).await;
        let (certificate, key) = self_signed(folder.path());
        let (url, public) = (format!("http://{}", homeserver.address), format!("{scheme}://127.0.0.1:0"));
        let fixed = ["lowband-sidecar", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
        let own = ["--certificate", &certificate, "--key", &key, "--homeserver", &url, "--public", &public];
        let options = Options::try_parse_from(fixed.iter().chain(&own).chain(options)).unwrap();
        let mut config: Config = options.check().unwrap();
        tune(config.public.as_mut().unwrap());
        let sockets = Sockets::bind(&config).unwrap();
        let address = sockets.public.as_ref().unwrap().local_addr().unwrap();
        let admin = sockets.admin.as_ref().unwrap().local_addr().unwrap();
        let ((shutdown, asked), (hurry, hurried)) = (oneshot::channel::<()>(), oneshot::channel::<()>());
        let (reload, reloads) = mpsc::channel(1);
        let first = async {
            let _ = asked.await;
        };
        let second = async {
            if hurried.await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let running = tokio::spawn(run(config, sockets, first, second, reloads));
        Server {
            address,
            homeserver,
            folder,
            admin,
            reload,
            shutdown: Some(shutdown),
            hurry: Some(hurry),
            running,
        }
    }

    /// Does what SIGHUP does.
    pub(crate) async fn hang_up(&self) {
        self.reload.send(()).await.unwrap();
    }

    /// Does what the first SIGTERM does.
    pub(crate) fn shut_down(&mut self) {
        let _ = self.shutdown.take().unwrap().send(());
    }

    /// Does what the second SIGTERM does.
    pub(crate) fn hurry(&mut self) {
        let _ = self.hurry.take().unwrap().send(());
    }

    pub(crate) async fn ended(self) -> Result<(), Error> {
        tokio::time::timeout(PATIENCE, self.running).await.expect("the sidecar has not ended").unwrap()
    }

    /// Returns the value of one line of /metrics, which has to be there from the start.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let mut stream = TcpStream::connect(self.admin).await.unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    }

    /// Waits until a metric has a value.
    pub(crate) async fn metric_becomes(&self, name: &str, value: f64) {
        let asking = async {
            while self.metric(name).await != value {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, asking)
            .await
            .unwrap_or_else(|_| panic!("not reached: {name} {value}"));
    }
}
