//! The local proxy for low-bandwidth Matrix (MSC3079): for clients that know nothing of it.
//!
//! ```text
//! HTTP client -> listener -> guard (Host), cors (OPTIONS) -> exchange -> sessions (one for each access token) -> UDP
//!                                                                     -> https (media, what 5.05 refuses) -> TCP
//!                                                                        `- kept (what says that it may be)
//! ```
//!
//! A client asks in JSON over HTTP and gets the JSON value that its homeserver would have given; on the wire
//! it is CBOR over CoAP and DTLS where that gets through, and HTTPS where not. Access tokens, queries and
//! bodies never reach the log.

mod account;
mod answer;
mod asked;
mod body;
mod by_account;
#[cfg(test)]
#[allow(dead_code, reason = "the rest is for the client library's tests")]
#[path = "../../client/tests/library/certificate.rs"]
mod certificate;
mod cors;
mod discovery;
mod error;
mod exchange;
mod failure;
mod guard;
mod https;
mod kept;
mod known;
mod late;
mod listener;
mod names;
mod patience;
mod places;
mod proxy;
mod relay;
mod sessions;
mod settings;
#[cfg(test)]
#[allow(dead_code, reason = "the rest is for the client library's tests")]
#[path = "../../client/tests/library/slow_link.rs"]
mod slow_link;
mod stats;
mod status;
#[cfg(test)]
#[allow(dead_code, reason = "the rest is for the client library's tests")]
#[path = "../../client/tests/library/stub_server.rs"]
mod stub_server;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod token_end;
mod translated;
mod upload;
mod versions;
mod ways;

pub use error::Error;
pub use listener::bind;
pub use names::{Family, Fixed};
pub use settings::{Identity, Limits, Settings, Times};
pub use stats::{Stats, Summary};

use https::Https;
use proxy::Proxy;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::watch;
use ways::Ways;

/// Serves clients until `shutdown` is ready: then long polls are answered at once, other requests have
/// [`Times::ending`], and the sessions are closed. `stats` counts meanwhile; the last counts are returned.
pub async fn run(
    settings: Settings,
    listener: TcpListener,
    stats: Stats,
    shutdown: impl Future<Output = ()>,
) -> Result<Summary, Error> {
    let settings = Arc::new(settings);
    let tls = listener::acceptor(settings.identity.as_ref())?;
    let listens_on = listener.local_addr()?.ip();
    let https = Https::new(&settings, &stats)?;
    let ways = Ways::start(&settings, &https, &stats)?;
    let (end, ending) = watch::channel(false);
    let parts = (ways, https, stats.clone());
    let proxy = Arc::new(Proxy::new(settings, listens_on, parts, ending.clone()));
    let serving = listener::serve(Arc::clone(&proxy), listener, tls, ending);
    let served = async {
        tokio::pin!(serving);
        tokio::select! {
            () = &mut serving => {}
            () = shutdown => {
                end.send_replace(true);
                serving.await;
            }
        }
    };
    tokio::select! {
        () = served => {}
        () = proxy.sessions.close_idle() => {}
    }
    proxy.sessions.close_all().await;
    Ok(stats.summary())
}
