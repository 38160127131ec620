//! Bilinear enlargement, the pixel centres aligned as PyTorch does with `align_corners=False`.

use candle_core::{Result, Tensor, bail};
use rayon::prelude::*;

use super::node::{Fused, apply};

/// Where output pixel `i` of `to` reads among `from` pixels: the lower pixel, the upper pixel and
/// the upper's weight.
///
/// `s = max(0, (i + ½)·from/to − ½)`, lower `⌊s⌋`, upper `min(⌊s⌋ + 1, from − 1)`, weight `s −
/// ⌊s⌋`, all in f32 as PyTorch.
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

pub(crate) fn upsample_bilinear(x: &Tensor, height: usize, width: usize) -> Result<Tensor> {
    let (b, c, h, w) = x.dims4()?;
    if h * w == 0 {
        bail!("upsample_bilinear: expected a map with pixels, found {h}×{w}");
    }
    apply(Bilinear { from: (h, w), to: (height, width) }, (b, c, height, width), &[x])
}

struct Bilinear {
    from: (usize, usize),
    to: (usize, usize),
}

impl Bilinear {
    fn columns(&self) -> Vec<(usize, usize, f32)> {
        (0..self.to.1).map(|x| source(x, self.from.1, self.to.1)).collect()
    }
}

impl Fused for Bilinear {
    const NAME: &'static str = "upsample_bilinear";

    fn forward(&self, inputs: &[&[f32]], out: &mut [f32]) {
        let columns = self.columns();
        let ((h, w), (height, width)) = (self.from, self.to);
        out.par_chunks_mut(width.max(1)).enumerate().for_each(|(i, out)| {
            let plane = &inputs[0][i / height * h * w..][..h * w];
            let (upper, lower, down) = source(i % height, h, height);
            let (upper, lower) = (&plane[upper * w..][..w], &plane[lower * w..][..w]);
            for (out, &(left, right, across)) in out.iter_mut().zip(&columns) {
                let at = |row: &[f32]| (1.0 - across) * row[left] + across * row[right];
                *out = (1.0 - down) * at(upper) + down * at(lower);
            }
        });
    }

    fn backward(
        &self,
        _: &[&[f32]],
        _: &[f32],
        grad: &[f32],
        gradients: &mut [Option<&mut [f32]>],
    ) {
        let Some(dx) = &mut gradients[0] else { return };
        let columns = self.columns();
        let ((h, w), (height, width)) = (self.from, self.to);
        dx.par_chunks_mut(h * w).enumerate().for_each(|(plane, dx)| {
            dx.fill(0.0);
            for y in 0..height {
                let (upper, lower, down) = source(y, h, height);
                let row = &grad[(plane * height + y) * width..][..width];
                for (&grad, &(left, right, across)) in row.iter().zip(&columns) {
                    for (line, share) in [(upper, (1.0 - down) * grad), (lower, down * grad)] {
                        dx[line * w + left] += (1.0 - across) * share;
                        dx[line * w + right] += across * share;
                    }
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    #[test]
    fn enlarging_keeps_constants_and_ramps() {
        let flat = candle_core::Tensor::full(3f32, (2, 1, 5, 7), &Device::Cpu).unwrap();
        let large = crate::upsample_bilinear(&flat, 20, 28).unwrap();
        let large = large.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert!(large.iter().all(|v| (v - 3.0).abs() < 1e-6));
        let ramp: Vec<f32> = (0..32u8).map(|i| f32::from(i % 8)).collect();
        let ramp = candle_core::Tensor::from_vec(ramp, (1, 1, 4, 8), &Device::Cpu).unwrap();
        let large = crate::upsample_bilinear(&ramp, 8, 16).unwrap();
        let row = large.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert!((row[4] - 1.75).abs() < 1e-6 && (row[5] - 2.25).abs() < 1e-6, "{row:?}");
    }
}
