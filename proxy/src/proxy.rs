//! What all requests share, and the rules that hold for each.

use crate::account::Account;
use crate::answer::{self, MatrixError};
use crate::asked::{Asked, Kind, Route};
use crate::body::{Body, Holding};
use crate::cors::{self, Origins};
use crate::exchange::Exchange;
use crate::failure::Down;
use crate::guard::Guard;
use crate::https::Https;
use crate::kept::Kept;
use crate::known;
use crate::late::{Failures, retry_after};
use crate::patience;
use crate::places::Places;
use crate::sessions::Sessions;
use crate::settings::Settings;
use crate::stats::Stats;
use crate::token_end::{self, Ending};
use crate::versions::Versions;
use crate::ways::Ways;
use bytes::Bytes;
use http::header::USER_AGENT;
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

/// A request under way; dropping it ends the request, a long poll as well.
pub(crate) type Answering = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// A running proxy.
pub(crate) struct Proxy {
    pub(crate) settings: Arc<Settings>,
    pub(crate) ways: Ways,
    pub(crate) https: Https,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) stats: Stats,
    pub(crate) held: Places,
    pub(crate) kept: Kept,
    guard: Guard,
    origins: Origins,
    requests: Places,
    failures: Failures,
    versions: Versions,
    ending: watch::Receiver<bool>,
}

impl Proxy {
    pub(crate) fn new(
        settings: Arc<Settings>,
        listens_on: IpAddr,
        (ways, https, stats): (Ways, Https, Stats),
        ending: watch::Receiver<bool>,
    ) -> Proxy {
        let limits = &settings.limits;
        Proxy {
            sessions: Sessions::new(ways.clone(), limits, settings.times.idle),
            held: Places::new(limits.held, limits.held_by_one),
            kept: Kept::new(limits.kept),
            guard: Guard::new(&settings, listens_on),
            origins: Origins::new(&settings.origins),
            requests: Places::new(limits.requests, limits.requests_of_one),
            failures: Failures::new(),
            versions: Versions::new(),
            settings,
            ways,
            https,
            stats,
            ending,
        }
    }

    /// Answers a request, whatever happens: by JSON, and never by silence.
    pub(crate) fn answer(self: Arc<Self>, request: Request<Body>) -> Answering {
        Box::pin(async move {
            let Some(asker) = self.origins.admit(request.headers()) else {
                let error = "pages of this origin may not use the proxy";
                return MatrixError::new(StatusCode::FORBIDDEN, "M_FORBIDDEN", error).response();
            };
            let mut response = self.judge(request).await;
            asker.allow(response.headers_mut());
            response
        })
    }

    async fn judge(self: &Arc<Self>, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let Some(url) = self.guard.admit(&parts) else {
            let error = "the proxy is not known by this name";
            return MatrixError::new(StatusCode::FORBIDDEN, "M_FORBIDDEN", error).response();
        };
        if parts.method == Method::OPTIONS {
            return cors::preflight(&parts.headers);
        }
        let asked = Asked::of(&parts, self.settings.times.poll);
        match &asked.route {
            Route::WellKnown => return well_known(&url),
            Route::Refused(error) => return error.response(),
            Route::Coap(_) | Route::Page | Route::Https => {}
        }
        let Some(place) = self.requests.take(&self.sessions.share(&asked.account), 1) else {
            return MatrixError::no_room("so many requests at once").response();
        };
        let user_agent = parts.headers.get(USER_AGENT).and_then(|name| name.to_str().ok());
        let begin = Instant::now();
        let patience = patience::of(user_agent.unwrap_or_default(), asked.kind);
        let is_sync = matches!(asked.kind, Kind::Sync(_));
        let exchange = Exchange {
            deadline: begin + if is_sync { patience } else { patience.min(self.settings.times.hold) },
            proxy: Arc::clone(self),
            asked,
            method: parts.method,
            headers: parts.headers,
            url,
            begin,
            place,
        };
        self.carry(exchange, body).await
    }

