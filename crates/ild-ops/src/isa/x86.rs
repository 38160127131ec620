//! The vector instructions of x86-64.
//!
//! Every `unsafe` call of an instruction here rests on one promise: [`super::dispatch`] runs a
//! kernel with one of these types only where it found the instructions.

use std::arch::x86_64::*;
use std::mem::transmute;

use half::bf16;

use super::{Isa, ROUND};

/// From the bits of `n + 1.5·2²³` to the exponent of `2ⁿ`.
const BIAS: i32 = 127i32.wrapping_sub(ROUND.to_bits() as i32);

/// A number of bf16 in a lane, and in the upper half of one that holds two.
const UPPER: i32 = 0xffff_0000u32 as i32;

/// Added to the bits of a number in f32, one less than what carries the nearer half of all numbers
/// up to the next one of bf16.
const JUST_BELOW_HALF: i32 = 0x7fff;

/// The bit that keeps what is not a number from becoming an infinity when the lower half is cut off.
const QUIET: i32 = 0x0040_0000;

/// Functions that are one instruction.
macro_rules! lane_wise {
    ($($name:ident($instruction:ident, $($argument:ident: $kind:ty),+);)+) => {
        $(#[inline(always)]
        fn $name($($argument: $kind),+) -> Self::V {
            // SAFETY: the module's promise.
            unsafe { $instruction($($argument),+) }
        })+
    };
}

/// The first `count` lanes.
#[inline(always)]
pub(super) fn mask(count: usize) -> __mmask16 {
    ((1u32 << count) - 1) as __mmask16
}

#[inline(always)]
fn lanes(value: __m256) -> [f32; 8] {
    let mut lanes = [0f32; 8];
    // SAFETY: the array has the register's size; the module's promise.
    unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), value) };
    lanes
}

/// AVX-512: 32 registers of 16 numbers; `BF16` is whether its instructions for bf16 are there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx512<const BF16: bool>;

impl<const BF16: bool> Isa for Avx512<BF16> {
    type V = __m512;
    type H = __m512h;
    const LANES: usize = 16;

    #[inline(always)]
    fn fma(a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }

    lane_wise! {
        splat(_mm512_set1_ps, x: f32);
        add(_mm512_add_ps, a: __m512, b: __m512);
        sub(_mm512_sub_ps, a: __m512, b: __m512);
        mul(_mm512_mul_ps, a: __m512, b: __m512);
        max(_mm512_max_ps, a: __m512, b: __m512);
        min(_mm512_min_ps, a: __m512, b: __m512);
        mul_add(_mm512_fmadd_ps, a: __m512, b: __m512, c: __m512);
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m512 {
        // SAFETY: the caller's promise, and the module's.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, value: __m512) {
        // SAFETY: as above.
        unsafe { _mm512_storeu_ps(to, value) }
    }

    #[inline(always)]
    unsafe fn load_part(from: *const f32, count: usize) -> __m512 {
        // SAFETY: as above; masked lanes are not read.
        unsafe { _mm512_maskz_loadu_ps(mask(count), from) }
    }

    #[inline(always)]
    unsafe fn store_part(to: *mut f32, value: __m512, count: usize) {
        // SAFETY: as above; masked lanes are not written.
        unsafe { _mm512_mask_storeu_ps(to, mask(count), value) }
    }

    /// An estimate of `1/b` (14 bits), and one Newton step on the quotient (28 bits): a true
    /// division takes four times as long.
    #[inline(always)]
    fn div(a: __m512, b: __m512) -> __m512 {
        // SAFETY: the module's promise.
        unsafe {
            let inverse = _mm512_rcp14_ps(b);
            let quotient = _mm512_mul_ps(a, inverse);
            _mm512_fmadd_ps(_mm512_fnmadd_ps(b, quotient, a), inverse, quotient)
        }
    }

    #[inline(always)]
    fn prefetch(from: *const f32) {
        // SAFETY: an address that does not exist is left alone.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(from.cast()) }
    }

    #[inline(always)]
    fn zero_below(x: __m512, limit: f32, value: __m512) -> __m512 {
        // SAFETY: the module's promise.
        unsafe {
            _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_NLT_UQ>(x, _mm512_set1_ps(limit)), value)
        }
    }

    #[inline(always)]
    fn power_of_two(shifted: __m512) -> __m512 {
        // SAFETY: the module's promise.
        unsafe {
            let exponent = _mm512_add_epi32(_mm512_castps_si512(shifted), _mm512_set1_epi32(BIAS));
            _mm512_castsi512_ps(_mm512_slli_epi32::<23>(exponent))
        }
    }

