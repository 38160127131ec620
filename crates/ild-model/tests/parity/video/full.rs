//! Tiny at its real sizes, against the samples in `../shared`: SAM 2 at 1024 × 1024 and SAM 2.1 at
//! 512 × 512, which is MedSAM2's shape.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};
use ild_model::memory::{
    Bank, Direction, FrameOutput, MemoryConfig, Prompt, Remembered, Sam2Video, Version,
    mask_to_input,
};
use ild_model::{FrameFeatures, Sam2Config};
use ild_ops as ops;
use ndarray::ArrayD;

use super::frames::{Model, POINTER, assert_stored, differing, near, pack_bits, stored};
use crate::generator::{frame, moving_disc, places};
use crate::reading::{npz, shared, values};

/// Of logits up to 10; the reference in f32 is within 1.4e-4 of itself in f64.
const LOGITS: f32 = 5e-4;
/// The prompted frame has looked at nothing.
const PROMPTED: f32 = 2e-4;
/// The prompted frame's mask is all or nothing in the memory encoder. A pixel whose logit is nearer
/// to 0 than this falls on either side: the reference in f32 is 7e-6 from itself in f64 there.
const EDGE: f32 = 1.4e-5;
/// Of 2²⁰ pixels.
const EDGE_PIXELS: usize = 20;
const SCORE: f32 = 1e-4;
/// Pixels of a slice so near 0 that rounding decides.
const PIXELS: u32 = 10;
/// Maps before they are rounded; the reference in f32 is within 1.5e-4 of itself in f64.
const UNROUNDED: f32 = 5e-4;
const FRAMES: usize = 5;
const START: i64 = 2;
/// Unsalted scores are negative, and every mask would be empty.
const SCORE_BIAS: f32 = 2.0;

struct Expected {
    numbers: BTreeMap<String, ArrayD<f32>>,
    bits: BTreeMap<String, ArrayD<u8>>,
}

impl Expected {
    fn numbers(&self, time: i64, name: &str) -> Option<Vec<f32>> {
        self.numbers.get(&format!("f{time:02}.{name}")).map(|a| a.iter().copied().collect())
    }

    fn bits(&self, time: i64, name: &str) -> Option<Vec<u8>> {
        self.bits.get(&format!("f{time:02}.{name}")).map(|a| a.iter().copied().collect())
    }

    /// The sampled places of `found`.
    fn near(&self, time: i64, name: &str, found: &[f32], absolute: f32) {
        let whole = self.numbers(time, name);
        let sampled = || self.numbers(time, &format!("{name}~"));
        let expected = whole.or_else(sampled).unwrap_or_else(|| panic!("no {name} at {time}"));
        let found: Vec<f32> = if found.len() == expected.len() {
            found.to_vec()
        } else {
            places(found.len(), expected.len()).into_iter().map(|i| found[i]).collect()
        };
        near(&format!("{time} {name}"), &found, &expected, absolute);
    }

    fn check(&self, time: i64, slice: [usize; 2], output: &FrameOutput) {
        let absolute = if time == START { PROMPTED } else { LOGITS };
        self.near(time, "low_res_logits", &values(&output.low_res_masks), absolute);
        self.near(time, "object_score_logits", &[output.object_score], SCORE);
        self.near(time, "obj_ptr", &values(&output.obj_ptr), POINTER);
        let shown = values(&output.logits(slice[0], slice[1]).unwrap());
        let expected = self.bits(time, "video_mask_bits").unwrap();
        let differ = differing(&pack_bits(&shown), expected);
        println!("{time} mask: {differ} of {} pixels differ", shown.len());
        assert!(differ <= PIXELS, "{time}: {differ} pixels differ");
    }

    /// The samples of a remembered map, ours and the reference's.
    fn samples(&self, frame: &Remembered) -> Option<(Vec<f32>, Vec<f32>)> {
        let (map, expected) = (stored(frame), self.numbers(frame.time, "maskmem_features_bf16~")?);
        let found = places(map.len(), expected.len()).into_iter().map(|i| map[i]).collect();
        Some((found, expected))
    }

    fn check_remembered(&self, frame: &Remembered) {
        let Some((found, expected)) = self.samples(frame) else { return };
        assert_stored(&format!("{} stored", frame.time), &found, &expected, UNROUNDED);
    }

