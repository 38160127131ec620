//! The same on every instruction set, and what half precision costs.

use candle_core::{Device, Tensor};
use ild_model::{Precision, Sam2, Sam2Config, Weights};

use crate::reading::values;

/// An encoder's features in f16 against f32, RMS of the difference over RMS; what was measured is
/// in docs/parity.md. An operand in f16 is off by at most 2⁻¹² = 2.4e-4 of itself, a sum of 96
/// products by about 1e-3, in each of 12 blocks.
const F16: f64 = 6e-3;

/// The same in bf16, whose operands are off by at most 2⁻⁹ = 2e-3 of themselves, 1e-3 on average;
/// sums lose nothing.
const BF16: f64 = 6e-3;

/// The instruction set is chosen once in a process, so each lesser one gets a process of its own.
#[test]
fn lesser_instruction_sets_give_pytorchs_numbers_too() {
    for isa in ["avx2", "baseline"] {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .env("ILD_ISA", isa)
            .args(["golden::", "gradients::every_gradient_is_pytorchs"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("8 passed"), "{isa}: {said}");
    }
}

#[test]
fn half_precision_is_close_to_single_or_refused_in_words() {
    for size in ["nano", "t"] {
        let mut model = random_model(size);
        let single = features(&model);
        if Precision::F16.runs_on(&Device::Cpu) {
            model.set_precision(Precision::F16).unwrap();
            are_close(size, &features(&model), &single, F16);
        } else {
            let refusal = model.set_precision(Precision::F16).unwrap_err().to_string();
            assert!(
                refusal.contains("AVX512-FP16") && refusal.contains("f32, which runs everywhere"),
                "{refusal}"
            );
        }
        model.set_precision(Precision::Bf16).unwrap();
        are_close(size, &features(&model), &single, BF16);
    }
}

/// What a process prints before the features' bits.
const BITS: &str = "bits of the features in bf16: ";

#[test]
fn bf16_gives_the_same_bits_without_its_instruction() {
    let mut model = random_model("nano");
    model.set_precision(Precision::Bf16).unwrap();
    let bits = features(&model)
        .iter()
        .flatten()
        .fold(0u64, |sum, number| sum.rotate_left(5) ^ u64::from(number.to_bits()));
    println!("{BITS}{bits:x}");
    if std::env::var_os("ILD_ISA").is_some() {
        return;
    }
    let this = "instructions::bf16_gives_the_same_bits_without_its_instruction";
    let without = std::process::Command::new(std::env::current_exe().unwrap())
        .env("ILD_ISA", "avx512")
        .args(["--exact", this, "--nocapture"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&without.stdout);
    assert!(said.contains(&format!("{BITS}{bits:x}")), "{bits:x} here, there: {said}");
}

fn random_model(size: &str) -> Sam2 {
    let config = Sam2Config::from_name_or_file(size).unwrap();
    let weights = Weights::random(&config, 2024).unwrap();
    Sam2::load(&config, &weights, &Device::Cpu).unwrap().0
}

/// The features of a picture with waves in it.
fn features(model: &Sam2) -> [Vec<f32>; 3] {
    let s = model.config().image_size;
    let pixel = |i: usize| {
        ((i % s) as f32 * 0.05).sin() * ((i / s % s) as f32 * 0.03).cos() * (i / (s * s) + 1) as f32
    };
    let image =
        Tensor::from_vec((0..3 * s * s).map(pixel).collect(), (1, 3, s, s), &Device::Cpu).unwrap();
    let found = model.encode_image(&image).unwrap();
    [&found.image_embed, &found.high_res[0], &found.high_res[1]].map(values)
}

fn are_close(size: &str, half: &[Vec<f32>; 3], single: &[Vec<f32>; 3], allowed: f64) {
    for (i, (half, single)) in half.iter().zip(single).enumerate() {
        let difference: f64 = half.iter().zip(single).map(|(a, b)| f64::from(a - b).powi(2)).sum();
        let error = (difference / single.iter().map(|a| f64::from(*a).powi(2)).sum::<f64>()).sqrt();
        println!("{size}, map {i}: {error:.1e}");
        assert!(error < allowed, "{size}, map {i}: {error:.1e}");
        assert!(error > 1e-6, "{size}, map {i}: {error:.1e}, as if computed in f32");
    }
}