    #[inline(always)]
    fn scale(value: __m512, n: __m512) -> __m512 {
        // SAFETY: the module's promise.
        unsafe { _mm512_scalef_ps(value, n) }
    }

    #[inline(always)]
    fn transpose(rows: &[&[f32]], at: usize, to: &mut [f32], to_row: usize) {
        assert!(to.len() >= 15 * to_row + 16);
        // SAFETY: the module's promise; sixteen numbers are there in each row, as its slice says,
        // and in each of `to`, as asserted.
        unsafe {
            // Of four rows: columns c, c + 4, c + 8 and c + 12.
            let mut fours = [[_mm512_setzero_ps(); 4]; 4];
            for (fours, rows) in fours.iter_mut().zip(rows[..16].chunks_exact(4)) {
                let [a, b, c, d] = [
                    _mm512_loadu_ps(rows[0][at..at + 16].as_ptr()),
                    _mm512_loadu_ps(rows[1][at..at + 16].as_ptr()),
                    _mm512_loadu_ps(rows[2][at..at + 16].as_ptr()),
                    _mm512_loadu_ps(rows[3][at..at + 16].as_ptr()),
                ];
                let (ab, cd) = (
                    _mm512_castps_pd(_mm512_unpacklo_ps(a, b)),
                    _mm512_castps_pd(_mm512_unpacklo_ps(c, d)),
                );
                fours[0] = _mm512_castpd_ps(_mm512_unpacklo_pd(ab, cd));
                fours[1] = _mm512_castpd_ps(_mm512_unpackhi_pd(ab, cd));
                let (ab, cd) = (
                    _mm512_castps_pd(_mm512_unpackhi_ps(a, b)),
                    _mm512_castps_pd(_mm512_unpackhi_ps(c, d)),
                );
                fours[2] = _mm512_castpd_ps(_mm512_unpacklo_pd(ab, cd));
                fours[3] = _mm512_castpd_ps(_mm512_unpackhi_pd(ab, cd));
            }
            let [first, second, third, fourth] = fours;
            for c in 0..4 {
                let upper = _mm512_shuffle_f32x4::<0x88>(first[c], second[c]);
                let lower = _mm512_shuffle_f32x4::<0x88>(third[c], fourth[c]);
                let upper_odd = _mm512_shuffle_f32x4::<0xdd>(first[c], second[c]);
                let lower_odd = _mm512_shuffle_f32x4::<0xdd>(third[c], fourth[c]);
                let to = to.as_mut_ptr().add(c * to_row);
                _mm512_storeu_ps(to, _mm512_shuffle_f32x4::<0x88>(upper, lower));
                _mm512_storeu_ps(
                    to.add(4 * to_row),
                    _mm512_shuffle_f32x4::<0x88>(upper_odd, lower_odd),
                );
                _mm512_storeu_ps(to.add(8 * to_row), _mm512_shuffle_f32x4::<0xdd>(upper, lower));
                _mm512_storeu_ps(
                    to.add(12 * to_row),
                    _mm512_shuffle_f32x4::<0xdd>(upper_odd, lower_odd),
                );
            }
        }
    }

    #[inline(always)]
    fn total(value: __m512) -> f32 {
        // SAFETY: the module's promise.
        unsafe { _mm512_reduce_add_ps(value) }
    }

    #[inline(always)]
    fn largest(value: __m512) -> f32 {
        // SAFETY: the module's promise.
        unsafe { _mm512_reduce_max_ps(value) }
    }

