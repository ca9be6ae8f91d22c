//! Envoy's callbacks: each becomes one phase of an [`Exchange`], and its [`Step`] becomes host calls. Decides nothing.

use crate::config::Config;
use crate::exchange::Exchange;
use crate::headers::{Edit, Headers};
use crate::host::{self, Refused};
use crate::step::{Step, Then};
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, BufferType, ContextType, LogLevel, MapType, StreamType};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Warn);
    proxy_wasm::set_root_context(|_| Box::new(Root::default()));
}}

/// The filter of one listener.
#[derive(Default)]
struct Root {
    config: Config,
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
                self.config = config;
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
        Some(Box::new(Stream { exchange: Exchange::new(self.config) }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

/// One HTTP stream.
struct Stream {
    exchange: Exchange,
}

/// The host's names for one direction, and the phase that takes a whole body.
struct Direction {
    headers: MapType,
    body: BufferType,
    stream: StreamType,
    whole: fn(&mut Exchange, &[u8]) -> Step,
}

const REQUEST: Direction = Direction {
    headers: MapType::HttpRequestHeaders,
    body: BufferType::HttpRequestBody,
    stream: StreamType::HttpRequest,
    whole: Exchange::request_whole,
};

const RESPONSE: Direction = Direction {
    headers: MapType::HttpResponseHeaders,
    body: BufferType::HttpResponseBody,
    stream: StreamType::HttpResponse,
    whole: Exchange::response_whole,
};

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _count: usize, end: bool) -> Action {
        self.headers(&REQUEST, |exchange, headers| exchange.request_headers(headers, end))
    }

    fn on_http_request_body(&mut self, held: usize, end: bool) -> Action {
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
        let step = self.exchange.response_body(held, end);
        self.perform(&RESPONSE, step)
    }

    fn on_http_response_trailers(&mut self, _count: usize) -> Action {
        let step = self.exchange.response_trailers();
        self.perform(&RESPONSE, step)
    }
}

impl Stream {
    fn headers(
        &mut self,
        direction: &Direction,
        phase: impl FnOnce(&mut Exchange, &Headers<'_>) -> Step,
    ) -> Action {
        let map = host::headers(direction.headers);
        let step = match map.as_deref().ok().and_then(Headers::parse) {
            Some(headers) => phase(&mut self.exchange, &headers),
            None => self.exchange.host_refused(),
        };
        self.perform(direction, step)
    }

    fn perform(&mut self, direction: &Direction, step: Step) -> Action {
        let action = self.carry_out(direction, step).or_else(|Refused(status)| {
            host::log(LogLevel::Error, &format!("lowband: the host refused a call (status {status})"));
            let step = self.exchange.host_refused();
            self.carry_out(direction, step)
        });
        action.unwrap_or_else(|_| {
            // Not even an answer is possible any more: a cut stream is better than half a message.
            let _ = host::close(direction.stream);
            Action::Pause
        })
    }

    fn carry_out(&mut self, direction: &Direction, step: Step) -> Result<Action, Refused> {
        for Edit { name, value } in &step.edits {
            match value {
                Some(value) => host::set_header(direction.headers, name, value)?,
                None => host::remove_header(direction.headers, name)?,
            }
        }
        match step.then {
            Then::Forward => Ok(Action::Continue),
            Then::Hold => Ok(Action::Pause),
            Then::Take => {
                let body = host::buffer(direction.body)?;
                let step = (direction.whole)(&mut self.exchange, &body);
                self.carry_out(direction, step)
            }
            Then::Replace(body) => {
                host::set_buffer(direction.body, &body)?;
                Ok(Action::Continue)
            }
            Then::Reply(reply) => {
                host::send_response(reply.status, &reply.headers, &reply.body)?;
                Ok(Action::Pause)
            }
        }
    }
}
