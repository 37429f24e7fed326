//! How the C library's allocator is to behave in a process that runs for months.
//!
//! glibc raises two thresholds of its own accord (`mallopt(3)`): above one, a piece has a
//! mapping of its own; above the other, free memory at the end of a heap goes back. Each
//! large buffer that is given back raises both, up to 32 and 64 MiB, and holes that such
//! buffers leave in the heaps stay. [`settle`] holds both where they begin.

#![allow(unsafe_code)]

use libc::{M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, c_int, mallopt};

/// Both thresholds as they are when a process begins, in bytes.
const THRESHOLD: c_int = 128 << 10;

/// Holds the thresholds for the life of the process. To be called before much is asked
/// for; where the allocator does not take it, nothing changes.
pub(crate) fn settle() {
    for parameter in [M_MMAP_THRESHOLD, M_TRIM_THRESHOLD] {
        // SAFETY: `mallopt` takes two integers, refers to no memory of ours, and holds
        // the allocator's own lock while it sets the parameter.
        unsafe { mallopt(parameter, THRESHOLD) };
    }
}
