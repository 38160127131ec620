//! Memory for results and intermediate values: zeros, straight from the allocator.

use std::alloc::{Layout, alloc_zeroed, handle_alloc_error};

/// Numbers of which every bit pattern is one.
///
/// # Safety
/// Any bytes must be a value, and a line of [`Buffer`](super::buffer::Buffer) a whole number of
/// them.
pub(crate) unsafe trait Number: Copy {}
// SAFETY: so it is.
unsafe impl Number for f32 {}
// SAFETY: as above.
unsafe impl Number for ::half::f16 {}

/// `count` values whose bytes are 0. `vec![zero; count]` would write each of them for types that it
/// does not know to be zero; the allocator knows which pages are still the kernel's zeros.
pub(crate) fn zeroed<T: Number>(count: usize) -> Vec<T> {
    let layout = Layout::array::<T>(count)
        .unwrap_or_else(|_| unreachable!("no tensor is half as large as the address space"));
    if layout.size() == 0 {
        return Vec::new();
    }
    // SAFETY: the layout has a size.
    let start = unsafe { alloc_zeroed(layout) };
    if start.is_null() {
        handle_alloc_error(layout);
    }
    // SAFETY: the global allocator gave this block for `count` values, all of whose bytes are 0,
    // which is a `T`.
    unsafe { Vec::from_raw_parts(start.cast(), count, count) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_used_before_is_zeros_again() {
        drop(vec![1.0f32; 100_000]);
        assert_eq!(zeroed::<f32>(100_000), vec![0.0; 100_000]);
        assert_eq!(zeroed::<half::f16>(0).len(), 0);
    }
}
