//! The gradient of every trainable tensor, and the tensors that have none.

use std::collections::BTreeMap;

use candle_core::backprop::GradStore;
use candle_core::{D, Device, Tensor};
use ild_model::{DecodeMode, Parameters, Sam2, Sam2Config, image_to_input};

use crate::compare::{GRADIENT, distance};
use crate::generator::{picture, places, rgb, weights};
use crate::golden::inputs;
use crate::reading::{golden, json, names, npz, shared, small_config, to_tensor, values};

/// Below this a gradient is rounding noise: every key bias of an attention has a true gradient of 0
/// (measured 1e-9 in f32).
pub const NOISE: f32 = 1e-7;
/// The loss is of order 1 and an average of thousands of terms.
pub const LOSS: f64 = 1e-5;

/// Dice (sigmoid, squared predictions) plus binary cross-entropy, as the reference trains with.
pub fn loss(logits: &Tensor, target: &Tensor) -> Tensor {
    let p = candle_nn::ops::sigmoid(logits).unwrap();
    let sum = |x: Tensor| x.sum((1, 2, 3)).unwrap();
    let overlap = (sum((&p * target).unwrap()) * 2.0).unwrap();
    let total = (sum(p.sqr().unwrap()) + sum(target.sqr().unwrap())).unwrap();
    let dice = (((overlap + 1e-5).unwrap() / (total + 1e-5).unwrap()).unwrap().affine(-1.0, 1.0))
        .unwrap()
        .mean(D::Minus1)
        .unwrap();
    let softplus =
        (logits.abs().unwrap().neg().unwrap().exp().unwrap() + 1.0).unwrap().log().unwrap();
    let bce = ((logits.relu().unwrap() - (logits * target).unwrap()).unwrap() + softplus)
        .unwrap()
        .mean_all()
        .unwrap();
    (dice + bce).unwrap()
}

pub fn disc(side: usize, (cx, cy): (usize, usize), squared_radius: usize) -> Vec<f32> {
    let inside =
        |i: usize| (i % side).abs_diff(cx).pow(2) + (i / side).abs_diff(cy).pow(2) < squared_radius;
    (0..side * side).map(|i| f32::from(u8::from(inside(i)))).collect()
}

/// A training step of the model up to the gradients.
fn step(
    config: &Sam2Config,
    x: &Tensor,
    boxes: &Tensor,
    target: &Tensor,
) -> (f64, Parameters, GradStore) {
    let (model, parameters, _) = Sam2::trainable(config, &weights(config), &Device::Cpu).unwrap();
    let found =
        model.decode_box(&model.encode_image(x).unwrap(), boxes, DecodeMode::Train).unwrap();
    let loss = loss(&found.logits, target);
    let value = f64::from(loss.to_scalar::<f32>().unwrap());
    (value, parameters, backward(&loss))
}

/// On a stack as deep as the graph: a test's thread has 2 MiB.
pub fn backward(loss: &Tensor) -> GradStore {
    std::thread::scope(|scope| {
        let work = || loss.backward().unwrap();
        std::thread::Builder::new()
            .stack_size(64 << 20)
            .spawn_scoped(scope, work)
            .unwrap()
            .join()
            .unwrap()
    })
}

/// Holds every gradient against the expected ones (whole or sampled), and the absent and the zero
/// ones against their lists.
fn assert_gradients(
    parameters: &Parameters,
    grads: &GradStore,
    expected: &BTreeMap<String, Vec<f32>>,
    none: &[String],
    zero: &[String],
) {
    let mut worst = (0f32, String::new());
    for (name, variable) in parameters.iter() {
        let Some(grad) = grads.get(variable) else {
            assert!(none.iter().any(|known| known == name), "{name} has no gradient");
            continue;
        };
        assert!(!none.iter().any(|known| known == name), "{name} has a gradient");
        let found = values(grad);
        assert!(found.iter().all(|value| value.is_finite()), "{name}");
        if zero.iter().any(|known| known == name) {
            assert!(found.iter().all(|value| *value == 0.0), "{name} should be zero");
            continue;
        }
        assert!(found.iter().any(|value| *value != 0.0), "{name} is zero");
        let expected = &expected[name];
        let found: Vec<f32> = if found.len() == expected.len() && found.len() > 64 {
            found
        } else {
            places(found.len(), expected.len()).iter().map(|i| found[*i]).collect()
        };
        let apart = distance(&found, expected);
        assert!(apart.relative <= GRADIENT || apart.absolute <= NOISE, "{name}: {apart:?}");
        if apart.absolute > NOISE && apart.relative > worst.0 {
            worst = (apart.relative, name.to_owned());
        }
    }
    println!("{} tensors; worst: {worst:?}", parameters.len());
}

#[test]
fn every_gradient_is_pytorchs() {
    let meta = json(&golden("gradients.json"));
    let boxes = to_tensor(&npz::<f32>(&golden("forward.npz"))["boxes"]);
    let target = [disc(64, (25, 35), 120), disc(64, (26, 34), 90)].concat();
    let target = Tensor::from_vec(target, (2, 1, 64, 64), &Device::Cpu).unwrap();
    let (loss, parameters, grads) = step(&small_config(), &inputs(), &boxes, &target);

    assert!((loss - meta["loss"].as_f64().unwrap()).abs() < LOSS, "{loss}");
    assert_eq!(
        parameters.iter().map(|(name, _)| name.to_owned()).collect::<Vec<_>>(),
        names(&meta["order"])
    );
    let expected = npz::<f32>(&golden("gradients.npz"))
        .into_iter()
        .map(|(name, array)| (name, array.into_raw_vec_and_offset().0));
    assert_gradients(
        &parameters,
        &grads,
        &expected.collect(),
        &names(&meta["none"]),
        &names(&meta["zero"]),
    );
}

