//! What every processor has: loops over four numbers.

use half::bf16;

use super::{Isa, ROUND};

/// Four numbers at a time, in whatever instructions the compiler may use everywhere.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Baseline;

/// A register of [`Baseline`].
type Four = [f32; 4];

#[inline(always)]
fn each(f: impl Fn(usize) -> f32) -> Four {
    std::array::from_fn(f)
}

impl Isa for Baseline {
    type V = Four;
    type H = ();
    const LANES: usize = 4;

    #[inline(always)]
    fn fma(a: f32, b: f32, c: f32) -> f32 {
        if cfg!(any(target_arch = "aarch64", target_feature = "fma")) {
            a.mul_add(b, c)
        } else {
            a * b + c // without the instruction, `mul_add` is a library call
        }
    }

    #[inline(always)]
    fn splat(x: f32) -> Four {
        [x; 4]
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Four {
        // SAFETY: the caller's promise.
        unsafe { from.cast::<Four>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, value: Four) {
        // SAFETY: the caller's promise.
        unsafe { to.cast::<Four>().write_unaligned(value) }
    }

    #[inline(always)]
    unsafe fn load_part(from: *const f32, count: usize) -> Four {
        // SAFETY: the caller's promise.
        each(|i| if i < count { unsafe { *from.add(i) } } else { 0.0 })
    }

    #[inline(always)]
    unsafe fn store_part(to: *mut f32, value: Four, count: usize) {
        for (i, value) in value.into_iter().enumerate().take(count) {
            // SAFETY: the caller's promise.
            unsafe { *to.add(i) = value };
        }
    }

    #[inline(always)]
    fn add(a: Four, b: Four) -> Four {
        each(|i| a[i] + b[i])
    }

    #[inline(always)]
    fn sub(a: Four, b: Four) -> Four {
        each(|i| a[i] - b[i])
    }

    #[inline(always)]
    fn mul(a: Four, b: Four) -> Four {
        each(|i| a[i] * b[i])
    }

    #[inline(always)]
    fn div(a: Four, b: Four) -> Four {
        each(|i| a[i] / b[i])
    }

    #[inline(always)]
    fn max(a: Four, b: Four) -> Four {
        each(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }

    #[inline(always)]
    fn min(a: Four, b: Four) -> Four {
        each(|i| if a[i] < b[i] { a[i] } else { b[i] })
    }

    #[inline(always)]
    fn mul_add(a: Four, b: Four, c: Four) -> Four {
        each(|i| Self::fma(a[i], b[i], c[i]))
    }

    #[inline(always)]
    fn prefetch(_: *const f32) {}

    #[inline(always)]
    fn zero_below(x: Four, limit: f32, value: Four) -> Four {
        each(|i| if x[i] < limit { 0.0 } else { value[i] })
    }

    #[inline(always)]
    fn power_of_two(shifted: Four) -> Four {
        each(|i| {
            f32::from_bits(
                shifted[i].to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23,
            )
        })
    }

    #[inline(always)]
    fn total(value: Four) -> f32 {
        (value[0] + value[2]) + (value[1] + value[3])
    }

    #[inline(always)]
    fn largest(value: Four) -> f32 {
        value.into_iter().fold(f32::NEG_INFINITY, f32::max)
    }

    #[inline(always)]
    fn upper(words: Four) -> Four {
        each(|i| f32::from_bits(words[i].to_bits() & 0xffff_0000))
    }

    #[inline(always)]
    fn lower(words: Four) -> Four {
        each(|i| f32::from_bits(words[i].to_bits() << 16))
    }

    #[inline(always)]
    fn round_to_bf16(value: Four) -> Four {
        each(|i| bf16::from_f32(value[i]).to_f32())
    }

    #[inline(always)]
    fn words(lower: Four, upper: Four) -> Four {
        each(|i| f32::from_bits(upper[i].to_bits() | lower[i].to_bits() >> 16))
    }
}
