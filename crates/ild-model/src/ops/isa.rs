//! One source, several instruction sets: a kernel is compiled once for each and picked when the program runs.
//!
//! Kernels are plain loops over fixed-size arrays, which the compiler turns into vector instructions;
//! there are no intrinsics. `target-cpu=native` is never needed.

use std::sync::LazyLock;

/// What a kernel may use and how wide its register tiles are.
pub(crate) trait Isa: Copy + Send + Sync {
    /// `a·b + c`, in one rounding where the instruction set has it.
    fn fma(a: f32, b: f32, c: f32) -> f32;
}

/// Work that is written once for every instruction set.
///
/// `run` and everything hot below it must be `#[inline(always)]`: only code that is inlined into the
/// entry of an instruction set is compiled for it.
pub(crate) trait Kernel {
    /// What the work returns.
    type Output;
    /// Does the work with register tiles of `M` rows and `N` columns.
    fn run<I: Isa, const M: usize, const N: usize>(self) -> Self::Output;
}

/// AVX-512: 32 registers of 16 numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx512;
/// AVX2 with fused multiply-add: 16 registers of 8 numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx2;
/// What every processor of this architecture has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Baseline;

impl Isa for Avx512 {
    #[inline(always)]
    fn fma(a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }
}

impl Isa for Avx2 {
    #[inline(always)]
    fn fma(a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }
}

impl Isa for Baseline {
    #[inline(always)]
    fn fma(a: f32, b: f32, c: f32) -> f32 {
        if cfg!(any(target_arch = "aarch64", target_feature = "fma")) {
            a.mul_add(b, c)
        } else {
            a * b + c // without the instruction, `mul_add` is a library call
        }
    }
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

/// The best instruction set here; `ILD_ISA` (`avx2`, `baseline`) asks for a lesser one, for tests and comparisons.
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
