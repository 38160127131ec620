//! Convolution of an image into a channels-last map: patches as rows, times the weight.
//!
//! `y[token] = patch[token]·Wᵀ + bias` with a patch of `3·kernel²` numbers, zeros beyond the image.

use candle_core::{Result, Tensor, bail};
use rayon::prelude::*;

use super::gemm::{Bias, Packed, weight_gradient};
use super::linear::{input_gradient, multiply_block};
use super::memory::unspecified;
use super::node::{Fused, apply};

pub(crate) fn patch_embed(
    image: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    stride: usize,
    padding: usize,
) -> Result<Tensor> {
    let (b, planes, height, width) = image.dims4()?;
    let (outputs, inputs, kernel, across) = weight.dims4()?;
    if inputs != planes || kernel != across || bias.dims() != [outputs] {
        bail!(
            "patch_embed: expected a square kernel for {planes} planes and its bias, found {:?} and {:?}",
            weight.dims(),
            bias.dims()
        );
    }
    if stride == 0 || height + 2 * padding < kernel || width + 2 * padding < kernel {
        bail!(
            "patch_embed: expected an image of at least {kernel}×{kernel} with its padding, found {height}×{width}"
        );
    }
    let count = |size: usize| (size + 2 * padding - kernel) / stride + 1;
    let (rows, columns) = (count(height), count(width));
    let op = PatchEmbed { planes, height, width, outputs, kernel, stride, padding, rows, columns };
    apply(op, (b, rows, columns, outputs), &[image, weight, bias])
}

struct PatchEmbed {
    planes: usize,
    height: usize,
    width: usize,
    outputs: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
    rows: usize,
    columns: usize,
}

impl PatchEmbed {
    /// Numbers in a patch.
    fn patch(&self) -> usize {
        self.planes * self.kernel * self.kernel
    }

    /// Numbers in an image.
    fn image(&self) -> usize {
        self.planes * self.height * self.width
    }

    /// For the patches of one row of tokens: where each run of a patch lies in the patches, where
    /// in the image, and its length.
    fn runs(&self, row: usize) -> impl Iterator<Item = (usize, usize, usize)> {
        let k = self.kernel;
        let lines = (0..self.planes * k).filter_map(move |line| {
            let y = (row * self.stride + line % k)
                .checked_sub(self.padding)
                .filter(|&y| y < self.height)?;
            Some((line, (line / k * self.height + y) * self.width))
        });
        lines.flat_map(move |(line, start)| {
            (0..self.columns).map(move |column| {
                let left = column * self.stride;
                let (from, to) =
                    (left.max(self.padding), (left + k).min(self.width + self.padding));
                let skip = from - left;
                (
                    column * self.patch() + line * k + skip,
                    start + from - self.padding,
                    to.saturating_sub(from),
                )
            })
        })
    }

    /// Writes the patches of row `row` (counted through the batch): `[columns, patch]`.
    fn gather(&self, images: &[f32], row: usize, patches: &mut [f32]) {
        let image = &images[row / self.rows * self.image()..][..self.image()];
        patches.fill(0.0);
        for (to, from, len) in self.runs(row % self.rows) {
            match len {
                7 => patches[to..to + 7].copy_from_slice(&image[from..from + 7]), // SAM 2's kernel: no call for a constant length
                _ => patches[to..to + len].copy_from_slice(&image[from..from + len]),
            }
        }
    }
}

impl Fused for PatchEmbed {
    const NAME: &'static str = "patch_embed";

    fn forward(&self, inputs: &[&[f32]], out: &mut [f32]) {
        let &[images, weight, bias] = inputs else { unreachable!("patch_embed has three inputs") };
        let packed = Packed::columns(self.patch(), self.outputs, weight);
        out.par_chunks_mut(self.columns * self.outputs).enumerate().for_each(|(row, out)| {
            let mut patches = unspecified(self.columns * self.patch());
            self.gather(images, row, &mut patches);
            multiply_block(&patches, &packed, out, &mut Bias(bias));
        });
    }

    fn backward(
        &self,
        inputs: &[&[f32]],
        _: &[f32],
        grad: &[f32],
        gradients: &mut [Option<&mut [f32]>],
    ) {
        let &[images, weight, _] = inputs else { unreachable!("patch_embed has three inputs") };
        let [dimage, dweight, dbias] = gradients else {
            unreachable!("patch_embed has three inputs")
        };
        let mut patches = unspecified(grad.len() / self.outputs * self.patch());
        let line = self.columns * self.patch();
        if dweight.is_some() || dbias.is_some() {
            patches
                .par_chunks_mut(line)
                .enumerate()
                .for_each(|(row, patches)| self.gather(images, row, patches));
            weight_gradient(
                &patches,
                grad,
                self.patch(),
                self.outputs,
                dweight.take(),
                dbias.take(),
            );
        }
        if let Some(dimage) = dimage {
            input_gradient(grad, weight, self.patch(), self.outputs, &mut patches);
            dimage.par_chunks_mut(self.image()).zip(patches.par_chunks(self.rows * line)).for_each(
                |(dimage, patches)| {
                    dimage.fill(0.0);
                    for (row, patches) in patches.chunks_exact(line).enumerate() {
                        for (from, to, len) in self.runs(row) {
                            dimage[to..to + len]
                                .iter_mut()
                                .zip(&patches[from..from + len])
                                .for_each(|(a, b)| *a += b);
                        }
                    }
                },
            );
        }
    }
}
