//! Convolution of each channel for itself, the map keeping its size.
//!
//! `y[p] = b + Σ_t w[t]·x[p + t]` over the kernel's places `t`, zeros beyond the map; in every
//! channel, which lie side by side. `dx` is the same with the kernel turned around, `dw[t] = Σ_p
//! grad[p]·x[p + t]`, `db = Σ_p grad[p]`.

use candle_core::{Result, Tensor, bail};
use rayon::prelude::*;

use super::isa::{Isa, Kernel, dispatch};
use super::math::{load, registers, store};
use super::node::{Fused, apply};

/// Checks the shapes; returns the side of the kernel.
pub(crate) fn kernel(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<usize> {
    let (_, _, _, channels) = x.dims4()?;
    let (outputs, inputs, kernel, across) = weight.dims4()?;
    let square = kernel == across && !kernel.is_multiple_of(2);
    if outputs != channels || inputs != 1 || !square || bias.dims() != [channels] {
        bail!(
            "conv_depthwise: expected [{channels}, 1, k, k] of odd k and bias [{channels}], found {:?} and {:?}",
            weight.dims(),
            bias.dims()
        );
    }
    Ok(kernel)
}

pub(crate) fn conv_depthwise(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let kernel = kernel(x, weight, bias)?;
    let (_, height, width, channels) = x.dims4()?;
    apply(Depthwise { height, width, channels, kernel }, x.shape(), &[x, weight, bias])
}

struct Depthwise {
    height: usize,
    width: usize,
    channels: usize,
    kernel: usize,
}

impl Depthwise {
    /// `[channels, places]` as `[places, channels]`, the places in reverse order for a gradient.
    fn by_place(&self, weight: &[f32], reverse: bool) -> Vec<f32> {
        let places = self.kernel * self.kernel;
        let place = |t: usize| if reverse { places - 1 - t } else { t };
        let columns = 0..self.channels;
        (0..places)
            .flat_map(|t| columns.clone().map(move |c| weight[c * places + place(t)]))
            .collect()
    }

    /// Where row or column `at`, moved by place `t` of the kernel, lies among `size`.
    fn moved(&self, at: usize, t: usize, size: usize) -> Option<usize> {
        (at + t).checked_sub(self.kernel / 2).filter(|moved| *moved < size)
    }

    /// `out[p] += Σ_t w[t]·x[p + t]`, row by row.
    fn convolve(&self, x: &[f32], by_place: &[f32], out: &mut [f32]) {
        let (row, map) = (self.width * self.channels, self.height * self.width * self.channels);
        out.par_chunks_mut(row).enumerate().for_each(|(i, out)| {
            let image = &x[i / self.height * map..][..map];
            dispatch(Row { sizes: self, image, by_place, y: i % self.height, out });
        });
    }

    /// `dw[c, t]` of one place of the kernel, for every channel.
    fn weight_gradient(&self, x: &[f32], grad: &[f32], t: usize) -> Vec<f32> {
        let (h, w, c, k) = (self.height, self.width, self.channels, self.kernel);
        let mut sums = vec![0.0; c];
        for (i, grad) in grad.chunks_exact(c).enumerate() {
            let (image, y, column) = (i / (h * w), i / w % h, i % w);
            let moved = (self.moved(y, t / k, h), self.moved(column, t % k, w));
            let (Some(y), Some(x_at)) = moved else { continue };
            let pixel = &x[((image * h + y) * w + x_at) * c..][..c];
            for ((sum, grad), pixel) in sums.iter_mut().zip(grad).zip(pixel) {
                *sum += grad * pixel;
            }
        }
        sums
    }
}

/// One row of a map.
struct Row<'a> {
    sizes: &'a Depthwise,
    image: &'a [f32],
    by_place: &'a [f32],
    y: usize,
    out: &'a mut [f32],
}

impl Kernel for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa, const M: usize, const N: usize>(self) {
        let &Depthwise { height, width, channels, kernel } = self.sizes;
        let middle = kernel / 2;
        let rows = middle.saturating_sub(self.y)..kernel.min(height + middle - self.y);
        // A register of channels goes along the whole row: its weights stay in the cache.
        for (at, count) in registers::<I>(channels) {
            for x in 0..width {
                let columns = middle.saturating_sub(x)..kernel.min(width + middle - x);
                let mut sum = load::<I>(self.out, x * channels + at, count);
                for dy in rows.clone() {
                    let row = (self.y + dy - middle) * width;
                    for dx in columns.clone() {
                        let pixel = (row + x + dx - middle) * channels + at;
                        let weight = (dy * kernel + dx) * channels + at;
                        let pixel = load::<I>(self.image, pixel, count);
                        let weight = load::<I>(self.by_place, weight, count);
                        sum = I::mul_add(pixel, weight, sum);
                    }
                }
                store::<I>(self.out, x * channels + at, count, sum);
            }
        }
    }
}

impl Fused for Depthwise {
    const NAME: &'static str = "conv_depthwise";

    fn forward(&self, inputs: &[&[f32]], out: &mut [f32]) {
        let &[x, weight, bias] = inputs else { unreachable!("conv_depthwise has three inputs") };
        out.par_chunks_exact_mut(self.channels).for_each(|out| out.copy_from_slice(bias));
        self.convolve(x, &self.by_place(weight, false), out);
    }

    fn backward(
        &self,
        inputs: &[&[f32]],
        _: &[f32],
        grad: &[f32],
        gradients: &mut [Option<&mut [f32]>],
    ) {
        let &[x, weight, _] = inputs else { unreachable!("conv_depthwise has three inputs") };
        let [dx, dweight, dbias] = gradients else {
            unreachable!("conv_depthwise has three inputs")
        };
        if let Some(dx) = dx {
            dx.fill(0.0);
            self.convolve(grad, &self.by_place(weight, true), dx);
        }
        if let Some(dweight) = dweight {
            let places = self.kernel * self.kernel;
            let sums: Vec<Vec<f32>> =
                (0..places).into_par_iter().map(|t| self.weight_gradient(x, grad, t)).collect();
            for (i, out) in dweight.iter_mut().enumerate() {
                *out = sums[i % places][i / places];
            }
        }
        if let Some(dbias) = dbias {
            dbias.fill(0.0);
            for grad in grad.chunks_exact(self.channels) {
                dbias.iter_mut().zip(grad).for_each(|(sum, grad)| *sum += grad);
            }
        }
    }
}
