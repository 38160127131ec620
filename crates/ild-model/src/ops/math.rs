//! Functions of one number that the compiler can vectorise: no branch, no table, no library call.

use super::isa::Isa;

/// Numbers taken at once by element-wise and reducing loops; a multiple of every register's width.
pub(crate) const LANES: usize = 32;

/// `eˣ` for `x ≤ 88`, relative error ≤ 2e-7; 0 below −87.
///
/// `x = n·ln 2 + r`: `n` goes into the exponent, `r` (|r| ≤ ½·ln 2) into a polynomial of degree 6, fitted to 5e-9.
#[inline(always)]
pub(crate) fn exp<I: Isa>(x: f32) -> f32 {
    /// 1.5·2²³: adding it rounds to the nearest integer, which is then in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    /// ln 2 in two parts; products of the first with a small integer are exact.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    const LOWEST: f32 = -87.0;
    let bounded = if x < LOWEST { LOWEST } else { x };
    let shifted = I::fma(bounded, std::f32::consts::LOG2_E, ROUND);
    let whole = shifted - ROUND;
    let r = I::fma(whole, -LN_2[0], bounded);
    let r = I::fma(whole, -LN_2[1], r);
    let mut p = 0.001_381_461_3;
    p = I::fma(p, r, 0.008_368_71);
    p = I::fma(p, r, 0.041_668_39);
    p = I::fma(p, r, 0.166_665_21);
    p = I::fma(p, r, 0.49999994);
    p = I::fma(p, r, 1.0);
    p = I::fma(p, r, 1.0);
    let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits());
    let power = f32::from_bits(exponent.wrapping_add(127) << 23);
    if x < LOWEST { 0.0 } else { p * power }
}

/// The normal distribution function `Φ(x) = ½(1 + erf(x/√2))`, absolute error ≤ 2e-7.
///
/// `½ + x·P(x²)/Q(x²)`, both polynomials of degree 5, fitted to 6e-9 over |x| ≤ 5.4 (least squares on Chebyshev
/// nodes, reweighted towards the largest error); beyond that Φ is 0 or 1 to f32.
#[inline(always)]
pub(crate) fn normal_cdf<I: Isa>(x: f32) -> f32 {
    const EDGE: f32 = 5.4;
    let x = if x < EDGE { x } else { EDGE };
    let x = if x > -EDGE { x } else { -EDGE };
    let t = x * x;
    let mut p = 2.338_809_8e-8;
    p = I::fma(p, t, 6.359_878e-6);
    p = I::fma(p, t, 1.643_027_4e-4);
    p = I::fma(p, t, 4.650_736e-3);
    p = I::fma(p, t, 3.337_037_6e-2);
    p = I::fma(p, t, 3.989_422_3e-1);
    let mut q = 1.216_620_5e-6;
    q = I::fma(q, t, 7.239_405e-5);
    q = I::fma(q, t, 1.858_874_3e-3);
    q = I::fma(q, t, 2.837_762_2e-2);
    q = I::fma(q, t, 2.503_132_2e-1);
    q = I::fma(q, t, 1.0);
    I::fma(x, p / q, 0.5)
}

/// `x·Φ(x)`.
#[inline(always)]
pub(crate) fn gelu<I: Isa>(x: f32) -> f32 {
    x * normal_cdf::<I>(x)
}

/// `x·Φ(x)` and its slope `Φ(x) + x·φ(x)`, with the normal density `φ(x) = e^(−x²/2)/√(2π)`.
#[inline(always)]
pub(crate) fn gelu_and_slope<I: Isa>(x: f32) -> (f32, f32) {
    const INVERSE_SQRT_TAU: f32 = 0.398_942_3;
    let cdf = normal_cdf::<I>(x);
    let density = INVERSE_SQRT_TAU * exp::<I>(-0.5 * x * x);
    (x * cdf, I::fma(x, density, cdf))
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
    use super::super::isa::Baseline;
    use super::*;

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
            let error = (f64::from(normal_cdf::<Baseline>(x)) - cdf(f64::from(x))).abs();
            assert!(error < 2e-7, "{x}: {error:e}");
        }
    }

    #[test]
    fn the_exponential_is_within_2e_7() {
        for i in 0..=8700 {
            let x = -(i as f32) / 100.0;
            let exact = f64::from(x).exp();
            let error = (f64::from(exp::<Baseline>(x)) / exact - 1.0).abs();
            assert!(error < 2e-7, "{x}: {error:e}");
        }
        assert_eq!(exp::<Baseline>(-200.0), 0.0);
        assert_eq!(exp::<Baseline>(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp::<Baseline>(0.0), 1.0);
        assert!(exp::<Baseline>(f32::NAN).is_nan());
    }

    #[test]
    fn not_a_number_stays_not_a_number() {
        assert!(gelu::<Baseline>(f32::NAN).is_nan());
        assert!(gelu_and_slope::<Baseline>(f32::NAN).1.is_nan());
    }
}
