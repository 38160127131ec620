//! `x + shift` with the same shift for every image; the shift's gradient is the sum over the images.

use candle_core::{Result, Tensor, bail};
use rayon::prelude::*;

use super::node::{Fused, apply};

/// Numbers handled as one task.
const BLOCK: usize = 1 << 14;

pub(crate) fn add_position(x: &Tensor, shift: &Tensor) -> Result<Tensor> {
    let (images, image) = (x.dims().first(), x.dims().get(1..));
    if images.is_none() || shift.dims().first() != Some(&1) || shift.dims().get(1..) != image {
        bail!("add_position: expected a shift of [1, ..] for {:?}, found {:?}", x.dims(), shift.dims());
    }
    apply(AddPosition, x.shape(), &[x, shift])
}

struct AddPosition;

impl Fused for AddPosition {
    const NAME: &'static str = "add_position";

    fn forward(&self, inputs: &[&[f32]], out: &mut [f32]) {
        let &[x, shift] = inputs else { unreachable!("add_position has two inputs") };
        for (out, x) in out.chunks_exact_mut(shift.len().max(1)).zip(x.chunks_exact(shift.len().max(1))) {
            let blocks = out.par_chunks_mut(BLOCK).zip(x.par_chunks(BLOCK)).zip(shift.par_chunks(BLOCK));
            blocks.for_each(|((out, x), shift)| {
                for ((out, x), shift) in out.iter_mut().zip(x).zip(shift) {
                    *out = x + shift;
                }
            });
        }
    }

    fn backward(&self, _: &[&[f32]], _: &[f32], grad: &[f32], gradients: &mut [Option<&mut [f32]>]) {
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
