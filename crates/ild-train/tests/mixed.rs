//! Our own recipe: several questions about each slice, and the lesion head beside them.

mod support;

use std::path::Path;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use ild_model::{
    DecodeMode, Sam2, Sam2Config, Weights, image_to_input, lesion_head, logits_to_probability,
};
use ild_train::{
    Augmentation, Callback, Declared, Error, Given, Position, Purpose, Questions, Recipe, Result,
    RunFolder, Setup, SliceDataset, StepRecord, Trainer, Warp, read_state_weights, stream,
};
use ndarray::{Array2, Array3};
use support::{toy, write_slice};

fn setup(folder: &Path, recipe: Recipe) -> Setup {
    let open = |part: &str| SliceDataset::open(&folder.join("npy").join(part)).unwrap();
    let model = folder.join("mini.toml");
    Setup {
        valid: Some(Arc::new(open("valid"))),
        loader_threads: 1,
        ..Setup::new(model.to_str().unwrap(), open("train"), recipe).unwrap()
    }
}

fn mixed() -> Recipe {
    Recipe {
        epochs: 2,
        batch_size: 4,
        lr: 2e-3,
        head_lr: 2e-3,
        clip_norm: 1.0,
        ema_decay: 0.9,
        augmentation: Augmentation { flip: true, ..Augmentation::default() },
        ..Recipe::default()
    }
}

fn train(folder: &Path, name: &str, recipe: Recipe) -> Weights {
    let run = folder.join(name);
    Trainer::new(setup(folder, recipe), RunFolder::open(&run).unwrap()).unwrap().fit().unwrap();
    Weights::read(&run.join("latest.safetensors")).unwrap()
}

fn assert_same(a: &Weights, b: &Weights, which: impl Fn(&str) -> bool) {
    let mut compared = 0;
    for (name, tensor) in a.iter().filter(|(name, _)| which(name)) {
        assert_eq!(support::largest_difference(tensor, b.get(name).unwrap()), 0.0, "{name}");
        compared += 1;
    }
    assert!(compared > 10, "{compared} tensors compared");
}

#[test]
fn with_the_gate_shut_all_weights_of_sam_2_are_those_of_a_run_without_the_head_to_the_bit() {
    let folder = toy();
    let without = train(folder.path(), "without", Recipe { head_weight: 0.0, ..mixed() });
    let shut = train(folder.path(), "shut", Recipe { head_gradient: 0.0, ..mixed() });
    assert_eq!(without.lesion_classes().unwrap(), None);
    assert_eq!(shut.lesion_classes().unwrap().unwrap(), [1, 3]);
    assert_same(&without, &shut, |_| true);
    let open = train(folder.path(), "open", Recipe { head_gradient: 1.0, ..mixed() });
    let name = "image_encoder.trunk.patch_embed.proj.weight";
    let (open, shut) = (open.get(name).unwrap(), shut.get(name).unwrap());
    assert!(support::largest_difference(open, shut) > 0.0, "an open gate teaches the encoder");
}

