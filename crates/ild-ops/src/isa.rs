//! One source, several instruction sets: a kernel is compiled once for each and picked when the
//! program runs.
//!
//! Kernels are written over [`Isa::V`], a register of that instruction set, or as plain loops that
//! the compiler turns into vector instructions. `target-cpu=native` is never needed.

use std::sync::LazyLock;

use ::half::bf16;

mod baseline;
mod f16;
#[cfg(target_arch = "x86_64")]
mod x86;
#[cfg(target_arch = "x86_64")]
mod x86_f16;

pub(crate) use baseline::Baseline;
pub(crate) use f16::Half;
#[cfg(target_arch = "x86_64")]
use x86::Avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) use x86::Avx512;

/// Registers across a register tile.
pub(crate) const REGISTERS: usize = 2;

/// An instruction set: a register of numbers and what can be done with it.
///
/// Values of these types are made by [`dispatch`] alone, after it has found the instructions on
/// this processor.
pub(crate) trait Isa: Copy + Send + Sync {
    /// A register.
    type V: Copy;
    /// A register of numbers in half precision.
    type H: Half<Self::V>;
    /// Numbers in a register.
    const LANES: usize;

    /// `a·b + c`, in one rounding where the instruction set has it.
    fn fma(a: f32, b: f32, c: f32) -> f32;

    /// The same number in every lane.
    fn splat(x: f32) -> Self::V;

    /// # Safety
    /// [`Self::LANES`] numbers must be readable.
    unsafe fn load(from: *const f32) -> Self::V;

    /// # Safety
    /// [`Self::LANES`] numbers must be writable.
    unsafe fn store(to: *mut f32, value: Self::V);

    /// The first `count` numbers, zeros behind them.
    ///
    /// # Safety
    /// `count` numbers must be readable.
    unsafe fn load_part(from: *const f32, count: usize) -> Self::V;

    /// # Safety
    /// `count` numbers must be writable.
    unsafe fn store_part(to: *mut f32, value: Self::V, count: usize);

    /// Asks for a cache line to be brought near; any address will do.
    fn prefetch(from: *const f32);

