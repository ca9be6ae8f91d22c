//! One request and its answer: what is refused here, who is asked for, and what the log says of it.

use super::body::{Answer, Paced, Progress};
use super::connection::Client;
use super::refusal::Refusal;
use crate::event_loop::{loggable, whole_millis};
use crate::request_id::RequestId;
use crate::translator::{self, NotPassedOn, TranslatedBody};
use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, UPGRADE};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, Version};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Says whether TLS works, for a balancer that asks over TCP; nothing else is asked.
const READY: &str = "/.lowband/ready";

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Characters of a path that the log shows: all of any that Matrix has, and not what fills a disk.
const LONGEST_PATH: usize = 1000;

/// The body of an answer: our own, or one by way of the translator.
pub(super) type Body = Answer<Either<Full<Bytes>, TranslatedBody>>;

/// Answers a request.
pub(super) async fn answer(client: Arc<Client>, request: Request<Incoming>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let mut open = Open::new(Arc::clone(&client), &parts);
    if parts.uri.path() == READY {
        return open.answer(Response::new(Bytes::from_static(b"ready\n")));
    }
    if let Err(refusal) = judge(&parts) {
        return open.refuse(refusal.answer(&parts.method, &parts.headers), refusal);
    }
    open.id = RequestId::draw();
    let asker = asker(&client, &parts.headers, open.id);
    let too_slow = Refusal::SlowBody.answer(&parts.method, &parts.headers);
    let progress = Arc::clone(&open.progress);
    let silence = client.shared.settings.times.silence;
    let request = Request::from_parts(parts, Paced::new(body, silence, Arc::clone(&progress)));
    let response = client.shared.translator.carry(request, asker).await;
    if progress.is_slow() {
        return open.refuse(too_slow, Refusal::SlowBody);
    }
    if response.extensions().get::<NotPassedOn>().is_some() {
        (open.is_own, open.id) = (true, None);
    }
    open.pass(response.map(Either::Right))
}

/// Refuses what is no request for a homeserver, whatever its path.
fn judge(parts: &Parts) -> Result<(), Refusal> {
    if parts.method == Method::CONNECT || wants_upgrade(&parts.headers) {
        return Err(Refusal::Upgrade);
    }
    parts.uri.path_and_query().map(|_| ()).ok_or(Refusal::Target)
}

/// Returns true if the client wants another protocol than HTTP, such as WebSocket. HTTP/2 is not another one:
/// who asks for it this way, in clear text, goes on in HTTP/1.1 (RFC 9110 section 7.8).
fn wants_upgrade(fields: &HeaderMap) -> bool {
    let names = fields.get_all(UPGRADE).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    names.map(<[u8]>::trim_ascii).any(|name| !name.is_empty() && !name.eq_ignore_ascii_case(b"h2c"))
}

/// Returns who asks: the client at the other end of the connection, or the one of which a balancer speaks.
fn asker(client: &Client, fields: &HeaderMap, id: Option<RequestId>) -> translator::Client {
    let (peer, is_secure) = (client.peer.ip().to_canonical(), client.is_tls());
    match client.is_balancer() {
        false => translator::Client::Stranger { address: peer, is_secure, id },
        true => translator::Client::Stranger {
            address: forwarded_for(fields).unwrap_or(peer),
            id,
            is_secure: is_secure || fields.get(FORWARDED_PROTO).is_some_and(|scheme| scheme == "https"),
        },
    }
}

/// Returns the address that a balancer has added: the last one, to which some add the port. What stands
/// before it is what its client has said.
fn forwarded_for(fields: &HeaderMap) -> Option<IpAddr> {
    let list = fields.get_all(FORWARDED_FOR).iter().next_back()?.to_str().ok()?;
    let last = list.rsplit(',').next()?.trim();
    last.parse().ok().or_else(|| last.parse().ok().map(|peer: SocketAddr| peer.ip()))
}

/// An open request, from its head to the end of its answer; it has ended when this is dropped.
pub(super) struct Open {
    client: Arc<Client>,
    /// The number of the request on its connection.
    number: u64,
    is_http2: bool,
    /// The id that the homeserver sees; `None` for a request that is not passed on.
    id: Option<RequestId>,
    method: Method,
    path: String,
    read: Instant,
    progress: Arc<Progress>,
    status: Option<StatusCode>,
    first_piece: Option<Duration>,
    bytes_out: u64,
    /// True if the answer is our own, and the homeserver has heard nothing of the request.
    is_own: bool,
    end: End,
}

/// How far an answer has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The client has gone away if nothing else happens.
    Gone,
    Complete,
    Broken,
}

