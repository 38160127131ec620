//! Linear layers: a matrix product of cuBLAS, then `kernels/bias.cu` or `kernels/gelu.cu`.
//!
//! The formulas are those of `ops/linear.rs`. What cuBLAS multiplies is in the activations' type
//! and added up in f32; the weight's gradient comes back as f32.

use std::sync::{Mutex, PoisonError};

use candle_core::{DType, Result, Tensor, bail};

use super::column_sum::column_sum;
use super::gelu::{gelu_of, times_slope};
use super::launch::{Argument, Launch};
use super::memory::input;
use super::node::{Operation, apply};
use super::suffix;
use crate::linear::dims;
use crate::node::tracked;
use crate::reference;

pub(crate) fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let (_, _, shape) = dims(x, weight, bias)?;
    let Some(bias) = bias else {
        return reference::linear(&x.contiguous()?, &weight.to_dtype(x.dtype())?, None);
    };
    apply(Linear { keeps: Keeps::Nothing }, shape, &[x, &master(weight)?, &master(bias)?])
}

pub(crate) fn linear_gelu(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let (_, _, shape) = dims(x, weight, Some(bias))?;
    let before = tracked(&[x, weight, bias]).then(Mutex::default);
    apply(
        Linear { keeps: Keeps::BeforeGelu(before) },
        shape,
        &[x, &master(weight)?, &master(bias)?],
    )
}

pub(crate) fn linear_residual(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    residual: &Tensor,
) -> Result<Tensor> {
    let (_, _, shape) = dims(x, weight, Some(bias))?;
    if residual.dims() != shape || residual.dtype() != x.dtype() {
        bail!("linear_residual: expected a residual of {shape:?}, found {:?}", residual.dims());
    }
    apply(LinearResidual, shape, &[x, residual, &master(weight)?, &master(bias)?])
}

pub(crate) fn mlp_residual(
    x: &Tensor,
    (w1, b1): (&Tensor, &Tensor),
    (w2, b2): (&Tensor, &Tensor),
    residual: &Tensor,
) -> Result<Tensor> {
    linear_residual(&linear_gelu(x, w1, b1)?, w2, b2, residual)
}

/// The f32 tensor that training changes.
fn master(weight: &Tensor) -> Result<Tensor> {
    weight.to_dtype(DType::F32)
}

/// `x` as a matrix: `[rows, c]`.
fn rows(x: &Tensor) -> Result<Tensor> {
    x.reshape(((), x.dim(candle_core::D::Minus1)?))
}

/// `x·Wᵀ` as a matrix.
fn product(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    rows(x)?.matmul(&weight.to_dtype(x.dtype())?.t()?)
}

/// `out = x + bias`, and `+ residual`.
fn add_bias(x: &Tensor, bias: &Tensor, residual: Option<&Tensor>, out: Argument) -> Result<()> {
    let count = x.elem_count();
    let residual = residual.map_or(Ok(Argument::Address(0)), input)?;
    let arguments = [
        input(x)?,
        input(bias)?,
        residual,
        out,
        Argument::Long(count as i64),
        Argument::Int(bias.elem_count() as i32),
    ];
    Launch::over(count, "bias", format!("bias_{}", suffix(x.dtype())), &arguments).run(x.device())
}

/// The gradients of `x·Wᵀ + b` that are wanted.
fn gradients(
    x: &Tensor,
    weight: &Tensor,
    grad: &Tensor,
    wanted: [bool; 3],
) -> Result<[Option<Tensor>; 3]> {
    let grad = rows(grad)?;
    let only = |wanted: bool, make: &dyn Fn() -> Result<Tensor>| wanted.then(make).transpose();
    Ok([
        only(wanted[0], &|| grad.matmul(&weight.to_dtype(grad.dtype())?)?.reshape(x.shape()))?,
        only(wanted[1], &|| grad.t()?.matmul(&rows(x)?)?.to_dtype(DType::F32))?,
        only(wanted[2], &|| column_sum(&grad))?,
    ])
}

enum Keeps {
    /// `y = x·Wᵀ + b`.
    Nothing,
    /// `y = gelu(x·Wᵀ + b)`; the product is kept where a gradient will be asked for.
    BeforeGelu(Option<Mutex<Option<Tensor>>>),
}

struct Linear {
    keeps: Keeps,
}

impl Operation for Linear {
    const NAME: &'static str = "linear";

    fn forward(&self, inputs: &[Tensor], out: Argument) -> Result<()> {
        let [x, weight, bias] = inputs else { bail!("linear has three inputs") };
        let product = product(x, weight)?;
        match &self.keeps {
            Keeps::Nothing => add_bias(&product, bias, None, out),
            Keeps::BeforeGelu(before) => {
                gelu_of(&product, Some(bias), out)?;
                if let Some(before) = before {
                    *before.lock().unwrap_or_else(PoisonError::into_inner) = Some(product);
                }
                Ok(())
            }
        }
    }

    fn backward(
        &self,
        inputs: &[Tensor],
        _: &Tensor,
        grad: &Tensor,
        wanted: &[bool],
    ) -> Result<Vec<Option<Tensor>>> {
        let ([x, weight, bias], &[for_x, for_weight, for_bias]) = (inputs, wanted) else {
            bail!("linear has three inputs")
        };
        let wanted = [for_x, for_weight, for_bias];
        match &self.keeps {
            Keeps::Nothing => Ok(gradients(x, weight, grad, wanted)?.into()),
            Keeps::BeforeGelu(before) => {
                let before = before.as_ref().and_then(|before| {
                    before.lock().unwrap_or_else(PoisonError::into_inner).clone()
                });
                let Some(before) = before else {
                    bail!("linear: no gradient without a tracked input")
                };
                let inner = times_slope(&before, Some(bias), &rows(grad)?)?;
                Ok(gradients(x, weight, &inner, wanted)?.into())
            }
        }
    }
}

struct LinearResidual;

impl Operation for LinearResidual {
    const NAME: &'static str = "linear_residual";

    fn forward(&self, inputs: &[Tensor], out: Argument) -> Result<()> {
        let [x, residual, weight, bias] = inputs else { bail!("linear_residual has four inputs") };
        add_bias(&product(x, weight)?, bias, Some(residual), out)
    }

    fn backward(
        &self,
        inputs: &[Tensor],
        _: &Tensor,
        grad: &Tensor,
        wanted: &[bool],
    ) -> Result<Vec<Option<Tensor>>> {
        let ([x, _, weight, _], &[for_x, for_residual, for_weight, for_bias]) = (inputs, wanted)
        else {
            bail!("linear_residual has four inputs")
        };
        let [dx, dweight, dbias] = gradients(x, weight, grad, [for_x, for_weight, for_bias])?;
        Ok(vec![dx, for_residual.then(|| grad.clone()), dweight, dbias])
    }
}