    #[inline(always)]
    fn upper(words: __m512) -> __m512 {
        // SAFETY: the module's promise.
        unsafe {
            let upper = _mm512_set1_epi32(UPPER);
            _mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(words), upper))
        }
    }

    #[inline(always)]
    fn lower(words: __m512) -> __m512 {
        // SAFETY: the module's promise.
        unsafe { _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_castps_si512(words))) }
    }

    #[inline(always)]
    fn round_to_bf16(value: __m512) -> __m512 {
        // SAFETY: the module's promise.
        unsafe {
            let bits = _mm512_castps_si512(value);
            let even = _mm512_and_si512(_mm512_srli_epi32::<16>(bits), _mm512_set1_epi32(1));
            let up = _mm512_add_epi32(even, _mm512_set1_epi32(JUST_BELOW_HALF));
            let rounded = _mm512_mask_add_epi32(
                _mm512_or_si512(bits, _mm512_set1_epi32(QUIET)),
                _mm512_cmp_ps_mask::<_CMP_ORD_Q>(value, value),
                bits,
                up,
            );
            Self::upper(_mm512_castsi512_ps(rounded))
        }
    }

    #[inline(always)]
    fn words(lower: __m512, upper: __m512) -> __m512 {
        // SAFETY: the module's promise.
        unsafe {
            let lower = _mm512_srli_epi32::<16>(_mm512_castps_si512(lower));
            _mm512_castsi512_ps(_mm512_or_si512(_mm512_castps_si512(upper), lower))
        }
    }

    #[inline(always)]
    fn dot(a: __m512, b: __m512, sum: __m512) -> __m512 {
        // SAFETY: the module's promise, and `BF16`'s; a register of words is one of bf16.
        unsafe {
            if BF16 {
                let (a, b) = (transmute::<__m512, __m512bh>(a), transmute::<__m512, __m512bh>(b));
                return _mm512_dpbf16_ps(sum, a, b);
            }
            let sum = Self::mul_add(Self::upper(a), Self::upper(b), sum);
            Self::mul_add(Self::lower(a), Self::lower(b), sum)
        }
    }

    #[inline(always)]
    unsafe fn load_bf16(from: *const bf16, count: usize) -> __m512 {
        // SAFETY: the caller's promise; masked lanes are not read.
        unsafe {
            let numbers = _mm256_maskz_loadu_epi16(mask(count), from.cast());
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(numbers)))
        }
    }

    #[inline(always)]
    unsafe fn store_bf16(to: *mut bf16, value: __m512, count: usize) {
        // SAFETY: the caller's promise, and `BF16`'s; masked lanes are not written.
        unsafe {
            let numbers = if BF16 {
                transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(value))
            } else {
                let rounded = _mm512_castps_si512(Self::round_to_bf16(value));
                _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(rounded))
            };
            if count == Self::LANES {
                _mm256_storeu_si256(to.cast(), numbers);
            } else {
                _mm256_mask_storeu_epi16(to.cast(), mask(count), numbers);
            }
        }
    }
}

/// AVX2 with fused multiply-add: 16 registers of 8 numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx2;

impl Isa for Avx2 {
    type V = __m256;
    type H = ();
    const LANES: usize = 8;

    #[inline(always)]
    fn fma(a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }

    lane_wise! {
        splat(_mm256_set1_ps, x: f32);
        add(_mm256_add_ps, a: __m256, b: __m256);
        sub(_mm256_sub_ps, a: __m256, b: __m256);
        mul(_mm256_mul_ps, a: __m256, b: __m256);
        max(_mm256_max_ps, a: __m256, b: __m256);
        min(_mm256_min_ps, a: __m256, b: __m256);
        mul_add(_mm256_fmadd_ps, a: __m256, b: __m256, c: __m256);
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m256 {
        // SAFETY: the caller's promise, and the module's.
        unsafe { _mm256_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, value: __m256) {
        // SAFETY: as above.
        unsafe { _mm256_storeu_ps(to, value) }
    }

    #[inline(always)]
    unsafe fn load_part(from: *const f32, count: usize) -> __m256 {
        let mut lanes = [0f32; 8];
        // SAFETY: the caller's promise; `count` is less than a register.
        unsafe {
            std::ptr::copy_nonoverlapping(from, lanes.as_mut_ptr(), count);
            Self::load(lanes.as_ptr())
        }
    }

    #[inline(always)]
    unsafe fn store_part(to: *mut f32, value: __m256, count: usize) {
        // SAFETY: as above.
        unsafe { std::ptr::copy_nonoverlapping(lanes(value).as_ptr(), to, count) }
    }

    #[inline(always)]
    fn div(a: __m256, b: __m256) -> __m256 {
        // SAFETY: the module's promise.
        unsafe { _mm256_div_ps(a, b) }
    }

    #[inline(always)]
    fn prefetch(from: *const f32) {
        // SAFETY: an address that does not exist is left alone.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(from.cast()) }
    }

    #[inline(always)]
    fn zero_below(x: __m256, limit: f32, value: __m256) -> __m256 {
        // SAFETY: the module's promise.
        unsafe { _mm256_and_ps(_mm256_cmp_ps::<_CMP_NLT_UQ>(x, _mm256_set1_ps(limit)), value) }
    }

    #[inline(always)]
    fn power_of_two(shifted: __m256) -> __m256 {
        // SAFETY: the module's promise.
        unsafe {
            let exponent = _mm256_add_epi32(_mm256_castps_si256(shifted), _mm256_set1_epi32(BIAS));
            _mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent))
        }
    }

