//! The calls into Envoy (proxy-wasm ABI 0.2.1), whose status becomes a `Result` if they can fail.
//!
//! The SDK would turn every unexpected status into a panic. Here a panic is a trap, and a trap ends all
//! streams of the VM.
//!
//! This file has all the `unsafe` of this crate but the names in [`crate::entry`]: calls across the border,
//! and buffers that come back over it.

#![allow(
    unsafe_code,
    reason = "the host's functions are foreign functions, and it finds ours by their names"
)]

use std::ptr::null_mut;

/// What the host does with the message in hand after a callback (`proxy_action_t`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Action {
    Continue = 0,
    Pause = 1,
}

/// `proxy_stream_type_t`; this enum and those below list the values of the ABI that are used here.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub(crate) enum StreamType {
    HttpRequest = 0,
    HttpResponse = 1,
}

#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub(crate) enum BufferType {
    HttpRequestBody = 0,
    HttpResponseBody = 1,
    PluginConfiguration = 7,
}

#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub(crate) enum MapType {
    HttpRequestHeaders = 0,
    HttpResponseHeaders = 2,
}

#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub(crate) enum LogLevel {
    Warn = 3,
    Error = 4,
}

#[derive(Clone, Copy, Debug)]
#[repr(u32)]
enum MetricType {
    Counter = 0,
    Histogram = 2,
}

/// The status with which the host refused a call (`proxy-wasm/spec`, `proxy_status_t`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refused(pub(crate) u32);

