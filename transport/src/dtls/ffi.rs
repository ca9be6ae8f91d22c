//! The one place with unsafe code: what the `openssl` crate lacks.
#![allow(unsafe_code, reason = "OpenSSL functions that the openssl crate does not wrap")]

use foreign_types::ForeignTypeRef;
use openssl::ssl::{SslOptions, SslRef};
use std::ffi::c_uint;

unsafe extern "C" {
    fn DTLS_set_timer_cb(
        ssl: *mut openssl_sys::SSL,
        callback: Option<extern "C" fn(*mut openssl_sys::SSL, c_uint) -> c_uint>,
    );
}

/// OpenSSL then never thinks a flight lost and never repeats one by itself: it would cut the messages into other
/// fragments, which pion and GnuTLS 3.7 do not put together. Repeating is [`super::flight`]'s.
pub(super) fn never_repeat(ssl: &mut SslRef) {
    extern "C" fn an_hour(_ssl: *mut openssl_sys::SSL, _microseconds: c_uint) -> c_uint {
        3_600_000_000
    }
    // SAFETY: `ssl` is a live SSL that we hold exclusively; the callback is a static function that touches nothing, with
    // the signature of DTLS_timer_cb (ssl.h).
    unsafe { DTLS_set_timer_cb(ssl.as_ptr(), Some(an_hour)) }
}

/// SSL_OP_NO_ENCRYPT_THEN_MAC (ssl.h, bit 19): the extension concerns CBC suites only, which are not offered.
pub(super) fn no_encrypt_then_mac() -> SslOptions {
    SslOptions::from_bits_retain(1 << 19)
}
