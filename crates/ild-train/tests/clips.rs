//! Clips: SAM 2's memory learns to carry one lesion through neighbouring slices.

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{Device, Tensor};
use ild_model::memory::{Direction, Memory, Prompt, Sam2Video, Tracker};
use ild_model::{FrameFeatures, Sam2, Sam2Config, Weights, image_to_input};
use ild_train::{Declared, Recipe, RunFolder, Setup, SliceDataset, Trainer, read_state_weights};
use ndarray::{Array2, Array3};
use support::write_slice;

/// Slices of each CT.
const SLICES: usize = 5;
/// Epochs on slices alone, as weights that were fine-tuned before, and then on clips: after 9 it
/// outlines both squares, after 12 the one that was pointed out.
const ALONE: usize = 20;
const EPOCHS: usize = 18;

/// Two squares that wander; `other` is the second.
fn inside(case: usize, z: usize, other: bool, y: usize, x: usize) -> bool {
    let (top, left) = (20 + 29 * case % 50 + 4 * z, 15 + 41 * case % 50 + 3 * z);
    let (top, left) = if other { (top + 100, left + 95) } else { (top, left) };
    (top..top + 60).contains(&y) && (left..left + 55).contains(&x)
}

fn label(case: usize, z: usize) -> Array2<u8> {
    Array2::from_shape_fn((256, 256), |(y, x)| {
        u8::from(inside(case, z, false, y, x) || inside(case, z, true, y, x))
    })
}

fn image(case: usize, z: usize) -> Array3<u8> {
    let label = label(case, z);
    Array3::from_shape_fn((64, 64, 3), |(y, x, _)| {
        if label[[4 * y, 4 * x]] == 1 { 190 } else { 40 + ((y * 31 + x * 17 + case) % 23) as u8 }
    })
}

/// Writes `cases` CT, and says which slice is which.
fn write_cases(folder: &Path, cases: usize) -> Declared {
    let model = format!("{}drawn_prompts = true\n", support::MINI);
    std::fs::write(folder.join("mini.toml"), model).unwrap();
    let mut ct_slices = BTreeMap::new();
    for (case, z) in (0..cases).flat_map(|case| (0..SLICES).map(move |z| (case, z))) {
        let name = format!("case{case}-{z:03}");
        write_slice(folder, "train", &name, &image(case, z), &label(case, z));
        ct_slices.insert(name, 7 + 2 * z);
    }
    Declared { ct_slices, ..Declared::default() }
}

fn recipe(epochs: usize) -> Recipe {
    Recipe {
        epochs,
        batch_size: 2,
        lr: 2e-3,
        clip_norm: 1.0,
        head_weight: 0.0,
        clip_slices: 4,
        ..Recipe::default()
    }
}

fn setup(folder: &Path, declared: &Declared, recipe: Recipe) -> Setup {
    let data = SliceDataset::open_declared(&folder.join("train"), declared).unwrap();
    let model = folder.join("mini.toml");
    Setup { loader_threads: 1, ..Setup::new(model.to_str().unwrap(), data, recipe).unwrap() }
}

fn trained(folder: &Path, run: &str, setup: Setup) -> Weights {
    let run = folder.join(run);
    Trainer::new(setup, RunFolder::open(&run).unwrap()).unwrap().fit().unwrap();
    Weights::read(&run.join("latest.safetensors")).unwrap()
}

fn encode(model: &Sam2, case: usize, z: usize) -> FrameFeatures {
    let input = image_to_input(image(case, z).view(), 64).into_raw_vec_and_offset().0;
    model.encode_frame(&Tensor::from_vec(input, (1, 3, 64, 64), &Device::Cpu).unwrap()).unwrap()
}