    /// The prompted frame as the reference remembers it: pixels at the very edge of the mask, which
    /// rounding decides, are on the side that brings the map nearer to the reference's.
    fn prompted(
        &self,
        video: Sam2Video,
        frame: &FrameFeatures,
        output: &FrameOutput,
    ) -> Remembered {
        let (side, encoder) = (video.sam2.config().image_size, &video.memory.memory_encoder);
        let logits = ops::upsample_bilinear(&output.low_res_masks, side, side).unwrap();
        let mut mask = values(&encoder.mask_to_encode(&logits, true).unwrap());
        let logits = values(&logits).into_iter().enumerate();
        let edge: Vec<usize> = logits.filter(|(_, l)| l.abs() < EDGE).map(|(i, _)| i).collect();
        assert!(edge.len() <= EDGE_PIXELS, "{} pixels at the edge", edge.len());
        let remember = |mask: &[f32]| {
            let mask = Tensor::from_slice(mask, (1, side, side, 1), video.sam2.device()).unwrap();
            let map = encoder.forward(&frame.vision_features, &mask).unwrap();
            let map = map.flatten(1, 2).unwrap().to_dtype(DType::BF16).unwrap();
            Remembered { time: START, map: Some(map), obj_ptr: output.obj_ptr.clone() }
        };
        let apart = |remembered: &Remembered| -> f32 {
            let (found, expected) = self.samples(remembered).unwrap();
            found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).sum()
        };
        let (mut nearest, mut flipped) = (remember(&mask), 0);
        for &pixel in &edge {
            mask[pixel] *= -1.0;
            let other = remember(&mask);
            if apart(&other) < apart(&nearest) {
                (nearest, flipped) = (other, flipped + 1);
            } else {
                mask[pixel] *= -1.0;
            }
        }
        println!("{START}: {flipped} of {} pixels at the edge are on the other side", edge.len());
        nearest
    }
}

fn compare(case: &str, version: Version, image_size: usize, slice: [usize; 2], prompt: &Prompt) {
    let Some(path) = shared(&format!("video/{case}.npz")) else { return };
    let expected = Expected { numbers: npz(&path), bits: npz(&path) };
    let config = Sam2Config { image_size, ..Sam2Config::from_name_or_file("t").unwrap() };
    let sizes = MemoryConfig::published(version);
    let model = Model::generated(&config, &sizes, "", Some(SCORE_BIAS));
    let encode = |time: i64| model.encode(&frame(image_size, image_size, time as usize, "vid"));
    let (video, mut bank) = (model.video(), Bank::new(sizes.num_maskmem));
    let frame = encode(START);
    let output = video.prompt(&frame, prompt, None).unwrap();
    expected.check(START, slice, &output);
    let remembered = expected.prompted(video, &frame, &output);
    expected.check_remembered(&remembered);
    bank.add_prompted(remembered);
    for (direction, times) in
        [(Direction::Forward, [START + 1, START + 2]), (Direction::Reverse, [START - 1, START - 2])]
    {
        bank.forget_tracked();
        for time in times {
            let frame = encode(time);
            let recalled = bank.recall(time, direction, FRAMES);
            let output = video.track(&frame, &recalled, FRAMES).unwrap();
            expected.check(time, slice, &output);
            let remembered = video.remember(time, &frame, &output, false).unwrap();
            expected.check_remembered(&remembered);
            bank.add_tracked(remembered);
        }
    }
}

fn box_of([x0, y0, x1, y1]: [f32; 4], [height, width]: [usize; 2], side: f32) -> Prompt {
    let (w, h) = (width as f32, height as f32);
    Prompt::of_box([x0 / w * side, y0 / h * side, x1 / w * side, y1 / h * side])
}

#[test]
fn sam_2_1_at_512_follows_a_box_and_a_mask_as_pytorch_does() {
    let slice = [512, 512];
    let prompt = box_of([122.0, 182.0, 302.0, 371.5], slice, 512.0);
    compare("t21_512_box", Version::Sam2_1, 512, slice, &prompt);
    let prompt = Prompt::Mask(mask_to_input(moving_disc(512, 512, 2).view(), 512));
    compare("t21_512_mask", Version::Sam2_1, 512, slice, &prompt);
}

#[test]
fn sam_2_at_1024_follows_a_box_as_pytorch_does() {
    let slice = [500, 400];
    let prompt = box_of([96.0, 170.0, 226.5, 372.0], slice, 1024.0);
    compare("t20_1024_box", Version::Sam2, 1024, slice, &prompt);
}
