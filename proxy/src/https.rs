//! The way over HTTPS: a client of the homeserver with connections that are kept, verified as those over DTLS
//! are, HTTP/1.1 or HTTP/2 by ALPN. Bodies stream both ways. A redirect is an answer and is not followed: the
//! request may carry an access token.
//!
//! ```text
//! Request -> base, Host -> lanes -> hyper's pool -> within (time limit) -> TLS -> connector (names, happy eyeballs, counts) -> TCP
//! Response <- watched (no silence in a body) <-'
//! ```

mod connector;
mod lanes;
mod watched;

use crate::body::{Body, BoxError, Holding};
use crate::discovery::base::Base;
use crate::error::Error;
use crate::names::Names;
use crate::settings::Settings;
use crate::stats::Stats;
use connector::{Connector, Within};
use http::header::HOST;
use http::uri::PathAndQuery;
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper_openssl::client::legacy::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use lanes::Lanes;
use lowband_client::key_log::KeyLogFile;
use lowband_client::{Verification, tls};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::sleep_until;
use watched::{Counted, Moved, Watched};

/// ALPN (RFC 7301): HTTP/2 where the server has it.
const PROTOCOLS: &[u8] = b"\x02h2\x08http/1.1";
/// Time for the head of an answer, from the last piece of the request on. Longer than any long poll that is
/// asked for ([`crate::Times::poll`]).
const ANSWER: Duration = Duration::from_secs(120);
/// Silence in the middle of a body after which the answer has broken off.
const SILENCE: Duration = Duration::from_secs(60);
/// How long a connection is kept that nobody uses.
const KEPT: Duration = Duration::from_secs(90);
/// Most connections of a lane that are kept without use: homeservers with HTTP/2 need one.
const MOST_KEPT: usize = 8;
/// Time between the questions to a server with HTTP/2 whether it is still there, while requests wait, and
/// time for its answer.
const PING: Duration = Duration::from_secs(30);

/// Why a request over HTTPS got no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    /// The request cannot be sent: its address is malformed.
    #[error("{0}")]
    Malformed(#[from] http::Error),
    /// No connection: nothing of the request has been sent.
    #[error("no connection")]
    Connect(#[source] BoxError),
    /// The connection broke.
    #[error("the connection broke")]
    Broken(#[source] BoxError),
    /// The server is silent.
    #[error("no answer within {ANSWER:?}")]
    Silent,
}

impl Failed {
    /// Returns whether nothing of the request can have arrived.
    pub(crate) fn unsent(&self) -> bool {
        matches!(self, Failed::Malformed(_) | Failed::Connect(_))
    }
}

/// Returns an error with its causes, and with the cure where a certificate is not trusted.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let told = error.to_string();
        // Layers repeat what the next one says.
        if !text.contains(&told) {
            let _infallible = write!(text, ": {told}");
        }
        cause = error.source();
    }
    if text.contains("certificate verify failed") {
        text.push_str("; if its CA is yours, name it with --cacert FILE");
    }
    text
}

/// A client for the homeserver's HTTPS side. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Https {
    inner: Arc<Inner>,
}

struct Inner {
    lanes: Lanes<Client<Within<HttpsConnector<Connector>>, Body>>,
    stats: Stats,
    /// Where the homeserver is; `None` until discovery has said so.
    base: watch::Sender<Option<Base>>,
    /// Tells discovery that HTTPS is needed.
    wanted: Notify,
}

impl Https {
    /// Makes the client. Fails if OpenSSL does, or for certificates that are none.
    pub(crate) fn new(settings: &Settings, stats: &Stats) -> Result<Https, Error> {
        let names = Names::new(&settings.resolve, settings.family);
        let connector = secured(Connector::new(names, stats.tcp()), settings)?;
        let mut builder = Client::builder(TokioExecutor::new());
        builder
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(KEPT)
            .pool_max_idle_per_host(MOST_KEPT)
            .http2_keep_alive_interval(PING)
            .http2_keep_alive_timeout(PING)
            .http2_initial_stream_window_size(lanes::WINDOW)
            .http2_initial_connection_window_size(lanes::WINDOW_OF_ALL);
        let lanes = Lanes::new(settings.limits.requests, || builder.build(Within::new(connector.clone())));
        let inner =
            Inner { lanes, stats: stats.clone(), base: watch::Sender::new(None), wanted: Notify::new() };
        Ok(Https { inner: Arc::new(inner) })
    }

