//! The two linear layers of a transformer block with the GELU between them and the residual around
//! them.
//!
//! A block of rows goes through both layers while its hidden numbers are in the cache; only where a
//! gradient will be asked for are they kept, before the GELU. With `h = x·W₁ᵀ + b₁`: `dg =
//! grad·W₂`, `dh = dg∘gelu′(h)`, `dW₂ = gradᵀ·gelu(h)`, `dW₁ = dhᵀ·x`, `dx = dh·W₁`.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{Result, Tensor, bail};
use half::{bf16, f16};
use rayon::prelude::*;

use super::buffer::Buffer;
use super::frozen::{Frozen, Norm};
use super::gemm::{
    Bias, BiasGelu, BiasGeluKeep, BiasGeluRough, BiasResidual, Finish, GeluSlope, Operand, Packed,
    PackedWeight, ROWS, weight_gradient,
};
use super::layer_norm::normalise;
use super::linear::{dims, input_gradient, multiply_block, multiply_rows};
use super::memory::unspecified;
use super::node::{Fused, apply, on_cpu, tracked};
use super::precision::Precision;

/// Most hidden numbers of a block of rows: 1 MiB.
const HIDDEN: usize = 1 << 18;

pub(crate) fn mlp_residual(
    x: &Tensor,
    (w1, b1): (&Tensor, &Tensor),
    (w2, b2): (&Tensor, &Tensor),
    residual: &Tensor,
) -> Result<Tensor> {
    let (inputs, hidden, _) = dims(x, w1, Some(b1))?;
    let (outputs, middle) = w2.dims2()?;
    let shape = residual.shape();
    if middle != hidden
        || b2.dims() != [outputs]
        || residual.elem_count() * inputs != x.elem_count() * outputs
    {
        bail!(
            "mlp_residual: expected [{outputs}, {hidden}] and a residual like the result, found {:?} and {shape:?}",
            w2.dims()
        );
    }
    let inputs_all = [x, residual, w1, b1, w2, b2];
    let before = tracked(&inputs_all).then(Mutex::default);
    apply(Mlp { inputs, hidden, outputs, before }, shape, &inputs_all)
}

/// `x + mlp(norm(x))` for inference: a block of rows is normalised where it is used. `None` where a
/// gradient is asked for.
pub(crate) fn normed_mlp(
    x: &Tensor,
    norm: &Norm,
    [first, second]: [&Frozen; 2],
    precision: Precision,
) -> Result<Option<Tensor>> {
    let inputs = [x, norm.weight, norm.bias, first.weight, first.bias, second.weight, second.bias];
    if !on_cpu(&inputs) || tracked(&inputs) {
        return Ok(None);
    }
    let (channels, hidden, _) = dims(x, first.weight, Some(first.bias))?;
    if !norm.is_of(channels) || !second.maps(hidden, channels) {
        bail!(
            "normed_mlp: the shapes of {norm:?}, {first:?} and {second:?} do not meet, for {:?}",
            x.dims()
        );
    }
    precision.require_on(x.device())?;
    let mlp = Mlp { inputs: channels, hidden, outputs: channels, before: None };
    let packed = [first, second].map(|linear| linear.packed.clone());
    Ok(Some(apply(NormedMlp { mlp, eps: norm.eps as f32, precision, packed }, x.shape(), &inputs)?))
}

struct NormedMlp {
    mlp: Mlp,
    eps: f32,
    precision: Precision,
    packed: [Arc<PackedWeight>; 2],
}

impl Fused for NormedMlp {
    const NAME: &'static str = "normed_mlp";

    fn forward(&self, inputs: &[&[f32]], out: &mut [f32]) {
        let &[x, norm_weight, norm_bias, w1, b1, w2, b2] = inputs else {
            unreachable!("normed_mlp has seven inputs")
        };
        let Mlp { inputs: channels, hidden, .. } = self.mlp;
        let [first, second] = &self.packed;
        let first = first.get(self.precision, channels, hidden, w1);
        let second = second.get(self.precision, hidden, channels, w2);
        let norm = [norm_weight, norm_bias];
        let (gelu, rough_gelu) = ((&*first, BiasGelu(b1)), (&*first, BiasGeluRough(b1)));
        match self.precision {
            Precision::F32 => self.through::<f32, _>(x, norm, gelu, (&second, b2), out),
            Precision::F16 => self.through::<f16, _>(x, norm, rough_gelu, (&second, b2), out),
            Precision::Bf16 => self.through::<bf16, _>(x, norm, rough_gelu, (&second, b2), out),
        }
    }

    fn backward(&self, _: &[&[f32]], _: &[f32], _: &[f32], _: &mut [Option<&mut [f32]>]) {
        unreachable!("normed_mlp is for tensors without gradients");
    }
}

