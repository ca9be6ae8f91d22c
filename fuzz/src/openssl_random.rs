//! The only place with unsafe code: OpenSSL draws its randomness from a seed, so that equal inputs make equal
//! handshakes, byte for byte.
#![allow(unsafe_code, reason = "RAND_set_rand_method, which the openssl crate does not wrap")]

use crate::dice::Dice;
use std::cell::RefCell;
use std::ffi::{c_double, c_int, c_void};
use std::sync::Once;

/// OpenSSL's `RAND_METHOD` (rand.h).
#[repr(C)]
struct Method {
    seed: Option<extern "C" fn(*const c_void, c_int) -> c_int>,
    bytes: Option<extern "C" fn(*mut u8, c_int) -> c_int>,
    cleanup: Option<extern "C" fn()>,
    add: Option<extern "C" fn(*const c_void, c_int, c_double) -> c_int>,
    pseudorand: Option<extern "C" fn(*mut u8, c_int) -> c_int>,
    status: Option<extern "C" fn() -> c_int>,
}

unsafe extern "C" {
    fn RAND_set_rand_method(method: *const Method) -> c_int;
}

static METHOD: Method = Method {
    seed: None,
    bytes: Some(bytes),
    cleanup: None,
    add: None,
    pseudorand: Some(bytes),
    status: Some(status),
};

thread_local! {
    static DICE: RefCell<Dice> = const { RefCell::new(Dice::new(0)) };
}

/// Makes this thread's handshakes depend on `seed` alone from here on. For all threads there is then no true
/// randomness.
pub(crate) fn begin(seed: u64) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        openssl_sys::init();
        // SAFETY: `METHOD` is a static of the layout of RAND_METHOD, whose members may be null but for those
        // that are set.
        let set = unsafe { RAND_set_rand_method(&raw const METHOD) };
        assert_eq!(set, 1);
    });
    DICE.set(Dice::new(seed));
}

extern "C" fn bytes(out: *mut u8, length: c_int) -> c_int {
    let Ok(length) = usize::try_from(length) else { return 0 };
    // SAFETY: OpenSSL passes a buffer of that length, which has no other user meanwhile.
    let out = unsafe { std::slice::from_raw_parts_mut(out, length) };
    DICE.with_borrow_mut(|dice| out.fill_with(|| dice.u64() as u8));
    1
}

extern "C" fn status() -> c_int {
    1
}
