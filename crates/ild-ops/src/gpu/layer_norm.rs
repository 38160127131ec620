//! `kernels/layer_norm.cu`.

use candle_core::{DType, Result, Tensor, bail};

use super::column_sum::column_sum;
use super::launch::{Argument, Launch, THREADS};
use super::memory::{fresh, input, output};
use super::node::{Operation, apply};
use super::suffix;

/// Rows whose sums a block leaves together.
const CHUNK: usize = 64;

pub(crate) fn layer_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, eps: f64) -> Result<Tensor> {
    let channels = weight.dims1()?;
    if x.dims().last() != Some(&channels) || bias.dims() != [channels] {
        bail!(
            "layer_norm: expected the last axis of {:?} and bias {:?} to have {channels} channels",
            x.dims(),
            bias.dims()
        );
    }
    let (weight, bias) = (weight.to_dtype(DType::F32)?, bias.to_dtype(DType::F32)?);
    apply(LayerNorm { channels, eps: eps as f32 }, x.shape(), &[x, &weight, &bias])
}

struct LayerNorm {
    channels: usize,
    eps: f32,
}

impl LayerNorm {
    /// `(rows, channels)` as a kernel takes them.
    fn sizes(&self, x: &Tensor) -> (usize, [Argument; 3]) {
        let rows = x.elem_count() / self.channels.max(1);
        (
            rows,
            [
                Argument::Int(rows as i32),
                Argument::Int(self.channels as i32),
                Argument::Float(self.eps),
            ],
        )
    }
}

impl Operation for LayerNorm {
    const NAME: &'static str = "layer_norm";

    fn forward(&self, inputs: &[Tensor], out: Argument) -> Result<()> {
        let [x, weight, bias] = inputs else { bail!("layer_norm has three inputs") };
        let (rows, [r, c, eps]) = self.sizes(x);
        let launch = Launch {
            file: "layer_norm",
            kernel: format!("layer_norm_{}", suffix(x.dtype())),
            blocks: rows.div_ceil(THREADS as usize / 32) as u32,
            threads: THREADS,
            shared_bytes: 0,
            arguments: &[input(x)?, input(weight)?, input(bias)?, out, r, c, eps],
        };
        launch.run(x.device())
    }

    fn backward(
        &self,
        inputs: &[Tensor],
        _: &Tensor,
        grad: &Tensor,
        _: &[bool],
    ) -> Result<Vec<Option<Tensor>>> {
        let [x, weight, _] = inputs else { bail!("layer_norm has three inputs") };
        let (rows, [r, c, eps]) = self.sizes(x);
        let blocks = rows.div_ceil(CHUNK);
        let dx = fresh(x.shape(), x.dtype(), x.device())?;
        let parts = fresh((blocks, 2 * self.channels), DType::F32, x.device())?;
        let launch = Launch {
            file: "layer_norm",
            kernel: format!("layer_norm_backward_{}", suffix(x.dtype())),
            blocks: blocks as u32,
            threads: THREADS,
            shared_bytes: (2 * CHUNK * size_of::<f32>()) as u32,
            arguments: &[
                input(x)?,
                input(weight)?,
                input(grad)?,
                output(&dx)?,
                output(&parts)?,
                r,
                c,
                eps,
                Argument::Int(CHUNK as i32),
            ],
        };
        launch.run(x.device())?;
        let sums = column_sum(&parts)?;
        let (dweight, dbias) =
            (sums.narrow(0, 0, self.channels)?, sums.narrow(0, self.channels, self.channels)?);
        Ok(vec![Some(dx), Some(dweight), Some(dbias)])
    }
}
