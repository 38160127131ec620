//! Layer normalisation over the last axis, fused.
//!
//! With `x̂ = (x − mean)·r`, `r = 1/√(variance + eps)` and `g = grad·weight`:
//! `y = x̂·weight + bias`, `dx = r·(g − mean(g) − x̂·mean(g·x̂))`, `dweight = Σ grad·x̂`, `dbias =
//! Σ grad`. Mean and `r` are found again in the backward pass: that is cheaper than keeping them.

use candle_core::{Result, Tensor, bail};
use rayon::prelude::*;

use super::gemm::Operand;
use super::isa::{Isa, Kernel, dispatch};
use super::math::{load, registers, sum, sum_pairs};
use super::node::{Fused, apply};

/// Rows handled as one task.
const ROWS: usize = 256;

pub(crate) fn layer_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, eps: f64) -> Result<Tensor> {
    let channels = weight.dims1()?;
    if x.dims().last() != Some(&channels) || bias.dims() != [channels] {
        bail!(
            "layer_norm: expected the last axis of {:?} and bias {:?} to have {channels} channels",
            x.dims(),
            bias.dims()
        );
    }
    apply(LayerNorm { channels, eps: eps as f32 }, x.shape(), &[x, weight, bias])
}

/// Normalises rows of as many numbers as the weight has; rows of the result are [`Operand::padded`]
/// apart, with zeros between them.
pub(crate) fn normalise<T: Operand>(
    x: &[f32],
    [weight, bias]: [&[f32]; 2],
    eps: f32,
    out: &mut [T],
) {
    T::dispatch(Forward { x, weight, bias, eps, out });
}

struct LayerNorm {
    channels: usize,
    eps: f32,
}

impl Fused for LayerNorm {
    const NAME: &'static str = "layer_norm";

    fn forward(&self, inputs: &[&[f32]], out: &mut [f32]) {
        let &[x, weight, bias] = inputs else { unreachable!("layer_norm has three inputs") };
        let block = ROWS * self.channels;
        out.par_chunks_mut(block).zip(x.par_chunks(block)).for_each(|(out, x)| {
            normalise(x, [weight, bias], self.eps, out);
        });
    }

    fn backward(
        &self,
        inputs: &[&[f32]],
        _: &[f32],
        grad: &[f32],
        gradients: &mut [Option<&mut [f32]>],
    ) {
        let &[x, weight, _] = inputs else { unreachable!("layer_norm has three inputs") };
        let [dx, dweight, dbias] = gradients else { unreachable!("layer_norm has three inputs") };
        let mut unwanted = Vec::new();
        let dx = match dx {
            Some(dx) => &mut **dx,
            None => {
                unwanted.resize(x.len(), 0.0);
                unwanted.as_mut_slice()
            }
        };
        let block = ROWS * self.channels;
        let blocks = dx.par_chunks_mut(block).zip(x.par_chunks(block)).zip(grad.par_chunks(block));
        let partial: Vec<Vec<f32>> = blocks
            .map(|((dx, x), grad)| {
                let mut sums = vec![0.0; 2 * self.channels];
                dispatch(Backward { x, weight, grad, eps: self.eps, dx, sums: &mut sums });
                sums
            })
            .collect();
        for (total, start) in [(dweight, 0), (dbias, self.channels)] {
            let Some(total) = total else { continue };
            total.fill(0.0);
            for part in &partial {
                for (total, part) in total.iter_mut().zip(&part[start..]) {
                    *total += part;
                }
            }
        }
    }
}

/// Mean and `1/√(variance + eps)` of each of `R` rows.
#[inline(always)]
fn moments<I: Isa, const R: usize>(x: &[f32], eps: f32) -> ([f32; R], [f32; R]) {
    let channels = x.len() / R;
    let whole = channels / I::LANES * I::LANES;
    let mut sums = [I::splat(0.0); R];
    for c in (0..whole).step_by(I::LANES) {
        for (r, sum) in sums.iter_mut().enumerate() {
            I::prefetch(x.as_ptr().wrapping_add((R + r) * channels + c)); // the next rows
            *sum = I::add(*sum, load::<I>(x, r * channels + c, I::LANES));
        }
    }
    let mut means = [0f32; R];
    for (r, (mean, sum)) in means.iter_mut().zip(sums).enumerate() {
        let rest = &x[r * channels + whole..(r + 1) * channels];
        *mean = (I::total(sum) + rest.iter().sum::<f32>()) / channels as f32;
    }
    let mut sums = [I::splat(0.0); R];
    for c in (0..whole).step_by(I::LANES) {
        for (r, sum) in sums.iter_mut().enumerate() {
            let difference = I::sub(load::<I>(x, r * channels + c, I::LANES), I::splat(means[r]));
            *sum = I::mul_add(difference, difference, *sum);
        }
    }
    let mut scales = [0f32; R];
    for (r, (scale, sum)) in scales.iter_mut().zip(sums).enumerate() {
        let rest = &x[r * channels + whole..(r + 1) * channels];
        let rest: f32 = rest.iter().map(|x| (x - means[r]) * (x - means[r])).sum();
        *scale = 1.0 / ((I::total(sum) + rest) / channels as f32 + eps).sqrt();
    }
    (means, scales)
}

