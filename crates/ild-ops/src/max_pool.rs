//! Max-pooling 2×2 of a channels-last map; the gradient goes to the first largest of the four.

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use super::isa::{Isa, Kernel, dispatch};
use super::node::{Fused, apply};

pub(crate) fn max_pool_2x2(x: &Tensor) -> Result<Tensor> {
    let (b, height, width, channels) = x.dims4()?;
    apply(MaxPool { height, width, channels }, (b, height / 2, width / 2, channels), &[x])
}

struct MaxPool {
    height: usize,
    width: usize,
    channels: usize,
}

impl MaxPool {
    /// Numbers in a row of the input and of the output.
    fn rows(&self) -> (usize, usize) {
        (self.width * self.channels, self.width / 2 * self.channels)
    }

    /// Where the upper of the two input rows of output row `row` (counted through the batch)
    /// starts.
    fn start(&self, row: usize) -> usize {
        let half = self.height / 2;
        (row / half * self.height + row % half * 2) * self.rows().0
    }
}

/// The largest of each 2×2 block of two rows of tokens.
pub(crate) fn pool_rows(upper: &[f32], lower: &[f32], channels: usize, out: &mut [f32]) {
    dispatch(Rows { upper, lower, channels, out });
}

struct Rows<'a> {
    upper: &'a [f32],
    lower: &'a [f32],
    channels: usize,
    out: &'a mut [f32],
}

impl Kernel for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa, const M: usize, const N: usize>(self) {
        let Self { upper, lower, channels, out } = self;
        let blocks = upper.chunks_exact(2 * channels).zip(lower.chunks_exact(2 * channels));
        for (out, (upper, lower)) in out.chunks_exact_mut(channels).zip(blocks) {
            out.copy_from_slice(&upper[..channels]);
            for candidate in [&upper[channels..], &lower[..channels], &lower[channels..]] {
                for (out, &x) in out.iter_mut().zip(candidate) {
                    *out = if x > *out || x.is_nan() { x } else { *out };
                }
            }
        }
    }
}

impl Fused for MaxPool {
    const NAME: &'static str = "max_pool_2x2";

    fn forward(&self, inputs: &[&[f32]], out: &mut [f32]) {
        let (row, out_row) = self.rows();
        out.par_chunks_mut(out_row.max(1)).enumerate().for_each(|(i, out)| {
            let (upper, lower) = inputs[0][self.start(i)..][..2 * row].split_at(row);
            pool_rows(upper, lower, self.channels, out);
        });
    }

    fn backward(
        &self,
        inputs: &[&[f32]],
        out: &[f32],
        grad: &[f32],
        gradients: &mut [Option<&mut [f32]>],
    ) {
        let Some(dx) = &mut gradients[0] else { return };
        let (row, out_row) = self.rows();
        let c = self.channels;
        // Rows in pairs from the top of each image; what is left of an odd height gets nothing.
        dx.par_chunks_mut((self.height * row).max(1)).enumerate().for_each(|(image, dx)| {
            dx.fill(0.0);
            for (pair, dx) in dx.chunks_exact_mut((2 * row).max(1)).enumerate() {
                let i = image * (self.height / 2) + pair;
                let x = &inputs[0][self.start(i)..][..2 * row];
                for column in 0..self.width / 2 {
                    let at = i * out_row + column * c;
                    for channel in 0..c {
                        let (largest, grad) = (out[at + channel], grad[at + channel]);
                        let places =
                            [0, c, row, row + c].map(|offset| offset + 2 * column * c + channel);
                        let first = places
                            .into_iter()
                            .find(|&place| x[place] == largest || x[place].is_nan());
                        dx[first.unwrap_or(places[0])] = grad;
                    }
                }
            }
        });
    }
}
