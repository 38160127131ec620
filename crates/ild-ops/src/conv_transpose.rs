//! Transposed convolution 2×2 with stride 2: blocks do not overlap, so it is one product and a
//! copy.
//!
//! With the weight seen as a matrix `W` `[c, 4·out]` (columns by place in the block, then output)
//! each token gives `x·W + bias`, four outputs that are put side by side.

use std::sync::Arc;

use candle_core::{Result, Tensor, bail};
use rayon::prelude::*;

use super::buffer::Buffer;
use super::frozen::{Frozen, Norm};
use super::gelu;
use super::gemm::{Bias, Packed, PackedWeight, Plain, weight_gradient};
use super::layer_norm::normalise;
use super::linear::{multiply_block, multiply_rows};
use super::memory::unspecified;
use super::node::{Fused, apply, on_cpu, tracked};
use super::precision::Precision;

pub(crate) fn conv_transpose_2x2(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let (b, height, width, channels) = x.dims4()?;
    let outputs = bias.dims1()?;
    if weight.dims() != [channels, outputs, 2, 2] {
        bail!(
            "conv_transpose_2x2: expected a weight of [{channels}, {outputs}, 2, 2], found {:?}",
            weight.dims()
        );
    }
    apply(
        ConvTranspose { width, channels, outputs },
        (b, 2 * height, 2 * width, outputs),
        &[x, weight, bias],
    )
}

/// `gelu(norm(conv_transpose_2x2(x) + residual))` for inference; `None` where a gradient is asked
/// for.
pub(crate) fn upscale(
    x: &Tensor,
    conv: &Frozen,
    residual: &Tensor,
    norm: Option<&Norm>,
) -> Result<Option<Tensor>> {
    let (b, height, width, channels) = x.dims4()?;
    let mut inputs = vec![x, residual, conv.weight, conv.bias];
    inputs.extend(norm.iter().flat_map(|norm| [norm.weight, norm.bias]));
    if !on_cpu(&inputs) || tracked(&inputs) {
        return Ok(None);
    }
    let outputs = conv.bias.dims1()?;
    let shape = [b, 2 * height, 2 * width, outputs];
    if conv.weight.dims() != [channels, outputs, 2, 2]
        || residual.dims() != shape
        || norm.is_some_and(|norm| !norm.is_of(outputs))
    {
        bail!(
            "upscale: expected a residual of {shape:?} for {:?}, found {:?}, {conv:?} and {norm:?}",
            x.dims(),
            residual.dims()
        );
    }
    let conv_transpose = ConvTranspose { width, channels, outputs };
    let op = Upscale {
        conv_transpose,
        eps: norm.map(|norm| norm.eps as f32),
        packed: conv.packed.clone(),
    };
    Ok(Some(apply(op, shape.to_vec(), &inputs)?))
}

struct Upscale {
    conv_transpose: ConvTranspose,
    /// Of the normalisation, where there is one.
    eps: Option<f32>,
    packed: Arc<PackedWeight>,
}

impl Fused for Upscale {
    const NAME: &'static str = "upscale";

    fn forward(&self, inputs: &[&[f32]], out: &mut [f32]) {
        let &[x, residual, weight, bias, ref norm @ ..] = inputs else {
            unreachable!("upscale has at least four inputs")
        };
        let conv = &self.conv_transpose;
        let packed = self.packed.get_or(Precision::F32, || conv.packed(weight));
        let bias = bias.repeat(4);
        let line = 2 * conv.outputs;
        let size = (2 * line * conv.width).max(1);
        let rows = out
            .par_chunks_mut(size)
            .zip(residual.par_chunks(size))
            .zip(x.par_chunks((conv.width * conv.channels).max(1)));
        rows.for_each_init(
            Default::default,
            |(blocks, sums): &mut (Buffer, Buffer), ((map, residual), x)| {
                let blocks = blocks.room(map.len());
                multiply_block(x, &packed, blocks, &mut Bias(&bias));
                let sums = sums.room(map.len());
                for (block, place) in conv.pairs() {
                    let parts =
                        blocks[block..block + line].iter().zip(&residual[place..place + line]);
                    sums[place..place + line]
                        .iter_mut()
                        .zip(parts)
                        .for_each(|(sum, (a, b))| *sum = a + b);
                }
                match (self.eps, norm) {
                    (Some(eps), &[weight, bias]) => {
                        normalise(sums, [weight, bias], eps, blocks);
                        gelu::map_here(blocks, map);
                    }
                    _ => gelu::map_here(sums, map),
                }
            },
        );
    }