#[test]
fn a_head_whose_classes_had_other_names_starts_anew_and_one_with_the_same_goes_on() {
    let folder = toy();
    let learned = train(folder.path(), "learned", mixed());
    let started_with = |name: &str, table: &str| {
        let weights = learned.clone();
        let run = folder.path().join(name);
        let label_table = serde_json::from_str(table).unwrap();
        let setup = Setup { weights, label_table, ..setup(folder.path(), mixed()) };
        Trainer::new(setup, RunFolder::open(&run).unwrap()).unwrap().fit().unwrap();
        let initial = Weights::read(&run.join("initial.safetensors")).unwrap();
        let name = "lesion_head.present.layers.1.weight";
        support::largest_difference(initial.get(name).unwrap(), learned.get(name).unwrap())
    };
    let names = |third: &str| {
        let entry = |name: &str| format!(r#"{{"name": "{name}", "color": [1, 2, 3]}}"#);
        format!(r#"{{"1": {}, "3": {}}}"#, entry("ILD1"), entry(third))
    };
    assert_eq!(started_with("same", &names("GGO-reticulation")), 0.0);
    assert!(started_with("renamed", &names("Nodule")) > 0.0);
}

struct StopAfter(u64);

impl Callback for StopAfter {
    fn stepped(&mut self, step: &StepRecord, _: Position) -> Result<()> {
        let stop = Error::Settings("enough".to_owned());
        if step.step == self.0 { Err(stop) } else { Ok(()) }
    }
}

#[test]
fn a_resumed_run_gives_the_head_of_an_uninterrupted_one_to_the_bit() {
    let folder = toy();
    let whole = train(folder.path(), "whole", mixed());
    let run = folder.path().join("part");
    let begun = Setup { save_every_steps: 1, ..setup(folder.path(), mixed()) };
    let stopped =
        Trainer::new(begun, RunFolder::open(&run).unwrap()).unwrap().watched_by(StopAfter(5)).fit();
    assert!(stopped.is_err());
    let state = run.join("state.safetensors");
    let weights = read_state_weights(&state).unwrap();
    let goes_on = Setup { weights, ..setup(folder.path(), mixed()) };
    let mut trainer = Trainer::new(goes_on, RunFolder::open(&run).unwrap()).unwrap();
    trainer.resume(&state).unwrap();
    trainer.fit().unwrap();
    let resumed = Weights::read(&run.join("latest.safetensors")).unwrap();
    assert_same(&whole, &resumed, |name| name.starts_with(lesion_head::PREFIX));
    assert_same(&whole, &resumed, |_| true);
}

#[test]
fn a_slice_declared_free_of_disease_is_asked_about_nothing_and_a_label_to_ignore_teaches_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let image = Array3::from_elem((64, 64, 3), 90);
    let mut labels = Array2::zeros((256, 256));
    labels.slice_mut(ndarray::s![40..80, 40..80]).fill(1);
    labels.slice_mut(ndarray::s![40..80, 80..120]).fill(9);
    write_slice(folder.path(), "train", "a", &image, &labels);
    write_slice(folder.path(), "train", "b", &image, &Array2::zeros((256, 256)));
    write_slice(folder.path(), "train", "c", &image, &Array2::zeros((256, 256)));
    let declared =
        Declared { healthy: ["b".to_owned()].into(), ignored: Some(9), ..Declared::default() };
    let part = folder.path().join("train");
    let data = SliceDataset::open_declared(&part, &declared).unwrap();
    assert_eq!((data.slices().len(), data.healthy().len()), (1, 1));
    assert_eq!(
        (&data.slices()[0].labels[..], &data.without_label[..]),
        (&[1][..], &["c".into()][..])
    );
    let ignored = data.ignored();
    let questions = Questions { count: 20, bbox_shift: 5, image_size: 64, ignored };
    let mut rng = stream(1, Purpose::Item, 0, 0);
    let ill = data.asked(0, &questions, &Warp::IDENTITY, false, &mut rng).unwrap();
    assert!(ill.prompts.iter().all(|prompt| prompt.label != 9));
    let known = ill.known.unwrap();
    assert_eq!((known[[50, 100]], known[[50, 50]], known[[5, 5]]), (0, 1, 1));
    let healthy = data.asked(1, &questions, &Warp::IDENTITY, false, &mut rng).unwrap();
    assert!(healthy.known.is_none() && !healthy.prompts.is_empty());
    assert!(healthy.prompts.iter().all(|prompt| prompt.label == 0));

    let wrong = Declared { healthy: ["a".to_owned()].into(), ..Declared::default() };
    let error = SliceDataset::open_declared(&part, &wrong).unwrap_err().to_string();
    assert!(error.contains("declared free of disease"), "{error}");
}

/// Two bright squares of one label on each slice.
fn write_pairs(npy: &Path, part: &str, n: usize) {
    for i in 0..n {
        let (top, left) = (20 + 29 * i % 60, 15 + 41 * i % 60);
        let inside = |y: usize, x: usize| {
            let one = (top..top + 60).contains(&y) && (left..left + 55).contains(&x);
            let (top, left) = (top + 95, left + 90);
            one || ((top..top + 65).contains(&y) && (left..left + 60).contains(&x))
        };
        let label = Array2::from_shape_fn((256, 256), |(y, x)| u8::from(inside(y, x)));
        let image = Array3::from_shape_fn((64, 64, 3), |(y, x, _)| {
            if inside(4 * y, 4 * x) { 190 } else { 40 + ((y * 31 + x * 17 + i) % 23) as u8 }
        });
        write_slice(npy, part, &format!("case-{i:03}"), &image, &label);
    }
}

/// Mean overlap of the answers with the lesion that was asked for, and with the other one.
fn right_and_wrong(folder: &Path, weights: &Weights) -> [f64; 2] {
    let config = Sam2Config::from_name_or_file(folder.join("mini.toml").to_str().unwrap()).unwrap();
    let (model, _) = Sam2::load(&config, weights, &Device::Cpu).unwrap();
    let data = SliceDataset::open(&folder.join("npy/valid")).unwrap();
    let questions = Questions { count: 1, bbox_shift: 2, image_size: 64, ignored: None };
    let mut sums = [0.0; 2];
    let mut n = 0.0;
    for i in 0..data.slices().len() {
        let mut rng = stream(1, Purpose::Item, 0, i);
        let sample = data.asked(i, &questions, &Warp::IDENTITY, true, &mut rng).unwrap();
        let input = image_to_input(data.image(i).unwrap().view(), 64).into_raw_vec_and_offset().0;
        let input = Tensor::from_vec(input, (1, 3, 64, 64), &Device::Cpu).unwrap();
        let features = model.encode_image(&input).unwrap();
        for (asked, other) in [(0, 1), (1, 0)] {
            let Given::Box(sides) = sample.prompts[asked].given else { panic!("no box") };
            let sides = Tensor::new(&[sides], &Device::Cpu).unwrap();
            let mask = model.decode_box(&features, &sides, DecodeMode::Eval).unwrap();
            let side = config.mask_size();
            let logits = mask.logits.flatten_all().unwrap().to_vec1().unwrap();
            let logits = Array2::from_shape_vec((side, side), logits).unwrap();
            let found = logits_to_probability(logits.view(), 256, 256).mapv(|p| p > 0.5);
            for (sum, which) in sums.iter_mut().zip([asked, other]) {
                *sum += dice(&found, &sample.prompts[which].mask);
            }
            n += 1.0;
        }
    }
    sums.map(|sum| sum / n)
}

fn dice(found: &Array2<bool>, mask: &Array2<u8>) -> f64 {
    let count = |both: bool| {
        let pixels = found.iter().zip(mask);
        pixels.filter(|&(&p, &t)| if both { p && t == 1 } else { p }).count() as f64
    };
    let truth = mask.iter().filter(|&&t| t == 1).count() as f64;
    2.0 * count(true) / (count(false) + truth)
}

/// Enough for the small model to tell two squares apart.
const EPOCHS: usize = 25;

#[test]
fn another_lesions_box_gives_another_mask() {
    let folder = tempfile::tempdir().unwrap();
    let model = format!("{}drawn_prompts = true\n", support::MINI);
    std::fs::write(folder.path().join("mini.toml"), model).unwrap();
    write_pairs(&folder.path().join("npy"), "train", 24);
    write_pairs(&folder.path().join("npy"), "valid", 5);
    let recipe = Recipe { epochs: EPOCHS, ema_decay: 0.0, head_weight: 0.0, ..mixed() };
    let ours = right_and_wrong(folder.path(), &train(folder.path(), "ours", recipe.clone()));
    assert!(ours[0] > 0.7 && ours[1] < 0.3, "right box {}, other box {}", ours[0], ours[1]);
    let one_box = Recipe { parity: true, ..recipe };
    let theirs = right_and_wrong(folder.path(), &train(folder.path(), "theirs", one_box));
    assert!(theirs[1] > 0.4, "one box around everything teaches everything: {theirs:?}");
}
