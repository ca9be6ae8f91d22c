//! One exchange: each phase of it is put to the decisions, and their steps are carried out here.

use super::answer::TranslatedBody;
use super::own::{self, Own};
use super::pieces::{self, Pieces};
use super::strangers::{NoRoom, Place, Unended};
use super::upload::{self, Course};
use super::{Client, NotPassedOn, Shared, fields, routes};
use crate::homeserver::{Lease, Outbound};
use crate::response::VIA_UPSTREAM;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, Version, request, response};
use http_body::Body;
use hyper::body::Incoming;
use lowband_translation::exchange::Exchange;
use lowband_translation::negotiate::Form;
use lowband_translation::reply::Reply;
use lowband_translation::step::{Step, Then};
use std::error::Error;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};

/// The state of one exchange.
#[derive(Debug)]
pub(super) struct Stream {
    exchange: Exchange,
    shared: Arc<Shared>,
    client: Client,
    idle: Option<Duration>,
    /// `None` for a request from CoAP, which has its place before it comes here.
    place: Option<Place>,
    /// True once the homeserver may have heard of the request.
    is_passed_on: bool,
}

/// Why the answer comes from here.
enum Stop {
    /// The decisions have made one.
    Reply(Reply),
    /// The homeserver has none.
    Own(Own),
    /// There is no room for the request.
    NoRoom,
}

/// An answer from here.
enum Ended {
    Reply(Reply),
    Own(Own),
}

impl From<NoRoom> for Stop {
    fn from(_: NoRoom) -> Stop {
        Stop::NoRoom
    }
}

impl From<Own> for Stop {
    fn from(own: Own) -> Stop {
        Stop::Own(own)
    }
}

/// The body of an answer, as far as it has come.
enum Begun {
    Whole(Bytes),
    Passing(Bytes, Incoming),
    Flowing(Bytes, Incoming),
}

impl Begun {
    /// Returns the bytes that are here.
    fn len(&self) -> usize {
        let (Begun::Whole(bytes) | Begun::Passing(bytes, _) | Begun::Flowing(bytes, _)) = self;
        bytes.len()
    }
}

/// An answer that has begun, with its shares.
struct Answered {
    lease: Lease,
    parts: response::Parts,
    begun: Begun,
    /// The share of what is here of the body.
    share: Option<Unended>,
}

/// An answer of which so much is here counts to nobody: the place of its request stands for it.
pub(super) const LITTLE: usize = 16 << 10;

impl Stream {
    pub(super) fn new(shared: Arc<Shared>, client: Client) -> Stream {
        let common = match client {
            Client::Coap { .. } => &shared.for_coap,
            Client::Stranger { .. } => &shared.for_strangers,
        };
        Stream {
            exchange: Exchange::new(Arc::clone(common)),
            shared,
            client,
            idle: None,
            place: None,
            is_passed_on: false,
        }
    }

