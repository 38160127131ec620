//! `kernels/patches.cu`, then a linear layer.

use candle_core::{Result, Tensor};

use super::launch::{Argument, Launch};
use super::memory::{fresh, input, output};
use super::node::{Operation, apply};
use super::{linear, suffix};

pub(crate) fn patch_embed(
    image: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    stride: usize,
    padding: usize,
) -> Result<Tensor> {
    let (b, _, height, width) = image.dims4()?;
    let (out, channels, kernel, _) = weight.dims4()?;
    if channels != 3
        || image.dim(1)? != 3
        || height + 2 * padding < kernel
        || width + 2 * padding < kernel
    {
        candle_core::bail!(
            "patch_embed: expected three channels and a map as large as the kernel, found {:?}",
            image.dims()
        );
    }
    let (h, w) =
        ((height + 2 * padding - kernel) / stride + 1, (width + 2 * padding - kernel) / stride + 1);
    let row = 3 * kernel * kernel;
    let patches =
        apply(Patches { height, width, h, w, kernel, stride, padding }, (b, h, w, row), &[image])?;
    linear(&patches, &weight.reshape((out, row))?, Some(bias))
}

struct Patches {
    height: usize,
    width: usize,
    h: usize,
    w: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
}

impl Patches {
    fn run(&self, kernel: &str, from: &Tensor, count: usize, to: Argument) -> Result<()> {
        let mut sizes = [0; 11];
        for (to, size) in sizes.iter_mut().zip([
            self.height,
            self.width,
            self.h,
            self.w,
            self.kernel,
            self.stride,
            self.padding,
        ]) {
            *to = size as i32;
        }
        let arguments = [input(from)?, to, Argument::Long(count as i64), Argument::Ints(sizes)];
        Launch::over(count, "patches", format!("{kernel}_{}", suffix(from.dtype())), &arguments)
            .run(from.device())
    }
}

impl Operation for Patches {
    const NAME: &'static str = "patches";

    fn forward(&self, inputs: &[Tensor], out: Argument) -> Result<()> {
        let image = &inputs[0];
        let count = image.dim(0)? * self.h * self.w * 3 * self.kernel * self.kernel;
        self.run("patches", image, count, out)
    }

    fn backward(
        &self,
        inputs: &[Tensor],
        _: &Tensor,
        grad: &Tensor,
        _: &[bool],
    ) -> Result<Vec<Option<Tensor>>> {
        let image = &inputs[0];
        let dimage = fresh(image.shape(), image.dtype(), image.device())?;
        self.run("patches_backward", grad, image.elem_count(), output(&dimage)?)?;
        Ok(vec![Some(dimage)])
    }
}