// The status is a plain number here: a value that an enum does not list would be undefined behaviour.
#[link(wasm_import_module = "env")]
unsafe extern "C" {
    safe fn proxy_close_stream(stream: StreamType) -> u32;
    fn proxy_get_buffer_bytes(
        buffer: BufferType,
        start: usize,
        max: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_get_property(path: *const u8, path_size: usize, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_get_header_map_pairs(map: MapType, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_define_metric(kind: MetricType, name: *const u8, name_size: usize, id: *mut u32) -> u32;
    safe fn proxy_increment_metric(id: u32, by: i64) -> u32;
    safe fn proxy_record_metric(id: u32, value: u64) -> u32;
    safe fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
    safe fn proxy_set_effective_context(context: u32) -> u32;
    fn proxy_log(level: LogLevel, data: *const u8, size: usize) -> u32;
    fn proxy_remove_header_map_value(map: MapType, name: *const u8, name_size: usize) -> u32;
    fn proxy_replace_header_map_value(
        map: MapType,
        name: *const u8,
        name_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_size: usize,
        body: *const u8,
        body_size: usize,
        headers: *const u8,
        headers_size: usize,
        grpc_status: i32,
    ) -> u32;
    fn proxy_set_property(path: *const u8, path_size: usize, value: *const u8, value_size: usize) -> u32;
    fn proxy_set_buffer_bytes(
        buffer: BufferType,
        start: usize,
        replaced: usize,
        data: *const u8,
        size: usize,
    ) -> u32;
}

/// Returns all header fields in the form that `Headers::parse` reads.
pub(crate) fn headers(map: MapType) -> Result<Vec<u8>, Refused> {
    // SAFETY: the two pointers are to live variables.
    received(|data, size| unsafe { proxy_get_header_map_pairs(map, data, size) })
}

/// Returns the address and port of the stream's client as Envoy knows them; where `x-forwarded-for` is
/// believed, those that it states.
pub(crate) fn source_address() -> Result<Vec<u8>, Refused> {
    const PATH: &str = "source\0address";
    // SAFETY: the host reads the path, within its length and during the call; the two pointers are
    // to live variables.
    received(|data, size| unsafe { proxy_get_property(PATH.as_ptr(), PATH.len(), data, size) })
}

/// Makes calls concern this context, whatever the callback concerns, until the callback returns.
pub(crate) fn speak_of(context: u32) -> Result<(), Refused> {
    done(proxy_set_effective_context(context))
}

/// Sets a field and removes all others of its name.
pub(crate) fn set_header(map: MapType, name: &[u8], value: &[u8]) -> Result<(), Refused> {
    // SAFETY: the host reads the two slices, within their lengths and during the call.
    done(unsafe {
        proxy_replace_header_map_value(map, name.as_ptr(), name.len(), value.as_ptr(), value.len())
    })
}

/// Removes all fields of this name.
pub(crate) fn remove_header(map: MapType, name: &[u8]) -> Result<(), Refused> {
    // SAFETY: the host reads the slice, within its length and during the call.
    done(unsafe { proxy_remove_header_map_value(map, name.as_ptr(), name.len()) })
}

/// Returns all bytes of a buffer.
pub(crate) fn buffer(buffer: BufferType) -> Result<Vec<u8>, Refused> {
    // SAFETY: the two pointers are to live variables.
    received(|data, size| unsafe { proxy_get_buffer_bytes(buffer, 0, usize::MAX, data, size) })
}

/// Replaces all bytes of a buffer.
pub(crate) fn set_buffer(buffer: BufferType, bytes: &[u8]) -> Result<(), Refused> {
    // SAFETY: the host reads the slice, within its length and during the call.
    done(unsafe { proxy_set_buffer_bytes(buffer, 0, usize::MAX, bytes.as_ptr(), bytes.len()) })
}

/// Answers the client in place of the homeserver, once the callback has returned.
pub(crate) fn send_response(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Result<(), Refused> {
    const NO_GRPC_STATUS: i32 = -1;
    let details = "lowband";
    let headers = serialized(headers);
    // SAFETY: the host reads the three slices, within their lengths and during the call.
    done(unsafe {
        proxy_send_local_response(
            u32::from(status),
            details.as_ptr(),
            details.len(),
            body.as_ptr(),
            body.len(),
            headers.as_ptr(),
            headers.len(),
            NO_GRPC_STATUS,
        )
    })
}

/// Ends the stream without an answer.
pub(crate) fn close(stream: StreamType) -> Result<(), Refused> {
    done(proxy_close_stream(stream))
}

/// Returns the id under which a series is counted from now on; equal names have equal ids.
pub(crate) fn define_metric(name: &str, histogram: bool) -> Result<u32, Refused> {
    let kind = if histogram { MetricType::Histogram } else { MetricType::Counter };
    let mut id = 0;
    // SAFETY: the host reads the name, within its length and during the call, and writes to a live variable.
    done(unsafe { proxy_define_metric(kind, name.as_ptr(), name.len(), &mut id) })?;
    Ok(id)
}

/// Adds to a counter, or records a value in a histogram. If the host refuses, the number is missing there,
/// and nothing else happens.
pub(crate) fn count(id: u32, value: u64, histogram: bool) {
    match histogram {
        true => proxy_record_metric(id, value),
        false => proxy_increment_metric(id, i64::try_from(value).unwrap_or(i64::MAX)),
    };
}

/// Makes the host call `proxy_on_tick` each time this period in milliseconds has passed; with 0 no more. The
/// host keeps one period for a root context and its streams.
pub(crate) fn set_tick_period(period: u32) -> Result<(), Refused> {
    done(proxy_set_tick_period_milliseconds(period))
}

/// Sets a property of the stream, which Envoy's access log shows as `%FILTER_STATE(wasm.NAME:PLAIN)%`, and
/// which CEL knows as `filter_state['wasm.NAME']`. A refusal by the host is ignored.
pub(crate) fn set_property(name: &str, value: &str) {
    // SAFETY: the host reads the two texts, within their lengths and during the call.
    unsafe { proxy_set_property(name.as_ptr(), name.len(), value.as_ptr(), value.len()) };
}

/// Writes a line to Envoy's log. A refusal by the host is ignored.
pub(crate) fn log(level: LogLevel, line: &str) {
    // SAFETY: the host reads the text, within its length and during the call.
    unsafe { proxy_log(level, line.as_ptr(), line.len()) };
}

fn done(status: u32) -> Result<(), Refused> {
    if status == 0 { Ok(()) } else { Err(Refused(status)) }
}

/// Runs a call that returns bytes.
fn received(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Result<Vec<u8>, Refused> {
    let (mut data, mut size) = (null_mut::<u8>(), 0);
    done(call(&mut data, &mut size))?;
    if data.is_null() {
        return Ok(Vec::new());
    }
    // SAFETY: the host has filled `size` bytes that it got from `proxy_on_memory_allocate`, which gives away
    // a boxed slice of exactly this size; the slice has no other owner.
    Ok(unsafe { Vec::from_raw_parts(data, size, size) })
}

/// Serializes header fields in the form of the ABI (`Headers::parse` reads it).
fn serialized(headers: &[(&str, &str)]) -> Vec<u8> {
    let length = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    let mut map = length(headers.len()).to_vec();
    for text in headers.iter().flat_map(|(name, value)| [name, value]) {
        map.extend(length(text.len()));
    }
    for text in headers.iter().flat_map(|(name, value)| [name, value]) {
        map.extend(text.as_bytes());
        map.push(0);
    }
    map
}

// ---- what the host needs for these calls ------------------------------------------------------------------

/// Marks the version of the ABI: the host recognises it by this name.
// SAFETY: the ABI alone gives this name a meaning.
#[unsafe(no_mangle)]
extern "C" fn proxy_abi_version_0_2_1() {}

/// Allocates memory for bytes that the host returns; [`received`] takes it over.
// SAFETY: the ABI alone gives this name a meaning.
#[unsafe(no_mangle)]
extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
    Box::into_raw(Box::<[u8]>::new_uninit_slice(size)).cast()
}
