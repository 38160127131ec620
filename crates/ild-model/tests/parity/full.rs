//! The four published sizes at 1024 × 1024, against the samples in `../shared`.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use ild_model::{DecodeMode, Sam2, Sam2Config, image_to_input, logits_to_probability};
use ndarray::{Array2, ArrayD};

use crate::compare::{INTERMEDIATE, LOGITS, assert_close, assert_near};
use crate::generator::{picture, places, rgb, weights};
use crate::reading::{npz, shared, to_tensor, values};
use crate::trace::trace;

/// Pixels of 262,144 whose probability is so near 0.5 that rounding decides.
const PIXELS: usize = 10;

fn compare(size: &str) {
    let Some(path) = shared(&format!("full/forward_{size}.npz")) else { return };
    let expected = npz::<f32>(&path);
    let config = Sam2Config::from_name_or_file(size).unwrap();
    let (model, _) = Sam2::load(&config, &weights(&config), &Device::Cpu).unwrap();
    let input = image_to_input(rgb(&picture(512, 512, "full_img512")).view(), 1024)
        .into_raw_vec_and_offset()
        .0;
    let x = Tensor::from_vec(input, (1, 3, 1024, 1024), &Device::Cpu).unwrap();
    let boxes = to_tensor(&expected["box"]);

    let mut trace = trace(&model, &x, &boxes);
    trace.insert("x_1024".into(), x.clone());
    let compared = samples(&trace, &expected);
    assert!(compared > config.depth() + 30, "compared {compared} intermediates");

    let found =
        model.decode_box(&model.encode_image(&x).unwrap(), &boxes, DecodeMode::Eval).unwrap();
    let selected =
        npz::<i64>(&path)["eval_selected_index"].iter().next().copied().unwrap() as usize;
    let masks = to_tensor(&expected["masks_all"]);
    assert_near("all masks", &values(&trace["masks_all"]), &values(&masks), LOGITS);
    assert_near(
        "chosen mask",
        &values(&found.logits),
        &values(&masks.narrow(1, selected, 1).unwrap()),
        LOGITS,
    );
    assert_near(
        "chosen iou",
        &values(&found.iou),
        &values(&to_tensor(&expected["eval_iou"])),
        LOGITS,
    );
    let logits = Array2::from_shape_vec((256, 256), values(&found.logits)).unwrap();
    let mask = logits_to_probability(logits.view(), 512, 512).mapv(|p| u8::from(p > 0.5));
    let expected = &npz::<u8>(&path)["eval_seg512"];
    let differ = mask.iter().zip(expected).filter(|(a, b)| a != b).count();
    println!(
        "mask: {differ} of {} pixels differ, {} inside",
        mask.len(),
        mask.iter().filter(|v| **v == 1).count()
    );
    assert!(differ <= PIXELS, "{differ} pixels differ");
}

fn samples(trace: &BTreeMap<String, Tensor>, expected: &BTreeMap<String, ArrayD<f32>>) -> usize {
    let mut compared = 0;
    for (name, array) in expected {
        let Some(found) = trace.get(name) else { continue };
        let found = values(found);
        let found: Vec<f32> = if found.len() == array.len() && array.ndim() > 1 {
            found
        } else {
            places(found.len(), array.len()).into_iter().map(|i| found[i]).collect()
        };
        assert_close(name, &found, &array.iter().copied().collect::<Vec<_>>(), INTERMEDIATE);
        compared += 1;
    }
    compared
}

#[test]
fn tiny_is_pytorchs() {
    compare("t");
}

#[test]
fn small_is_pytorchs() {
    compare("s");
}

#[test]
#[ignore = "half a minute and 3 GiB; run with --ignored before a release"]
fn base_plus_is_pytorchs() {
    compare("b+");
}

#[test]
#[ignore = "a minute and 5 GiB; run with --ignored before a release"]
fn large_is_pytorchs() {
    compare("l");
}
