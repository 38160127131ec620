//! The GPU's kernels without a GPU: the same `.cu` files, compiled as C++, with the same launches,
//! against the plain operations.
//!
//! What this cannot see: whether the tensor cores' registers are laid out as PTX's manual says (the
//! emulation follows the manual), races that one thread after the other does not show in either
//! order, and speed.

#[path = "../ops/cases.rs"]
mod cases;
mod emulator;
#[allow(dead_code, reason = "finite differences are not taken here")]
#[path = "../ops/gradients.rs"]
mod gradients;

use std::sync::atomic::Ordering;

use candle_core::{DType, Device, Tensor, Var};
use cases::{Case, Path, large, small};
use gradients::{gradients, inputs, relative_error, values};
use ild_ops as ops;

/// f32 against f64, as for the fused operations of the CPU.
const F32: f64 = 2e-5;

/// bf16 keeps 8 bits: half a unit is 2⁻⁹ = 0.002 of a number; probabilities, hidden numbers and
/// results are rounded one after the other.
const BF16: f64 = 1.5e-2;

/// Numbers of an input that need several blocks and several steps in each, and not more.
const FEW: usize = 60_000;

/// Operations that have a kernel.
const WITH_KERNEL: [&str; 7] =
    ["layer_norm", "gelu", "linear", "mlp_residual", "attention", "max_pool_2x2", "patch_embed"];

fn cases() -> Vec<Case> {
    let mut cases = small();
    cases.extend(large());
    cases.retain(|case| {
        WITH_KERNEL.iter().any(|name| case.name.starts_with(name))
            || case.name.starts_with("window_attention")
    });
    cases
}

fn as_f64(tensors: &[Tensor]) -> Vec<Tensor> {
    tensors.iter().map(|t| t.to_dtype(DType::F64).unwrap()).collect()
}

#[test]
fn kernels_in_f32_equal_the_plain_operations_in_value_and_gradient() {
    if !emulator::start() {
        return;
    }
    let mut worst: (f64, String) = Default::default();
    for case in cases() {
        let exact = inputs(&case, DType::F64);
        let single = inputs(&case, DType::F32);
        let error = relative_error(
            &values(&case, &single, Path::Fused),
            &values(&case, &exact, Path::Reference),
        );
        assert!(error < F32, "{}, value: {error:.2e}", case.name);
        let found = gradients(&case, &single, Path::Fused);
        for (i, (f, e)) in found.iter().zip(&gradients(&case, &exact, Path::Reference)).enumerate()
        {
            let error = relative_error(f, e);
            assert!(error < F32, "{}, gradient of input {i}: {error:.2e}", case.name);
            if error > worst.0 {
                worst = (error, case.name.clone());
            }
        }
    }
    println!("largest error: {:.1e}, {}", worst.0, worst.1);
}

#[test]
fn kernels_in_bf16_equal_the_plain_operations_on_the_same_rounded_numbers() {
    if !emulator::start() {
        return;
    }
    let mut worst: (f64, String) = Default::default();
    for case in cases() {
        let rounded = inputs(&case, DType::BF16);
        let exact = as_f64(&rounded);
        let error = relative_error(
            &values(&case, &rounded, Path::Fused),
            &values(&case, &exact, Path::Reference),
        );
        assert!(error < BF16, "{}, value: {error:.2e}", case.name);
        let found = gradients(&case, &rounded, Path::Fused);
        // Of equal numbers, frequent in bf16, PyTorch and the kernels give the gradient to the
        // first, the plain pool to all.
        let expected = if case.name.contains("max_pool") || case.name.contains("pool true") {
            let single: Vec<Tensor> =
                rounded.iter().map(|t| t.to_dtype(DType::F32).unwrap()).collect();
            gradients(&case, &single, Path::Fused)
        } else {
            gradients(&case, &exact, Path::Reference)
        };
        for (i, (f, e)) in found.iter().zip(&expected).enumerate() {
            let error = relative_error(f, e);
            assert!(error < BF16, "{}, gradient of input {i}: {error:.2e}", case.name);
            if error > worst.0 {
                worst = (error, case.name.clone());
            }
        }
    }
    println!("largest error: {:.1e}, {}", worst.0, worst.1);
}

