//! The small model learns from random weights.

use candle_core::{D, DType, Device, Tensor};
use candle_nn::{AdamW, Optimizer, ParamsAdamW};
use ild_model::{DecodeMode, Sam2, Sam2Config, Weights};

const SIDE: usize = 256;
const BATCH: usize = 4;

/// Discs of a finer texture on a coarser one, where each is, and a box around it.
fn batch(step: usize) -> (Tensor, Tensor, Tensor) {
    let (mut pixels, mut masks, mut boxes) = (Vec::new(), Vec::new(), Vec::new());
    for i in 0..BATCH {
        let k = step * BATCH + i;
        let (cx, cy, r) = (60 + k * 37 % 140, 60 + k * 53 % 140, 20 + k * 11 % 30);
        let inside = |x: usize, y: usize| x.abs_diff(cx).pow(2) + y.abs_diff(cy).pow(2) < r * r;
        let texture = |x: usize, y: usize| {
            if inside(x, y) { (x / 3 + y / 3) % 2 } else { (x / 11 + y / 7) % 2 }
        };
        let image = |j: usize| 2.0 * texture(j % SIDE, j / SIDE) as f32 - 1.0;
        (0..3).for_each(|_| pixels.extend((0..SIDE * SIDE).map(image)));
        masks.extend(
            (0..64 * 64).map(|j| f32::from(u8::from(inside(4 * (j % 64) + 2, 4 * (j / 64) + 2)))),
        );
        boxes.extend([cx - r - 3, cy - r - 3, cx + r + 3, cy + r + 3].map(|v| v as f32));
    }
    let cpu = Device::Cpu;
    (
        Tensor::from_vec(pixels, (BATCH, 3, SIDE, SIDE), &cpu).unwrap(),
        Tensor::from_vec(masks, (BATCH, 1, 64, 64), &cpu).unwrap(),
        Tensor::from_vec(boxes, (BATCH, 4), &cpu).unwrap(),
    )
}

/// Dice loss of the sigmoid.
fn loss(logits: &Tensor, target: &Tensor) -> Tensor {
    let p = candle_nn::ops::sigmoid(logits).unwrap();
    let sum = |x: Tensor| x.sum((1, 2, 3)).unwrap();
    let dice = (sum((&p * target).unwrap()) * 2.0).unwrap()
        / (sum(p.sqr().unwrap()) + sum(target.sqr().unwrap())).unwrap();
    dice.unwrap().affine(-1.0, 1.0).unwrap().mean(D::Minus1).unwrap()
}

#[test]
fn the_small_model_learns_discs_from_random_weights() {
    let config = Sam2Config::from_name_or_file("nano").unwrap();
    let (model, parameters, _) =
        Sam2::trainable(&config, &Weights::random(&config, 1).unwrap(), &Device::Cpu).unwrap();
    println!("{} numbers", parameters.elements());
    let variables = parameters.iter().map(|(_, variable)| variable.clone()).collect();
    let mut optimiser =
        AdamW::new(variables, ParamsAdamW { lr: 1e-3, ..ParamsAdamW::default() }).unwrap();
    let steps: usize = std::env::var("STEPS").map_or(30, |n| n.parse().unwrap());
    let mut losses = Vec::new();
    for step in 0..steps {
        let started = std::time::Instant::now();
        let (x, target, boxes) = batch(step);
        let found =
            model.decode_box(&model.encode_image(&x).unwrap(), &boxes, DecodeMode::Train).unwrap();
        let loss = loss(&found.logits, &target);
        let forward = started.elapsed();
        optimiser.backward_step(&loss).unwrap();
        losses.push(loss.to_dtype(DType::F32).unwrap().to_scalar::<f32>().unwrap());
        println!("{step}: {} forward {forward:?} step {:?}", losses[step], started.elapsed());
    }
    let mean = |part: &[f32]| part.iter().sum::<f32>() / part.len() as f32;
    let (first, last) = (mean(&losses[..3]), mean(&losses[steps - 5..]));
    assert!(last < 0.6 * first, "loss {first} → {last}");
}
