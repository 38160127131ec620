//! One source, several instruction sets: a kernel is compiled once for each and picked when the
//! program runs.
//!
//! Kernels are written over [`Isa::V`], a register of that instruction set, or as plain loops that
//! the compiler turns into vector instructions. `target-cpu=native` is never needed.

use std::sync::LazyLock;

mod baseline;
mod half;
#[cfg(target_arch = "x86_64")]
mod x86;
#[cfg(target_arch = "x86_64")]
mod x86_half;

pub(crate) use baseline::Baseline;
pub(crate) use half::Half;
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
}

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

/// The best instruction set here; `ILD_ISA` (`avx2`, `baseline`) asks for a lesser one, for tests
/// and comparisons.
static LEVEL: LazyLock<Level> = LazyLock::new(|| {
    let wish = std::env::var("ILD_ISA").unwrap_or_default();
    let level = detect();
    match (wish.as_str(), level) {
        ("baseline", _) => Level::Baseline,
        ("avx2", Level::Avx512) => Level::Avx2,
        _ => level,
    }
});

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

/// Whether this processor computes in half precision.
pub(crate) fn half_available() -> bool {
    #[cfg(target_arch = "x86_64")]
    let found = is_x86_feature_detected!("avx512fp16") && is_x86_feature_detected!("f16c");
    #[cfg(not(target_arch = "x86_64"))]
    let found = false;
    found && *LEVEL == Level::Avx512
}

/// Runs a kernel whose operands are in half precision.
///
/// # Panics
/// Where [`half_available`] says no.
pub(crate) fn dispatch_half<K: Kernel>(kernel: K) -> K::Output {
    assert!(half_available(), "half precision was asked for where `half_available` says no");
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the instructions are there.
    return unsafe { avx512_fp16(kernel) };
    #[cfg(not(target_arch = "x86_64"))]
    kernel.run::<Baseline, 4, 8>()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx512fp16,avx2,fma,f16c")]
fn avx512_fp16<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<Avx512, 12, 32>()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
fn avx512<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<Avx512, 12, 32>()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<Avx2, 6, 16>()
}
