//! AdamW with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2), in the operation
//! order of PyTorch's single-tensor loop.

use candle_core::{DType, Result, Tensor, Var, bail};
use ild_ops::AdamWStep;

/// What the update depends on besides the gradient and the learning rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWConfig {
    /// Decay of the mean of the gradient.
    pub beta1: f64,
    /// Decay of the mean of the squared gradient.
    pub beta2: f64,
    /// Added to the denominator.
    pub eps: f64,
    /// Share of a weight that is taken away per step and unit of learning rate.
    pub weight_decay: f64,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.01 }
    }
}

/// What the optimiser remembers of one parameter; `f32`, of the parameter's shape.
#[derive(Clone, Debug)]
pub struct Moments {
    /// Updates of this parameter so far.
    pub step: u64,
    /// Running mean of the gradient.
    pub exp_avg: Tensor,
    /// Running mean of the squared gradient.
    pub exp_avg_sq: Tensor,
}

/// The optimiser.
#[derive(Debug)]
pub struct AdamW {
    /// Constants of the update.
    pub config: AdamWConfig,
    /// Parameters in the caller's order with their moments; `None` until a first gradient arrives.
    slots: Vec<(Var, Option<Moments>)>,
}

impl AdamW {
    /// An optimiser of `parameters` that has seen no gradient yet.
    #[must_use]
    pub fn new(parameters: Vec<Var>, config: AdamWConfig) -> Self {
        Self { config, slots: parameters.into_iter().map(|var| (var, None)).collect() }
    }

    /// Moments in the parameters' order.
    pub fn moments(&self) -> impl Iterator<Item = Option<&Moments>> {
        self.slots.iter().map(|(_, moments)| moments.as_ref())
    }

    /// Puts moments back, in the parameters' order.
    ///
    /// # Errors
    /// When the number of entries, or a shape, is not that of the parameters.
    pub fn restore(&mut self, moments: Vec<Option<Moments>>) -> Result<()> {
        if moments.len() != self.slots.len() {
            bail!("{} moments for {} parameters", moments.len(), self.slots.len());
        }
        for ((var, slot), new) in self.slots.iter_mut().zip(moments) {
            if let Some(m) = &new
                && (m.exp_avg.shape() != var.shape() || m.exp_avg_sq.shape() != var.shape())
            {
                bail!(
                    "moments of shape {:?} for a parameter of shape {:?}",
                    m.exp_avg.shape(),
                    var.shape()
                );
            }
            *slot = new;
        }
        Ok(())
    }

    /// One update with learning rate `lr`; `gradients` are in the parameters' order.
    ///
    /// A parameter whose gradient is `None` is left alone; one whose gradient is zero still decays.
    /// Both as in PyTorch.
    ///
    /// # Errors
    /// When a gradient has another shape or type than its parameter.
    pub fn step(&mut self, lr: f64, gradients: &[Option<Tensor>]) -> Result<()> {
        self.step_each(|_| lr, gradients)
    }

    /// The same with a learning rate for each parameter, by its place in the caller's order.
    ///
    /// # Errors
    /// As [`AdamW::step`].
    pub fn step_each(
        &mut self,
        lr: impl Fn(usize) -> f64,
        gradients: &[Option<Tensor>],
    ) -> Result<()> {
        if gradients.len() != self.slots.len() {
            bail!("{} gradients for {} parameters", gradients.len(), self.slots.len());
        }
        for (i, ((var, slot), gradient)) in self.slots.iter_mut().zip(gradients).enumerate() {
            let Some(gradient) = gradient else { continue };
            if slot.is_none() {
                let zeros = || Tensor::zeros(var.shape(), DType::F32, var.device());
                *slot = Some(Moments { step: 0, exp_avg: zeros()?, exp_avg_sq: zeros()? });
            }
            if let Some(moments) = slot {
                moments.step += 1;
                update(var, moments, gradient, lr(i), &self.config)?;
            }
        }
        Ok(())
    }
}

fn update(
    var: &Var,
    moments: &mut Moments,
    gradient: &Tensor,
    lr: f64,
    config: &AdamWConfig,
) -> Result<()> {
    let step = i32::try_from(moments.step).unwrap_or(i32::MAX);
    let step = AdamWStep {
        beta1: config.beta1,
        beta2: config.beta2,
        keep: 1.0 - lr * config.weight_decay,
        step_size: lr / (1.0 - config.beta1.powi(step)),
        root_correction: (1.0 - config.beta2.powi(step)).sqrt(),
        eps: config.eps,
    };
    ild_ops::adamw(var.as_tensor(), &moments.exp_avg, &moments.exp_avg_sq, gradient, &step)
}
