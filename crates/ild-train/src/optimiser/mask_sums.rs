//! [`ild_ops::mask_sums`] in one pass over the pixels on the CPU, for recipes that ask many
//! questions at 256². Sums are added in another order, so the reference's recipe does not use it.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, DType, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

/// `Σ p·t`, `Σ p²`, `Σ t²` and the cross-entropy of each mask: `[b, 4]`.
///
/// # Shapes
/// - `logits` and `masks`: `[b, 1, h, w]`
pub(super) fn mask_sums(logits: &Tensor, masks: &Tensor) -> Result<Tensor> {
    let here = logits.device().is_cpu() && logits.dtype() == DType::F32;
    if !here || logits.dims() != masks.dims() || logits.rank() != 4 {
        return ild_ops::mask_sums(logits, masks);
    }
    logits.contiguous()?.apply_op2(&masks.detach().contiguous()?, Sums)
}

struct Sums;

/// The logits' gradient, from logits; holds the masks and the gradient of the sums.
struct Gradient {
    masks: Tensor,
    of_sums: Vec<[f32; 4]>,
}

fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => bail!("mask_sums: expected a contiguous tensor"),
    }
}

/// Sigmoid, and `ln(1 + e^−|x|)`.
fn sigmoid_and_tail(x: f32) -> (f32, f32) {
    let e = (-x.abs()).exp();
    let small = e / (1.0 + e);
    (if x >= 0.0 { 1.0 - small } else { small }, e.ln_1p())
}

impl CustomOp2 for Sums {
    fn name(&self) -> &'static str {
        "mask-sums"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (b, _, h, w) = l1.shape().dims4()?;
        let (logits, masks) = (values(s1, l1)?, values(s2, l2)?);
        let of_mask = |(logits, masks): (&[f32], &[f32])| -> [f32; 4] {
            let mut sums = [0f64; 4];
            // Rows first, so that f32 keeps its digits.
            for (logits, masks) in logits.chunks(w).zip(masks.chunks(w)) {
                let mut row = [0f32; 4];
                for (&x, &t) in logits.iter().zip(masks) {
                    let (p, tail) = sigmoid_and_tail(x);
                    row[0] += p * t;
                    row[1] += p * p;
                    row[2] += t * t;
                    row[3] += x.max(0.0) - x * t + tail;
                }
                sums.iter_mut().zip(row).for_each(|(sum, row)| *sum += f64::from(row));
            }
            sums.map(|sum| sum as f32)
        };
        let n = (h * w).max(1);
        let sums: Vec<[f32; 4]> =
            logits.par_chunks(n).zip(masks.par_chunks(n)).map(of_mask).collect();
        Ok((CpuStorage::F32(sums.concat()), Shape::from((b, 4))))
    }

    fn bwd(
        &self,
        logits: &Tensor,
        masks: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let grad = grad.to_vec2::<f32>()?;
        let of_sums = grad.iter().map(|g| [g[0], g[1], g[2], g[3]]).collect();
        let gradient = Gradient { masks: masks.clone(), of_sums };
        Ok((Some(logits.apply_op1_no_bwd(&gradient)?), None))
    }
}

impl CustomOp1 for Gradient {
    fn name(&self) -> &'static str {
        "mask-sums-gradient"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (_, _, h, w) = layout.shape().dims4()?;
        let logits = values(storage, layout)?;
        let (masks, masks_layout) = self.masks.storage_and_layout();
        let candle_core::Storage::Cpu(masks) = &*masks else { bail!("expected masks on the CPU") };
        let masks = values(masks, masks_layout)?;
        let mut out = vec![0f32; logits.len()];
        let n = (h * w).max(1);
        let planes = out.par_chunks_mut(n).zip(logits.par_chunks(n)).zip(masks.par_chunks(n));
        planes.zip(&self.of_sums).for_each(|(((out, logits), masks), g)| {
            for ((out, &x), &t) in out.iter_mut().zip(logits).zip(masks) {
                let (p, _) = sigmoid_and_tail(x);
                *out = p * (1.0 - p) * (g[0] * t + 2.0 * g[1] * p) + g[3] * (p - t);
            }
        });
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    #[test]
    fn sums_and_gradients_are_those_of_the_plain_form() {
        let n = 2 * 5 * 7;
        let x: Vec<f32> = (0..n).map(|i| (i * 37 % 101) as f32 / 5.0 - 10.0).collect();
        let t: Vec<f32> = (0..n).map(|i| (i % 3 % 2) as f32).collect();
        let x = Tensor::from_vec(x, (2, 1, 5, 7), &Device::Cpu).unwrap();
        let x = Var::from_tensor(&x).unwrap();
        let t = Tensor::from_vec(t, (2, 1, 5, 7), &Device::Cpu).unwrap();
        let weights = Tensor::new(&[[0.3f32, -1.0, 5.0, 2.0]], &Device::Cpu).unwrap();
        let run = |f: fn(&Tensor, &Tensor) -> Result<Tensor>| {
            let sums = f(x.as_tensor(), &t).unwrap();
            let loss = sums.broadcast_mul(&weights).unwrap().sum_all().unwrap();
            let gradient = loss.backward().unwrap().get(&x).unwrap().clone();
            [sums, gradient].map(|t| t.flatten_all().unwrap().to_vec1::<f32>().unwrap())
        };
        let (ours, plain) = (run(mask_sums), run(ild_ops::mask_sums));
        for (a, b) in ours.concat().iter().zip(&plain.concat()) {
            assert!((a - b).abs() < 1e-4 * (1.0 + b.abs()), "{a} against {b}");
        }
    }
}
