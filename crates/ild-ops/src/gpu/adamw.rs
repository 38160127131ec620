//! `kernels/adamw.cu`.

use candle_core::{Result, Tensor};

use super::launch::{Argument, Launch};
use super::memory::{input, output};
use crate::AdamWStep;

pub(crate) fn adamw(
    weight: &Tensor,
    mean: &Tensor,
    mean_square: &Tensor,
    gradient: &Tensor,
    step: &AdamWStep,
) -> Result<()> {
    let count = weight.elem_count();
    let numbers = [
        1.0 - step.beta1,
        step.beta2,
        1.0 - step.beta2,
        step.keep,
        step.step_size,
        step.root_correction,
        step.eps,
    ];
    let places = [
        output(weight)?,
        output(mean)?,
        output(mean_square)?,
        input(gradient)?,
        Argument::Long(count as i64),
    ];
    let arguments = [&places[..], &numbers.map(|number| Argument::Float(number as f32))].concat();
    Launch::over(count, "adamw", "adamw_f32".into(), &arguments).run(weight.device())
}
