//! AdamW with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2), in the operation
//! order of PyTorch's single-tensor loop.

use candle_core::{CpuStorage, DType, InplaceOp2, InplaceOp3, Layout, Result, Tensor, Var, bail};
use ild_model::ops::gpu::{self, AdamWStep};
use rayon::prelude::*;

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
        if gradients.len() != self.slots.len() {
            bail!("{} gradients for {} parameters", gradients.len(), self.slots.len());
        }
        for ((var, slot), gradient) in self.slots.iter_mut().zip(gradients) {
            let Some(gradient) = gradient else { continue };
            if slot.is_none() {
                let zeros = || Tensor::zeros(var.shape(), DType::F32, var.device());
                *slot = Some(Moments { step: 0, exp_avg: zeros()?, exp_avg_sq: zeros()? });
            }
            if let Some(moments) = slot {
                moments.step += 1;
                update(var, moments, gradient, lr, &self.config)?;
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
    let move_by = Move {
        keep: 1.0 - lr * config.weight_decay,
        step_size: lr / (1.0 - config.beta1.powi(step)),
        root_correction: (1.0 - config.beta2.powi(step)).sqrt(),
        eps: config.eps,
    };
    let gradient = gradient.contiguous()?;
    if gpu::runs_on(var.device()) {
        let Move { keep, step_size, root_correction, eps } = move_by;
        let step = AdamWStep {
            beta1: config.beta1,
            beta2: config.beta2,
            keep,
            step_size,
            root_correction,
            eps,
        };
        return gpu::adamw(
            var.as_tensor(),
            &moments.exp_avg,
            &moments.exp_avg_sq,
            &gradient,
            &step,
        );
    }
    moments.exp_avg.inplace_op2(&gradient, &Lerp(1.0 - config.beta1))?;
    moments.exp_avg_sq.inplace_op2(&gradient, &LerpSquare(config.beta2))?;
    var.inplace_op3(&moments.exp_avg, &moments.exp_avg_sq, &move_by)
}

/// `a ← a + w·(b − a)`, also used by the moving average of the weights.
pub(crate) struct Lerp(pub f64);

/// `v ← β·v + (1 − β)·g²`.
struct LerpSquare(f64);

/// `p ← keep·p − step_size·m / (√v / root_correction + eps)`.
struct Move {
    keep: f64,
    step_size: f64,
    root_correction: f64,
    eps: f64,
}

/// Elements that one task works on; fixed, although the result does not depend on it.
const CHUNK: usize = 1 << 14;

impl InplaceOp2 for Lerp {
    fn name(&self) -> &'static str {
        "lerp"
    }

    fn cpu_fwd(&self, a: &mut CpuStorage, la: &Layout, b: &CpuStorage, lb: &Layout) -> Result<()> {
        let (a, b, w) = (floats_mut(a, la)?, floats(b, lb)?, self.0 as f32);
        a.par_chunks_mut(CHUNK).zip(b.par_chunks(CHUNK)).for_each(|(a, b)| {
            for (a, &b) in a.iter_mut().zip(b) {
                *a += w * (b - *a);
            }
        });
        Ok(())
    }
}

impl InplaceOp2 for LerpSquare {
    fn name(&self) -> &'static str {
        "lerp-square"
    }

    fn cpu_fwd(&self, v: &mut CpuStorage, lv: &Layout, g: &CpuStorage, lg: &Layout) -> Result<()> {
        let (v, g) = (floats_mut(v, lv)?, floats(g, lg)?);
        let (beta, rest) = (self.0 as f32, (1.0 - self.0) as f32);
        v.par_chunks_mut(CHUNK).zip(g.par_chunks(CHUNK)).for_each(|(v, g)| {
            for (v, &g) in v.iter_mut().zip(g) {
                *v = *v * beta + rest * g * g;
            }
        });
        Ok(())
    }
}

impl InplaceOp3 for Move {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn cpu_fwd(
        &self,
        p: &mut CpuStorage,
        lp: &Layout,
        m: &CpuStorage,
        lm: &Layout,
        v: &CpuStorage,
        lv: &Layout,
    ) -> Result<()> {
        let (p, m, v) = (floats_mut(p, lp)?, floats(m, lm)?, floats(v, lv)?);
        let (keep, step_size) = (self.keep as f32, self.step_size as f32);
        let (root_correction, eps) = (self.root_correction as f32, self.eps as f32);
        p.par_chunks_mut(CHUNK).zip(m.par_chunks(CHUNK).zip(v.par_chunks(CHUNK))).for_each(
            |(p, (m, v))| {
                for (p, (&m, &v)) in p.iter_mut().zip(m.iter().zip(v)) {
                    *p = *p * keep - step_size * m / (v.sqrt() / root_correction + eps);
                }
            },
        );
        Ok(())
    }
}

fn floats<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let (start, end) = contiguous(layout)?;
    Ok(&storage.as_slice::<f32>()?[start..end])
}

fn floats_mut<'a>(storage: &'a mut CpuStorage, layout: &Layout) -> Result<&'a mut [f32]> {
    let (start, end) = contiguous(layout)?;
    match storage {
        CpuStorage::F32(values) => Ok(&mut values[start..end]),
        _ => bail!("expected f32"),
    }
}

fn contiguous(layout: &Layout) -> Result<(usize, usize)> {
    match layout.contiguous_offsets() {
        Some(offsets) => Ok(offsets),
        None => bail!("expected a contiguous tensor"),
    }
}
