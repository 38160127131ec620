//! Bilinear enlargement, the pixel centres aligned as PyTorch does with `align_corners=False`.

use candle_core::{Result, Tensor};

/// Where output pixel `i` of `to` reads among `from` pixels: the lower pixel, the upper pixel and the upper's weight.
///
/// `s = max(0, (i + ½)·from/to − ½)`, lower `⌊s⌋`, upper `min(⌊s⌋ + 1, from − 1)`, weight `s − ⌊s⌋`, all in f32 as PyTorch.
pub(crate) fn source(i: usize, from: usize, to: usize) -> (usize, usize, f32) {
    let scale = from as f32 / to as f32;
    let position = (scale * (i as f32 + 0.5) - 0.5).max(0.0);
    let lower = (position as usize).min(from - 1);
    (lower, (lower + 1).min(from - 1), position - lower as f32)
}

/// The interpolation as a matrix `[to, from]`, on the device and in the type of `like`.
pub(crate) fn matrix(from: usize, to: usize, like: &Tensor) -> Result<Tensor> {
    let mut weights = vec![0f32; to * from];
    for (i, row) in weights.chunks_exact_mut(from).enumerate() {
        let (lower, upper, weight) = source(i, from, to);
        row[lower] += 1.0 - weight;
        row[upper] += weight;
    }
    Tensor::from_vec(weights, (to, from), like.device())?.to_dtype(like.dtype())
}
