//! Memory that is written whole before anyone reads it, without a pass over it to fill it first.

use std::mem::MaybeUninit;

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
// SAFETY: as above.
unsafe impl Number for ::half::bf16 {}

/// `count` values, whatever bytes the allocator's memory holds: each of them is a value, none of
/// them means anything.
pub(crate) fn unspecified<T: Number>(count: usize) -> Vec<T> {
    let mut values = Vec::with_capacity(count);
    settle(values.spare_capacity_mut());
    // SAFETY: the capacity is there, every byte has been given a value, and any bytes are a `T`.
    unsafe { values.set_len(count) };
    values
}

/// Gives every byte of `memory` a value.
///
/// Rust counts memory that nobody has written as without value, and reading it as an error. A block
/// of assembly may write whatever it can reach from its operands, and may choose what: this one
/// chooses, for each byte, what is there already, so it has no instructions. (The reference, "Inline
/// assembly", rules for inline assembly: memory that the block is given a pointer to may have been
/// written by it.)
pub(crate) fn settle<T>(memory: &mut [MaybeUninit<T>]) {
    #[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
    // SAFETY: the memory is the caller's alone, and stays as it is.
    unsafe {
        std::arch::asm!("/* {0} */", in(reg) memory.as_mut_ptr(), options(nostack, preserves_flags));
    }
    #[cfg(not(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri))))]
    // SAFETY: as above; elsewhere the bytes are zeros.
    unsafe {
        memory.as_mut_ptr().write_bytes(0, memory.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unspecified_can_be_read_and_stays_as_it_is() {
        let values = unspecified::<f32>(100_000);
        let bits = || values.iter().fold(0u32, |all, value| all.rotate_left(1) ^ value.to_bits());
        assert_eq!(bits(), bits());
        assert_eq!(unspecified::<half::f16>(0).len(), 0);
    }
}
