//! The whole model on the emulated GPU against PyTorch's numbers (`tests/golden/model`): windows
//! that need padding, pooled queries, global attention, every gradient; in f32, in bf16, and with
//! recomputed activations.

#[path = "../../../ild-ops/tests/kernels/emulator.rs"]
mod emulator;
#[allow(dead_code, reason = "not all of it is used here")]
#[path = "../parity"]
mod parity {
    pub mod compare;
    pub mod generator;
    pub mod reading;
}

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor, Var};
use ild_model::{DecodeMode, Precision, Sam2, image_to_input};

use parity::compare::{GRADIENT, LOGITS, assert_near, distance};
use parity::generator::{picture, places, rgb, weights};
use parity::reading::{golden, json, names, npz, small_config, to_tensor, values};

/// Below this a gradient is rounding noise.
const NOISE: f32 = 1e-7;

/// bf16 rounds at 2⁻⁹, some twenty times one after the other; these logits reach ±2. Measured
/// 0.021.
const BF16_LOGITS: f32 = 0.06;

/// As the cosine of the angle to PyTorch's f32 gradient, of all tensors as one vector. Measured
/// 0.9996.
const BF16_COSINE: f64 = 0.998;

fn inputs() -> Tensor {
    let pictures = [picture(200, 180, "golden_a"), picture(300, 280, "golden_b")];
    let inputs = pictures
        .map(|picture| image_to_input(rgb(&picture).view(), 256).into_raw_vec_and_offset().0);
    Tensor::from_vec(inputs.concat(), (2, 3, 256, 256), &Device::Cpu).unwrap()
}

fn disc(side: usize, (cx, cy): (usize, usize), squared_radius: usize) -> Vec<f32> {
    let inside =
        |i: usize| (i % side).abs_diff(cx).pow(2) + (i / side).abs_diff(cy).pow(2) < squared_radius;
    (0..side * side).map(|i| f32::from(u8::from(inside(i)))).collect()
}

/// Logits and, sampled where the golden data is, every gradient of Dice plus cross-entropy.
fn step(compute: DType, recompute: bool) -> (Vec<f32>, BTreeMap<String, Option<Vec<f32>>>) {
    let boxes = to_tensor(&npz::<f32>(&golden("forward.npz"))["boxes"]);
    let target = [disc(64, (25, 35), 120), disc(64, (26, 34), 90)].concat();
    let target = Tensor::from_vec(target, (2, 1, 64, 64), &Device::Cpu).unwrap();
    let (mut model, parameters, _) =
        Sam2::trainable(&small_config(), &weights(&small_config()), &Device::Cpu).unwrap();
    model
        .set_precision(if compute == DType::BF16 { Precision::Bf16 } else { Precision::F32 })
        .unwrap();
    let aside = recompute.then(|| model.image_encoder.trunk.recompute());
    let found = model
        .decode_box(&model.encode_image(&inputs()).unwrap(), &boxes, DecodeMode::Train)
        .unwrap();
    let sums = ild_ops::mask_sums(&found.logits, &target).unwrap();
    let sum = |i: usize| sums.narrow(1, i, 1).unwrap();
    let size = (sum(1) + sum(2)).unwrap();
    let dice = (sum(0).affine(2.0, 1e-5).unwrap() / (size + 1e-5).unwrap()).unwrap();
    let entropy = sum(3).affine(1.0 / f64::from(64 * 64), 0.0).unwrap();
    let loss = (dice.affine(-1.0, 1.0) + entropy).unwrap().mean_all().unwrap();
    let mut grads = std::thread::scope(|scope| {
        let work = || loss.backward().unwrap();
        std::thread::Builder::new()
            .stack_size(64 << 20)
            .spawn_scoped(scope, work)
            .unwrap()
            .join()
            .unwrap()
    });
    if let Some(aside) = aside {
        grads.extend(aside.take()).unwrap();
    }
    let sampled = |variable: &Var| {
        grads.get(variable).map(|grad| {
            assert_eq!(grad.dtype(), DType::F32, "gradients of the f32 weights");
            values(grad)
        })
    };
    (
        values(&found.logits),
        parameters.iter().map(|(name, variable)| (name.to_owned(), sampled(variable))).collect(),
    )
}

/// Found and expected numbers of every tensor that has a gradient.
fn pairs(found: &BTreeMap<String, Option<Vec<f32>>>) -> Vec<(String, Vec<f32>, Vec<f32>)> {
    let meta = json(&golden("gradients.json"));
    let without: Vec<&String> =
        found.iter().filter(|(_, grad)| grad.is_none()).map(|(name, _)| name).collect();
    assert_eq!(without.len(), names(&meta["none"]).len(), "{without:?} have no gradient");
    let zero = names(&meta["zero"]);
    let expected = npz::<f32>(&golden("gradients.npz"));
    let sampled =
        found.iter().filter(|(name, _)| !zero.contains(name)).filter_map(|(name, grad)| {
            let grad = grad.as_ref()?;
            let expected: Vec<f32> = expected[name].iter().copied().collect();
            let found = places(grad.len(), expected.len()).into_iter().map(|i| grad[i]).collect();
            Some((name.clone(), found, expected))
        });
    sampled.collect()
}

fn expected_logits() -> Vec<f32> {
    values(&to_tensor(&npz::<f32>(&golden("forward.npz"))["whole_train_logits"]))
}

#[test]
fn the_model_on_kernels_in_f32_gives_pytorchs_logits_and_gradients() {
    if !emulator::start() {
        return;
    }
    for recompute in [false, true] {
        let (logits, gradients) = step(DType::F32, recompute);
        assert_near("logits", &logits, &expected_logits(), LOGITS);
        for (name, found, expected) in pairs(&gradients) {
            let apart = distance(&found, &expected);
            assert!(
                apart.relative <= GRADIENT || apart.absolute <= NOISE,
                "{name} (recompute {recompute}): {apart:?}"
            );
        }
    }
}

#[test]
fn the_model_on_kernels_in_bf16_gives_nearly_pytorchs_logits_and_gradients() {
    if !emulator::start() {
        return;
    }
    let (logits, gradients) = step(DType::BF16, false);
    assert_near("logits", &logits, &expected_logits(), BF16_LOGITS);
    let (mut product, mut squares) = (0.0, [0.0, 0.0]);
    for (_, found, expected) in pairs(&gradients) {
        for (f, e) in found.into_iter().map(f64::from).zip(expected.into_iter().map(f64::from)) {
            product += f * e;
            squares[0] += f * f;
            squares[1] += e * e;
        }
    }
    let cosine = product / (squares[0] * squares[1]).sqrt();
    println!("cosine of the gradients: {cosine}, lengths {:?}", squares.map(f64::sqrt));
    assert!(cosine > BF16_COSINE, "{cosine}");
}