#[test]
fn every_element_of_every_gradient_is_pytorchs() {
    let Some(path) = shared("small/train_grads.npz") else { return };
    let meta = json(&shared("small/train_meta.json").unwrap());
    let inputs = npz::<f32>(&shared("small/inputs.npz").unwrap());
    let curve = shared("small/train_curve.npz").unwrap();
    let target = to_tensor(&npz::<u8>(&curve)["gt"].mapv(f32::from));
    let (loss, parameters, grads) =
        step(&small_config(), &to_tensor(&inputs["x"]), &to_tensor(&inputs["box"]), &target);

    let first = npz::<f64>(&curve)["losses"].iter().next().copied().unwrap();
    assert!((loss - first).abs() < LOSS, "{loss}, expected {first}");
    assert_eq!(
        parameters.iter().map(|(name, _)| name.to_owned()).collect::<Vec<_>>(),
        names(&meta["opt_param_order"])
    );
    let mut compared = 0;
    let mut worst = (0f32, String::new());
    for (name, array) in npz::<f32>(&path) {
        if name == "no_mem_embed" {
            continue; // has a gradient in PyTorch, but no optimiser ever sees it
        }
        let grad = grads
            .get(parameters.get(&name).unwrap())
            .unwrap_or_else(|| panic!("{name} has no gradient"));
        let apart = distance(&values(grad), &values(&to_tensor(&array)));
        assert!(apart.relative <= GRADIENT || apart.absolute <= NOISE, "{name}: {apart:?}");
        if apart.absolute > NOISE && apart.relative > worst.0 {
            worst = (apart.relative, name);
        }
        compared += 1;
    }
    println!("{compared} gradients; worst: {worst:?}");
    let none = names(&meta["none_grad"]);
    let without: Vec<&str> = parameters
        .iter()
        .filter(|(_, variable)| grads.get(variable).is_none())
        .map(|(name, _)| name)
        .collect();
    assert_eq!(
        without,
        parameters
            .iter()
            .map(|(name, _)| name)
            .filter(|name| none.iter().any(|known| known == name))
            .collect::<Vec<_>>()
    );
    for name in names(&meta["zero_grad"]) {
        assert!(
            values(grads.get(parameters.get(&name).unwrap()).unwrap())
                .iter()
                .all(|value| *value == 0.0),
            "{name}"
        );
    }
    assert_eq!(compared + without.len(), parameters.len());
}

#[test]
#[ignore = "minutes and several GiB; run with --ignored before a release"]
fn gradients_of_tiny_at_full_size_are_pytorchs() {
    let Some(path) = shared("full/train_t_grads.npz") else { return };
    let meta = json(&shared("full/train_t.json").unwrap());
    let config = Sam2Config::from_name_or_file("t").unwrap();
    let input = image_to_input(rgb(&picture(512, 512, "full_img512")).view(), 1024)
        .into_raw_vec_and_offset()
        .0;
    let x = Tensor::from_vec(input, (1, 3, 1024, 1024), &Device::Cpu).unwrap();
    let boxes = to_tensor(&npz::<f32>(&shared("full/forward_t.npz").unwrap())["box"]);
    let target =
        Tensor::from_vec(disc(256, (102, 140), 35 * 35), (1, 1, 256, 256), &Device::Cpu).unwrap();
    let (loss, parameters, grads) = step(&config, &x, &boxes, &target);

    let first = meta["losses_step0_1_2_total_dice_bce"][0][0].as_f64().unwrap();
    println!("loss {loss}, expected {first}");
    assert!((loss - first).abs() < LOSS, "{loss}, expected {first}");
    let expected: BTreeMap<String, Vec<f32>> = npz::<f32>(&path)
        .into_iter()
        .filter_map(|(name, array)| {
            Some((name.strip_prefix("g:")?.to_owned(), array.into_raw_vec_and_offset().0))
        })
        .collect();
    let absent = |name: &&str| !expected.contains_key(*name);
    let none: Vec<String> =
        parameters.iter().map(|(name, _)| name).filter(absent).map(str::to_owned).collect();
    assert_eq!(none.len(), 12);
    let zero: Vec<String> = expected
        .iter()
        .filter(|(_, grad)| grad.iter().all(|value| *value == 0.0))
        .map(|(name, _)| name.clone())
        .collect();
    assert_gradients(&parameters, &grads, &expected, &none, &zero);
    for (name, stats) in meta["grad_stats"].as_object().unwrap() {
        let Some(grad) = parameters.get(name).and_then(|variable| grads.get(variable)) else {
            continue;
        };
        let l2 = values(grad).iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
        let expected = stats["l2"].as_f64().unwrap();
        assert!(
            (l2 - expected).abs() <= f64::from(GRADIENT) * expected + 1e-6,
            "{name}: norm {l2}, expected {expected}"
        );
    }
}

#[test]
fn logits_of_another_size_than_the_label_are_resized_with_a_gradient() {
    let logits =
        candle_core::Var::zeros((1, 1, 4, 4), candle_core::DType::F32, &Device::Cpu).unwrap();
    let resized = ild_ops::upsample_bilinear(logits.as_tensor(), 16, 16).unwrap();
    let grads = resized.sum_all().unwrap().backward().unwrap();
    // Every label pixel spreads a weight of 1 over the logits: 256 in all.
    let total: f32 = values(grads.get(&logits).unwrap()).iter().sum();
    assert!((total - 256.0).abs() < 1e-3, "{total}");
}
