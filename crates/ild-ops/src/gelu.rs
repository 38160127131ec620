//! GELU with the exact normal distribution function, and its gradient `grad·(Φ(x) + x·φ(x))`.

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use super::isa::{Isa, Kernel, dispatch};
use super::math::{gelu as gelu_of, gelu_and_slope, load, registers, store};
use super::node::{Fused, apply};

/// Numbers handled as one task.
const BLOCK: usize = 1 << 14;

pub(crate) fn gelu(x: &Tensor) -> Result<Tensor> {
    apply(Gelu, x.shape(), &[x])
}

/// `out = grad · gelu′(x)`.
pub(crate) fn times_slope(x: &[f32], grad: &[f32], out: &mut [f32]) {
    let blocks = out.par_chunks_mut(BLOCK).zip(x.par_chunks(BLOCK)).zip(grad.par_chunks(BLOCK));
    blocks.for_each(|((out, x), grad)| dispatch(Slope { x, grad, out }));
}

/// `out = gelu(x)`.
pub(crate) fn map(x: &[f32], out: &mut [f32]) {
    out.par_chunks_mut(BLOCK).zip(x.par_chunks(BLOCK)).for_each(|(out, x)| map_here(x, out));
}

/// The same on this thread.
pub(crate) fn map_here(x: &[f32], out: &mut [f32]) {
    dispatch(Map { x, out });
}

struct Gelu;

impl Fused for Gelu {
    const NAME: &'static str = "gelu";

    fn forward(&self, inputs: &[&[f32]], out: &mut [f32]) {
        map(inputs[0], out);
    }

    fn backward(
        &self,
        inputs: &[&[f32]],
        _: &[f32],
        grad: &[f32],
        gradients: &mut [Option<&mut [f32]>],
    ) {
        if let Some(dx) = &mut gradients[0] {
            times_slope(inputs[0], grad, dx);
        }
    }
}

struct Map<'a> {
    x: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for Map<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa, const M: usize, const N: usize>(self) {
        let Self { x, out } = self;
        for (at, count) in registers::<I>(out.len()) {
            store::<I>(out, at, count, gelu_of::<I>(load::<I>(x, at, count)));
        }
    }
}

struct Slope<'a> {
    x: &'a [f32],
    grad: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for Slope<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa, const M: usize, const N: usize>(self) {
        let Self { x, grad, out } = self;
        for (at, count) in registers::<I>(out.len()) {
            let (_, slope) = gelu_and_slope::<I>(load::<I>(x, at, count));
            store::<I>(out, at, count, I::mul(load::<I>(grad, at, count), slope));
        }
    }
}
