//! Against this repository's own data (`tests/golden/video`, made by PyPI's `sam2`).

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use ild_model::memory::{
    Bank, Direction, FrameOutput, Prompt, Remembered, Sam2Video, Tracker, Version, mask_to_input,
};
use ild_model::{FrameFeatures, Sam2Config};
use ndarray::ArrayD;

use super::frames::{
    Floors, Model, POINTER, UNROUNDED, assert_stored, differing, disc, near, pack_bits, part_near,
    small_sizes, stored,
};
use super::trace;
use crate::compare::INTERMEDIATE;
use crate::generator::{picture, places};
use crate::reading::{npz, small_config, values};

pub const SIDE: usize = 128;
/// Frames of the whole video, and the prompted one.
pub const FRAMES: usize = 20;
pub const START: i64 = 9;
/// Weights under which the object is on every frame, and under which it comes and goes.
pub const SEEN: &str = "s1";
const LOST: &str = "s0";
pub const BOX: [f32; 4] = [30.0, 44.0, 82.5, 101.0];
const OTHER_BOX: [f32; 4] = [70.0, 12.0, 118.0, 60.0];
const CLICK: ([f32; 2], i64) = ([64.0, 64.0], 1);
const CORRECTION: [([f32; 2], i64); 2] = [([60.0, 64.0], 1), ([100.0, 20.0], 0)];

/// Logits are within ±3; the reference in f32 is within 3.4e-5 of itself in f64 (bf16 steps feed
/// back), and the mildest of the mistakes one can make here moves them by 3e-4.
const LOGITS: f32 = 1e-4;
/// The same on the reference's own maps; the case without a step in it has a floor of 1.1e-6.
const TAUGHT: f32 = 1e-5;
const SCORE: f32 = 1e-4;
/// Of 1024 pixels of a mask: so near 0 that rounding decides.
const PIXELS: u32 = 2;

pub fn config() -> Sam2Config {
    Sam2Config { image_size: SIDE, ..small_config() }
}

struct Golden {
    floors: Floors,
    numbers: BTreeMap<String, ArrayD<f32>>,
    bits: BTreeMap<String, ArrayD<u8>>,
}

impl Golden {
    fn read(case: &str) -> Self {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/video"));
        let path = folder.join(format!("{case}.npz"));
        Self {
            floors: Floors::read(&folder.join("floors.json")),
            numbers: npz(&path),
            bits: npz(&path),
        }
    }

    fn numbers(&self, name: &str) -> Vec<f32> {
        let found =
            self.numbers.get(name).unwrap_or_else(|| panic!("no {name} in the golden data"));
        found.iter().copied().collect()
    }

    /// The sampled places of what was found, and what is expected there.
    fn pair(&self, name: &str, found: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let expected = self.numbers(name);
        if found.len() <= expected.len() {
            return (found.to_vec(), expected);
        }
        let places = places(found.len(), expected.len()).into_iter();
        (places.map(|i| found[i]).collect(), expected)
    }

    fn near(&self, name: &str, found: &Tensor, absolute: f32) {
        let (found, expected) = self.pair(name, &values(found));
        near(name, &found, &expected, absolute);
    }

    fn result(
        &self,
        prefix: &str,
        output: &FrameOutput,
        remembered: &Remembered,
        [logits, unrounded]: [f32; 2],
    ) {
        let name = |part: &str| format!("{prefix}{part}");
        self.near(&name("logits"), &output.low_res_masks, logits);
        self.near(&name("pointer"), &output.obj_ptr, POINTER);
        let (found, expected) = self.pair(&name("stored"), &stored(remembered));
        assert_stored(&name("stored"), &found, &expected, unrounded);
    }

    /// What was remembered of a frame with the reference's own map in place of ours: a bf16 step in
    /// one frame is not compared again in all others.
    fn taught(&self, remembered: Remembered) -> Remembered {
        let map = self.numbers(&format!("{:02}.stored", remembered.time));
        let (_, n, m) = remembered.map.as_ref().unwrap().dims3().unwrap();
        let map = Tensor::from_vec(map, (1, m, n), &Device::Cpu).unwrap();
        let map = map.transpose(1, 2).unwrap().contiguous().unwrap();
        Remembered { map: Some(map.to_dtype(DType::BF16).unwrap()), ..remembered }
    }
}

fn encode(model: &Model, time: i64) -> FrameFeatures {
    model.encode(&picture(SIDE, SIDE, &format!("video/{time}")))
}

/// One prompt and both directions (or one), each from a fresh memory; with the parts of each frame
/// where the golden data has them.
fn walk(case: &str, version: Version, salt: &str, prompt: &Prompt, both: bool) {
    let golden = Golden::read(case);
    let sizes = small_sizes(version, 16, 48, 1);
    let model = Model::generated(&config(), &sizes, salt, None);
    let (video, mut bank) = (model.video(), Bank::new(sizes.num_maskmem));
    let frame = encode(&model, START);
    let output = video.prompt(&frame, prompt, None).unwrap();
    bank.add_prompted(golden.check_frame(video, START, &frame, &output, true));
    for direction in
        [Direction::Forward, Direction::Reverse].into_iter().take(1 + usize::from(both))
    {
        bank.forget_tracked();
        for step in 1..=8 {
            let time = if direction == Direction::Forward { START + step } else { START - step };
            let frame = encode(&model, time);
            let recalled = bank.recall(time, direction, FRAMES);
            let tokens = video.tokens(&recalled, FRAMES).unwrap();
            golden.check_parts(time, &trace::memory_attention(video, &frame, &tokens));
            let output = video.track(&frame, &recalled, FRAMES).unwrap();
            bank.add_tracked(golden.check_frame(video, time, &frame, &output, false));
        }
    }
}

