//! `kernels/max_pool.cu`.

use candle_core::{Result, Tensor};

use super::launch::{Argument, Launch};
use super::memory::{input, output};
use super::node::{Operation, apply};
use super::suffix;

pub(crate) fn max_pool_2x2(x: &Tensor) -> Result<Tensor> {
    let (b, height, width, channels) = x.dims4()?;
    apply(
        MaxPool {
            count: b * (height / 2) * (width / 2) * channels,
            sizes: [height, width, channels],
        },
        (b, height / 2, width / 2, channels),
        &[x],
    )
}

struct MaxPool {
    /// Numbers of the result.
    count: usize,
    /// Height, width and channels of the input.
    sizes: [usize; 3],
}

impl MaxPool {
    fn run(&self, kernel: &str, x: &Tensor, places: &[Argument]) -> Result<()> {
        let sizes = self.sizes.map(|size| Argument::Int(size as i32));
        let arguments = [places, &[Argument::Long(self.count as i64)], &sizes].concat();
        Launch::over(self.count, "max_pool", format!("{kernel}_{}", suffix(x.dtype())), &arguments)
            .run(x.device())
    }
}

impl Operation for MaxPool {
    const NAME: &'static str = "max_pool_2x2";

    fn forward(&self, inputs: &[Tensor], out: Argument) -> Result<()> {
        self.run("max_pool", &inputs[0], &[input(&inputs[0])?, out])
    }

    fn backward(
        &self,
        inputs: &[Tensor],
        _: &Tensor,
        grad: &Tensor,
        _: &[bool],
    ) -> Result<Vec<Option<Tensor>>> {
        let x = &inputs[0];
        let dx = x.zeros_like()?;
        self.run("max_pool_backward", x, &[input(x)?, input(grad)?, output(&dx)?])?;
        Ok(vec![Some(dx)])
    }
}