struct Forward<'a, T> {
    x: &'a [f32],
    weight: &'a [f32],
    bias: &'a [f32],
    eps: f32,
    out: &'a mut [T],
}

/// Rows taken at once, so that their sums do not wait for each other.
const TOGETHER: usize = 4;

impl<T: Operand> Kernel for Forward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa, const M: usize, const N: usize>(mut self) {
        let rows = self.x.len() / self.weight.len();
        let whole = rows / TOGETHER * TOGETHER;
        for first in (0..whole).step_by(TOGETHER) {
            self.rows::<I, TOGETHER>(first);
        }
        for first in whole..rows {
            self.rows::<I, 1>(first);
        }
    }
}

impl<T: Operand> Forward<'_, T> {
    /// `R` rows from `first` on.
    #[inline(always)]
    fn rows<I: Isa, const R: usize>(&mut self, first: usize) {
        let channels = self.weight.len();
        let width = T::padded(channels);
        let x = &self.x[first * channels..(first + R) * channels];
        let out = &mut self.out[first * width..(first + R) * width];
        let (means, scales) = moments::<I, R>(x, self.eps);
        for row in out.chunks_exact_mut(width) {
            row[channels..].fill(T::default());
        }
        for (c, count) in registers::<I>(channels) {
            let (weight, bias) = (load::<I>(self.weight, c, count), load::<I>(self.bias, c, count));
            for r in 0..R {
                let difference = I::sub(load::<I>(x, r * channels + c, count), I::splat(means[r]));
                let normed = I::mul_add(I::mul(difference, I::splat(scales[r])), weight, bias);
                let to = &mut out[r * width + c..r * width + c + count];
                // SAFETY: the slice has `count` numbers.
                unsafe { T::store::<I>(to.as_mut_ptr(), normed, count) };
            }
        }
    }
}

struct Backward<'a> {
    x: &'a [f32],
    weight: &'a [f32],
    grad: &'a [f32],
    eps: f32,
    dx: &'a mut [f32],
    /// Sums for the weight, then for the bias.
    sums: &'a mut [f32],
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa, const M: usize, const N: usize>(self) {
        let channels = self.weight.len();
        let (dweight, dbias) = self.sums.split_at_mut(channels);
        let mut g = vec![0f32; channels];
        let mut normed = vec![0f32; channels];
        let rows = self.x.chunks_exact(channels).zip(self.grad.chunks_exact(channels));
        for ((x, grad), dx) in rows.zip(self.dx.chunks_exact_mut(channels)) {
            let ([mean], [r]) = moments::<I, 1>(x, self.eps);
            for (normed, &x) in normed.iter_mut().zip(x) {
                *normed = (x - mean) * r;
            }
            for ((g, &grad), &weight) in g.iter_mut().zip(grad).zip(self.weight) {
                *g = grad * weight;
            }
            for ((dweight, dbias), (&grad, &normed)) in
                dweight.iter_mut().zip(dbias.iter_mut()).zip(grad.iter().zip(&normed))
            {
                *dweight = I::fma(grad, normed, *dweight);
                *dbias += grad;
            }
            let mean_g = sum(&g, |g| g) / channels as f32;
            let mean_g_normed = sum_pairs(&g, &normed, |g, normed| g * normed) / channels as f32;
            for ((dx, &g), &normed) in dx.iter_mut().zip(&g).zip(&normed) {
                *dx = r * (g - mean_g - normed * mean_g_normed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use half::bf16;

    use super::*;

    #[test]
    fn zeros_stand_between_rows_of_an_odd_width() {
        let x: Vec<f32> = (0..15).map(|i| i as f32).collect(); // five rows: four, and one
        let mut rows = [bf16::NAN; 20];
        normalise(&x, [&[1.0; 3], &[0.5; 3]], 1e-6, &mut rows);
        for row in rows.chunks_exact(4) {
            assert_eq!(row[1], bf16::from_f32(0.5));
            assert_eq!(row[3], bf16::ZERO);
        }
    }
}
