//! The same on every instruction set, and what half precision costs.

use candle_core::{Device, Tensor};
use ild_model::{Precision, Sam2, Sam2Config, Weights};

use crate::reading::values;

/// An encoder's features in f16 against f32, RMS of the difference over RMS; what was measured is
/// in docs/parity.md. An operand in f16 is off by at most 2⁻¹² = 2.4e-4 of itself, a sum of 96
/// products by about 1e-3, in each of 12 blocks.
const HALF: f64 = 6e-3;

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
    half_is_close_to_single("nano");
    half_is_close_to_single("t");
}

fn half_is_close_to_single(size: &str) {
    let config = Sam2Config::from_name_or_file(size).unwrap();
    let (mut model, _) =
        Sam2::load(&config, &Weights::random(&config, 2024).unwrap(), &Device::Cpu).unwrap();
    if !Precision::F16.runs_on(&Device::Cpu) {
        let refusal = model.set_precision(Precision::F16).unwrap_err().to_string();
        assert!(
            refusal.contains("AVX512-FP16") && refusal.contains("f32, which runs everywhere"),
            "{refusal}"
        );
        return;
    }
    let s = config.image_size;
    let pixel = |i: usize| {
        ((i % s) as f32 * 0.05).sin() * ((i / s % s) as f32 * 0.03).cos() * (i / (s * s) + 1) as f32
    };
    let image =
        Tensor::from_vec((0..3 * s * s).map(pixel).collect(), (1, 3, s, s), &Device::Cpu).unwrap();
    let single = model.encode_image(&image).unwrap();
    model.set_precision(Precision::F16).unwrap();
    let half = model.encode_image(&image).unwrap();
    let maps = |features: ild_model::ImageFeatures| {
        [features.image_embed, features.high_res[0].clone(), features.high_res[1].clone()]
    };
    for (i, (half, single)) in maps(half).iter().zip(maps(single)).enumerate() {
        let (half, single) = (values(half), values(&single));
        let difference: f64 = half.iter().zip(&single).map(|(a, b)| f64::from(a - b).powi(2)).sum();
        let error = (difference / single.iter().map(|a| f64::from(*a).powi(2)).sum::<f64>()).sqrt();
        println!("{size}, map {i}: {error:.1e}");
        assert!(error < HALF, "{size}, map {i}: {error:.1e}");
        assert!(error > 1e-6, "{size}, map {i}: {error:.1e}, as if computed in f32");
    }
}
