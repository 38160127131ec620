//! Functions of one number, a register at a time: no branch, no table, no library call.

use super::isa::{Isa, ROUND};

/// Numbers taken at once by reducing loops; a multiple of every register's width.
pub(crate) const LANES: usize = 32;

/// `coefficients[0]·xⁿ + .. + coefficients[n]`.
#[inline(always)]
fn polynomial<I: Isa, const N: usize>(x: I::V, coefficients: [f32; N]) -> I::V {
    let mut sum = I::splat(coefficients[0]);
    for &coefficient in &coefficients[1..] {
        sum = I::mul_add(sum, x, I::splat(coefficient));
    }
    sum
}

/// `eˣ` for `x ≤ 88`, relative error ≤ 2e-7; 0 below −87.
///
/// `x = n·ln 2 + r`: `n` goes into the exponent, `r` (|r| ≤ ½·ln 2) into a polynomial of degree 6,
/// fitted to 5e-9.
#[inline(always)]
pub(crate) fn exp<I: Isa>(x: I::V) -> I::V {
    /// ln 2 in two parts; products of the first with a small integer are exact.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    const LOWEST: f32 = -87.0;
    let bounded = I::max(I::splat(LOWEST), x);
    let shifted = I::mul_add(bounded, I::splat(std::f32::consts::LOG2_E), I::splat(ROUND));
    let whole = I::sub(shifted, I::splat(ROUND));
    let r = I::mul_add(whole, I::splat(-LN_2[0]), bounded);
    let r = I::mul_add(whole, I::splat(-LN_2[1]), r);
    let p = polynomial::<I, 7>(
        r,
        [0.001_381_461_3, 0.008_368_71, 0.041_668_39, 0.166_665_21, 0.49999994, 1.0, 1.0],
    );
    I::zero_below(x, LOWEST, I::mul(p, I::power_of_two(shifted)))
}

/// `2ˣ` for `−126 ≤ x ≤ 0`, relative error ≤ 2e-7; 2⁻¹²⁶ below.
///
/// As [`exp`], with a polynomial fitted to 2e-9, and two steps less.
#[inline(always)]
pub(crate) fn exp2<I: Isa>(x: I::V) -> I::V {
    let x = I::max(I::splat(-126.0), x);
    let whole = I::sub(I::add(x, I::splat(ROUND)), I::splat(ROUND));
    let r = I::sub(x, whole);
    let p = polynomial::<I, 7>(
        r,
        [
            1.535_335_9e-4,
            1.339_887_6e-3,
            9.618_437e-3,
            5.550_332_4e-2,
            0.240_226_48,
            std::f32::consts::LN_2,
            1.0,
        ],
    );
    I::scale(p, whole)
}

/// The normal distribution function `Φ(x) = ½(1 + erf(x/√2))`, absolute error ≤ 2e-7.
///
/// `½ + x·P(x²)/Q(x²)`, both polynomials of degree 5, fitted to 6e-9 over |x| ≤ 5.4 (least squares
/// on Chebyshev nodes, reweighted towards the largest error); beyond that Φ is 0 or 1 to f32.
#[inline(always)]
pub(crate) fn normal_cdf<I: Isa>(x: I::V) -> I::V {
    const EDGE: f32 = 5.4;
    const P: [f32; 6] = [
        2.338_809_8e-8,
        6.359_878e-6,
        1.643_027_4e-4,
        4.650_736e-3,
        3.337_037_6e-2,
        3.989_422_3e-1,
    ];
    const Q: [f32; 6] =
        [1.216_620_5e-6, 7.239_405e-5, 1.858_874_3e-3, 2.837_762_2e-2, 2.503_132_2e-1, 1.0];
    let x = I::max(I::splat(-EDGE), I::min(I::splat(EDGE), x));
    let t = I::mul(x, x);
    I::mul_add(x, I::div(polynomial::<I, 6>(t, P), polynomial::<I, 6>(t, Q)), I::splat(0.5))
}

/// `x·Φ(x)`.
#[inline(always)]
pub(crate) fn gelu<I: Isa>(x: I::V) -> I::V {
    I::mul(x, normal_cdf::<I>(x))
}