    #[inline(always)]
    fn transpose(rows: &[&[f32]], at: usize, to: &mut [f32], to_row: usize) {
        assert!(to.len() >= 7 * to_row + 8);
        // SAFETY: as above, with eight numbers.
        unsafe {
            // Of four rows: columns c and c + 4.
            let mut fours = [[_mm256_setzero_ps(); 4]; 2];
            for (fours, rows) in fours.iter_mut().zip(rows[..8].chunks_exact(4)) {
                let [a, b, c, d] = [
                    _mm256_loadu_ps(rows[0][at..at + 8].as_ptr()),
                    _mm256_loadu_ps(rows[1][at..at + 8].as_ptr()),
                    _mm256_loadu_ps(rows[2][at..at + 8].as_ptr()),
                    _mm256_loadu_ps(rows[3][at..at + 8].as_ptr()),
                ];
                let (ab, cd) = (
                    _mm256_castps_pd(_mm256_unpacklo_ps(a, b)),
                    _mm256_castps_pd(_mm256_unpacklo_ps(c, d)),
                );
                fours[0] = _mm256_castpd_ps(_mm256_unpacklo_pd(ab, cd));
                fours[1] = _mm256_castpd_ps(_mm256_unpackhi_pd(ab, cd));
                let (ab, cd) = (
                    _mm256_castps_pd(_mm256_unpackhi_ps(a, b)),
                    _mm256_castps_pd(_mm256_unpackhi_ps(c, d)),
                );
                fours[2] = _mm256_castpd_ps(_mm256_unpacklo_pd(ab, cd));
                fours[3] = _mm256_castpd_ps(_mm256_unpackhi_pd(ab, cd));
            }
            let [upper, lower] = fours;
            for (c, (upper, lower)) in upper.into_iter().zip(lower).enumerate() {
                let to = to.as_mut_ptr().add(c * to_row);
                _mm256_storeu_ps(to, _mm256_permute2f128_ps::<0x20>(upper, lower));
                _mm256_storeu_ps(to.add(4 * to_row), _mm256_permute2f128_ps::<0x31>(upper, lower));
            }
        }
    }

    #[inline(always)]
    fn total(value: __m256) -> f32 {
        let [a, b, c, d, e, f, g, h] = lanes(value);
        ((a + e) + (c + g)) + ((b + f) + (d + h))
    }

    #[inline(always)]
    fn largest(value: __m256) -> f32 {
        lanes(value).into_iter().fold(f32::NEG_INFINITY, f32::max)
    }

    #[inline(always)]
    fn upper(words: __m256) -> __m256 {
        // SAFETY: the module's promise.
        unsafe {
            let upper = _mm256_set1_epi32(UPPER);
            _mm256_castsi256_ps(_mm256_and_si256(_mm256_castps_si256(words), upper))
        }
    }

    #[inline(always)]
    fn lower(words: __m256) -> __m256 {
        // SAFETY: the module's promise.
        unsafe { _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_castps_si256(words))) }
    }

    #[inline(always)]
    fn round_to_bf16(value: __m256) -> __m256 {
        // SAFETY: the module's promise.
        unsafe {
            let bits = _mm256_castps_si256(value);
            let even = _mm256_and_si256(_mm256_srli_epi32::<16>(bits), _mm256_set1_epi32(1));
            let up = _mm256_add_epi32(even, _mm256_set1_epi32(JUST_BELOW_HALF));
            let rounded = _mm256_blendv_ps(
                _mm256_castsi256_ps(_mm256_or_si256(bits, _mm256_set1_epi32(QUIET))),
                _mm256_castsi256_ps(_mm256_add_epi32(bits, up)),
                _mm256_cmp_ps::<_CMP_ORD_Q>(value, value),
            );
            Self::upper(rounded)
        }
    }

    #[inline(always)]
    fn words(lower: __m256, upper: __m256) -> __m256 {
        // SAFETY: the module's promise.
        unsafe {
            let lower = _mm256_srli_epi32::<16>(_mm256_castps_si256(lower));
            _mm256_castsi256_ps(_mm256_or_si256(_mm256_castps_si256(upper), lower))
        }
    }
}
