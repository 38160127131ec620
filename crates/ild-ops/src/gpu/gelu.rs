//! `kernels/gelu.cu`.

use candle_core::{Result, Tensor};

use super::launch::{Argument, Launch};
use super::memory::{fresh, input, output};
use super::node::{Operation, apply};
use super::suffix;

pub(crate) fn gelu(x: &Tensor) -> Result<Tensor> {
    apply(Gelu, x.shape(), &[x])
}

/// `out = gelu(x + bias)`.
pub(super) fn gelu_of(x: &Tensor, bias: Option<&Tensor>, out: Argument) -> Result<()> {
    let (count, channels) = sizes(x)?;
    let arguments = [input(x)?, bias_of(bias)?, out, Argument::Long(count as i64), channels];
    Launch::over(count, "gelu", format!("gelu_{}", suffix(x.dtype())), &arguments).run(x.device())
}

/// `grad · gelu′(x + bias)`.
pub(super) fn times_slope(x: &Tensor, bias: Option<&Tensor>, grad: &Tensor) -> Result<Tensor> {
    let (count, channels) = sizes(x)?;
    let out = fresh(x.shape(), x.dtype(), x.device())?;
    let arguments = [
        input(x)?,
        bias_of(bias)?,
        input(grad)?,
        output(&out)?,
        Argument::Long(count as i64),
        channels,
    ];
    Launch::over(count, "gelu", format!("gelu_slope_{}", suffix(x.dtype())), &arguments)
        .run(x.device())?;
    Ok(out)
}

fn sizes(x: &Tensor) -> Result<(usize, Argument)> {
    Ok((x.elem_count(), Argument::Int(x.dim(candle_core::D::Minus1)? as i32)))
}

fn bias_of(bias: Option<&Tensor>) -> Result<Argument> {
    bias.map_or(Ok(Argument::Address(0)), input)
}

struct Gelu;

impl Operation for Gelu {
    const NAME: &'static str = "gelu";

    fn forward(&self, inputs: &[Tensor], out: Argument) -> Result<()> {
        gelu_of(&inputs[0], None, out)
    }

    fn backward(
        &self,
        inputs: &[Tensor],
        _: &Tensor,
        grad: &Tensor,
        _: &[bool],
    ) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![Some(times_slope(&inputs[0], None, grad)?)])
    }
}
