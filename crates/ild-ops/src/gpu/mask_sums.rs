//! `kernels/mask_sums.cu`.

use candle_core::{Result, Tensor, bail};

use super::launch::{Argument, Launch, THREADS};
use super::memory::{fresh, input, output};
use super::node::{Operation, apply};

pub(crate) fn mask_sums(logits: &Tensor, masks: &Tensor) -> Result<Tensor> {
    let count = logits.dim(0)?;
    apply(
        MaskSums { pixels: logits.elem_count() / count.max(1) },
        (count, 4),
        &[logits, &masks.detach()],
    )
}

struct MaskSums {
    pixels: usize,
}

impl Operation for MaskSums {
    const NAME: &'static str = "mask_sums";

    fn forward(&self, inputs: &[Tensor], out: Argument) -> Result<()> {
        let [logits, masks] = inputs else { bail!("mask_sums has two inputs") };
        let launch = Launch {
            file: "mask_sums",
            kernel: "mask_sums_f32".into(),
            blocks: logits.dim(0)? as u32,
            threads: THREADS,
            shared_bytes: 4 * THREADS * 4,
            arguments: &[input(logits)?, input(masks)?, out, Argument::Long(self.pixels as i64)],
        };
        launch.run(logits.device())
    }

    fn backward(
        &self,
        inputs: &[Tensor],
        _: &Tensor,
        grad: &Tensor,
        _: &[bool],
    ) -> Result<Vec<Option<Tensor>>> {
        let [logits, masks] = inputs else { bail!("mask_sums has two inputs") };
        let count = logits.elem_count();
        let dx = fresh(logits.shape(), logits.dtype(), logits.device())?;
        let sizes = [Argument::Long(count as i64), Argument::Long(self.pixels as i64)];
        let arguments =
            [input(logits)?, input(masks)?, input(grad)?, output(&dx)?, sizes[0], sizes[1]];
        Launch::over(count, "mask_sums", "mask_sums_backward_f32".into(), &arguments)
            .run(logits.device())?;
        Ok(vec![Some(dx), None])
    }
}
