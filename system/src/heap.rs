//! The heap of a process.

/// Makes all threads allocate from one heap. Must be called before there is a second thread. Returns whether
/// it had an effect.
///
/// The GNU C library gives each thread a heap of its own ("arena", mallopt(3)), so that threads need not wait
/// for one another, and memory freed by one thread is of no use to another. A process in which one thread
/// does nearly all the work does not need a second heap, which costs 0.6 MB and more. Other C libraries have
/// no such setting.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "a setting of the C library, which nothing wraps")]
pub fn share_one() -> bool {
    // SAFETY: the function takes two numbers and keeps one of them, under a lock of its own.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) == 1 }
}

/// Returns false: no such setting is known on this system.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn share_one() -> bool {
    false
}

/// Keeps pieces of 256 KiB and more out of the heap, and at most 1 MiB free at its end. Must be called before
/// much is allocated. Returns whether it had an effect.
///
/// The GNU C library begins with less, and raises both bounds up to 32 and 64 MiB as large pieces are freed
/// (M_MMAP_THRESHOLD in mallopt(3)). A growing table would then leave each of its smaller copies in the heap
/// instead of returning it to the system. Other C libraries have no such setting.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "a setting of the C library, which nothing wraps")]
pub fn give_back_large() -> bool {
    [(libc::M_MMAP_THRESHOLD, 256 << 10), (libc::M_TRIM_THRESHOLD, 1 << 20)].into_iter().all(
        |(what, bytes)| {
            // SAFETY: the function takes two numbers and keeps one of them, under a lock of its own.
            unsafe { libc::mallopt(what, bytes) == 1 }
        },
    )
}

/// Returns false: no such setting is known on this system.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn give_back_large() -> bool {
    false
}

/// Gives the free pages of the heap back to the system, those between pieces in use as well. Returns whether
/// there were any.
///
/// The GNU C library gives back the end of the heap alone, so that a start that needs much for a moment
/// leaves its holes for good. It costs a walk over what is free: this is for after such moments. Other C
/// libraries have no such call.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "a call of the C library, which nothing wraps")]
pub fn give_back_free() -> bool {
    // SAFETY: the function takes a number, and gives back only what it counts as free, under its own lock.
    unsafe { libc::malloc_trim(0) == 1 }
}

/// Returns false: no such call is known on this system.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn give_back_free() -> bool {
    false
}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;

    /// Returns the bytes that the C library has taken from the system outside its heap.
    #[expect(unsafe_code, reason = "figures of the C library, which nothing wraps")]
    fn beside_the_heap() -> usize {
        // SAFETY: the function takes nothing, and returns numbers.
        unsafe { libc::mallinfo2().hblkhd }
    }

    #[test]
    fn a_large_piece_stands_beside_the_heap_after_another_was_freed() {
        assert!(give_back_large());
        drop(std::hint::black_box(vec![1_u8; 8 << 20]));
        let before = beside_the_heap();
        let piece = std::hint::black_box(vec![1_u8; 4 << 20]);
        assert!(beside_the_heap() >= before + piece.len());
    }

    #[test]
    fn holes_between_pieces_in_use_are_given_back() {
        // Pages (proc(5), `statm`).
        let resident = || {
            let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
            statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap()
        };
        let mut pieces: Vec<_> = (0..4096).map(|_| Some(vec![1_u8; 16 << 10])).collect();
        let full = resident();
        // The last one keeps the end of the heap.
        pieces[..4095].fill(None);
        give_back_free();
        let left = resident();
        assert!(left + 3 * 4096 < full, "{full} pages, then {left}");
        assert!(std::hint::black_box(pieces)[4095].is_some());
    }
}
