//! AVX512-FP16: half precision on x86-64.
//!
//! Every `unsafe` call of an instruction here rests on one promise: that of
//! [`super::dispatch_f16`].

use std::arch::x86_64::*;

use half::f16;

use super::x86::mask;
use super::{Half, Isa};

/// Whether bf16 has instructions does not matter here.
type Avx512 = super::Avx512<false>;

/// Sixteen numbers in half precision, kept within its range (what is not a number stays so).
#[inline(always)]
fn to_half(value: __m512) -> __m256i {
    let low = Avx512::max(Avx512::splat(-f16::MAX.to_f32_const()), value);
    // SAFETY: the promise.
    unsafe {
        _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(Avx512::min(
            Avx512::splat(f16::MAX.to_f32_const()),
            low,
        ))
    }
}

impl Half<__m512> for __m512h {
    #[inline(always)]
    fn zeros() -> Self {
        // SAFETY: the promise.
        unsafe { _mm512_setzero_ph() }
    }

    #[inline(always)]
    fn splat(x: f16) -> Self {
        // SAFETY: the promise.
        unsafe { _mm512_castsi512_ph(_mm512_set1_epi16(x.to_bits() as i16)) }
    }

    #[inline(always)]
    unsafe fn splat_pair(from: *const f16) -> Self {
        // SAFETY: the promise, and the caller's.
        unsafe { _mm512_castsi512_ph(_mm512_set1_epi32(from.cast::<i32>().read_unaligned())) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f16) -> Self {
        // SAFETY: as above.
        unsafe { _mm512_castsi512_ph(_mm512_loadu_si512(from.cast())) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f16) {
        // SAFETY: as above.
        unsafe { _mm512_storeu_si512(to.cast(), _mm512_castph_si512(self)) }
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: the promise.
        unsafe { _mm512_add_ph(self, other) }
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        // SAFETY: the promise.
        unsafe { _mm512_sub_ph(self, other) }
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        // SAFETY: the promise.
        unsafe { _mm512_max_ph(self, other) }
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        // SAFETY: the promise.
        unsafe { _mm512_min_ph(self, other) }
    }

    #[inline(always)]
    fn mul_add(self, b: Self, c: Self) -> Self {
        // SAFETY: the promise.
        unsafe { _mm512_fmadd_ph(self, b, c) }
    }

    /// The part behind the point goes into a polynomial of degree 3 (found by trying numbers of
    /// half precision: largest error 7e-4, rounding included; exact at 0 and 1), the whole part
    /// into the exponent.
    #[inline(always)]
    fn exp2(self) -> Self {
        const THIRD: f16 = f16::from_f32_const(0.078_125);
        const SECOND: f16 = f16::from_f32_const(0.226_562_5);
        const FIRST: f16 = f16::from_f32_const(0.695_312_5);
        /// Towards −∞, no exception.
        const FLOOR: i32 = _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC;
        let [third, second, first, one] =
            [Self::splat(THIRD), Self::splat(SECOND), Self::splat(FIRST), Self::splat(f16::ONE)];
        // SAFETY: the promise.
        unsafe {
            let rest = _mm512_reduce_ph::<FLOOR>(self);
            let power = third.mul_add(rest, second).mul_add(rest, first).mul_add(rest, one);
            _mm512_scalef_ph(power, self) // which takes the whole part of its second argument
        }
    }

    #[inline(always)]
    fn interleave(self, other: Self) -> [Self; 2] {
        const NEIGHBOUR: [u16; 32] = {
            let mut places = [0; 32];
            let mut i = 0;
            while i < 32 {
                places[i] = i as u16 ^ 1;
                i += 1;
            }
            places
        };
        // SAFETY: the promise; the array has the register's size.
        unsafe {
            let neighbour = _mm512_loadu_si512(NEIGHBOUR.as_ptr().cast());
            let (a, b) = (_mm512_castph_si512(self), _mm512_castph_si512(other));
            [
                _mm512_castsi512_ph(_mm512_mask_permutexvar_epi16(a, 0xaaaa_aaaa, neighbour, b)),
                _mm512_castsi512_ph(_mm512_mask_permutexvar_epi16(b, 0x5555_5555, neighbour, a)),
            ]
        }
    }

    #[inline(always)]
    fn widen(self) -> [__m512; 2] {
        // SAFETY: the promise.
        unsafe {
            let numbers = _mm512_castph_si512(self);
            [
                _mm512_cvtph_ps(_mm512_castsi512_si256(numbers)),
                _mm512_cvtph_ps(_mm512_extracti64x4_epi64::<1>(numbers)),
            ]
        }
    }

    #[inline(always)]
    fn narrow([low, high]: [__m512; 2]) -> Self {
        // SAFETY: the promise.
        unsafe {
            _mm512_castsi512_ph(_mm512_inserti64x4::<1>(
                _mm512_castsi256_si512(to_half(low)),
                to_half(high),
            ))
        }
    }

    #[inline(always)]
    unsafe fn load_part(from: *const f16, count: usize) -> __m512 {
        // SAFETY: as above; masked lanes are not read.
        unsafe { _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask(count), from.cast())) }
    }

    #[inline(always)]
    unsafe fn store_part(to: *mut f16, value: __m512, count: usize) {
        // SAFETY: as above; masked lanes are not written.
        unsafe {
            if count == 16 {
                _mm256_storeu_si256(to.cast(), to_half(value));
            } else {
                _mm256_mask_storeu_epi16(to.cast(), mask(count), to_half(value));
            }
        }
    }
}
