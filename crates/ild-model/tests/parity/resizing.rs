//! Resizing of images, probabilities and position embeddings, as torchvision and PyTorch do it.

use candle_core::{Device, Tensor};
use ild_model::encoder::hiera::resize_bicubic;
use ild_model::{image_to_input, logits_to_probability, resize_bicubic_u8};
use ndarray::Array2;

use crate::compare::assert_near;
use crate::generator::{picture, places, rgb};
use crate::reading::{golden, npz, shared, to_tensor, values};

/// Pixels are of order 1, divided by a standard deviation of 0.22: a few units in the last place.
const TRANSFORM: f32 = 3e-6;
/// Probabilities are below 1.
const PROBABILITY: f32 = 1e-6;
/// Embeddings are of order 1; the order of additions differs.
const BICUBIC: f32 = 2e-6;

fn sampled(found: &[f32], k: usize) -> Vec<f32> {
    places(found.len(), k).into_iter().map(|i| found[i]).collect()
}

/// `name_HxW` → (name, H, W)
fn sides(name: &str) -> (usize, usize) {
    let size = name.rsplit(['_', 'o']).next().unwrap();
    let (h, w) = size.split_once('x').unwrap();
    (h.parse().unwrap(), w.parse().unwrap())
}

#[test]
fn images_of_every_shape_are_resized_as_torchvision_does() {
    let golden = npz::<f32>(&golden("resizing.npz"));
    for (name, expected) in golden.iter().filter(|(name, _)| name.starts_with("transform_")) {
        let (h, w) = sides(name);
        let found = image_to_input(rgb(&picture(h, w, &format!("resize_{h}x{w}"))).view(), 64)
            .into_raw_vec_and_offset()
            .0;
        assert_near(
            name,
            &sampled(&found, expected.len()),
            &values(&to_tensor(expected)),
            TRANSFORM,
        );
    }
}

#[test]
fn probabilities_are_resized_after_the_sigmoid_and_without_antialiasing() {
    let golden = npz::<f32>(&golden("resizing.npz"));
    let logits = picture(32, 32, "logits").mapv(|value| (f32::from(value) - 128.0) / 16.0);
    for (name, expected) in golden.iter().filter(|(name, _)| name.starts_with("probability_")) {
        let (h, w) = sides(name);
        let found = logits_to_probability(logits.view(), h, w).into_raw_vec_and_offset().0;
        assert_near(
            name,
            &sampled(&found, expected.len()),
            &values(&to_tensor(expected)),
            PROBABILITY,
        );
    }
}

#[test]
fn position_embeddings_are_resized_as_pytorch_does() {
    let golden = npz::<f32>(&golden("resizing.npz"));
    for (name, expected) in golden.iter().filter(|(name, _)| name.starts_with("bicubic_")) {
        let n = if name.starts_with("bicubic_7_") { 7 } else { 14 };
        let source = picture(n, n, &format!("bicubic_{n}")).mapv(|value| f32::from(value) / 255.0);
        let source =
            Tensor::from_vec(source.into_raw_vec_and_offset().0, (1, n, n, 1), &Device::Cpu)
                .unwrap();
        let (h, w) = sides(name);
        let found = values(&resize_bicubic(&source, h, w).unwrap());
        assert_near(name, &sampled(&found, expected.len()), &values(&to_tensor(expected)), BICUBIC);
    }
}

#[test]
fn pictures_are_resized_as_pillow_does_to_the_last_grey_level() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/video/resized.npz");
    let golden = npz::<u8>(folder.as_ref());
    assert_eq!(golden.len(), 8);
    for (name, expected) in golden {
        let (h, w) = sides(&name);
        let found = resize_bicubic_u8(picture(h, w, &format!("resize_{name}")).view(), 64, 64);
        assert_eq!(found.into_dyn(), expected, "{name}");
    }
    let Some(path) = shared("video/small_inputs.npz") else { return };
    let inputs = npz::<u8>(&path);
    for (i, native) in inputs["native_u8"].outer_iter().enumerate() {
        let native = native.into_dimensionality().unwrap();
        let expected = inputs["resized_u8"].index_axis(ndarray::Axis(0), i);
        assert_eq!(resize_bicubic_u8(native, 128, 128).into_dyn(), expected, "frame {i}");
    }
}

#[test]
fn whole_arrays_of_the_reference_agree() {
    let Some(path) = shared("misc/sam2_transforms.npz") else { return };
    let sources = npz::<u8>(&path);
    for (name, expected) in npz::<f32>(&path) {
        let size = name.trim_start_matches("dst_").trim_end_matches("_to64");
        let source: Array2<u8> =
            sources[&format!("src_{size}")].clone().into_dimensionality().unwrap();
        let found = image_to_input(rgb(&source).view(), 64).into_raw_vec_and_offset().0;
        assert_near(&name, &found, &values(&to_tensor(&expected)), TRANSFORM);
    }
    let bilinear = npz::<f32>(&shared("misc/bilinear.npz").unwrap());
    let masks = npz::<u8>(&shared("misc/bilinear.npz").unwrap());
    let logits = Array2::from_shape_vec((32, 32), values(&to_tensor(&bilinear["logits"]))).unwrap();
    for (name, expected) in bilinear.iter().filter(|(name, _)| name.starts_with("prob_")) {
        let (h, w) = sides(name);
        let found = logits_to_probability(logits.view(), h, w);
        assert_near(name, &values_of(&found), &values(&to_tensor(expected)), PROBABILITY);
        let mask = found.mapv(|p| u8::from(p > 0.5));
        let differ =
            mask.iter().zip(&masks[&format!("seg_{h}x{w}")]).filter(|(a, b)| a != b).count();
        assert_eq!(differ, 0, "{name}");
    }
    let bicubic = npz::<f32>(&shared("misc/bicubic.npz").unwrap());
    for (name, expected) in bicubic.iter().filter(|(name, _)| name.starts_with("bicubic_dst")) {
        let source =
            to_tensor(&bicubic[&name.replace("dst", "src")]).permute((0, 2, 3, 1)).unwrap();
        let expected = to_tensor(expected).permute((0, 2, 3, 1)).unwrap();
        let side: usize = name.rsplit('_').next().unwrap().parse().unwrap();
        let mut found = resize_bicubic(&source, side, side).unwrap();
        if side == 256 {
            // only every 7th row and every 5th column was kept
            let kept = |step: u32| Tensor::arange_step(0u32, 256, step, &Device::Cpu).unwrap();
            found = found.index_select(&kept(7), 1).unwrap().index_select(&kept(5), 2).unwrap();
        }
        assert_near(name, &values(&found), &values(&expected), BICUBIC);
    }
}

fn values_of(array: &Array2<f32>) -> Vec<f32> {
    array.iter().copied().collect()
}
