//! Values and gradients of every operation: the plain implementation against finite differences in
//! f64, the fused kernels in f32 against the plain implementation in f64.

mod cases;
mod gradients;

use cases::{Path, large, small};
use gradients::{finite_differences, gradients, inputs, relative_error, values};

/// Central differences with step 1e-5 in f64: truncation 1e-10 times the third derivative, rounding 1e-11.
const DIFFERENCES: f64 = 1e-6;

/// f32 against f64; sums of thousands of terms. Candle in f32 differs by up to 1.1e-5 itself.
const FUSED: f64 = 2e-5;

/// Candle's `gelu_erf` has a six-digit error function.
const DIFFERENCES_OF_GELU: f64 = 1e-5;

#[test]
fn gradients_of_the_plain_operations_equal_finite_differences() {
    for case in small() {
        let inputs = inputs(&case, candle_core::DType::F64);
        let analytic = gradients(&case, &inputs, Path::Reference);
        let numeric = finite_differences(&case, &inputs, Path::Reference);
        let tolerance = if case.name.contains("gelu") || case.name.contains("mlp") { DIFFERENCES_OF_GELU } else { DIFFERENCES };
        for (i, (a, n)) in analytic.iter().zip(&numeric).enumerate() {
            let error = relative_error(a, n);
            assert!(error < tolerance, "{}, input {i}: {error:.2e}", case.name);
        }
    }
}

#[test]
fn fused_operations_equal_the_plain_ones_in_value_and_gradient() {
    for case in small().into_iter().chain(large()) {
        let exact = inputs(&case, candle_core::DType::F64);
        let single = inputs(&case, candle_core::DType::F32);
        let error = relative_error(&values(&case, &single, Path::Fused), &values(&case, &exact, Path::Reference));
        assert!(error < FUSED, "{}, value: {error:.2e}", case.name);
        let fused = gradients(&case, &single, Path::Fused);
        let plain = gradients(&case, &exact, Path::Reference);
        for (i, (f, p)) in fused.iter().zip(&plain).enumerate() {
            let error = relative_error(f, p);
            assert!(error < FUSED, "{}, gradient of input {i}: {error:.2e}", case.name);
        }
    }
}

#[test]
fn no_operation_drops_a_gradient() {
    for case in small() {
        for path in [Path::Fused, Path::Reference] {
            let inputs = inputs(&case, candle_core::DType::F32);
            for (i, gradient) in gradients(&case, &inputs, path).iter().enumerate() {
                let largest = gradient.iter().fold(0.0, |m: f64, g| m.max(g.abs()));
                let expected = !case.without_effect.contains(&i);
                assert_eq!(largest > 0.0, expected, "{}: gradient of input {i} ({path:?})", case.name);
            }
        }
    }
}
