//! Every element of every intermediate, against the arrays in `../shared`.

use candle_core::{Device, Tensor};
use ild_model::{DecodeMode, Sam2, Weights, image_to_input, stability_scores};

use crate::compare::{INTERMEDIATE, LOGITS, assert_close, assert_near};
use crate::generator::{rgb, weights};
use crate::reading::{npz, shared, small_config, steeper, to_tensor, values};
use crate::trace::trace;

/// Position encodings that only video uses, and what the next test compares.
const NOT_OURS: [&str; 5] = ["fpn_pos", "train_", "eval_", "stable_", "stability_single"];

#[test]
fn every_element_of_every_intermediate_is_pytorchs() {
    let Some(path) = shared("small/forward.npz") else { return };
    let expected = npz::<f32>(&path);
    let inputs = npz::<f32>(&shared("small/inputs.npz").unwrap());
    let (model, _) = Sam2::load(&small_config(), &weights(&small_config()), &Device::Cpu).unwrap();
    let trace = trace(&model, &to_tensor(&inputs["x"]), &to_tensor(&inputs["box"]));
    let mut compared = 0;
    for (name, array) in expected {
        let Some(found) = trace.get(&name) else {
            assert!(NOT_OURS.iter().any(|part| name.starts_with(part)), "{name} is not compared");
            continue;
        };
        let mut array = to_tensor(&array);
        if array.dims() != found.dims() {
            let (_, h, w, _) = found.dims4().unwrap(); // windows, padding included
            array = without_padding(&array, h, w);
        }
        assert_close(&name, &values(found), &values(&array), INTERMEDIATE);
        compared += 1;
    }
    assert!(compared >= 50, "compared {compared} intermediates");
}

#[test]
fn logits_of_both_branches_are_pytorchs() {
    let Some(path) = shared("small/forward.npz") else { return };
    let expected = npz::<f32>(&path);
    let inputs = npz::<f32>(&shared("small/inputs.npz").unwrap());
    let (x, boxes) = (to_tensor(&inputs["x"]), to_tensor(&inputs["box"]));
    for (weights, mode, prefix) in [
        (weights(&small_config()), DecodeMode::Train, "train_"),
        (weights(&small_config()), DecodeMode::Eval, "eval_"),
        (steeper(weights(&small_config())), DecodeMode::Eval, "stable_eval_"),
    ] {
        let (model, _) = Sam2::load(&small_config(), &weights, &Device::Cpu).unwrap();
        let found = model.decode_box(&model.encode_image(&x).unwrap(), &boxes, mode).unwrap();
        let array = |part: &str| values(&to_tensor(&expected[&format!("{prefix}{part}")]));
        assert_near(&format!("{prefix}logits"), &values(&found.logits), &array("logits"), LOGITS);
        assert_near(&format!("{prefix}iou"), &values(&found.iou), &array("iou"), LOGITS);
    }
    let masks = to_tensor(&expected["masks_all"]).narrow(1, 0, 1).unwrap();
    assert_eq!(
        stability_scores(&masks).unwrap(),
        values(&to_tensor(&expected["stability_single"]))
    );
}

#[test]
fn pictures_become_the_references_input() {
    let Some(path) = shared("small/inputs.npz") else { return };
    let pictures = npz::<u8>(&path);
    let x = to_tensor(&npz::<f32>(&path)["x"]);
    for i in 0..2 {
        let picture = pictures[&format!("img_u8_{i}")].clone().into_dimensionality().unwrap();
        let found = image_to_input(rgb(&picture).view(), 256).into_raw_vec_and_offset().0;
        // One unit in the last place of a pixel, divided by the standard deviation.
        assert_near(&format!("picture {i}"), &found, &values(&x.narrow(0, i, 1).unwrap()), 3e-6);
    }
}

#[test]
fn the_files_of_other_programs_are_read_and_hold_the_generated_weights() {
    let made = weights(&small_config());
    for file in ["small/small.safetensors", "small/small.pt"] {
        let Some(path) = shared(file) else { return };
        let read = Weights::read(&path).unwrap();
        for (name, tensor) in made.iter() {
            assert_eq!(values(read.get(name).unwrap()), values(tensor), "{name}");
        }
        let (_, report) = Sam2::load(&small_config(), &read, &Device::Cpu).unwrap();
        assert_eq!(report.loaded.len(), made.len());
        assert_eq!(report.loaded.len() + report.carried.len(), 333);
    }
}

#[test]
fn one_image_serves_several_boxes() {
    let (model, _) = Sam2::load(&small_config(), &weights(&small_config()), &Device::Cpu).unwrap();
    let features = model.encode_image(&crate::golden::inputs()).unwrap();
    let boxes = Tensor::new(&[[60f32, 90.0, 140.0, 190.0], [10.0, 20.0, 70.0, 60.0]], &Device::Cpu)
        .unwrap();
    let both = model.decode_box(&features.get(1).unwrap(), &boxes, DecodeMode::Eval).unwrap();
    let second = model
        .decode_box(&features.get(1).unwrap(), &boxes.narrow(0, 1, 1).unwrap(), DecodeMode::Eval)
        .unwrap();
    assert_near(
        "the second box alone",
        &values(&both.logits.narrow(0, 1, 1).unwrap()),
        &values(&second.logits),
        1e-5,
    );
}

/// The map that windows `[b·rows·columns, side, side, c]` are cut from, without its padding.
fn without_padding(windows: &Tensor, height: usize, width: usize) -> Tensor {
    let (n, wh, ww, c) = windows.dims4().unwrap();
    let (rows, columns) = (height.div_ceil(wh), width.div_ceil(ww));
    let b = n / (rows * columns);
    let x = windows.reshape((b, rows, columns, wh, ww, c)).unwrap();
    let x = x.permute((0, 1, 3, 2, 4, 5)).unwrap();
    let x = x.reshape((b, rows * wh, columns * ww, c)).unwrap();
    x.narrow(1, 0, height).unwrap().narrow(2, 0, width).unwrap().contiguous().unwrap()
}