/// `x·Φ(x)`, absolute error ≤ 2e-4, as good as half precision is around 1.
///
/// `Φ(x) = ½ + x·P(x²)` with a polynomial of degree 6, fitted as [`normal_cdf`]'s and exactly 0 and
/// 1 at the edges.
#[inline(always)]
pub(crate) fn gelu_rough<I: Isa>(x: I::V) -> I::V {
    const EDGE: f32 = 3.9;
    const P: [f32; 7] = [
        2.843_462_6e-8,
        -1.888_818_3e-6,
        5.379_55e-5,
        -8.721_503_4e-4,
        9.068_424e-3,
        -6.528_344e-2,
        3.984_831_5e-1,
    ];
    let bounded = I::max(I::splat(-EDGE), I::min(I::splat(EDGE), x));
    let cdf = I::mul_add(bounded, polynomial::<I, 7>(I::mul(bounded, bounded), P), I::splat(0.5));
    I::mul(x, cdf)
}

/// `x·Φ(x)` and its slope `Φ(x) + x·φ(x)`, with the normal density `φ(x) = e^(−x²/2)/√(2π)`.
#[inline(always)]
pub(crate) fn gelu_and_slope<I: Isa>(x: I::V) -> (I::V, I::V) {
    const INVERSE_SQRT_TAU: f32 = 0.398_942_3;
    let cdf = normal_cdf::<I>(x);
    let density =
        I::mul(I::splat(INVERSE_SQRT_TAU), exp::<I>(I::mul(I::mul(I::splat(-0.5), x), x)));
    (I::mul(x, cdf), I::mul_add(x, density, cdf))
}

/// `(first number, count)` of the registers that `len` numbers fill; the last may be filled in
/// part.
///
/// For loops: a closure is not compiled for the instruction set it is called in.
#[inline(always)]
pub(crate) fn registers<I: Isa>(len: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..len).step_by(I::LANES).map(move |at| (at, I::LANES.min(len - at)))
}

/// `count` numbers of `data` from `at` on, zeros behind them.
#[inline(always)]
pub(crate) fn load<I: Isa>(data: &[f32], at: usize, count: usize) -> I::V {
    let part = &data[at..at + count];
    // SAFETY: the slice has `count` numbers.
    unsafe {
        if count == I::LANES { I::load(part.as_ptr()) } else { I::load_part(part.as_ptr(), count) }
    }
}

/// The counterpart of [`load`].
#[inline(always)]
pub(crate) fn store<I: Isa>(data: &mut [f32], at: usize, count: usize, value: I::V) {
    let part = &mut data[at..at + count];
    // SAFETY: the slice has `count` numbers.
    unsafe {
        if count == I::LANES {
            I::store(part.as_mut_ptr(), value)
        } else {
            I::store_part(part.as_mut_ptr(), value, count)
        }
    }
}

/// [`load`] of a place that is there.
///
/// # Safety
/// `count` numbers from `at` on must be in `data`.
#[inline(always)]
pub(crate) unsafe fn load_at<I: Isa>(data: &[f32], at: usize, count: usize) -> I::V {
    debug_assert!(at + count <= data.len());
    // SAFETY: the caller's promise.
    unsafe {
        let from = data.as_ptr().add(at);
        if count == I::LANES { I::load(from) } else { I::load_part(from, count) }
    }
}

/// [`store`] to a place that is there.
///
/// # Safety
/// `count` numbers from `at` on must be in `data`.
#[inline(always)]
pub(crate) unsafe fn store_at<I: Isa>(data: &mut [f32], at: usize, count: usize, value: I::V) {
    debug_assert!(at + count <= data.len());
    // SAFETY: the caller's promise.
    unsafe {
        let to = data.as_mut_ptr().add(at);
        if count == I::LANES { I::store(to, value) } else { I::store_part(to, value, count) }
    }
}

/// Adds lane by lane, then the lanes in pairs: the same order whatever the instruction set.
#[inline(always)]
pub(crate) fn sum_lanes(mut lanes: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// `Σ f(a)`, in [`LANES`] running sums.
#[inline(always)]
pub(crate) fn sum(a: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0f32; LANES];
    let mut chunks = a.chunks_exact(LANES);
    for chunk in &mut chunks {
        for (lane, &a) in lanes.iter_mut().zip(chunk) {
            *lane += f(a);
        }
    }
    for (lane, &a) in lanes.iter_mut().zip(chunks.remainder()) {
        *lane += f(a);
    }
    sum_lanes(lanes)
}

/// `Σ f(a, b)` over pairs, in [`LANES`] running sums.
#[inline(always)]
pub(crate) fn sum_pairs(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0f32; LANES];
    let (mut left, mut right) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    for (a, b) in (&mut left).zip(&mut right) {
        for (lane, (&a, &b)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane += f(a, b);
        }
    }
    for (lane, (&a, &b)) in lanes.iter_mut().zip(left.remainder().iter().zip(right.remainder())) {
        *lane += f(a, b);
    }
    sum_lanes(lanes)
}

