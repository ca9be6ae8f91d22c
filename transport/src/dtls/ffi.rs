//! The one place with unsafe code: what the `openssl` crate lacks.
#![allow(unsafe_code, reason = "OpenSSL functions that the openssl crate does not wrap")]

use foreign_types::ForeignTypeRef;
use openssl::ssl::{SslContextBuilder, SslOptions, SslRef, SslSessionRef};
use std::ffi::{c_int, c_uint};

unsafe extern "C" {
    fn DTLS_set_timer_cb(
        ssl: *mut openssl_sys::SSL,
        callback: Option<extern "C" fn(*mut openssl_sys::SSL, c_uint) -> c_uint>,
    );
    fn SSL_SESSION_get_max_fragment_length(session: *const openssl_sys::SSL_SESSION) -> u8;
    fn SSL_CTX_set_tlsext_max_fragment_length(context: *mut openssl_sys::SSL_CTX, code: u8) -> c_int;
}

/// Keeps OpenSSL from ever taking a flight for lost and repeating it: it would cut the messages into other
/// fragments, which pion and GnuTLS 3.7 do not put together. [`super::flight`] repeats instead.
pub(super) fn never_repeat(ssl: &mut SslRef) {
    extern "C" fn an_hour(_ssl: *mut openssl_sys::SSL, _microseconds: c_uint) -> c_uint {
        3_600_000_000
    }
    // SAFETY: `ssl` is a live SSL that we hold exclusively; the callback is a static function that touches
    // nothing, with the signature of DTLS_timer_cb (ssl.h).
    unsafe { DTLS_set_timer_cb(ssl.as_ptr(), Some(an_hour)) }
}

/// Returns SSL_OP_NO_ENCRYPT_THEN_MAC (ssl.h, bit 19): the extension concerns CBC suites only, which
/// are not offered.
pub(super) fn no_encrypt_then_mac() -> SslOptions {
    SslOptions::from_bits_retain(1 << 19)
}

/// Returns the length that the hellos have agreed on, as RFC 6066 section 4 codes it; 0 for none.
pub(super) fn agreed_max_fragment_length(session: &SslSessionRef) -> u8 {
    // SAFETY: `session` is a live SSL_SESSION; the function reads one field of it.
    unsafe { SSL_SESSION_get_max_fragment_length(session.as_ptr()) }
}

/// Lets a client ask for a length in its hello. Returns false if the code does not exist.
pub(super) fn ask_for_max_fragment_length(context: &mut SslContextBuilder, code: u8) -> bool {
    // SAFETY: `context` is a live SSL_CTX that we hold exclusively; the function checks the code and
    // sets one field.
    unsafe { SSL_CTX_set_tlsext_max_fragment_length(context.as_ptr(), code) == 1 }
}