/// Threads that did not wait for each other where they must would show.
#[test]
fn the_order_in_which_threads_run_does_not_change_a_bit() {
    if !emulator::start() {
        return;
    }
    let few = |case: &Case| case.inputs[0].iter().product::<usize>() < FEW;
    for case in cases().into_iter().filter(few) {
        for dtype in [DType::F32, DType::BF16] {
            let inputs = inputs(&case, dtype);
            let run = |backwards| {
                emulator::BACKWARDS.store(backwards, Ordering::Relaxed);
                (values(&case, &inputs, Path::Fused), gradients(&case, &inputs, Path::Fused))
            };
            let (forwards, backwards) = (run(false), run(true));
            assert!(
                forwards == backwards,
                "{} in {dtype:?} depends on the order of the threads",
                case.name
            );
        }
    }
}

/// PyTorch: `MaxPool2d(2)` gives the gradient of equal numbers to the first.
#[test]
fn equal_numbers_in_a_pool_give_the_gradient_to_the_first() {
    if !emulator::start() {
        return;
    }
    let x = Var::ones((1, 2, 4, 1), DType::F32, &Device::Cpu).unwrap();
    let gradients = ops::max_pool_2x2(&x).unwrap().sum_all().unwrap().backward().unwrap();
    let gradient: Vec<f32> = gradients.get(&x).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    assert_eq!(gradient, [1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]);

    // One head of one channel in a window of 2×4: equal queries, different keys and values.
    let qkv: Vec<f32> = (0..8).flat_map(|i| [0.5, i as f32 * 0.3, (i % 3) as f32]).collect();
    let qkv = Var::from_vec(qkv, (1, 2, 4, 3), &Device::Cpu).unwrap();
    let bias = Tensor::zeros(3, DType::F32, &Device::Cpu).unwrap();
    let gradients = ops::window_attention(&qkv, &bias, 1, 0, true)
        .unwrap()
        .sum_all()
        .unwrap()
        .backward()
        .unwrap();
    let of_queries = gradients.get(&qkv).unwrap().narrow(3, 0, 1).unwrap();
    let gradient: Vec<f32> = of_queries.flatten_all().unwrap().to_vec1().unwrap();
    let reached: Vec<bool> = gradient.iter().map(|g| *g != 0.0).collect();
    assert_eq!(reached, [true, false, true, false, false, false, false, false], "{gradient:?}");
}

/// The loss's sums, at sizes a block's threads do not divide, and where the exponential overflows.
#[test]
fn sums_of_a_mask_equal_the_plain_ones() {
    if !emulator::start() {
        return;
    }
    for (masks, height, width) in [(1, 1, 1), (3, 5, 7), (2, 64, 65)] {
        let count = masks * height * width;
        let logits: Vec<f64> = (0..count)
            .map(|i| ((i * 37 % 101) as f64 - 50.0) / if i % 7 == 0 { 0.25 } else { 8.0 })
            .collect();
        let truth: Vec<f64> = (0..count).map(|i| f64::from(u8::from(i * 13 % 5 < 2))).collect();
        let run = |dtype: DType, path: Path| {
            let tensor = |data: &[f64]| {
                Tensor::from_slice(data, (masks, 1, height, width), &Device::Cpu)
                    .unwrap()
                    .to_dtype(dtype)
                    .unwrap()
            };
            let (logits, truth) = (Var::from_tensor(&tensor(&logits)).unwrap(), tensor(&truth));
            let sums = match path {
                Path::Fused => ops::mask_sums(&logits, &truth),
                Path::Reference => ops::reference::mask_sums(&logits, &truth),
            };
            let sums = sums.unwrap();
            let weights = Tensor::new(&[[0.7f64, -0.4, 0.1, 1.3]], &Device::Cpu)
                .unwrap()
                .to_dtype(dtype)
                .unwrap();
            let gradients =
                sums.broadcast_mul(&weights).unwrap().sum_all().unwrap().backward().unwrap();
            let numbers = |t: &Tensor| {
                t.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap()
            };
            (numbers(&sums), numbers(gradients.get(&logits).unwrap()))
        };
        let (found, expected) = (run(DType::F32, Path::Fused), run(DType::F64, Path::Reference));
        assert!(
            relative_error(&found.0, &expected.0) < F32
                && relative_error(&found.1, &expected.1) < F32,
            "{masks} of {height}×{width}"
        );
    }
}