    pub(super) async fn carry<B>(mut self, request: Request<B>) -> Response<TranslatedBody>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let (parts, body) = request.into_parts();
        let is_preflight = own::is_preflight(&parts);
        let mut cut = None;
        if let Client::Stranger { address, .. } = self.client
            && let Ok((place, is_cut)) = self.shared.strangers.enter(address)
        {
            (self.place, cut) = (Some(place), Some(is_cut));
        }
        let given_up = async {
            match &mut cut {
                Some(cut) => drop(cut.await),
                None => std::future::pending().await,
            }
        };
        let result = tokio::select! {
            biased;
            () = given_up => Err(Stop::NoRoom),
            result = self.run(parts, body) => result,
        };
        let result = result.map_err(|stop| self.conclude(stop));
        self.count();
        let is_passed_on = self.is_passed_on;
        let mut response = match result {
            Ok(Answered { lease, parts, begun, share }) => {
                let (idle, place) = (self.idle, self.place.take());
                let body = match begun {
                    Begun::Whole(bytes) => TranslatedBody::whole(bytes),
                    Begun::Passing(first, rest) => TranslatedBody::passing(first, rest),
                    Begun::Flowing(first, rest) => TranslatedBody::flowing(first, rest, self),
                };
                Response::from_parts(parts, body.held_by(lease, idle, place, share))
            }
            Err(Ended::Reply(reply)) => own::of_reply(reply),
            Err(Ended::Own(own)) => {
                let reads = if self.exchange.reads_cbor() { Form::Cbor } else { Form::Json };
                own.answer(reads, is_preflight)
            }
        };
        if !is_passed_on {
            response.extensions_mut().insert(NotPassedOn);
        }
        response
    }

    fn conclude(&mut self, stop: Stop) -> Ended {
        match stop {
            Stop::Reply(reply) => Ended::Reply(reply),
            Stop::Own(own) => Ended::Own(own),
            Stop::NoRoom => match self.exchange.no_room().then {
                Then::Reply(reply) => Ended::Reply(reply),
                _ => Ended::Own(Own::Unreachable),
            },
        }
    }

    /// Adds what the exchange has counted.
    pub(super) fn count(&mut self) {
        self.shared.counts.take(&mut self.exchange);
    }

    /// Notes that the request has not ended.
    fn begin(&self) -> Result<Option<Unended>, Stop> {
        Ok(self.place.as_ref().map(Place::begin).transpose()?)
    }

    async fn run<B>(&mut self, mut parts: request::Parts, body: B) -> Result<Answered, Stop>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        if let Client::Stranger { address, is_secure, id } = self.client {
            fields::introduce(&mut parts.headers, address, is_secure, id);
        }
        let end = body.is_end_stream();
        let step = self.exchange.request_headers(&fields::of_request(&parts), end);
        let then = self.edit(&mut parts.headers, step);
        self.idle = routes::idle(self.client, parts.uri.path());
        let leads_on = routes::lead_on(self.client, parts.uri.path());
        let (lease, response) = match then {
            Then::Reply(reply) => return Err(Stop::Reply(reply)),
            _ if !leads_on => return Err(Own::NoSuchPath.into()),
            _ if self.place.is_none() && matches!(self.client, Client::Stranger { .. }) => {
                return Err(Stop::NoRoom);
            }
            // What comes from CoAP is whole already.
            Then::Forward if matches!(self.client, Client::Coap { .. }) => {
                let body = whole(pin!(body)).await?;
                self.send(parts, body).await?
            }
            Then::Forward if end => self.send(parts, Bytes::new()).await?,
            Then::Forward => {
                let (body, course) = upload::outbound(body, self.begin()?);
                Box::pin(self.upload(Request::from_parts(parts, body), &course)).await?
            }
            Then::Hold => {
                let body = Box::pin(self.held(pin!(body), &mut parts.headers)).await?;
                self.send(parts, body).await?
            }
            Then::Take | Then::Replace(_) | Then::Cut => return Err(Own::NotTaken.into()),
        };
        let (parts, body) = response.into_parts();
        let (parts, begun) = self.answer(parts, body).await?;
        let share = match &self.place {
            Some(place) if begun.len() > LITTLE => Some(place.hold(begun.len())?),
            _ => None,
        };
        Ok(Answered { lease, parts, begun, share })
    }

    /// Waits for the whole request, and translates it.
    async fn held<B: Body<Data = Bytes>>(
        &mut self,
        mut body: Pin<&mut B>,
        headers: &mut http::HeaderMap,
    ) -> Result<Bytes, Stop> {
        let mut held = Pieces::default();
        let unended = self.begin()?;
        loop {
            let piece = self.in_time(pin!(pieces::next(body.as_mut()))).await?.map_err(|_| Own::NotTaken)?;
            let end = piece.is_none() || body.is_end_stream();
            held.push(piece.unwrap_or_default());
            if let Some(unended) = &unended {
                unended.grow(held.len())?;
            }
            match self.exchange.request_body(held.len(), end).then {
                Then::Hold if !end => {}
                Then::Take => break,
                Then::Reply(reply) => return Err(Stop::Reply(reply)),
                _ => return Err(Own::NotTaken.into()),
            }
        }
        let body = held.whole();
        let step = self.exchange.request_taken(&body);
        match self.edit(headers, step) {
            Then::Forward => Ok(body),
            Then::Replace(json) => {
                // A body from CoAP counts as long as it is in memory itself.
                let held_by = match unended {
                    None => upload::HeldBy::Coap(body),
                    Some(unended) => {
                        drop(body);
                        unended.grow(json.len())?;
                        upload::HeldBy::Stranger(unended)
                    }
                };
                Ok(upload::translated(json, held_by))
            }
            Then::Reply(reply) => Err(Stop::Reply(reply)),
            _ => Err(Own::NotTaken.into()),
        }
    }

    /// Sends a request whose body is here, and once more if it may be repeated and its connection breaks off.
    async fn send(
        &mut self,
        parts: request::Parts,
        body: Bytes,
    ) -> Result<(Lease, Response<Incoming>), Stop> {
        let is_repeatable = match self.client {
            Client::Coap { is_repeatable } => is_repeatable,
            Client::Stranger { .. } => matches!(parts.method, Method::GET | Method::HEAD) && body.is_empty(),
        };
        let mut again = is_repeatable.then(|| (parts.clone(), body.clone()));
        self.is_passed_on = true;
        let homeserver = &self.shared.homeserver;
        let mut request = whole_request(parts, body);
        loop {
            let sent = self.in_time(pin!(homeserver.send(request))).await?;
            match (sent, again.take()) {
                (Err(unanswered), Some((parts, body))) if unanswered.was_cut => {
                    homeserver.count_a_repetition();
                    request = whole_request(parts, body);
                }
                (sent, _) => return sent.map_err(|unanswered| Own::from(&unanswered.failure).into()),
            }
        }
    }

    /// Sends a request whose body goes on as it comes. The limit is for the time in which nothing moves: a
    /// large file over a slow link takes longer.
    async fn upload(
        &mut self,
        request: Request<Outbound>,
        course: &Course,
    ) -> Result<(Lease, Response<Incoming>), Stop> {
        self.is_passed_on = true;
        let mut sending = pin!(self.shared.homeserver.send(request));
        let sent = loop {
            let Some(limit) = self.idle else { break sending.await };
            match timeout_at(course.moved() + limit, sending.as_mut()).await {
                Ok(sent) => break sent,
                Err(_elapsed) if course.moved() + limit > Instant::now() => {}
                Err(_elapsed) => return Err(Own::Hung.into()),
            }
        };
        sent.map_err(|unanswered| match course.is_broken() {
            true => Own::NotTaken.into(),
            false => Own::from(&unanswered.failure).into(),
        })
    }

    /// Reads the answer as far as it has to wait.
    async fn answer(
        &mut self,
        mut parts: response::Parts,
        mut body: Incoming,
    ) -> Result<(response::Parts, Begun), Stop> {
        parts.version = Version::HTTP_11;
        match self.client {
            // CoAP has options for what it needs to know, and nothing else goes on.
            Client::Coap { .. } => {
                parts.headers.insert(VIA_UPSTREAM, HeaderValue::from_static("0"));
            }
            Client::Stranger { .. } => fields::forget_the_hop(&mut parts.headers),
        }
        let step = self.exchange.response_headers(&fields::of_response(&parts), body.is_end_stream());
        match self.edit(&mut parts.headers, step) {
            Then::Forward => return Ok((parts, Begun::Passing(Bytes::new(), body))),
            Then::Hold => {}
            Then::Reply(reply) => return Err(Stop::Reply(reply)),
            Then::Take | Then::Replace(_) | Then::Cut => return Err(Own::NotWhole.into()),
        }
        let mut held = Pieces::default();
        let end = loop {
            let next = self.in_time(pin!(pieces::next(Pin::new(&mut body)))).await?;
            let piece = next.map_err(|_| Own::NotWhole)?;
            let end = piece.is_none() || body.is_end_stream();
            held.push(piece.unwrap_or_default());
            match self.exchange.response_body(held.len(), end).then {
                Then::Hold if !end => {}
                Then::Take => break end,
                _ => return Err(Own::NotWhole.into()),
            }
        };
        let held = held.whole();
        let step = self.exchange.response_taken(&held);
        let begun = match self.edit(&mut parts.headers, step) {
            Then::Forward if end => Begun::Whole(held),
            Then::Forward => Begun::Passing(held, body),
            Then::Replace(new) if end => Begun::Whole(new.into()),
            Then::Replace(new) => Begun::Flowing(new.into(), body),
            Then::Reply(reply) => return Err(Stop::Reply(reply)),
            Then::Hold | Then::Take | Then::Cut => return Err(Own::NotWhole.into()),
        };
        Ok((parts, begun))
    }

    /// Translates the next piece of an answer that flows; `end` with its last one.
    pub(super) fn flow(&mut self, piece: &[u8], end: bool) -> Then {
        let then = match self.exchange.response_body(piece.len(), end).then {
            Then::Take => self.exchange.response_taken(piece).then,
            other => other,
        };
        self.count();
        then
    }

    fn edit(&self, headers: &mut http::HeaderMap, step: Step) -> Then {
        fields::edit(headers, step.edits);
        step.then
    }

    /// Waits within the limit. By reference, because a future that is moved into another takes its room
    /// twice.
    async fn in_time<F: Future>(&self, waited_for: Pin<&mut F>) -> Result<F::Output, Stop> {
        match self.idle {
            None => Ok(waited_for.await),
            Some(limit) => timeout(limit, waited_for).await.map_err(|_elapsed| Own::Hung.into()),
        }
    }
}

async fn whole<B: Body<Data = Bytes>>(mut body: Pin<&mut B>) -> Result<Bytes, Stop> {
    let mut held = Pieces::default();
    while let Some(piece) = pieces::next(body.as_mut()).await.map_err(|_| Own::NotTaken)? {
        held.push(piece);
    }
    Ok(held.whole())
}

fn whole_request(parts: request::Parts, body: Bytes) -> Request<Outbound> {
    Request::from_parts(parts, Outbound::whole(body))
}