    fn backward(&self, _: &[&[f32]], _: &[f32], _: &[f32], _: &mut [Option<&mut [f32]>]) {
        unreachable!("upscale is for tensors without gradients");
    }
}

struct ConvTranspose {
    width: usize,
    channels: usize,
    outputs: usize,
}

impl ConvTranspose {
    /// `[c, out, 2, 2]` as `[c, 2·2, out]`.
    fn matrix(&self, weight: &[f32]) -> Vec<f32> {
        let mut matrix = unspecified(weight.len());
        for (to, from) in
            matrix.chunks_exact_mut(4 * self.outputs).zip(weight.chunks_exact(4 * self.outputs))
        {
            for (i, &value) in from.iter().enumerate() {
                to[i % 4 * self.outputs + i / 4] = value;
            }
        }
        matrix
    }

    fn packed(&self, weight: &[f32]) -> Packed {
        Packed::rows(self.channels, 4 * self.outputs, &self.matrix(weight))
    }

    /// Calls `each(numbers of a block's row, the same numbers in the map)` for the blocks of a row
    /// of tokens: `blocks` is `[width, 2, 2, out]`, `map` is `[2, 2·width, out]`.
    fn pairs(&self) -> impl Iterator<Item = (usize, usize)> {
        let (width, line) = (self.width, 2 * self.outputs);
        (0..2).flat_map(move |row| {
            (0..width).map(move |column| ((column * 2 + row) * line, (row * width + column) * line))
        })
    }

    /// The map's gradient gathered by token: `[b·h·w, 4·out]`.
    fn gather(&self, grad: &[f32]) -> Vec<f32> {
        let mut blocks = unspecified(grad.len());
        let line = 2 * self.outputs;
        let size = (2 * line * self.width).max(1);
        blocks.par_chunks_mut(size).zip(grad.par_chunks(size)).for_each(|(blocks, map)| {
            for (block, place) in self.pairs() {
                blocks[block..block + line].copy_from_slice(&map[place..place + line]);
            }
        });
        blocks
    }
}

impl Fused for ConvTranspose {
    const NAME: &'static str = "conv_transpose_2x2";

    fn forward(&self, inputs: &[&[f32]], out: &mut [f32]) {
        let &[x, weight, bias] = inputs else {
            unreachable!("conv_transpose_2x2 has three inputs")
        };
        let packed = self.packed(weight);
        let bias = bias.repeat(4);
        let line = 2 * self.outputs;
        let rows = out
            .par_chunks_mut((2 * line * self.width).max(1))
            .zip(x.par_chunks((self.width * self.channels).max(1)));
        rows.for_each(|(map, x)| {
            let mut blocks = Buffer::unspecified(map.len());
            multiply_block(x, &packed, &mut blocks, &mut Bias(&bias));
            for (block, place) in self.pairs() {
                map[place..place + line].copy_from_slice(&blocks[block..block + line]);
            }
        });
    }

    fn backward(
        &self,
        inputs: &[&[f32]],
        _: &[f32],
        grad: &[f32],
        gradients: &mut [Option<&mut [f32]>],
    ) {
        let &[x, weight, _] = inputs else { unreachable!("conv_transpose_2x2 has three inputs") };
        let [dx, dweight, dbias] = gradients else {
            unreachable!("conv_transpose_2x2 has three inputs")
        };
        let blocks = self.gather(grad);
        let four = 4 * self.outputs;
        if let Some(dx) = dx {
            let packed = Packed::columns(four, self.channels, &self.matrix(weight));
            multiply_rows(&blocks, &packed, dx, |_| Plain);
        }
        if let Some(dweight) = dweight {
            let mut matrix = unspecified(dweight.len());
            weight_gradient(&blocks, x, four, self.channels, Some(&mut matrix), None);
            for (to, from) in dweight.chunks_exact_mut(four).zip(matrix.chunks_exact(four)) {
                for (i, to) in to.iter_mut().enumerate() {
                    *to = from[i % 4 * self.outputs + i / 4];
                }
            }
        }
        if let Some(dbias) = dbias {
            weight_gradient(&[], grad, 0, self.outputs, None, Some(dbias));
        }
    }
}
