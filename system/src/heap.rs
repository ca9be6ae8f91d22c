//! The heap of a process.

/// All threads take memory from one heap. To be called before there is a second thread; whether it has
/// had an effect.
///
/// The C library of GNU gives each thread a heap of its own ("arena", mallopt(3)), so that threads need not
/// wait for one another, and what is freed by the one is of no use to the other. A process of which one
/// thread does nearly all the work has no use for a second heap: it costs 0.6 MB and more. Other C libraries
/// have nothing of the kind.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "a setting of the C library, which nothing wraps")]
pub fn share_one() -> bool {
    // SAFETY: the function takes two numbers and keeps one of them, under a lock of its own.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) == 1 }
}

/// Nothing of the kind is known of this system.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn share_one() -> bool {
    false
}