    /// Sends a request to the homeserver and returns the answer as soon as its head is there. The request has
    /// path and query as its client wrote them. Waits while it is not known where the homeserver is.
    pub(crate) async fn send(&self, request: Request<Body>) -> Result<Response<Body>, Failed> {
        let Some(base) = self.base().await else { return Err(Failed::Silent) };
        let (mut parts, body) = request.into_parts();
        let target = parts.uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
        parts.uri = base.uri(&target)?;
        // The client's own leads here.
        parts.headers.remove(HOST);
        let answer = self.ask(Request::from_parts(parts, body)).await?;
        self.inner.stats.answered_over_https();
        Ok(answer)
    }

    /// Sends a request with a whole URL.
    pub(crate) async fn ask(&self, request: Request<Body>) -> Result<Response<Body>, Failed> {
        let moved = Moved::default();
        let request = request.map(|body| Counted::new(body, moved.clone()).boxed_unsync());
        let (client, room) = self.inner.lanes.take();
        let mut answer = std::pin::pin!(client.request(request));
        let answer = loop {
            let due = moved.last() + ANSWER;
            tokio::select! {
                answer = &mut answer => break answer,
                () = sleep_until(due.into()) => if moved.last() + ANSWER <= due {
                    return Err(Failed::Silent);
                }
            }
        };
        let answer = answer.map_err(|error| {
            if error.is_connect() { Failed::Connect(error.into()) } else { Failed::Broken(error.into()) }
        })?;
        let watched = answer.map(|body| Watched::new(body, SILENCE).boxed_unsync());
        Ok(watched.map(|body| Holding::new(body, room).boxed_unsync()))
    }

    /// Returns where the homeserver is, as soon as that is known.
    pub(crate) async fn base(&self) -> Option<Base> {
        self.want();
        let mut base = self.inner.base.subscribe();
        // The sender is in `self`, so that the wait cannot fail.
        base.wait_for(Option::is_some).await.ok().and_then(|base| base.clone())
    }

    /// Returns where the homeserver is, if that is known.
    pub(crate) fn known(&self) -> Option<Base> {
        self.inner.base.borrow().clone()
    }

    /// Notes where the homeserver is.
    pub(crate) fn found(&self, base: &Base) {
        self.inner.base.send_if_modified(|known| {
            let is_new = known.as_ref() != Some(base);
            *known = Some(base.clone());
            is_new
        });
    }

    /// Notes that somebody needs HTTPS.
    pub(crate) fn want(&self) {
        self.inner.wanted.notify_one();
    }

    /// Waits until somebody needs HTTPS; returns at once if somebody has since the last call.
    pub(crate) async fn wanted(&self) {
        self.inner.wanted.notified().await;
    }
}

/// Makes a connector of TLS, verified as the user says, on top of one of TCP.
fn secured<C>(connector: C, settings: &Settings) -> Result<HttpsConnector<C>, Error> {
    let key_log = settings.key_log.as_deref().map(KeyLogFile::open).transpose().map_err(Error::KeyLog)?;
    let mut tls = tls::connector(&settings.verification, key_log)?;
    tls.set_alpn_protos(PROTOCOLS)?;
    let mut connector = HttpsConnector::with_connector(connector, tls)?;
    let verification = settings.verification.clone();
    connector.set_callback(move |configuration, uri| {
        tls::checked(configuration, &verification);
        let bare = uri.host().and_then(|host| host.strip_prefix('[')?.strip_suffix(']')?.parse().ok());
        if let Some(address) = bare {
            // OpenSSL takes an IPv6 address in its brackets for a name.
            configuration.set_use_server_name_indication(false);
            configuration.set_verify_hostname(false);
            if !matches!(verification, Verification::None) {
                configuration.param_mut().set_ip(address)?;
            }
        }
        Ok(())
    });
    Ok(connector)
}

#[cfg(test)]
mod tests_of_errors {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Layer(&'static str, #[source] Option<Box<Layer>>);

    #[test]
    fn an_error_is_told_with_its_causes_once_each_and_with_the_cure() {
        let inner = Layer("certificate verify failed: self-signed", None);
        let error = Layer("connect", Some(Box::new(Layer("connect", Some(Box::new(inner))))));
        assert_eq!(
            chain(&error),
            "connect: certificate verify failed: self-signed; if its CA is yours, name it with --cacert FILE"
        );
        assert_eq!(chain(&Failed::Connect("refused".into())), "no connection: refused");
    }

    #[test]
    fn only_what_never_left_is_unsent() {
        assert!(Failed::Connect("x".into()).unsent());
        assert!(!Failed::Broken("x".into()).unsent() && !Failed::Silent.unsent());
    }
}

#[cfg(test)]
mod tests;
