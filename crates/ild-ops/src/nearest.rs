//! Every token repeated as a 2×2 block; the gradient is the sum over the block.

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use super::node::{Fused, apply};

pub(crate) fn upsample_nearest_2x(x: &Tensor) -> Result<Tensor> {
    let (b, height, width, channels) = x.dims4()?;
    apply(Nearest { row: width * channels, channels }, (b, 2 * height, 2 * width, channels), &[x])
}

struct Nearest {
    /// Numbers in a row of the input.
    row: usize,
    channels: usize,
}

impl Fused for Nearest {
    const NAME: &'static str = "upsample_nearest_2x";

    fn forward(&self, inputs: &[&[f32]], out: &mut [f32]) {
        let rows =
            out.par_chunks_mut((4 * self.row).max(1)).zip(inputs[0].par_chunks(self.row.max(1)));
        rows.for_each(|(out, x)| {
            let (upper, lower) = out.split_at_mut(2 * self.row);
            for (pair, token) in
                upper.chunks_exact_mut(2 * self.channels).zip(x.chunks_exact(self.channels))
            {
                pair[..self.channels].copy_from_slice(token);
                pair[self.channels..].copy_from_slice(token);
            }
            lower.copy_from_slice(upper);
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
        dx.par_chunks_mut(self.row.max(1)).zip(grad.par_chunks((4 * self.row).max(1))).for_each(
            |(dx, grad)| {
                let (upper, lower) = grad.split_at(2 * self.row);
                let blocks = upper
                    .chunks_exact(2 * self.channels)
                    .zip(lower.chunks_exact(2 * self.channels));
                for (dx, (upper, lower)) in dx.chunks_exact_mut(self.channels).zip(blocks) {
                    for (channel, dx) in dx.iter_mut().enumerate() {
                        let right = channel + self.channels;
                        *dx = (upper[channel] + upper[right]) + (lower[channel] + lower[right]);
                    }
                }
            },
        );
    }
}
