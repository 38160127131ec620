//! Before the model: a slice becomes an input. After it: logits become a probability.

use ndarray::{Array2, Array3, ArrayView2, ArrayView3, Axis, Zip};

use crate::image::resize::{resize_antialiased, resize_plain};

/// Mean of ImageNet's channels, red first.
pub const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
/// Standard deviation of ImageNet's channels.
pub const STD: [f32; 3] = [0.229, 0.224, 0.225];

/// A slice as the encoder wants it: 0..1, resized to a square (the aspect ratio is not kept),
/// normalised.
///
/// Equal to SAM 2's `SAM2Transforms` (torchvision's `Resize` with antialiasing, then `Normalize`).
///
/// # Shapes
/// - `rgb`: `[y, x, 3]`; returns `[3, s, s]` with `s` = `image_size`
///
/// # Panics
/// When `rgb` has no pixels or not three channels.
#[must_use]
pub fn image_to_input(rgb: ArrayView3<u8>, image_size: usize) -> Array3<f32> {
    let (height, width, channels) = rgb.dim();
    assert!(height > 0 && width > 0 && channels == 3, "expected [y, x, 3], found {:?}", rgb.dim());
    let resized = |channel: usize| {
        let plane = rgb.index_axis(Axis(2), channel).mapv(|value| f32::from(value) / 255.0);
        resize_antialiased(plane.view(), image_size, image_size)
    };
    let mut input = Array3::zeros((3, image_size, image_size));
    let grey = Zip::from(rgb.rows()).all(|pixel| pixel[0] == pixel[1] && pixel[1] == pixel[2]);
    let shared = grey.then(|| resized(0));
    for (channel, mut out) in input.outer_iter_mut().enumerate() {
        let own = if shared.is_none() { Some(resized(channel)) } else { None };
        if let Some(plane) = shared.as_ref().or(own.as_ref()) {
            Zip::from(&mut out)
                .and(plane)
                .for_each(|out, value| *out = (value - MEAN[channel]) / STD[channel]);
        }
    }
    input
}

/// Probability on the slice's own pixels: sigmoid first, then bilinear without antialiasing, as the
/// reference does.
///
/// # Shapes
/// - `logits`: `[s/4, s/4]`; returns `[height, width]`
///
/// # Panics
/// When a side is 0.
#[must_use]
pub fn logits_to_probability(logits: ArrayView2<f32>, height: usize, width: usize) -> Array2<f32> {
    let probability = logits.mapv(|logit| 1.0 / (1.0 + (-logit).exp()));
    resize_plain(probability.view(), height, width)
}
