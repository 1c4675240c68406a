//! What this process asks of the system's memory.

/// Has memory come in pages of the usual size. What an epoch freed goes back to the system in pieces, and where pages
/// are huge it comes again 2 MiB at a time, cleared by the system and, on a virtual machine, given by its host first:
/// 7 to 26 % of a job's CPU where it was measured, and half of its memory again.
pub fn in_small_pages() {
    #[cfg(target_os = "linux")]
    // SAFETY: takes numbers only, and concerns this process alone. A system that refuses it goes on as it was.
    unsafe {
        libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0);
    }
}