impl NormedMlp {
    /// Normed and hidden numbers are in `T`.
    fn through<T: Operand, G: Finish + Copy + Sync>(
        &self,
        x: &[f32],
        norm: [&[f32]; 2],
        (first, gelu): (&Packed, G),
        (second, bias): (&Packed, &[f32]),
        out: &mut [f32],
    ) {
        let channels = first.k;
        let rows = self.mlp.rows();
        let blocks = out.par_chunks_mut(rows * channels).zip(x.par_chunks(rows * channels));
        blocks.for_each_init(
            Default::default,
            |(normed, hidden): &mut (Buffer, Buffer), (out, x)| {
                let rows = x.len() / channels;
                let normed = normed.room_of::<T>(rows * T::padded(channels));
                normalise(x, norm, self.eps, normed);
                let hidden = hidden.room_of::<T>(rows * T::padded(first.n));
                if T::padded(first.n) > first.n {
                    hidden.fill(T::default());
                }
                first.multiply(normed, hidden, false, &mut { gelu });
                second.multiply(
                    hidden,
                    out,
                    false,
                    &mut BiasResidual { bias, residual: x, columns: channels },
                );
            },
        );
    }
}

struct Mlp {
    inputs: usize,
    hidden: usize,
    outputs: usize,
    /// `h`; the backward pass uses it up (and computes it again should it run twice).
    before: Option<Mutex<Vec<f32>>>,
}

impl Mlp {
    /// Rows of a block: whole tiles.
    fn rows(&self) -> usize {
        (HIDDEN / self.hidden.max(1) / 12 * 12).clamp(12, ROWS)
    }

    fn forward_keeping(
        &self,
        x: &[f32],
        first: &Packed,
        second: &Packed,
        finish: [&[f32]; 3],
        out: &mut [f32],
    ) -> Vec<f32> {
        let [b1, b2, residual] = finish;
        let rows = self.rows();
        let mut kept = unspecified(out.len() / self.outputs * self.hidden);
        let blocks =
            out.par_chunks_mut(rows * self.outputs).zip(kept.par_chunks_mut(rows * self.hidden));
        blocks
            .zip(x.par_chunks(rows * self.inputs))
            .zip(residual.par_chunks(rows * self.outputs))
            .for_each(|(((out, before), x), residual)| {
                let mut hidden = Buffer::unspecified(before.len());
                multiply_block(
                    x,
                    first,
                    &mut hidden,
                    &mut BiasGeluKeep { bias: b1, before, columns: self.hidden },
                );
                multiply_block(
                    &hidden,
                    second,
                    out,
                    &mut BiasResidual { bias: b2, residual, columns: self.outputs },
                );
            });
        kept
    }
}

impl Fused for Mlp {
    const NAME: &'static str = "mlp_residual";

    fn forward(&self, inputs: &[&[f32]], out: &mut [f32]) {
        let &[x, residual, w1, b1, w2, b2] = inputs else {
            unreachable!("mlp_residual has six inputs")
        };
        let first = Packed::columns(self.inputs, self.hidden, w1);
        let second = Packed::columns(self.hidden, self.outputs, w2);
        if let Some(before) = &self.before {
            *before.lock().unwrap_or_else(PoisonError::into_inner) =
                self.forward_keeping(x, &first, &second, [b1, b2, residual], out);
            return;
        }
        let rows = self.rows();
        let blocks = out.par_chunks_mut(rows * self.outputs).zip(x.par_chunks(rows * self.inputs));
        blocks.zip(residual.par_chunks(rows * self.outputs)).for_each(|((out, x), residual)| {
            let mut hidden = Buffer::unspecified(out.len() / self.outputs * self.hidden);
            multiply_block(x, &first, &mut hidden, &mut BiasGelu(b1));
            multiply_block(
                &hidden,
                &second,
                out,
                &mut BiasResidual { bias: b2, residual, columns: self.outputs },
            );
        });
    }

    fn backward(
        &self,
        inputs: &[&[f32]],
        _: &[f32],
        grad: &[f32],
        wanted: &mut [Option<&mut [f32]>],
    ) {
        let &[x, _, w1, b1, w2, _] = inputs else { unreachable!("mlp_residual has six inputs") };
        let [dx, dresidual, dw1, db1, dw2, db2] = wanted else {
            unreachable!("mlp_residual has six inputs")
        };
        let Some(before) = &self.before else {
            unreachable!("no gradient without a tracked input")
        };
        let mut hidden =
            std::mem::take(&mut *before.lock().unwrap_or_else(PoisonError::into_inner));
        if hidden.is_empty() {
            hidden = unspecified(grad.len() / self.outputs * self.hidden);
            multiply_rows(x, &Packed::columns(self.inputs, self.hidden, w1), &mut hidden, |_| {
                Bias(b1)
            });
        }
        let mut inner = unspecified(hidden.len());
        let packed = Packed::rows(self.outputs, self.hidden, w2);
        let block = ROWS * self.hidden;
        let blocks = inner
            .par_chunks_mut(block)
            .zip(hidden.par_chunks_mut(block))
            .zip(grad.par_chunks(ROWS * self.outputs));
        blocks.for_each(|((inner, before), grad)| {
            multiply_block(grad, &packed, inner, &mut GeluSlope { before, columns: self.hidden });
        });
        weight_gradient(&hidden, grad, self.hidden, self.outputs, dw2.take(), db2.take());
        drop(hidden);
        if let Some(dx) = dx {
            input_gradient(&inner, w1, self.inputs, self.hidden, dx);
        }
        weight_gradient(x, &inner, self.inputs, self.hidden, dw1.take(), db1.take());
        if let Some(dresidual) = dresidual {
            dresidual.copy_from_slice(grad);
        }
    }
}