impl Golden {
    /// Compares what is known of a frame; returns it as the reference remembers it.
    fn check_frame(
        &self,
        video: Sam2Video,
        time: i64,
        frame: &FrameFeatures,
        output: &FrameOutput,
        prompted: bool,
    ) -> Remembered {
        let prefix = format!("{time:02}.");
        let score = self.numbers(&format!("{prefix}score"));
        near(&format!("{prefix}score"), &[output.object_score], &score, SCORE);
        assert_eq!(output.is_present(), score[0] > 0.0);
        let remembered = video.remember(time, frame, output, prompted).unwrap();
        self.result(&prefix, output, &remembered, [TAUGHT, UNROUNDED]);
        let inside = pack_bits(&values(&output.low_res_masks));
        let differ = differing(&inside, self.bits[&format!("{prefix}inside")].iter().copied());
        assert!(differ <= PIXELS, "{time}: {differ} pixels differ");
        self.check_parts(time, &trace::memory_encoder(video, frame, output, prompted));
        self.taught(remembered)
    }

    fn check_parts(&self, time: i64, parts: &trace::Trace) {
        for (part, found) in parts {
            let name = format!("{time:02}.{part}");
            if !self.numbers.contains_key(&name) {
                continue;
            }
            let (found, expected) = self.pair(&name, &values(found));
            // The first normalisation of the mask is over four channels that are nearly equal.
            let mask = part.starts_with("memory_encoder.mask_downsampler");
            let reach = if mask { self.floors.reach("", part) } else { 0.0 };
            part_near(&name, &found, &expected, INTERMEDIATE, reach);
        }
    }
}

fn given_disc() -> Prompt {
    Prompt::Mask(mask_to_input(disc(SIDE, (50, 70), 500).view(), SIDE))
}

#[test]
fn every_part_of_every_frame_is_pytorchs_in_both_directions() {
    walk("box_2_1", Version::Sam2_1, SEEN, &Prompt::of_box(BOX), true);
    let compared = Golden::read("box_2_1").numbers.len();
    assert!(compared > 350, "{compared} arrays");
}

#[test]
fn sam_2_0_knows_no_time_of_pointers() {
    walk("box_2_0", Version::Sam2, SEEN, &Prompt::of_box(BOX), true);
}

#[test]
fn a_mask_and_a_click_are_prompts_too() {
    walk("mask_2_1", Version::Sam2_1, SEEN, &given_disc(), true);
    walk("click_2_1", Version::Sam2_1, SEEN, &Prompt::Points(vec![CLICK]), false);
}

#[test]
fn an_object_that_is_lost_leaves_its_mark() {
    walk("lost_2_1", Version::Sam2_1, LOST, &Prompt::of_box(BOX), false);
    walk("lost_2_0", Version::Sam2, LOST, &given_disc(), false);
}

#[test]
fn clicks_correct_a_tracked_frame_and_objects_do_not_disturb_each_other() {
    let golden = Golden::read("corrected_2_1");
    let model = Model::generated(&config(), &small_sizes(Version::Sam2_1, 16, 48, 1), SEEN, None);
    let forward = Direction::Forward;
    // Nothing is taught here: steps of earlier frames are seen by later ones.
    let free = [LOGITS, UNROUNDED.max(golden.floors.reach("", "memory_encoder.out_proj"))];
    let frames: BTreeMap<i64, FrameFeatures> =
        (START..START + 9).map(|time| (time, encode(&model, time))).collect();
    for (object, corners) in [BOX, OTHER_BOX].into_iter().enumerate() {
        let key = |stage: &str, time: i64| format!("{stage}.{time:02}.{object}.");
        let mut tracker = Tracker::new(model.video(), FRAMES);
        let mut outputs = BTreeMap::new();
        let prompt = Prompt::of_box(corners);
        outputs.insert(START, tracker.prompt(START, &frames[&START], &prompt).unwrap());
        for time in START + 1..=START + 4 {
            outputs.insert(time, tracker.track(time, &frames[&time], forward).unwrap());
        }
        for (time, output) in &outputs {
            let remembered = tracker.bank().get(*time).unwrap();
            golden.result(&key("tracked", *time), output, remembered, free);
        }
        let (later, again) = (START + 3, START + 6);
        if object == 0 {
            let frame = &frames[&later];
            let clicks = Prompt::Points(CORRECTION.to_vec());
            let output = tracker.correct(later, frame, forward, &clicks, &outputs[&later]).unwrap();
            outputs.insert(later, output);
            let frame = &frames[&again];
            let first = tracker.prompt(again, frame, &Prompt::Points(vec![CLICK])).unwrap();
            let clicks = [&[CLICK][..], &CORRECTION].concat();
            let output = tracker.prompt_again(again, frame, &Prompt::Points(clicks), Some(&first));
            outputs.insert(again, output.unwrap());
        }
        for time in later + 1..later + 6 {
            if object == 0 && time == again {
                continue;
            }
            outputs.insert(time, tracker.track(time, &frames[&time], forward).unwrap());
        }
        for time in later..later + 6 {
            let remembered = tracker.bank().get(time).unwrap();
            golden.result(&key("corrected", time), &outputs[&time], remembered, free);
        }
    }
}