#[cfg(test)]
mod tests {
    use super::super::isa::{Baseline, Kernel, dispatch};
    use super::*;

    /// `$function` at one number, with the baseline or with the best instruction set here.
    macro_rules! at {
        ($name:ident, $function:expr) => {
            fn $name(x: f32) -> [f32; 2] {
                struct At(f32);
                impl Kernel for At {
                    type Output = f32;
                    fn run<I: Isa, const M: usize, const N: usize>(self) -> f32 {
                        let mut out = [0f32];
                        let function: fn(I::V) -> I::V = $function;
                        store::<I>(&mut out, 0, 1, function(I::splat(self.0)));
                        out[0]
                    }
                }
                [At(x).run::<Baseline, 4, 8>(), dispatch(At(x))]
            }
        };
    }
    at!(cdf_at, |x| normal_cdf::<I>(x));
    at!(exp_at, |x| exp::<I>(x));
    at!(exp2_at, |x| exp2::<I>(x));
    at!(rough_gelu_at, |x| gelu_rough::<I>(x));
    at!(gelu_at, |x| gelu::<I>(x));
    at!(slope_at, |x| gelu_and_slope::<I>(x).1);

    /// erf by its Taylor series in f64 (|x| < 3) or 1 − a continued fraction beyond.
    fn cdf(x: f64) -> f64 {
        let z = x.abs() / std::f64::consts::SQRT_2;
        let erf = if z < 3.0 {
            let mut term = z;
            let mut total = z;
            for n in 1..200 {
                let n = f64::from(n);
                term *= -z * z / n;
                total += term / (2.0 * n + 1.0);
            }
            total * 2.0 / std::f64::consts::PI.sqrt()
        } else {
            let tail = (1..60).rev().fold(z, |f, n| z + f64::from(n) / 2.0 / f);
            1.0 - (-z * z).exp() / (tail * std::f64::consts::PI.sqrt())
        };
        0.5 * (1.0 + erf.copysign(x))
    }

    #[test]
    fn the_normal_distribution_function_is_within_2e_7() {
        for i in -8000..=8000 {
            let x = i as f32 / 1000.0;
            for found in cdf_at(x) {
                let error = (f64::from(found) - cdf(f64::from(x))).abs();
                assert!(error < 2e-7, "{x}: {error:e}");
            }
        }
    }

    #[test]
    fn the_rough_gelu_is_within_2e_4() {
        for i in -8000..=8000 {
            let x = i as f32 / 1000.0;
            for found in rough_gelu_at(x) {
                let error = (f64::from(found) - f64::from(x) * cdf(f64::from(x))).abs();
                assert!(error < 2e-4, "{x}: {error:e}");
            }
        }
    }

    /// Both forms of a power at `steps` numbers down from 0, a hundredth apart, against the exact
    /// one.
    fn within_2e_7(found_at: fn(f32) -> [f32; 2], exact: fn(f64) -> f64, steps: u16) {
        for i in 0..=steps {
            let x = -f32::from(i) / 100.0;
            for found in found_at(x) {
                let error = (f64::from(found) / exact(f64::from(x)) - 1.0).abs();
                assert!(error < 2e-7, "{x}: {error:e}");
            }
        }
        assert_eq!(found_at(0.0), [1.0; 2]);
        assert!(found_at(f32::NAN).into_iter().all(f32::is_nan));
    }

    #[test]
    fn the_exponential_is_within_2e_7() {
        within_2e_7(exp_at, f64::exp, 8700);
        assert_eq!([exp_at(-200.0), exp_at(f32::NEG_INFINITY)], [[0.0; 2]; 2]);
    }

    #[test]
    fn the_power_of_two_is_within_2e_7() {
        within_2e_7(exp2_at, f64::exp2, 12600);
        assert_eq!([exp2_at(-200.0), exp2_at(f32::NEG_INFINITY)], [[f32::MIN_POSITIVE; 2]; 2]);
    }

    #[test]
    fn not_a_number_stays_not_a_number() {
        assert!(
            gelu_at(f32::NAN)
                .into_iter()
                .chain(slope_at(f32::NAN))
                .chain(rough_gelu_at(f32::NAN))
                .all(f32::is_nan)
        );
    }
}
