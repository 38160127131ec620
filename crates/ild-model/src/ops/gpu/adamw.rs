//! `kernels/adamw.cu`.

use candle_core::{DType, Result, Tensor, bail};

use super::launch::{Argument, Launch};
use super::memory::{input, output};

/// What a step depends on besides the tensors.
#[derive(Debug, Clone, Copy)]
pub struct AdamWStep {
    /// Decay of the mean of the gradient.
    pub beta1: f64,
    /// Decay of the mean of the squared gradient.
    pub beta2: f64,
    /// Share of the weight that stays.
    pub keep: f64,
    /// Learning rate, corrected for the first steps.
    pub step_size: f64,
    /// By which the root of the mean square is divided.
    pub root_correction: f64,
    /// Added to the denominator.
    pub eps: f64,
}

/// Moves a weight and its moments, in place.
///
/// # Errors
/// Where the tensors are not contiguous f32 of one size on a GPU.
pub fn adamw(
    weight: &Tensor,
    mean: &Tensor,
    mean_square: &Tensor,
    gradient: &Tensor,
    step: &AdamWStep,
) -> Result<()> {
    let count = weight.elem_count();
    if [weight, mean, mean_square, gradient]
        .iter()
        .any(|t| t.dtype() != DType::F32 || t.elem_count() != count)
    {
        bail!(
            "adamw: expected four tensors of {count} f32, found {:?} and {:?}",
            gradient.dtype(),
            gradient.dims()
        );
    }
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