impl Open {
    fn new(client: Arc<Client>, parts: &Parts) -> Open {
        let is_http2 = parts.version == Version::HTTP_2;
        Open {
            number: client.begin_request(is_http2),
            client,
            is_http2,
            id: None,
            method: parts.method.clone(),
            path: loggable(parts.uri.path()).chars().take(LONGEST_PATH).collect(),
            read: Instant::now(),
            progress: Arc::default(),
            status: None,
            first_piece: None,
            bytes_out: 0,
            is_own: false,
            end: End::Gone,
        }
    }

    /// Refuses the request with this answer.
    fn refuse(self, response: Response<Bytes>, why: Refusal) -> Response<Body> {
        self.client.shared.metrics.public_refused(why);
        self.answer(response)
    }

    /// Answers by ourselves.
    fn answer(mut self, response: Response<Bytes>) -> Response<Body> {
        self.is_own = true;
        self.pass(response.map(|body| Either::Left(Full::new(body))))
    }

    /// Begins the answer, with whose body the request ends.
    fn pass(mut self, response: Response<Either<Full<Bytes>, TranslatedBody>>) -> Response<Body> {
        self.status = Some(response.status());
        self.first_piece = Some(self.read.elapsed());
        self.client.shared.metrics.public_answered(response.status());
        response.map(|body| Answer::new(body, self))
    }

    pub(super) fn is_http2(&self) -> bool {
        self.is_http2
    }

    /// Notes that a piece of the answer is handed out.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.bytes_out += bytes as u64;
    }

    /// Notes whether the client has not taken what was handed out.
    pub(super) fn piece_waits(&self, waits: bool) {
        self.client.piece_waits(self.number, waits);
    }

    /// Notes that the answer is complete.
    pub(super) fn complete(&mut self) {
        self.end = End::Complete;
    }

    /// Notes that the homeserver's answer has broken off.
    pub(super) fn broke(&mut self) {
        self.end = End::Broken;
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let is_cancelled = self.end == End::Gone;
        self.client.end_request(self.number, is_cancelled);
        let id = self.id.map(tracing::field::display);
        let (method, path) = (self.method.as_str(), self.path.as_str());
        let (bytes_in, bytes_out) = (self.progress.bytes(), self.bytes_out);
        let millis = whole_millis(self.read.elapsed());
        let code = self.status.map(|status| status.as_u16());
        let peer = self.client.peer;
        if is_cancelled {
            tracing::info!(
                %peer, id, method, path, code, bytes_in, bytes_out, millis, "request over TCP not answered to its end"
            );
            return;
        }
        let first_millis = self.first_piece.map(whole_millis);
        let broken = (self.end == End::Broken).then_some("the answer broke off");
        macro_rules! line {
            ($level:ident, $left_out:expr) => {
                tracing::$level!(
                    left_out = $left_out, %peer, id, method, path, code, bytes_in, bytes_out, first_millis, millis,
                    upstream = broken, "request over TCP"
                )
            };
        }
        // What is answered here costs its client nothing, so its line is seldom.
        match self.is_own {
            false => line!(info, None::<u64>),
            true => match self.client.shared.take_line() {
                Some(left_out) => line!(info, Some(left_out).filter(|left_out| *left_out > 0)),
                None => line!(debug, None::<u64>),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(name: &'static str, values: &[&'static str]) -> HeaderMap {
        let name = HeaderName::from_static(name);
        values.iter().map(|value| (name.clone(), http::HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn another_protocol_is_refused_and_http2_is_no_other() {
        for (upgrade, is_refused) in [
            (&[][..], false),
            (&["h2c"], false),
            (&["H2C"], false),
            (&[""], false),
            (&["websocket"], true),
            (&["h2c, websocket"], true),
            (&["h2c", "foo/2"], true),
        ] {
            assert_eq!(wants_upgrade(&fields("upgrade", upgrade)), is_refused, "{upgrade:?}");
        }
    }

    #[test]
    fn of_what_balancers_say_the_last_address_counts() {
        for (lists, last) in [
            (&["192.0.2.1"][..], Some("192.0.2.1")),
            (&["evil, 192.0.2.1"], Some("192.0.2.1")),
            (&["198.51.100.1", "2001:db8::1"], Some("2001:db8::1")),
            (&["192.0.2.1, unknown"], None),
            (&["evil, 192.0.2.1:4711"], Some("192.0.2.1")),
            (&["[2001:db8::1]:4711"], Some("2001:db8::1")),
            (&[""], None),
            (&[], None),
        ] {
            let expected = last.map(|last| last.parse::<IpAddr>().unwrap());
            assert_eq!(forwarded_for(&fields("x-forwarded-for", lists)), expected, "{lists:?}");
        }
    }
}
