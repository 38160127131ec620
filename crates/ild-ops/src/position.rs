//! `x + shift` with the same shift for every image or token; the shift's gradient is the sum over
//! them.

use candle_core::{Result, Tensor, bail};
use rayon::prelude::*;

use super::node::{Fused, apply};

/// Numbers handled as one task.
const BLOCK: usize = 1 << 14;

pub(crate) fn add_position(x: &Tensor, shift: &Tensor) -> Result<Tensor> {
    let shape = shift.dims();
    let shape = if shape.first() == Some(&1) { &shape[1..] } else { shape };
    if shape.len() >= x.rank() || !x.dims().ends_with(shape) {
        bail!(
            "add_position: expected a shift of the last axes of {:?}, found {:?}",
            x.dims(),
            shift.dims()
        );
    }
    apply(AddPosition, x.shape(), &[x, shift])
}

struct AddPosition;

impl Fused for AddPosition {
    const NAME: &'static str = "add_position";

    fn forward(&self, inputs: &[&[f32]], out: &mut [f32]) {
        let &[x, shift] = inputs else { unreachable!("add_position has two inputs") };
        let block = BLOCK / shift.len().max(1) * shift.len();
        let add = |((out, x), shift): ((&mut [f32], &[f32]), &[f32])| {
            for ((out, x), shift) in out.iter_mut().zip(x).zip(shift) {
                *out = x + shift;
            }
        };
        if block > 0 {
            // Several shifts to a block.
            out.par_chunks_mut(block).zip(x.par_chunks(block)).for_each(|(out, x)| {
                out.chunks_mut(shift.len())
                    .zip(x.chunks(shift.len()))
                    .zip(std::iter::repeat(shift))
                    .for_each(add);
            });
            return;
        }
        for (out, x) in
            out.chunks_exact_mut(shift.len().max(1)).zip(x.chunks_exact(shift.len().max(1)))
        {
            out.par_chunks_mut(BLOCK)
                .zip(x.par_chunks(BLOCK))
                .zip(shift.par_chunks(BLOCK))
                .for_each(add);
        }
    }

    fn backward(
        &self,
        _: &[&[f32]],
        _: &[f32],
        grad: &[f32],
        gradients: &mut [Option<&mut [f32]>],
    ) {
        let [dx, dshift] = gradients else { unreachable!("add_position has two inputs") };
        if let Some(dx) = dx {
            dx.copy_from_slice(grad);
        }
        if let Some(dshift) = dshift {
            let len = dshift.len();
            dshift.par_chunks_mut(BLOCK).enumerate().for_each(|(i, dshift)| {
                dshift.fill(0.0);
                for image in grad.chunks_exact(len) {
                    for (dshift, grad) in dshift.iter_mut().zip(&image[i * BLOCK..]) {
                        *dshift += grad;
                    }
                }
            });
        }
    }
}
