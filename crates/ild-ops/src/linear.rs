//! Linear layers, alone or fused with what follows them.
//!
//! `y = x·Wᵀ + b`: `dx = grad·W`, `dW = gradᵀ·x`, `db = Σ grad`. With GELU behind it `grad` is
//! first multiplied by `gelu′(x·Wᵀ + b)`, whose argument the forward pass keeps. A residual's
//! gradient is `grad` itself.

use std::cell::Cell;
use std::sync::Mutex;

use candle_core::{Result, Tensor, bail};
use half::{bf16, f16};
use rayon::prelude::*;

use super::buffer::Buffer;
use super::gelu::times_slope;
use super::gemm::{
    Bias, BiasGelu, BiasGeluKeep, BiasResidual, FEW, FewRows, Finish, Operand, Packed, Plain, ROWS,
    weight_gradient,
};
use super::isa::dispatch;
use super::memory::unspecified;
use super::node::{Fused, apply, tracked};
use super::precision::Precision;

/// Checks the shapes and returns `(inputs, outputs, shape of the result)`.
pub(crate) fn dims(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
) -> Result<(usize, usize, Vec<usize>)> {
    let (outputs, inputs) = weight.dims2()?;
    let mut shape = x.dims().to_vec();
    match shape.last_mut() {
        Some(last) if *last == inputs && bias.is_none_or(|bias| bias.dims() == [outputs]) => {
            *last = outputs
        }
        _ => bail!(
            "linear: expected {inputs} channels and bias [{outputs}] for weight {:?}, found {:?} and {:?}",
            weight.dims(),
            x.dims(),
            bias.map(Tensor::dims)
        ),
    }
    Ok((inputs, outputs, shape))
}

pub(crate) fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let (inputs, outputs, shape) = dims(x, weight, bias)?;
    let op = Linear { inputs, outputs };
    match bias {
        Some(bias) => apply(op, shape, &[x, weight, bias]),
        None => apply(op, shape, &[x, weight]),
    }
}

pub(crate) fn linear_gelu(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let (inputs, outputs, shape) = dims(x, weight, Some(bias))?;
    let before = tracked(&[x, weight, bias]).then(Mutex::default);
    apply(LinearGelu { inputs, outputs, before }, shape, &[x, weight, bias])
}

pub(crate) fn linear_residual(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    residual: &Tensor,
) -> Result<Tensor> {
    let (inputs, outputs, shape) = dims(x, weight, Some(bias))?;
    if residual.dims() != shape {
        bail!("linear_residual: expected a residual of {shape:?}, found {:?}", residual.dims());
    }
    apply(LinearResidual { inputs, outputs }, shape, &[x, residual, weight, bias])
}

/// `out = finish(x · Wᵀ)` with `W` `[outputs, inputs]`; as [`multiply_rows`].
fn multiply_weight<F: Finish>(
    x: &[f32],
    weight: &[f32],
    (inputs, outputs): (usize, usize),
    out: &mut [f32],
    finish: impl Fn(usize) -> F + Sync,
) {
    if out.len() <= FEW * outputs {
        dispatch(FewRows { x, weight, inputs, outputs, out, finish: &mut finish(0) });
    } else {
        multiply_rows(x, &Packed::columns(inputs, outputs, weight), out, finish);
    }
}

/// `out = finish(x · B)`, row blocks in parallel; `finish` is made anew for each block of [`ROWS`]
/// rows.
pub(crate) fn multiply_rows<F: Finish>(
    x: &[f32],
    packed: &Packed,
    out: &mut [f32],
    finish: impl Fn(usize) -> F + Sync,
) {
    let blocks = out.par_chunks_mut(ROWS * packed.n).zip(x.par_chunks(ROWS * packed.k)).enumerate();
    blocks.for_each(|(i, (out, x))| multiply_block(x, packed, out, &mut finish(i)));
}

/// `out = finish(x · B)` on this thread.
pub(crate) fn multiply_block<F: Finish>(
    x: &[f32],
    packed: &Packed,
    out: &mut [f32],
    finish: &mut F,
) {
    product(x, packed, out, false, finish);
}

/// `out = finish(out + x · B)` on this thread.
pub(crate) fn add_block<F: Finish>(x: &[f32], packed: &Packed, out: &mut [f32], finish: &mut F) {
    product(x, packed, out, true, finish);
}

fn product<F: Finish>(x: &[f32], packed: &Packed, out: &mut [f32], add: bool, finish: &mut F) {
    thread_local! {
        /// Rounded rows, kept from product to product.
        static ROUNDED: Cell<Buffer> = Cell::default();
    }
    let mut room = ROUNDED.take();
    match packed.precision() {
        Precision::F32 => packed.multiply(x, out, add, finish),
        Precision::F16 => {
            packed.multiply(f16::rows(x, packed.k, &mut room), out, add, finish);
        }
        Precision::Bf16 => {
            packed.multiply(bf16::rows(x, packed.k, &mut room), out, add, finish);
        }
    }
    ROUNDED.set(room);
}

