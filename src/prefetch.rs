//! Asking for memory before it is read: groups and rules lie anywhere, and the processor cannot guess which come next.

/// Begins to bring what is there into the cache: its first two lines. A hint; nothing is read.
#[inline(always)]
pub fn prefetch<T: ?Sized>(what: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let at = std::ptr::from_ref(what).cast::<i8>();
        // SAFETY: a prefetch has no effect that a program can see, whatever the address.
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(at);
            _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(64));
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = what;
}
