//! The functions by which Envoy calls the [`shell`] (proxy-wasm ABI 0.2.1).
//!
//! The host treats a callback that is not exported as called and successful: at the end of a stream, for
//! example, `proxy_on_done` and `proxy_on_log`. The SDK would export every callback, and Envoy would enter
//! the VM for those that do nothing: an entry costs as much as all the counting of a stream.

#![allow(unsafe_code, reason = "the host finds these functions by their names")]

use crate::host::Action;
use crate::shell;

/// Begins a context: a stream below the root context `parent`, or with 0 a root context.
// SAFETY: the ABI alone gives this name a meaning, here and below.
#[unsafe(no_mangle)]
extern "C" fn proxy_on_context_create(context: u32, parent: u32) {
    shell::create(context, parent);
}

/// Reads the configuration of a root context, which is now available.
// SAFETY: as above.
#[unsafe(no_mangle)]
extern "C" fn proxy_on_configure(context: u32, _size: usize) -> u32 {
    u32::from(shell::configure(context))
}

// SAFETY: as above.
#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_headers(context: u32, _count: usize, end: u32) -> Action {
    shell::request_headers(context, end != 0)
}

// SAFETY: as above.
#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_body(context: u32, held: usize, end: u32) -> Action {
    shell::request_body(context, held, end != 0)
}

// SAFETY: as above.
#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_trailers(context: u32, _count: usize) -> Action {
    shell::request_trailers(context)
}

// SAFETY: as above.
#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_headers(context: u32, _count: usize, end: u32) -> Action {
    shell::response_headers(context, end != 0)
}

// SAFETY: as above.
#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_body(context: u32, held: usize, end: u32) -> Action {
    shell::response_body(context, held, end != 0)
}

// SAFETY: as above.
#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_trailers(context: u32, _count: usize) -> Action {
    shell::response_trailers(context)
}

/// Handles the end of a root context's tick period.
// SAFETY: as above.
#[unsafe(no_mangle)]
extern "C" fn proxy_on_tick(context: u32) {
    shell::tick(context);
}

/// Ends a context: no more callbacks come for it.
// SAFETY: as above.
#[unsafe(no_mangle)]
extern "C" fn proxy_on_delete(context: u32) {
    shell::delete(context);
}
