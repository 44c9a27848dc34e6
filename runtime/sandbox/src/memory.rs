//! How the C library of GNU deals with free memory. Left alone it gives each thread a region of its own and keeps what was
//! freed there; on a gateway that is half of its memory. Other C libraries need none of this: both functions do nothing.

/// Regions that threads share. More would save a little waiting and cost memory each.
#[cfg(target_env = "gnu")]
const ARENAS_MAX: i32 = 2;
/// Free bytes at the end of a region beyond which they are given back.
#[cfg(target_env = "gnu")]
const TRIM_THRESHOLD_BYTES: i32 = 128 * 1024;
/// From this size on, such as a batch of 1,000 readings, memory is the system's own and given back when it is freed.
#[cfg(target_env = "gnu")]
const MMAP_THRESHOLD_BYTES: i32 = 32 * 1024;

/// Has the process keep little free memory. Call it first in `main`, before there are threads.
pub fn keep_little() {
    #[cfg(target_env = "gnu")]
    for (parameter, value) in [
        (libc::M_ARENA_MAX, ARENAS_MAX),
        (libc::M_TRIM_THRESHOLD, TRIM_THRESHOLD_BYTES),
        (libc::M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES),
    ] {
        #[expect(unsafe_code, reason = "a call into the C library")]
        // SAFETY: it takes no pointer and sets a number inside the allocator. Refused, it changes nothing.
        let _taken = unsafe { libc::mallopt(parameter, value) };
    }
}

/// Gives free memory back to the system. Compiling an adapter and reading a large config take tens of MB in small pieces.
/// Takes a millisecond or two: not for each reading.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    #[expect(unsafe_code, reason = "a call into the C library")]
    // SAFETY: it takes no pointer, may be called at any time from any thread, and changes no memory in use.
    let _something_was_given_back = unsafe { libc::malloc_trim(0) };
}