    /// `a + b`.
    fn add(a: Self::V, b: Self::V) -> Self::V;
    /// `a − b`.
    fn sub(a: Self::V, b: Self::V) -> Self::V;
    /// `a·b`.
    fn mul(a: Self::V, b: Self::V) -> Self::V;
    /// `a/b`, to 2 units in the last place.
    fn div(a: Self::V, b: Self::V) -> Self::V;
    /// `a` where `a > b`, else `b` (also where either is not a number).
    fn max(a: Self::V, b: Self::V) -> Self::V;
    /// `a` where `a < b`, else `b` (also where either is not a number).
    fn min(a: Self::V, b: Self::V) -> Self::V;
    /// `a·b + c`, see [`Isa::fma`].
    fn mul_add(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `value` where `x ≥ limit` or `x` is not a number, else 0.
    fn zero_below(x: Self::V, limit: f32, value: Self::V) -> Self::V;
    /// `2ⁿ` for integers `n`, given as `n + 1.5·2²³` (−126 ≤ n ≤ 127).
    fn power_of_two(shifted: Self::V) -> Self::V;
    /// `value·2ⁿ` for integers `n` (−126 ≤ n ≤ 127).
    #[inline(always)]
    fn scale(value: Self::V, n: Self::V) -> Self::V {
        Self::mul(value, Self::power_of_two(Self::add(n, Self::splat(ROUND))))
    }
    /// Writes [`Self::LANES`] rows as columns: number `c` of `rows[r]` from `at` on goes to
    /// `to[c·to_row + r]`.
    #[inline(always)]
    fn transpose(rows: &[&[f32]], at: usize, to: &mut [f32], to_row: usize) {
        for (r, row) in rows[..Self::LANES].iter().enumerate() {
            for (c, &number) in row[at..at + Self::LANES].iter().enumerate() {
                to[c * to_row + r] = number;
            }
        }
    }
    /// The sum of all lanes.
    fn total(value: Self::V) -> f32;
    /// The largest lane.
    fn largest(value: Self::V) -> f32;

    /// The upper halves of words, as numbers: a word is a lane that holds two of bf16.
    fn upper(words: Self::V) -> Self::V;
    /// The lower halves.
    fn lower(words: Self::V) -> Self::V;
    /// Rounded to the nearest of bf16, to the even one of two; what is not a number stays so.
    fn round_to_bf16(value: Self::V) -> Self::V;
    /// Words of numbers of bf16 that are still as wide as f32.
    fn words(lower: Self::V, upper: Self::V) -> Self::V;
    /// `sum + upper(a)·upper(b)`, and then `+ lower(a)·lower(b)`, of words: two roundings, where
    /// the instruction is there and where it is not. (The instruction takes numbers below 2⁻¹²⁶ as
    /// 0.)
    #[inline(always)]
    fn dot(a: Self::V, b: Self::V, sum: Self::V) -> Self::V {
        let sum = Self::mul_add(Self::upper(a), Self::upper(b), sum);
        Self::mul_add(Self::lower(a), Self::lower(b), sum)
    }

    /// The first `count` numbers as f32, zeros behind them.
    ///
    /// # Safety
    /// `count` numbers must be readable.
    #[inline(always)]
    unsafe fn load_bf16(from: *const bf16, count: usize) -> Self::V {
        let mut numbers = [0f32; LANES];
        for (i, number) in numbers.iter_mut().enumerate().take(count) {
            // SAFETY: the caller's promise.
            *number = unsafe { (*from.add(i)).to_f32() };
        }
        // SAFETY: no register has more lanes.
        unsafe { Self::load(numbers.as_ptr()) }
    }

    /// The counterpart of [`Self::load_bf16`], rounding.
    ///
    /// # Safety
    /// `count` numbers must be writable.
    #[inline(always)]
    unsafe fn store_bf16(to: *mut bf16, value: Self::V, count: usize) {
        let mut numbers = [0f32; LANES];
        // SAFETY: no register has more lanes; the caller's promise.
        unsafe {
            Self::store(numbers.as_mut_ptr(), Self::round_to_bf16(value));
            for (i, number) in numbers.into_iter().enumerate().take(count) {
                *to.add(i) = bf16::from_bits((number.to_bits() >> 16) as u16);
            }
        }
    }
}

/// Lanes of the widest register.
const LANES: usize = 16;

/// 1.5·2²³: adding it rounds to the nearest integer, which is then in the lowest bits.
pub(crate) const ROUND: f32 = 12_582_912.0;

/// Work that is written once for every instruction set.
///
/// `run` and everything hot below it must be `#[inline(always)]`: only code that is inlined into
/// the entry of an instruction set is compiled for it.
pub(crate) trait Kernel {
    /// What the work returns.
    type Output;
    /// Does the work with register tiles of `M` rows and `N` columns.
    fn run<I: Isa, const M: usize, const N: usize>(self) -> Self::Output;
}

/// Rows and columns of a register tile on this processor: packed operands are laid out for it.
pub(crate) fn tile() -> (usize, usize) {
    match *LEVEL {
        Level::Avx512 => (12, 32),
        Level::Avx2 => (6, 16),
        Level::Baseline => (4, 8),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
    Avx512,
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
    Avx2,
    Baseline,
}

/// `ILD_ISA` asks for a lesser instruction set (`baseline`, `avx2`, or `avx512` without what later
/// processors added to it), for tests and comparisons.
static WISH: LazyLock<String> = LazyLock::new(|| std::env::var("ILD_ISA").unwrap_or_default());

/// The best instruction set here, or the wish.
static LEVEL: LazyLock<Level> = LazyLock::new(|| {
    let level = detect();
    match (WISH.as_str(), level) {
        ("baseline", _) => Level::Baseline,
        ("avx2", Level::Avx512) => Level::Avx2,
        _ => level,
    }
});

/// Whether what was added to AVX-512 may be used.
#[cfg(target_arch = "x86_64")]
fn additions() -> bool {
    *LEVEL == Level::Avx512 && *WISH != "avx512"
}

#[cfg(target_arch = "x86_64")]
fn detect() -> Level {
    let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    let avx512 = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512bw");
    match (avx2, avx512) {
        (true, true) => Level::Avx512,
        (true, false) => Level::Avx2,
        _ => Level::Baseline,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn detect() -> Level {
    Level::Baseline
}

/// The name of the instruction set that kernels run in here.
#[must_use]
pub fn instruction_set() -> &'static str {
    match *LEVEL {
        Level::Avx512 => "AVX-512",
        Level::Avx2 => "AVX2",
        Level::Baseline => "baseline",
    }
}

/// Runs a kernel with the best instruction set here.
pub(crate) fn dispatch<K: Kernel>(kernel: K) -> K::Output {
    match *LEVEL {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `detect` found the features that the function is compiled for.
        Level::Avx512 => unsafe { avx512(kernel) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Level::Avx2 => unsafe { avx2(kernel) },
        _ => kernel.run::<Baseline, 4, 8>(),
    }
}

/// Whether this processor computes in f16.
pub(crate) fn f16_available() -> bool {
    #[cfg(target_arch = "x86_64")]
    return additions()
        && is_x86_feature_detected!("avx512fp16")
        && is_x86_feature_detected!("f16c");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Whether this processor has an instruction for [`Isa::dot`].
pub(crate) fn bf16_available() -> bool {
    #[cfg(target_arch = "x86_64")]
    return additions() && is_x86_feature_detected!("avx512bf16");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Whether that instruction is known to do twice the products of f32's: on AMD's processors, of
/// which the first with it is Zen 4. Intel's do as many at best, those with AVX512-FP16 half as many
/// (measured, docs/performance-ops.md).
pub(crate) fn bf16_is_fast() -> bool {
    #[cfg(target_arch = "x86_64")]
    return bf16_available() && made_by_amd();
    #[cfg(not(target_arch = "x86_64"))]
    false
}

#[cfg(target_arch = "x86_64")]
fn made_by_amd() -> bool {
    let vendor = std::arch::x86_64::__cpuid(0);
    let name = [vendor.ebx, vendor.edx, vendor.ecx].map(u32::to_le_bytes);
    name.as_flattened() == b"AuthenticAMD"
}

/// Runs a kernel whose operands are in f16.
///
/// # Panics
/// Where [`f16_available`] says no.
pub(crate) fn dispatch_f16<K: Kernel>(kernel: K) -> K::Output {
    assert!(f16_available(), "f16 was asked for where `f16_available` says no");
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the instructions are there.
    return unsafe { avx512_fp16(kernel) };
    #[cfg(not(target_arch = "x86_64"))]
    kernel.run::<Baseline, 4, 8>()
}

/// Runs a kernel whose operands are in bf16: with its instruction where that is there, else with
/// what does the same.
pub(crate) fn dispatch_bf16<K: Kernel>(kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    if bf16_available() {
        // SAFETY: the instructions are there.
        return unsafe { avx512_bf16(kernel) };
    }
    dispatch(kernel)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx512bf16,avx2,fma")]
fn avx512_bf16<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<Avx512<true>, 12, 32>()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx512fp16,avx2,fma,f16c")]
fn avx512_fp16<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<Avx512<false>, 12, 32>()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
fn avx512<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<Avx512<false>, 12, 32>()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<Avx2, 6, 16>()
}
