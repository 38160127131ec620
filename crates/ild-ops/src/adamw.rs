//! AdamW and the moving average of weights on the CPU: in place, in the operation order of PyTorch's
//! single-tensor loop.

use candle_core::{CpuStorage, InplaceOp2, InplaceOp3, Layout, Result, Tensor, bail};
use rayon::prelude::*;

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

pub(crate) fn adamw(
    weight: &Tensor,
    mean: &Tensor,
    mean_square: &Tensor,
    gradient: &Tensor,
    step: &AdamWStep,
) -> Result<()> {
    mean.inplace_op2(gradient, &Lerp(1.0 - step.beta1))?;
    mean_square.inplace_op2(gradient, &LerpSquare(step.beta2))?;
    weight.inplace_op3(mean, mean_square, &Move(*step))
}

pub(crate) fn lerp(from: &Tensor, to: &Tensor, share: f64) -> Result<Tensor> {
    from.inplace_op2(to, &Lerp(share))?;
    Ok(from.clone())
}

/// `a ← a + w·(b − a)`.
struct Lerp(f64);

/// `v ← β·v + (1 − β)·g²`.
struct LerpSquare(f64);

/// `p ← keep·p − step_size·m / (√v / root_correction + eps)`.
struct Move(AdamWStep);

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
        let (keep, step_size) = (self.0.keep as f32, self.0.step_size as f32);
        let (root_correction, eps) = (self.0.root_correction as f32, self.0.eps as f32);
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
