//! Envoy's callbacks: each becomes one phase of an [`Exchange`], and its [`Step`] becomes host calls. Decides nothing.

use crate::config::Config;
use crate::exchange::Exchange;
use crate::headers::{Edit, Headers};
use crate::host::{self, Refused};
use crate::metrics::{Direction, Metric};
use crate::step::{Step, Then};
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, BufferType, ContextType, LogLevel, MapType, StreamType};
use std::cell::Cell;
use std::rc::Rc;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Warn);
    proxy_wasm::set_root_context(|_| Box::new(Root::default()));
}}

/// The filter of one listener.
#[derive(Default)]
struct Root {
    config: Rc<Config>,
    metrics: Rc<Metrics>,
    bodies_come: Rc<Cell<bool>>,
}

/// The host's ids of the series. One that it would not give is not counted.
type Metrics = Vec<(Metric, u32)>;

fn metrics() -> Metrics {
    let define = |(metric, name): (Metric, String)| match host::define_metric(&name, metric.is_histogram()) {
        Ok(id) => Some((metric, id)),
        Err(Refused(status)) => {
            host::log(LogLevel::Warn, &format!("lowband: no metric {name} (status {status})"));
            None
        }
    };
    Metric::all().into_iter().filter_map(define).collect()
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _size: usize) -> bool {
        let text = match host::buffer(BufferType::PluginConfiguration) {
            Ok(text) => text,
            Err(Refused(status)) => {
                host::log(
                    LogLevel::Error,
                    &format!("lowband: no configuration can be read (status {status})"),
                );
                return false;
            }
        };
        match Config::parse(&text) {
            Ok(config) => {
                self.config = Rc::new(config);
                self.metrics = Rc::new(metrics());
                true
            }
            Err(mistakes) => {
                for mistake in mistakes {
                    host::log(LogLevel::Error, &format!("lowband: configuration: {mistake}"));
                }
                false
            }
        }
    }

    fn create_http_context(&self, _id: u32) -> Option<Box<dyn HttpContext>> {
        let exchange = Exchange::new(Rc::clone(&self.config));
        let (metrics, bodies_come) = (Rc::clone(&self.metrics), Rc::clone(&self.bodies_come));
        Some(Box::new(Stream { exchange, metrics, bodies_come }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

/// One HTTP stream.
struct Stream {
    exchange: Exchange,
    metrics: Rc<Metrics>,
    /// Whether a body has come to this VM while its header fields waited, or it has been told that none does.
    bodies_come: Rc<Cell<bool>>,
}

/// The host's names for one direction, and the phase that takes a body.
struct Half {
    direction: Direction,
    headers: MapType,
    body: BufferType,
    stream: StreamType,
    taken: fn(&mut Exchange, &[u8]) -> Step,
}

const REQUEST: Half = Half {
    direction: Direction::Request,
    headers: MapType::HttpRequestHeaders,
    body: BufferType::HttpRequestBody,
    stream: StreamType::HttpRequest,
    taken: Exchange::request_taken,
};

const RESPONSE: Half = Half {
    direction: Direction::Response,
    headers: MapType::HttpResponseHeaders,
    body: BufferType::HttpResponseBody,
    stream: StreamType::HttpResponse,
    taken: Exchange::response_taken,
};

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _count: usize, end: bool) -> Action {
        self.headers(&REQUEST, |exchange, headers| exchange.request_headers(headers, end))
    }

    fn on_http_request_body(&mut self, held: usize, end: bool) -> Action {
        self.see_a_body(&REQUEST);
        let step = self.exchange.request_body(held, end);
        self.perform(&REQUEST, step)
    }

    fn on_http_request_trailers(&mut self, _count: usize) -> Action {
        let step = self.exchange.request_trailers();
        self.perform(&REQUEST, step)
    }

    fn on_http_response_headers(&mut self, _count: usize, end: bool) -> Action {
        self.headers(&RESPONSE, |exchange, headers| exchange.response_headers(headers, end))
    }

    fn on_http_response_body(&mut self, held: usize, end: bool) -> Action {
        self.see_a_body(&RESPONSE);
        let step = self.exchange.response_body(held, end);
        self.perform(&RESPONSE, step)
    }

    fn on_http_response_trailers(&mut self, _count: usize) -> Action {
        let step = self.exchange.response_trailers();
        self.perform(&RESPONSE, step)
    }

    fn on_log(&mut self) {
        let waits = [REQUEST, RESPONSE].iter().any(|half| self.exchange.headers_wait(half.direction));
        if waits && !self.bodies_come.replace(true) {
            host::log(LogLevel::Error, NO_BODY_CAME);
        }
    }
}

/// What an operator has to know who has forgotten one of two settings.
const NO_BODY_CAME: &str = "lowband: a stream has ended that waited in vain for a body, and none has ever come while header fields \
    wait: either Envoy's allow_on_headers_stop_iteration has to be true, or the filter's hold_headers false";

impl Stream {
    fn see_a_body(&self, half: &Half) {
        if self.exchange.headers_wait(half.direction) {
            self.bodies_come.set(true);
        }
    }

    fn headers(&mut self, half: &Half, phase: impl FnOnce(&mut Exchange, &Headers<'_>) -> Step) -> Action {
        let map = host::headers(half.headers);
        let step = match map.as_deref().ok().and_then(Headers::parse) {
            Some(headers) => phase(&mut self.exchange, &headers),
            None => self.exchange.host_refused(half.direction),
        };
        self.perform(half, step)
    }

    fn perform(&mut self, half: &Half, step: Step) -> Action {
        let action = self.carry_out(half, step).or_else(|Refused(status)| {
            host::log(LogLevel::Error, &format!("lowband: the host refused a call (status {status})"));
            let step = self.exchange.host_refused(half.direction);
            self.carry_out(half, step)
        });
        self.tell();
        action.unwrap_or_else(|_| {
            // Not even an answer is possible any more: a cut stream is better than half a message.
            let _ = host::close(half.stream);
            Action::Pause
        })
    }

    /// Hands on what has been counted, and the sizes of a translated body for the access log.
    fn tell(&mut self) {
        let mut bytes_in = 0;
        for (metric, value) in self.exchange.counted() {
            if let Some((_, id)) = self.metrics.iter().find(|(known, _)| *known == metric) {
                host::count(*id, value, metric.is_histogram());
            }
            match metric {
                Metric::BytesIn(_) => bytes_in = value,
                Metric::BytesOut(Direction::Request) => {
                    host::set_property("lowband_request", &format!("{bytes_in}>{value}"))
                }
                Metric::BytesOut(Direction::Response) => {
                    host::set_property("lowband_response", &format!("{bytes_in}>{value}"))
                }
                _ => {}
            }
        }
    }

    fn carry_out(&mut self, half: &Half, step: Step) -> Result<Action, Refused> {
        for Edit { name, value } in &step.edits {
            match value {
                Some(value) => host::set_header(half.headers, name, value)?,
                None => host::remove_header(half.headers, name)?,
            }
        }
        match step.then {
            Then::Forward => Ok(Action::Continue),
            Then::Hold => Ok(Action::Pause),
            Then::Take => {
                let body = host::buffer(half.body)?;
                let step = (half.taken)(&mut self.exchange, &body);
                self.carry_out(half, step)
            }
            Then::Replace(body) => {
                host::set_buffer(half.body, &body)?;
                Ok(Action::Continue)
            }
            Then::Reply(reply) => {
                host::send_response(reply.status, &reply.headers, &reply.body)?;
                Ok(Action::Pause)
            }
            Then::Cut => {
                host::close(half.stream)?;
                Ok(Action::Pause)
            }
        }
    }
}
