//! Against this repository's own data (`tests/golden/model`, made by PyPI's `sam2`).

use candle_core::{Device, Tensor};
use ild_model::{DecodeMode, Sam2, image_to_input};

use crate::compare::{INTERMEDIATE, LOGITS, assert_close, assert_near};
use crate::generator::{picture, places, rgb, weights};
use crate::reading::{golden, npz, small_config, steeper, to_tensor, values};
use crate::trace::trace;

/// The two pictures of the golden data as the encoder's input: `[2, 3, 256, 256]`.
pub fn inputs() -> Tensor {
    let pictures = [picture(200, 180, "golden_a"), picture(300, 280, "golden_b")];
    let inputs = pictures
        .map(|picture| image_to_input(rgb(&picture).view(), 256).into_raw_vec_and_offset().0);
    Tensor::from_vec(inputs.concat(), (2, 3, 256, 256), &Device::Cpu).unwrap()
}

#[test]
fn every_part_gives_what_pytorch_gives() {
    let golden = npz::<f32>(&golden("forward.npz"));
    let (model, _) = Sam2::load(&small_config(), &weights(&small_config()), &Device::Cpu).unwrap();
    let mut trace = trace(&model, &inputs(), &to_tensor(&golden["boxes"]));
    trace.insert("x".into(), inputs());
    let mut compared = 0;
    for (name, expected) in
        golden.iter().filter_map(|(name, array)| Some((name.strip_prefix("sample_")?, array)))
    {
        let found = values(&trace[name]);
        let found: Vec<f32> =
            places(found.len(), expected.len()).into_iter().map(|i| found[i]).collect();
        assert_close(name, &found, &expected.iter().copied().collect::<Vec<_>>(), INTERMEDIATE);
        compared += 1;
    }
    assert!(compared >= 30, "compared {compared} intermediates");
}

#[test]
fn training_takes_mask_0_and_evaluation_the_stable_or_the_best_one() {
    let golden = npz::<f32>(&golden("forward.npz"));
    let boxes = to_tensor(&golden["boxes"]);
    let plain = weights(&small_config());
    for (mode, name, weights) in [
        (DecodeMode::Train, "train", plain.clone()),
        (DecodeMode::Eval, "eval", plain.clone()),
        (DecodeMode::Eval, "stable_eval", steeper(plain)),
    ] {
        let (model, _) = Sam2::load(&small_config(), &weights, &Device::Cpu).unwrap();
        let found =
            model.decode_box(&model.encode_image(&inputs()).unwrap(), &boxes, mode).unwrap();
        let expected = |part: &str| values(&to_tensor(&golden[&format!("whole_{name}_{part}")]));
        assert_near(&format!("{name} logits"), &values(&found.logits), &expected("logits"), LOGITS);
        assert_near(&format!("{name} iou"), &values(&found.iou), &expected("iou"), LOGITS);
    }
    let differ = values(&to_tensor(&golden["whole_train_logits"]))
        != values(&to_tensor(&golden["whole_eval_logits"]));
    assert!(differ, "the data covers the fallback");
}
