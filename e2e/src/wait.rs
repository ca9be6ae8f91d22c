//! Waiting for a condition with a deadline: the only kind of waiting in this crate.

use crate::error::{Error, Result};
use crate::http1;
use crate::process::{LOOK_AGAIN, Process};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::Instant;

/// Looks until `look` gives a value. Its `Err(text)` says what is there instead.
pub async fn until<T>(
    what: &str,
    limit: Duration,
    mut look: impl AsyncFnMut() -> std::result::Result<T, String>,
) -> Result<T> {
    let end = Instant::now() + limit;
    loop {
        match look().await {
            Ok(value) => return Ok(value),
            Err(last) if Instant::now() >= end => {
                return Err(Error::Deadline { what: what.to_owned(), after: limit, last });
            }
            Err(_) => tokio::time::sleep(LOOK_AGAIN).await,
        }
    }
}

/// Waits until `path` is answered 200, or the process has ended.
pub async fn until_ready(process: &Process, server: SocketAddr, path: &str, limit: Duration) -> Result<()> {
    let what = format!("a 200 from http://{server}{path} (log: {})", process.log().display());
    let ready = until(&what, limit, async || {
        if let Err(ended) = process.check() {
            return Ok(Err(ended));
        }
        match http1::get(server, path).await {
            Ok(response) if response.status() == 200 => Ok(Ok(())),
            Ok(response) => Err(format!("status {}", response.status())),
            Err(why) => Err(why.to_string()),
        }
    });
    ready.await?
}