/// `dx = grad · W`.
pub(crate) fn input_gradient(
    grad: &[f32],
    weight: &[f32],
    inputs: usize,
    outputs: usize,
    dx: &mut [f32],
) {
    let packed = Packed::rows(outputs, inputs, weight);
    multiply_rows(grad, &packed, dx, |_| Plain);
}

/// The three gradients of `x·Wᵀ + b`.
pub(crate) fn gradients(
    (x, weight): (&[f32], &[f32]),
    (inputs, outputs): (usize, usize),
    grad: &[f32],
    dx: Option<&mut [f32]>,
    dweight: Option<&mut [f32]>,
    dbias: Option<&mut [f32]>,
) {
    if let Some(dx) = dx {
        input_gradient(grad, weight, inputs, outputs, dx);
    }
    weight_gradient(x, grad, inputs, outputs, dweight, dbias);
}

struct Linear {
    inputs: usize,
    outputs: usize,
}

impl Fused for Linear {
    const NAME: &'static str = "linear";

    fn forward(&self, inputs: &[&[f32]], out: &mut [f32]) {
        let sizes = (self.inputs, self.outputs);
        match inputs.get(2) {
            Some(bias) => multiply_weight(inputs[0], inputs[1], sizes, out, |_| Bias(bias)),
            None => multiply_weight(inputs[0], inputs[1], sizes, out, |_| Plain),
        }
    }

    fn backward(
        &self,
        inputs: &[&[f32]],
        _: &[f32],
        grad: &[f32],
        wanted: &mut [Option<&mut [f32]>],
    ) {
        let mut wanted = wanted.iter_mut().map(Option::take);
        let (dx, dweight, dbias) =
            (wanted.next().flatten(), wanted.next().flatten(), wanted.next().flatten());
        gradients((inputs[0], inputs[1]), (self.inputs, self.outputs), grad, dx, dweight, dbias);
    }
}

struct LinearGelu {
    inputs: usize,
    outputs: usize,
    /// `x·Wᵀ + b`, kept where a gradient will be asked for.
    before: Option<Mutex<Vec<f32>>>,
}

impl Fused for LinearGelu {
    const NAME: &'static str = "linear_gelu";

    fn forward(&self, inputs: &[&[f32]], out: &mut [f32]) {
        let &[x, weight, bias] = inputs else { unreachable!("linear_gelu has three inputs") };
        let packed = Packed::columns(self.inputs, self.outputs, weight);
        match &self.before {
            None => multiply_rows(x, &packed, out, |_| BiasGelu(bias)),
            Some(before) => {
                let mut kept = unspecified(out.len());
                let block = ROWS * self.outputs;
                let blocks = out
                    .par_chunks_mut(block)
                    .zip(kept.par_chunks_mut(block))
                    .zip(x.par_chunks(ROWS * self.inputs));
                blocks.for_each(|((out, before), x)| {
                    multiply_block(
                        x,
                        &packed,
                        out,
                        &mut BiasGeluKeep { bias, before, columns: self.outputs },
                    );
                });
                *before.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = kept;
            }
        }
    }

    fn backward(
        &self,
        inputs: &[&[f32]],
        _: &[f32],
        grad: &[f32],
        wanted: &mut [Option<&mut [f32]>],
    ) {
        let [dx, dweight, dbias] = wanted else { unreachable!("linear_gelu has three inputs") };
        let Some(before) = &self.before else {
            unreachable!("no gradient without a tracked input")
        };
        let before = before.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut inner = unspecified(grad.len());
        times_slope(&before, grad, &mut inner);
        gradients(
            (inputs[0], inputs[1]),
            (self.inputs, self.outputs),
            &inner,
            dx.take(),
            dweight.take(),
            dbias.take(),
        );
    }
}

struct LinearResidual {
    inputs: usize,
    outputs: usize,
}

impl Fused for LinearResidual {
    const NAME: &'static str = "linear_residual";

    fn forward(&self, inputs: &[&[f32]], out: &mut [f32]) {
        let &[x, residual, weight, bias] = inputs else {
            unreachable!("linear_residual has four inputs")
        };
        let block = ROWS * self.outputs;
        multiply_weight(x, weight, (self.inputs, self.outputs), out, |i| BiasResidual {
            bias,
            residual: &residual[i * block..],
            columns: self.outputs,
        });
    }

    fn backward(
        &self,
        inputs: &[&[f32]],
        _: &[f32],
        grad: &[f32],
        wanted: &mut [Option<&mut [f32]>],
    ) {
        let [dx, dresidual, dweight, dbias] = wanted else {
            unreachable!("linear_residual has four inputs")
        };
        if let Some(dresidual) = dresidual {
            dresidual.copy_from_slice(grad);
        }
        gradients(
            (inputs[0], inputs[2]),
            (self.inputs, self.outputs),
            grad,
            dx.take(),
            dweight.take(),
            dbias.take(),
        );
    }
}
