//! A request over HTTPS, or what is kept of an earlier one.

use super::{Exchange, LARGE, Trouble};
use crate::answer::MatrixError;
use crate::asked::Kind;
use crate::body::{self, Body};
use crate::https::{self, Failed};
use crate::kept::{Asking, Look, Moments, Unconfirmed};
use crate::relay::{self, Form};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body::Body as _;
use std::time::SystemTime;
use tokio::time::timeout_at;

impl Exchange {
    /// Returns the homeserver's answer as soon as its head is there.
    pub(super) async fn relayed(&self, form: Form, body: Body) -> Result<Response<Body>, Trouble> {
        let is_bare = form == Form::AsItCame && body.is_end_stream();
        let asking = if is_bare { self.asking().await? } else { None };
        let Some(asking) = asking else { return self.sent(form, self.headers.clone(), body).await };
        let unconfirmed = match asking.look(&self.headers, SystemTime::now()) {
            Look::Answer(response) => return Ok(self.answer_from_kept(response)),
            Look::Refused => {
                let error = "nothing is kept that answers this, and the homeserver is not to be asked";
                return Ok(MatrixError::new(StatusCode::GATEWAY_TIMEOUT, "M_UNKNOWN", error).response());
            }
            Look::Check(unconfirmed) => Some(unconfirmed),
            Look::Nothing => None,
        };
        let (response, moments) = self.checked(unconfirmed.as_ref()).await?;
        let Some(unconfirmed) = unconfirmed.filter(|_| response.status() == StatusCode::NOT_MODIFIED) else {
            return Ok(asking.copy(&self.headers, response, moments));
        };
        match asking.confirm(&unconfirmed, &self.headers, response.headers(), moments) {
            Some(response) => Ok(self.answer_from_kept(response)),
            None => {
                let (response, moments) = self.checked(None).await?;
                Ok(asking.copy(&self.headers, response, moments))
            }
        }
    }

    /// Begins a request that what is kept may answer, or whose answer may be kept. Documents of discovery are
    /// left out, which are changed on their way, and credentials that only the homeserver can judge.
    async fn asking(&self) -> Result<Option<Asking>, Trouble> {
        let is_plain = self.method == Method::GET && !self.asked.is_odd && self.asked.document.is_none();
        if !is_plain {
            return Ok(None);
        }
        let base = match self.proxy.https.known() {
            Some(base) => Some(base),
            None => timeout_at(self.deadline, self.proxy.https.base())
                .await
                .map_err(|_| Trouble::Link { arrived: false })?,
        };
        let url = base.map(|base| format!("{base}{}", self.asked.target));
        let account = &self.asked.account;
        let share = self.proxy.sessions.share(account);
        Ok(url.and_then(|url| self.proxy.kept.begin(account, &share, &url, &self.headers)))
    }

    fn answer_from_kept(&self, response: Response<Body>) -> Response<Body> {
        tracing::debug!(path = self.asked.path(), "answered by what is kept");
        self.proxy.stats.answered_from_kept(response.body().size_hint().exact().unwrap_or_default());
        response
    }

    /// Sends a request without a body, with the question whether what is kept is still right.
    async fn checked(&self, kept: Option<&Unconfirmed>) -> Result<(Response<Body>, Moments), Trouble> {
        let mut headers = self.headers.clone();
        if let Some(kept) = kept {
            kept.ask(&mut headers);
        }
        let asked = SystemTime::now();
        let response = self.sent(Form::AsItCame, headers, body::empty()).await?;
        Ok((response, Moments { asked, answered: SystemTime::now() }))
    }

    async fn sent(&self, form: Form, mut headers: HeaderMap, body: Body) -> Result<Response<Body>, Trouble> {
        // A homeserver that may take its time is one that has been found.
        if timeout_at(self.deadline, self.proxy.https.base()).await.is_err() {
            return Err(Trouble::Link { arrived: false });
        }
        // The target has lost the token of its query.
        let token = self.asked.account.token().filter(|_| !headers.contains_key(AUTHORIZATION));
        if let Some(Ok(mut token)) = token.map(|token| HeaderValue::try_from(format!("Bearer {token}"))) {
            token.set_sensitive(true);
            headers.insert(AUTHORIZATION, token);
        }
        let request = (&self.method, self.asked.target.as_str(), headers);
        let body_is_large = body.size_hint().upper().is_none_or(|most| most > LARGE);
        // What can be sent again is not worth waiting for a connection that may be dead.
        let is_up = || self.asked.kind != Kind::Write || body_is_large;
        let sent = self.in_time(relay::send(&self.proxy.https, request, form, body), is_up).await?;
        match &sent {
            Ok(_) => self.proxy.ways.https_answered(),
            Err(failed @ Failed::Connect(_)) => self.proxy.ways.https_failed(&https::chain(failed)),
            Err(_) => {}
        }
        sent.map_err(|failed| {
            tracing::debug!(path = self.asked.path(), %failed, "no answer over HTTPS");
            Trouble::Link { arrived: !failed.unsent() }
        })
    }
}