/// Overlap with the square that was pointed out on the first slice, and with the other one, on the
/// last slice.
fn right_and_wrong(folder: &Path, weights: &Weights, other: bool) -> [f64; 2] {
    const CASE: usize = 9;
    let config = Sam2Config::from_name_or_file(folder.join("mini.toml").to_str().unwrap()).unwrap();
    let (model, _) = Sam2::load(&config, weights, &Device::Cpu).unwrap();
    let (memory, _) = Memory::load(&config, weights, &Device::Cpu).unwrap();
    let mut tracker = Tracker::new(Sam2Video::new(&model, &memory), 30);
    let there = |z, other| Array2::from_shape_fn((256, 256), |(y, x)| inside(CASE, z, other, y, x));
    let around = ild_io::BoundingBox::around(there(0, other).view(), |inside| inside).unwrap();
    let sides = [around.x0, around.y0, around.x1 - 1, around.y1 - 1].map(|v| v as f32 / 4.0);
    tracker.prompt(0, &encode(&model, CASE, 0), &Prompt::of_box(sides)).unwrap();
    let mut last = None;
    for z in 1..SLICES {
        let frame = encode(&model, CASE, z);
        last = Some(tracker.track(2 * z as i64, &frame, Direction::Forward).unwrap());
    }
    let logits = last.unwrap().logits(256, 256).unwrap().to_vec2::<f32>().unwrap();
    [other, !other].map(|which| {
        let truth = there(SLICES - 1, which);
        let (mut both, mut sum) = (0.0, 0.0);
        for ((y, x), &inside) in truth.indexed_iter() {
            let found = logits[y][x] > 0.0;
            both += f64::from(u8::from(found && inside));
            sum += f64::from(u8::from(found)) + f64::from(u8::from(inside));
        }
        2.0 * both / sum
    })
}

#[test]
fn what_was_pointed_out_on_the_first_slice_is_found_on_the_last() {
    let folder = tempfile::tempdir().unwrap();
    let declared = write_cases(folder.path(), 6);
    let alone = Recipe { clip_slices: 1, ..recipe(ALONE) };
    let weights = trained(folder.path(), "alone", setup(folder.path(), &declared, alone));
    let goes_on = Setup { weights, ..setup(folder.path(), &declared, recipe(EPOCHS)) };
    let weights = trained(folder.path(), "clips", goes_on);
    for other in [false, true] {
        let [right, wrong] = right_and_wrong(folder.path(), &weights, other);
        assert!(right > 0.6 && wrong < 0.3, "right {right}, wrong {wrong}");
    }
}

#[test]
fn a_resumed_run_on_clips_gives_the_weights_of_an_uninterrupted_one_to_the_bit() {
    let folder = tempfile::tempdir().unwrap();
    let declared = write_cases(folder.path(), 2);
    let whole = trained(folder.path(), "whole", setup(folder.path(), &declared, recipe(2)));
    let run = folder.path().join("part");
    let half = Recipe { epochs: 1, ..recipe(2) };
    Trainer::new(setup(folder.path(), &declared, half), RunFolder::open(&run).unwrap())
        .unwrap()
        .fit()
        .unwrap();
    let state = run.join("state.safetensors");
    let weights = read_state_weights(&state).unwrap();
    let goes_on = Setup { weights, ..setup(folder.path(), &declared, recipe(2)) };
    let mut trainer = Trainer::new(goes_on, RunFolder::open(&run).unwrap()).unwrap();
    trainer.resume(&state).unwrap();
    trainer.fit().unwrap();
    let resumed = Weights::read(&run.join("latest.safetensors")).unwrap();
    let initial = Weights::read(&run.join("initial.safetensors")).unwrap();
    let mut learned = 0;
    for (name, tensor) in whole.iter() {
        let apart = support::largest_difference(tensor, resumed.get(name).unwrap());
        assert!(apart == 0.0, "{name}: {apart}");
        let moved = support::largest_difference(tensor, initial.get(name).unwrap());
        learned += usize::from(name.starts_with("memory_") && moved > 0.0);
    }
    assert!(learned > 40, "{learned} tensors of the memory have moved");
}

#[test]
fn slices_that_do_not_say_which_are_neighbours_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    write_cases(folder.path(), 1);
    let setup = setup(folder.path(), &Declared::default(), recipe(1));
    let run = RunFolder::open(&folder.path().join("run")).unwrap();
    let said = Trainer::new(setup, run).err().unwrap().to_string();
    assert!(said.contains("ct_slices") && said.contains("npz-to-npy again"), "{said}");
    let wrong = Recipe { parity: true, ..recipe(1) };
    assert!(wrong.check().unwrap_err().to_string().contains("--clip-slices"));
}
