//! Values and gradients of every operation: the plain implementation against finite differences in
//! f64, the fused kernels in f32 against the plain implementation in f64.

mod cases;
mod frozen;
mod gradients;

use candle_core::{Device, Tensor, Var};
use cases::{Case, Path, large, small};
use gradients::{finite_differences, gradients, inputs, relative_error, values};

/// Central differences with step 1e-5 in f64: truncation 1e-10 times the third derivative, rounding
/// 1e-11.
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
        let tolerance = if case.name.contains("gelu") || case.name.contains("mlp") {
            DIFFERENCES_OF_GELU
        } else {
            DIFFERENCES
        };
        for (i, (a, n)) in analytic.iter().zip(&numeric).enumerate() {
            let error = relative_error(a, n);
            assert!(error < tolerance, "{}, input {i}: {error:.2e}", case.name);
        }
    }
}

fn fused_equals_plain(cases: Vec<Case>) {
    for case in cases {
        let exact = inputs(&case, candle_core::DType::F64);
        let single = inputs(&case, candle_core::DType::F32);
        let error = relative_error(
            &values(&case, &single, Path::Fused),
            &values(&case, &exact, Path::Reference),
        );
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
fn fused_operations_equal_the_plain_ones_in_value_and_gradient() {
    fused_equals_plain(small());
}

#[test]
fn fused_operations_equal_the_plain_ones_at_the_sizes_of_the_models() {
    fused_equals_plain(large());
}

/// The instruction set is chosen once in a process, so each lesser one gets a process of its own.
#[test]
fn lesser_instruction_sets_give_the_same() {
    for isa in ["avx2", "baseline"] {
        let test = std::env::current_exe().unwrap();
        let test = std::process::Command::new(test)
            .env("ILD_ISA", isa)
            .args(["--exact", "fused_operations_equal_the_plain_ones_in_value_and_gradient"])
            .args(
                ["half_a_block_in_windows_equals_its_parts", "the_normed_mlp_equals_its_parts"]
                    .map(|name| format!("frozen::{name}")),
            )
            .output();
        let output = test.unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && printed.contains("3 passed"), "{isa}: {printed}");
    }
}

/// PyTorch: `MaxPool2d(2)` of [[1, 1], [1, 1]] gives the whole gradient to the first.
#[test]
fn equal_numbers_in_a_pool_give_the_gradient_to_the_first() {
    let x = Var::from_tensor(
        &Tensor::ones((1, 2, 4, 1), candle_core::DType::F32, &Device::Cpu).unwrap(),
    )
    .unwrap();
    let gradients = ild_ops::max_pool_2x2(&x).unwrap().sum_all().unwrap().backward().unwrap();
    let gradient: Vec<f32> = gradients.get(&x).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    assert_eq!(gradient, [1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
}

#[test]
fn a_wrong_shape_is_refused_with_what_was_expected_and_found() {
    let tensor =
        |shape: &[usize]| Tensor::zeros(shape, candle_core::DType::F32, &Device::Cpu).unwrap();
    let error = ild_ops::linear(&tensor(&[2, 3]), &tensor(&[4, 5]), None).unwrap_err().to_string();
    assert!(error.contains("expected 5 channels") && error.contains("[2, 3]"), "{error}");
    let odd = ild_ops::window_attention(&tensor(&[1, 9, 9, 6]), &tensor(&[6]), 1, 3, true)
        .unwrap_err()
        .to_string();
    assert!(odd.contains("expected an even window"), "{odd}");
}

#[test]
fn no_operation_drops_a_gradient() {
    for case in small() {
        for path in [Path::Fused, Path::Reference] {
            let inputs = inputs(&case, candle_core::DType::F32);
            for (i, gradient) in gradients(&case, &inputs, path).iter().enumerate() {
                let largest = gradient.iter().fold(0.0, |m: f64, g| m.max(g.abs()));
                let expected = !case.without_effect.contains(&i);
                assert_eq!(
                    largest > 0.0,
                    expected,
                    "{}: gradient of input {i} ({path:?})",
                    case.name
                );
            }
        }
    }
}
