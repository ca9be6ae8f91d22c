//! A sidecar in this process, with a certificate of its own, on ports that the system picks.

use crate::client::Wire;
use crate::identity::self_signed;
use crate::stub::{Handler, Stub};
use clap::Parser;
use lowband_sidecar::config::Options;
use lowband_sidecar::{Error, Sockets, run};
use std::io;
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

pub(crate) struct Chain {
    pub server: SocketAddr,
    pub stub: Stub,
    pub folder: Folder,
    pub(crate) admin: SocketAddr,
    reload: mpsc::Sender<()>,
    shutdown: Option<oneshot::Sender<()>>,
    running: JoinHandle<Result<(), Error>>,
}

/// A temporary folder that is removed with its value.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("lowband-sidecar-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
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

impl Chain {
    /// Starts a chain with a stub that answers by `handler`, and options beside the defaults.
    pub(crate) async fn start(handler: Handler, options: &[&str]) -> Chain {
        let folder = Folder::new();
        let stub = Stub::new(folder.path().join("envoy.sock"), handler);
        stub.listen();
        Chain::with_stub(folder, stub, options).await
    }

    pub(crate) async fn with_stub(folder: Folder, stub: Stub, options: &[&str]) -> Chain {
        let (certificate, key) = self_signed(folder.path());
        let upstream = format!("unix:{}", stub.path().display());
        let fixed = ["lowband-sidecar", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
        let files = ["--certificate", &certificate, "--key", &key, "--upstream", &upstream];
        let options = Options::try_parse_from(fixed.iter().chain(&files).chain(options)).unwrap();
        let config = options.check().unwrap();
        let sockets = Sockets::bind(&config).unwrap();
        let server = sockets.udp.local_addr().unwrap();
        let admin = sockets.admin.as_ref().unwrap().local_addr().unwrap();
        let (shutdown, asked) = oneshot::channel::<()>();
        let (reload, reloads) = mpsc::channel(1);
        let shutting_down = async {
            let _ = asked.await;
        };
        let running = tokio::spawn(run(config, sockets, shutting_down, std::future::pending(), reloads));
        Chain { server, stub, folder, admin, reload, shutdown: Some(shutdown), running }
    }

    pub(crate) async fn connect(&self) -> Wire {
        Wire::connect(self.server).await
    }

    /// Does what SIGHUP does.
    pub(crate) async fn hang_up(&self) {
        self.reload.send(()).await.unwrap();
    }

    /// Does what SIGTERM does.
    pub(crate) fn shut_down(&mut self) {
        let _ = self.shutdown.take().unwrap().send(());
    }

    pub(crate) async fn ended(self) -> Result<(), Error> {
        tokio::time::timeout(PATIENCE, self.running).await.expect("the sidecar has not ended").unwrap()
    }

    /// Returns status and text of an admin page.
    pub(crate) async fn page(&self, path: &str) -> (u16, String) {
        page(self.admin, path).await.unwrap()
    }

    /// Returns head and text of an admin page, requested with further header fields, each with its line end.
    pub(crate) async fn page_with(&self, path: &str, fields: &str) -> (String, String) {
        page_with(self.admin, path, fields).await.unwrap()
    }

    /// Returns the value of one line of /metrics, which has to be there from the start.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let (_, text) = self.page("/metrics").await;
        value(&text, name)
    }

    /// Waits until a metric has reached a value.
    pub(crate) async fn metric_reaches(&self, name: &str, value: f64) {
        eventually(name, async || self.metric(name).await >= value).await;
    }

    pub(crate) async fn metric_becomes(&self, name: &str, value: f64) {
        eventually(name, async || self.metric(name).await == value).await;
    }
}

/// Returns status and text of an admin page, as long as it is served.
pub(crate) async fn page(admin: SocketAddr, path: &str) -> io::Result<(u16, String)> {
    let (head, text) = page_with(admin, path, "").await?;
    Ok((head[9..12].parse().unwrap(), text))
}

async fn page_with(admin: SocketAddr, path: &str, fields: &str) -> io::Result<(String, String)> {
    let mut stream = TcpStream::connect(admin).await?;
    // The server ends the connection by its own rule.
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n{fields}\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, text) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok((head.to_owned(), text.to_owned()))
}

/// Returns the value of a metric in the text of /metrics, which has to be there from the start.
pub(crate) fn value(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
}

/// Asks again until the answer is yes, for conditions without a signal of their own.
pub(crate) async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let asking = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("not reached: {what}"));
}