    async fn carry(&self, mut exchange: Exchange, body: Body) -> Response<Body> {
        let (kind, begin, deadline) = (exchange.asked.kind, exchange.begin, exchange.deadline);
        let account = exchange.asked.account.clone();
        let path = exchange.asked.path().to_owned();
        let method = exchange.method.clone();
        let mut ending = Ending::begin(self, &method, &exchange.asked);
        let outcome = tokio::select! {
            outcome = exchange.run(body) => outcome,
            Some(versions) = self.remembered(kind, &account) => {
                tracing::debug!("/versions is answered from memory");
                return answer::json(StatusCode::OK, versions);
            }
            error = self.end(kind) => return error.response(),
        };
        if let Some(ending) = &mut ending {
            ending.told(&outcome);
        }
        let response = match outcome {
            Ok(response) => response,
            Err(down) => self.down(down, kind, &account),
        };
        let (is_unknown, response) = token_end::is_told(response).await;
        let status = response.status();
        if status.is_success() && known::shows_a_token(&path) {
            self.sessions.know(&account);
        }
        if is_unknown {
            for account in &exchange.asked.named {
                self.kept.forget(account);
                self.sessions.doubt(account);
                self.versions.forget(account);
            }
        }
        if !method.is_safe() && (status.is_success() || status.is_redirection()) {
            self.forget_kept(&exchange.asked);
        }
        if matches!(kind, Kind::Sync(_)) {
            let is_known = self.sessions.knows(&account);
            let late = self.failures.delay(&account, is_known, status, self.settings.times.late);
            let late = if late.is_zero() { late } else { late.max(retry_after(response.headers())) };
            tokio::select! {
                () = sleep_until((begin + late).min(deadline)) => {}
                _ = self.end(kind) => {}
            }
        }
        let took = begin.elapsed();
        tracing::debug!(%method, path, status = status.as_u16(), ?took, "answered");
        // A body that nobody reads is as much of a burden as a request that nobody answers. So is one of what
        // is kept: it stays in memory until it is read, also when something else is kept in its place.
        response.map(|body| Holding::new(body, exchange.place).boxed_unsync())
    }

    /// Returns what a client hears if no way leads to the homeserver.
    fn down(&self, down: Down, kind: Kind, account: &Account) -> Response<Body> {
        if let (Kind::Versions, Some(versions)) = (kind, self.versions.of(account)) {
            return answer::json(StatusCode::OK, versions);
        }
        down.error(kind, &self.ways.why()).response()
    }

    /// Waits until `/versions` is to be answered from memory, if that can be.
    async fn remembered(&self, kind: Kind, account: &Account) -> Option<Bytes> {
        if kind != Kind::Versions || self.versions.of(account).is_none() {
            return std::future::pending().await;
        }
        sleep(self.settings.times.versions).await;
        self.versions.of(account)
    }

    pub(crate) fn keep_versions(&self, account: &Account, json: &[u8]) {
        self.versions.keep(account, self.sessions.knows(account), json);
    }

    /// Forgets what an account was told: its token has ended.
    pub(crate) fn forget(&self, account: &Account) {
        self.failures.forget(account);
        self.versions.forget(account);
    }

    /// Keeps no answer to a question about what the request has changed.
    fn forget_kept(&self, asked: &Asked) {
        if let Some(base) = self.https.known() {
            self.kept.changed(&format!("{base}{}", asked.target));
        }
    }

    /// Waits until the proxy ends: for a sync at once, for the rest some time more.
    async fn end(&self, kind: Kind) -> MatrixError {
        let mut ending = self.ending.clone();
        if ending.wait_for(|ends| *ends).await.is_ok() && !matches!(kind, Kind::Sync(_)) {
            sleep(self.settings.times.ending).await;
        }
        MatrixError {
            retry_after: Some(Duration::from_secs(5)),
            ..MatrixError::new(StatusCode::SERVICE_UNAVAILABLE, "M_UNKNOWN", "the proxy ends")
        }
    }
}

/// Answers where the homeserver is: here. matrix-sdk leaves for wherever this points before it asks anything
/// else.
fn well_known(url: &str) -> Response<Body> {
    let document = serde_json::json!({ "m.homeserver": { "base_url": url } });
    answer::json(StatusCode::OK, document.to_string())
}
