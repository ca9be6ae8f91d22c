//! An allocator that counts what the calling thread allocates. The only unsafe code of these tests, because
//! the trait is unsafe.

#![allow(unsafe_code, reason = "an allocator cannot be written without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

#[global_allocator]
static COUNTING: Counting = Counting;

struct Counting;

thread_local! {
    static COUNT: Cell<Count> = const { Cell::new(Count { calls: 0, live: 0, peak: 0 }) };
}

/// The figures of one thread.
#[derive(Clone, Copy, Debug)]
struct Count {
    /// Number of allocations and reallocations.
    calls: usize,
    /// Bytes that are allocated now.
    live: isize,
    peak: isize,
}

/// The allocations of a function while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Allocated {
    /// Number of allocations and reallocations.
    pub(crate) calls: usize,
    /// The most bytes held at once, beyond those held before.
    pub(crate) peak: usize,
}

/// Runs a function and counts what it allocates.
pub(crate) fn count<T>(run: impl FnOnce() -> T) -> (T, Allocated) {
    let before = COUNT.get();
    COUNT.set(Count { peak: before.live, ..before });
    let value = run();
    let after = COUNT.get();
    let peak = usize::try_from(after.peak - before.live).unwrap_or(0);
    (value, Allocated { calls: after.calls - before.calls, peak })
}

fn note(calls: usize, bytes: isize) {
    let Count { calls: before, live, peak } = COUNT.get();
    let live = live + bytes;
    COUNT.set(Count { calls: before + calls, live, peak: peak.max(live) });
}

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(1, layout.size() as isize);
        // SAFETY: the caller keeps the same promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        note(0, -(layout.size() as isize));
        // SAFETY: the caller keeps the same promises.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(1, size as isize - layout.size() as isize);
        // SAFETY: the caller keeps the same promises.
        unsafe { System.realloc(place, layout, size) }
    }
}
