//! A filter that copies every body out of Envoy and in again, and does nothing else: what `make
//! bench-filter` compares with.
//!
//! The filter holds a body until its end, as the translating filter does with short ones.

#![expect(missing_docs, reason = "the SDK's macro writes a function without any")]

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Warn);
    proxy_wasm::set_root_context(|_| Box::new(Root));
}}

struct Root;

impl Context for Root {}

impl RootContext for Root {
    fn create_http_context(&self, _id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

struct Stream;

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_request_body(&mut self, held: usize, end: bool) -> Action {
        if !end {
            return Action::Pause;
        }
        if let Some(body) = self.get_http_request_body(0, held) {
            self.set_http_request_body(0, held, &body);
        }
        Action::Continue
    }

    fn on_http_response_body(&mut self, held: usize, end: bool) -> Action {
        if !end {
            return Action::Pause;
        }
        if let Some(body) = self.get_http_response_body(0, held) {
            self.set_http_response_body(0, held, &body);
        }
        Action::Continue
    }
}
