//! One request, which way it goes, and its answer.
//!
//! ```text
//! hold the body, if CBOR can say it -> the best way --CoAP--> answer --5.05--> HTTPS
//!        |                              ^   |                    `-link down-> wait, the next best way, ...
//!        `-- media, other methods -- HTTPS  `-- none within the client's patience -> 429 or 504
//! ```

mod relayed;

use crate::answer::{self, MatrixError};
use crate::asked::{Asked, Kind, Route};
use crate::body::{self, Body, BoxError};
use crate::failure::{self, Down, Meaning};
use crate::places::Place;
use crate::proxy::Proxy;
use crate::relay::{self, Form};
use crate::stats::Exchanged;
use crate::status;
use crate::translated::{Counted, Source, Streamed, Translated};
use crate::upload::{self, Held, Upload};
use crate::ways::{Udp, Way};
use bytes::Bytes;
use http::header::{LOCATION, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body_util::BodyExt;
use lowband_client::content_format::{CBOR, JSON};
use lowband_client::{Code, Incoming, Request};
use lowband_translation::config::Advertise;
use lowband_translation::discovery::Document;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// 5.05 Proxying Not Supported: what the server answers with over HTTPS alone. Whatever was asked for may be
/// asked for there: what the server has done and cannot show is 5.02 (docs/protocol.md section 7).
const FOR_HTTPS: Code = Code::new(5, 5);
/// Time before another way is looked for, doubled with each try.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest such time.
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// Bytes of a body that may take longer than any client's patience.
const LARGE: u64 = 64 << 10;

/// One request on its way to an answer.
pub(crate) struct Exchange {
    pub(crate) proxy: Arc<Proxy>,
    pub(crate) asked: Asked,
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    /// The URL by which the client knows the proxy.
    pub(crate) url: String,
    pub(crate) begin: Instant,
    /// When the client will have lost its patience.
    pub(crate) deadline: Instant,
    /// The request's place among those under way. The body of the answer gets it, whichever way that came.
    pub(crate) place: Place,
}

/// Why a way brought no answer.
enum Trouble {
    /// The request needs HTTPS; this is the answer if there is none.
    Unfit(Box<Response<Body>>),
    /// An answer has come and cannot be read; this one says so.
    Unreadable(Box<Response<Body>>),
    /// The link is down.
    Link { arrived: bool },
    /// The client's patience is over.
    Late,
}

impl Exchange {
    /// Returns the answer.
    pub(crate) async fn run(&mut self, body: Body) -> Result<Response<Body>, Down> {
        let method = match self.asked.route {
            Route::Coap(method) => method,
            Route::Page => return self.lead_away().await,
            _ => return self.as_it_came(body).await,
        };
        let (held, most) = (&self.proxy.held, self.proxy.settings.limits.request_body);
        let body = if method == lowband_client::Method::Get { body::empty() } else { body };
        let share = self.proxy.sessions.share(&self.asked.account);
        let upload = match upload::hold(body, &share, held, most).await {
            Held::Whole(upload) => upload,
            Held::TooLong(body) => return self.as_it_came(body).await,
            Held::Refused(error) => return Ok(error.response()),
        };
        let Some(cbor) = upload.cbor.clone() else {
            return self.as_it_came(body::whole(upload.json.clone())).await;
        };
        self.by_the_best_way(method, &upload, cbor).await
    }

    /// Leads a browser to the homeserver itself.
    async fn lead_away(&self) -> Result<Response<Body>, Down> {
        let base = timeout_at(self.deadline, self.proxy.https.base()).await.ok().flatten();
        let there = base.map(|base| HeaderValue::try_from(format!("{base}{}", self.asked.target)));
        let Some(Ok(there)) = there else { return Err(Down { may_have_arrived: false }) };
        let mut response = Response::new(body::empty());
        *response.status_mut() = StatusCode::FOUND;
        response.headers_mut().insert(LOCATION, there);
        Ok(response)
    }

    async fn by_the_best_way(
        &mut self,
        method: lowband_client::Method,
        upload: &Upload,
        cbor: Bytes,
    ) -> Result<Response<Body>, Down> {
        let (mut may_have_arrived, mut pause) = (false, FIRST_PAUSE);
        loop {
            let Ok(way) = timeout_at(self.deadline, self.proxy.ways.best()).await else {
                return Err(Down { may_have_arrived });
            };
            let outcome = match &way {
                Way::Udp(udp) => self.over_udp(udp, method, upload, &cbor).await,
                Way::HttpsCbor => self.over_https(Form::Cbor, cbor.clone(), upload.json.len()).await,
                Way::HttpsJson => {
                    self.over_https(Form::AsItCame, upload.json.clone(), upload.json.len()).await
                }
            };
            match outcome {
                Ok(response) => return Ok(response),
                // What may not be done twice has been done.
                Err(Trouble::Unreadable(instead)) if !self.asked.may_repeat() => return Ok(*instead),
                Err(Trouble::Unfit(instead) | Trouble::Unreadable(instead)) => {
                    let form = Form::AsItCame;
                    let relayed = self.over_https(form, upload.json.clone(), upload.json.len()).await;
                    return Ok(relayed.unwrap_or(*instead));
                }
                Err(Trouble::Link { arrived }) => may_have_arrived |= arrived,
                Err(Trouble::Late) => return Err(Down { may_have_arrived: true }),
            }
            let is_over = Instant::now() + pause >= self.deadline;
            if is_over || (may_have_arrived && !self.asked.may_repeat()) {
                return Err(Down { may_have_arrived });
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn over_udp(
        &mut self,
        udp: &Udp,
        method: lowband_client::Method,
        upload: &Upload,
        cbor: &Bytes,
    ) -> Result<Response<Body>, Trouble> {
        let Some(lease) = self.proxy.sessions.lease(&self.asked.account) else {
            let response = MatrixError::no_room("another session").response();
            return Err(Trouble::Unfit(Box::new(response)));
        };
        let connection = match timeout_at(self.deadline, lease.connection(udp)).await {
            Ok(Ok(Some(connection))) => connection,
            Ok(Err(error)) => return Err(self.trouble(&error)),
            Ok(Ok(None)) | Err(_) => return Err(Trouble::Link { arrived: false }),
        };
        let request = Request {
            access_token: self.asked.account.token().map(str::to_owned),
            content_format: (!cbor.is_empty()).then_some(CBOR),
            accept: Some(CBOR),
            body: cbor.to_vec(),
            ..Request::new(method, self.asked.target.clone())
        };
        let is_up = || connection.is_connected();
        let begun = self.in_time(connection.begin(request), is_up).await?;
        let incoming = begun.map_err(|error| self.trouble(&error))?;
        self.proxy.ways.udp_answered();
        let way = Way::Udp(udp.clone());
        self.coap_answer(incoming, lease, way, upload.json.len()).await
    }

    /// Waits for the head of an answer for as long as the client does. A homeserver that takes its time is
    /// waited for while the way to it is up, but not with a poll: its client has named the time.
    async fn in_time<T>(
        &self,
        head: impl Future<Output = T>,
        is_up: impl Fn() -> bool,
    ) -> Result<T, Trouble> {
        let mut head = pin!(head);
        if let Ok(head) = timeout_at(self.deadline, &mut head).await {
            return Ok(head);
        }
        let is_poll = matches!(self.asked.kind, Kind::Sync(asked) if !asked.is_zero());
        if is_poll || !is_up() { Err(Trouble::Late) } else { Ok(head.await) }
    }

    /// Returns what an error of a connection means, and lets the ways know.
    fn trouble(&self, error: &lowband_client::Error) -> Trouble {
        match failure::meaning(error) {
            Meaning::Unfit if self.asked.may_repeat() || !failure::has_arrived(error) => {
                let error = MatrixError::unrecognized(StatusCode::NOT_IMPLEMENTED);
                Trouble::Unfit(Box::new(error.response()))
            }
            Meaning::Unfit => Trouble::Late,
            Meaning::Unsent | Meaning::Lost => {
                self.proxy.ways.udp_failed(error);
                Trouble::Link { arrived: failure::has_arrived(error) }
            }
        }
    }

    async fn coap_answer(
        &mut self,
        incoming: Incoming,
        lease: crate::sessions::Lease,
        way: Way,
        request_json: usize,
    ) -> Result<Response<Body>, Trouble> {
        let Incoming { code, content_format, max_age, .. } = incoming;
        let status = status::of(code);
        let mut response = match content_format {
            _ if code == FOR_HTTPS => {
                let error = MatrixError::unrecognized(StatusCode::NOT_IMPLEMENTED);
                return Err(Trouble::Unfit(Box::new(error.response())));
            }
            Some(CBOR | JSON) => {
                let is_cbor = content_format == Some(CBOR);
                // Some servers answer a PUT by 2.04 as CoAP has it; HTTP would have no body then.
                let status = if status == StatusCode::NO_CONTENT { StatusCode::OK } else { status };
                let source = Source::Coap { incoming, _lease: lease };
                self.translated(status, source, is_cbor, way, request_json).await?
            }
            // An error of CoAP itself: a text for people.
            _ if !code.is_success() => {
                let text = incoming.whole().await.map_err(|error| self.trouble(&error))?.body;
                let text = String::from_utf8_lossy(&text);
                MatrixError::new(status, status::errcode(status), text).response()
            }
            _ => {
                let whole = incoming.whole().await.map_err(|error| self.trouble(&error))?;
                if !whole.body.is_empty() {
                    return Err(self.unreadable("its body is neither CBOR nor JSON".into()));
                }
                let mut response = Response::new(body::empty());
                *response.status_mut() = status;
                response
            }
        };
        if let Some(seconds) = max_age.filter(|_| !code.is_success()) {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        Ok(response)
    }

    /// Returns an answer in JSON: whole where it is short, an error or a document, else as it comes.
    async fn translated(
        &mut self,
        status: StatusCode,
        source: Source,
        is_cbor: bool,
        way: Way,
        request_json: usize,
    ) -> Result<Response<Body>, Trouble> {
        let exchanged = self.exchanged(way, request_json);
        let counted = Counted { stats: self.proxy.stats.clone(), exchanged, begin: self.begin.into_std() };
        let mut translated = Translated::new(source, is_cbor, counted);
        let (json, is_whole) = translated.at_hand().await.map_err(|error| self.unreadable(error))?;
        let is_kept = self.asked.document.is_some() || !status.is_success();
        if !is_whole && !is_kept {
            let mut response = answer::json(status, Bytes::new());
            *response.body_mut() = Streamed::new(json, translated).boxed_unsync();
            return Ok(response);
        }
        let json = translated.whole(json).await.map_err(|error| self.unreadable(error))?;
        Ok(answer::json(status, self.document(status, json)))
    }

    /// Returns the trouble of an answer that breaks off, or cannot be read, before a part of it has left.
    fn unreadable(&self, error: BoxError) -> Trouble {
        match error.downcast::<lowband_client::Error>() {
            Ok(error) => self.trouble(&error),
            Err(error) => {
                tracing::warn!(path = self.asked.path(), %error, "an answer cannot be read");
                let error = "the homeserver's answer cannot be read";
                let error = MatrixError::new(StatusCode::BAD_GATEWAY, "M_UNKNOWN", error);
                Trouble::Unreadable(Box::new(error.response()))
            }
        }
    }

    /// Makes a document of discovery lead clients here, and remembers `/versions`.
    fn document(&self, status: StatusCode, json: Vec<u8>) -> Vec<u8> {
        let Some(document) = self.asked.document.filter(|_| status.is_success()) else { return json };
        // What odd credentials stand for is known to the homeserver alone.
        if document == Document::Versions && !self.asked.is_odd {
            self.proxy.keep_versions(&self.asked.account, &json);
        }
        let advertise = Advertise { base_url: Some(self.url.clone()), ..Advertise::default() };
        match document.concerns(&advertise).then(|| document.rewrite(&advertise, &json)) {
            Some(Ok(Some(rewritten))) => rewritten,
            _ => json,
        }
    }

    /// Sends the request over HTTPS with a body that can be sent once.
    async fn as_it_came(&mut self, body: Body) -> Result<Response<Body>, Down> {
        let form = if self.asked.document.is_some() { Form::Readable } else { Form::AsItCame };
        match self.relayed(form, body).await {
            Ok(response) => self.https_answer(response).await.map_err(|_| Down { may_have_arrived: true }),
            Err(Trouble::Link { arrived }) => Err(Down { may_have_arrived: arrived }),
            Err(_) => Err(Down { may_have_arrived: true }),
        }
    }

    /// Sends the request over HTTPS with a body that is held.
    async fn over_https(
        &mut self,
        form: Form,
        body: Bytes,
        request_json: usize,
    ) -> Result<Response<Body>, Trouble> {
        let form = match form {
            Form::AsItCame if self.asked.document.is_some() => Form::Readable,
            form => form,
        };
        let response = self.relayed(form, body::whole(body)).await?;
        if form != Form::Cbor {
            return self.https_answer(response).await;
        }
        let status = response.status();
        if relay::is_cbor(response.headers()) {
            let after = response.headers().get(RETRY_AFTER).cloned();
            let source = Source::Https(response.into_body());
            let mut response = self.translated(status, source, true, Way::HttpsCbor, request_json).await?;
            if let Some(after) = after {
                response.headers_mut().insert(RETRY_AFTER, after);
            }
            return Ok(response);
        }
        if matches!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE | StatusCode::BAD_REQUEST) {
            // A homeserver that knows no CBOR says that the body is not JSON.
            self.proxy.ways.cbor_refused();
            return Err(Trouble::Unfit(Box::new(relay::as_matrix(response))));
        }
        self.https_answer(response).await
    }

    fn exchanged(&self, way: Way, request_json: usize) -> Exchanged {
        Exchanged {
            way,
            method: self.method.as_str().len(),
            target: self.asked.original.len(),
            has_token: !self.asked.account.is_nobody(),
            request_json: (request_json > 0).then_some(request_json),
            answer_json: 0,
            took: Duration::ZERO,
        }
    }

    async fn https_answer(&mut self, response: Response<Body>) -> Result<Response<Body>, Trouble> {
        if self.asked.document.is_some() && response.status().is_success() {
            let (mut parts, body) = response.into_parts();
            let json = relay::read(body).await.map_err(|_| Trouble::Link { arrived: true })?;
            let json = self.document(parts.status, json);
            parts.headers.remove(http::header::CONTENT_LENGTH);
            return Ok(Response::from_parts(parts, body::whole(json)));
        }
        let is_of_matrix = self.asked.path().starts_with("/_matrix/");
        Ok(if is_of_matrix { relay::as_matrix(response) } else { response })
    }
}
