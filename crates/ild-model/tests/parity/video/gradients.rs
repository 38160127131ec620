//! The gradient of every trainable tensor from one loss over a clip: the memory learns as
//! PyTorch's does (`tests/golden/video/gradients.npz`).

use std::path::Path;

use candle_core::{Device, Tensor};
use ild_model::memory::{Bank, Direction, Memory, Sam2Video, Source, Version};
use ild_model::{Sam2, image_to_input};

use super::frames::{small_sizes, weights_of};
use super::golden::{BOX, FRAMES, SEEN, SIDE, START, config};
use crate::compare::{GRADIENT, distance};
use crate::generator::{picture, places, rgb};
use crate::gradients::{LOSS, NOISE, backward, disc, loss};
use crate::reading::{json, names, npz, values};

/// Frames of the clip.
const CLIP: i64 = 4;
/// The encoder is taught by all slices of the clip, some of it through three memories, and its
/// position embedding is a sum of nearly opposite parts: measured 4.2e-4 there, at most 2.1e-4
/// elsewhere. Maps rounded as inference rounds them are noticed before, by the loss (1.4e-4).
const ENCODER: f32 = 6e-4;

#[test]
fn every_gradient_of_a_clip_is_pytorchs() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/video"));
    let meta = json(&folder.join("gradients.json"));
    let expected = npz::<f32>(&folder.join("gradients.npz"));
    let (config, cpu) = (config(), Device::Cpu);
    let weights = weights_of(&config, &small_sizes(Version::Sam2_1, 16, 48, 1), SEEN);
    let (model, of_images, _) = Sam2::trainable(&config, &weights, &cpu).unwrap();
    let (memory, of_memory) = Memory::trainable(&config, &weights, &cpu).unwrap();
    let parameters = of_images.with_memory(of_memory);
    let video = Sam2Video::new(&model, &memory);
    let corners = [([BOX[0], BOX[1]], 2), ([BOX[2], BOX[3]], 3)];

    let mut bank = Bank::new(memory.config().num_maskmem);
    let mut losses: Vec<Tensor> = Vec::new();
    for step in 0..CLIP {
        let time = START + step;
        let picture = rgb(&picture(SIDE, SIDE, &format!("video/{time}")));
        let input = image_to_input(picture.view(), SIDE).into_raw_vec_and_offset().0;
        let input = Tensor::from_vec(input, (1, 3, SIDE, SIDE), &cpu).unwrap();
        let frame = model.encode_frame(&input).unwrap();
        let lesson = if step == 0 {
            video.teach(time, &frame, Source::Points(&corners), true).unwrap()
        } else {
            let recalled = bank.recall(time, Direction::Forward, FRAMES);
            video.teach(time, &frame, Source::Memory(&recalled, FRAMES), true).unwrap()
        };
        let (side, shift) = (SIDE / 4, step as usize);
        let target = disc(side, (12 + shift, 17), 60);
        let target = Tensor::from_vec(target, (1, 1, side, side), &cpu).unwrap();
        let one = loss(&lesson.answer.logits, &target);
        let value = f64::from(one.to_scalar::<f32>().unwrap());
        assert!((value - meta["frames"][step as usize].as_f64().unwrap()).abs() < LOSS, "{value}");
        losses.push(one);
        if step == 0 {
            bank.add_prompted(lesson.remembered);
        } else {
            bank.add_tracked(lesson.remembered);
        }
    }
    let grads = backward(&Tensor::stack(&losses, 0).unwrap().mean_all().unwrap());

    let none = names(&meta["none"]);
    let (mut worst, mut of_the_memory) = ((0f32, String::new()), 0);
    for (name, variable) in parameters.iter() {
        let Some(grad) = grads.get(variable) else {
            let zero = expected.get(name).is_some_and(|grad| grad.iter().all(|g| *g == 0.0));
            assert!(zero || none.iter().any(|known| known == name), "{name} has no gradient");
            continue;
        };
        let (found, expected) = (values(grad), &expected[name]);
        let found: Vec<f32> = if found.len() <= expected.len() {
            found
        } else {
            places(found.len(), expected.len()).iter().map(|i| found[*i]).collect()
        };
        let apart = distance(&found, expected.as_slice().unwrap());
        let reach = if name.starts_with("image_encoder.") { ENCODER } else { GRADIENT };
        assert!(apart.relative <= reach || apart.absolute <= NOISE, "{name}: {apart:?}");
        of_the_memory += usize::from(name.starts_with("memory_") || name.starts_with("obj_ptr"));
        if apart.absolute > NOISE && apart.relative > worst.0 {
            worst = (apart.relative, name.to_owned());
        }
    }
    println!("{} tensors, {of_the_memory} of the memory; worst: {worst:?}", parameters.len());
    assert!(of_the_memory > 60, "{of_the_memory}");
}
