//! The settings of a translating proxy. Each program has its own way to read them.

use lowband_codec::KeyTable;

/// The settings of an operator.
#[derive(Clone, Debug)]
pub struct Config {
    /// `hold_headers`: whether header fields wait until the outcome for the body is known. That needs Envoy's
    /// `allow_on_headers_stop_iteration`: without it no body comes while they wait, and the message hangs.
    /// With `false` they never wait: a translated message has no `content-length`, a mistake in an answer can
    /// only cut it, and of the answers that must become CBOR only those with a `content-length` are held.
    pub hold_headers: bool,
    /// `max_request_bytes`: the longest body of a CBOR request in bytes, both as it comes and as the JSON
    /// that leaves; above it the client gets `413 M_TOO_LARGE`. Envoy's own buffer limit
    /// (`request_body_buffer_limit` of the route) must be higher, or Envoy answers first and in plain text.
    pub max_request_bytes: usize,
    /// `max_held_bytes`: bytes for requests that have not ended, for all clients of a listener on one of
    /// Envoy's threads: 16 KiB for each, plus the parts of their bodies that are held. Above it the largest
    /// request of the heaviest network is cut, or gets 503 if it is the growing one. There is always room for
    /// one body of the longest kind.
    pub max_held_bytes: usize,
    /// `hold_response_bytes`: the longest answer in bytes that is held whole, in either form, before it
    /// becomes CBOR: it gets a `content-length`, definite lengths and, if the homeserver's JSON is broken, an
    /// error that the client can read. A longer one streams. Envoy's buffer limit must be higher, by the
    /// longest piece that a homeserver sends at once. With 0 nothing waits, and no values in discovery
    /// documents are exchanged.
    pub hold_response_bytes: usize,
    /// `max_depth`: the deepest nesting of arrays and objects in a request; a deeper one is refused.
    pub max_depth: usize,
    /// `max_depth_answers`: the deepest nesting in an answer; deeper values become null, since one event that
    /// is too deep for a client would lock it out of every sync that holds it. The decoder of the reference
    /// implementation stops at the default of 32, ours at 128.
    pub max_depth_answers: usize,
    /// `default_key_table`: the integer keys in the answer to a client that gives no sign of knowing any:
    /// `"none"`, as MSC3079 says literally, or `"v1"`. A client that knows no table cannot read an answer
    /// with integer keys.
    pub default_key_table: Option<&'static KeyTable>,
    /// `trusted`: whether `lowband-cbor-version` is believed. Only for a listener that the sidecar alone can
    /// reach.
    pub trusted: bool,
    /// `advertise`: the values that discovery documents state for this proxy. See [`Advertise`].
    pub advertise: Advertise,
}

/// The values that clients get to see. Wrong ones are not noticed: nothing is compared with what can be
/// reached from outside.
#[derive(Clone, Debug, Default)]
pub struct Advertise {
    /// `advertise.dtls_port`: the UDP port of the sidecar as clients reach it, for `/versions`. Behind a load
    /// balancer it differs from the port that the sidecar binds; a wrong one costs every client its attempts
    /// before it falls back.
    pub dtls_port: Option<u16>,
    /// `advertise.base_url`: the homeserver's address for clients, `https://` and a name. With a wrong one no
    /// user can log in.
    pub base_url: Option<String>,
    /// `advertise.stable_name`: whether `/versions` also names the wire `m.low_bandwidth`, which is not yet
    /// in the specification.
    pub stable_name: bool,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            hold_headers: true,
            max_request_bytes: 8 << 20,
            max_held_bytes: 64 << 20,
            hold_response_bytes: 256 << 10,
            max_depth: 128,
            max_depth_answers: 32,
            default_key_table: None,
            trusted: false,
            advertise: Advertise::default(),
        }
    }
}

impl Advertise {
    /// Returns true for a base URL that can be advertised: scheme and host, in characters that JSON need not
    /// escape.
    pub fn is_base_url(url: &str) -> bool {
        let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).unwrap_or_default();
        let plain = host.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\<>?#@".contains(&byte));
        plain && !host.is_empty() && !host.starts_with('/')
    }
}
