//! What happens to a row of a register tile before it is stored.

use crate::ops::isa::Isa;
use crate::ops::math::{gelu, gelu_and_slope};

/// The last step of a product, on the sums of one row and up to `N` columns.
pub(crate) trait Finish {
    /// What is stored at `row`, `column ..`, of which `width` numbers count.
    fn finish<I: Isa, const N: usize>(&mut self, row: usize, column: usize, width: usize, sums: [f32; N]) -> [f32; N];
}

/// `width` numbers from `at`, the rest 0.
#[inline(always)]
fn load<const N: usize>(data: &[f32], at: usize, width: usize) -> [f32; N] {
    let mut out = [0f32; N];
    if width == N {
        out.copy_from_slice(&data[at..at + N]);
    } else {
        out[..width].copy_from_slice(&data[at..at + width]);
    }
    out
}

/// The counterpart of [`load`].
#[inline(always)]
fn store<const N: usize>(data: &mut [f32], at: usize, width: usize, values: &[f32; N]) {
    if width == N {
        data[at..at + N].copy_from_slice(values);
    } else {
        data[at..at + width].copy_from_slice(&values[..width]);
    }
}

/// The sums as they are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plain;

impl Finish for Plain {
    #[inline(always)]
    fn finish<I: Isa, const N: usize>(&mut self, _: usize, _: usize, _: usize, sums: [f32; N]) -> [f32; N] {
        sums
    }
}

/// `sum + bias`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bias<'a>(pub &'a [f32]);

impl Finish for Bias<'_> {
    #[inline(always)]
    fn finish<I: Isa, const N: usize>(&mut self, _: usize, column: usize, width: usize, mut sums: [f32; N]) -> [f32; N] {
        let bias = load::<N>(self.0, column, width);
        for (sum, bias) in sums.iter_mut().zip(bias) {
            *sum += bias;
        }
        sums
    }
}

/// `gelu(sum + bias)`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BiasGelu<'a>(pub &'a [f32]);

impl Finish for BiasGelu<'_> {
    #[inline(always)]
    fn finish<I: Isa, const N: usize>(&mut self, row: usize, column: usize, width: usize, sums: [f32; N]) -> [f32; N] {
        let mut sums = Bias(self.0).finish::<I, N>(row, column, width, sums);
        for sum in &mut sums {
            *sum = gelu::<I>(*sum);
        }
        sums
    }
}

/// `gelu(sum + bias)`, and `sum + bias` kept in `before` (as many columns as the result) for the gradient.
#[derive(Debug)]
pub(crate) struct BiasGeluKeep<'a> {
    pub bias: &'a [f32],
    pub before: &'a mut [f32],
    pub columns: usize,
}

impl Finish for BiasGeluKeep<'_> {
    #[inline(always)]
    fn finish<I: Isa, const N: usize>(&mut self, row: usize, column: usize, width: usize, sums: [f32; N]) -> [f32; N] {
        let mut sums = Bias(self.bias).finish::<I, N>(row, column, width, sums);
        store(self.before, row * self.columns + column, width, &sums);
        for sum in &mut sums {
            *sum = gelu::<I>(*sum);
        }
        sums
    }
}

/// `residual + sum + bias`; the residual has as many columns as the result.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BiasResidual<'a> {
    pub bias: &'a [f32],
    pub residual: &'a [f32],
    pub columns: usize,
}

impl Finish for BiasResidual<'_> {
    #[inline(always)]
    fn finish<I: Isa, const N: usize>(&mut self, row: usize, column: usize, width: usize, sums: [f32; N]) -> [f32; N] {
        let mut sums = Bias(self.bias).finish::<I, N>(row, column, width, sums);
        let residual = load::<N>(self.residual, row * self.columns + column, width);
        for (sum, residual) in sums.iter_mut().zip(residual) {
            *sum += residual;
        }
        sums
    }
}

/// `sum · gelu′(before)`; `before`, which has as many columns as the result, becomes `gelu(before)`.
#[derive(Debug)]
pub(crate) struct GeluSlope<'a> {
    pub before: &'a mut [f32],
    pub columns: usize,
}

impl Finish for GeluSlope<'_> {
    #[inline(always)]
    fn finish<I: Isa, const N: usize>(&mut self, row: usize, column: usize, width: usize, mut sums: [f32; N]) -> [f32; N] {
        let at = row * self.columns + column;
        let mut before = load::<N>(self.before, at, width);
        for (sum, before) in sums.iter_mut().zip(&mut before) {
            let (after, slope) = gelu_and_slope::<I>(*before);
            *before = after;
            *sum *= slope;
        }
        store(self.before, at, width, &before);
        sums
    }
}
