//! What happens to a row of a register tile before it is stored.

use crate::ops::isa::Isa;
use crate::ops::math::{gelu, gelu_and_slope, load, store};

/// The last step of a product, a register of one row at a time.
pub(crate) trait Finish {
    /// What is stored at `row`, `column ..`, of which `width` numbers count.
    fn finish<I: Isa>(&mut self, row: usize, column: usize, width: usize, sums: I::V) -> I::V;
}

/// The sums as they are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plain;

impl Finish for Plain {
    #[inline(always)]
    fn finish<I: Isa>(&mut self, _: usize, _: usize, _: usize, sums: I::V) -> I::V {
        sums
    }
}

/// `sum + bias`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bias<'a>(pub &'a [f32]);

impl Finish for Bias<'_> {
    #[inline(always)]
    fn finish<I: Isa>(&mut self, _: usize, column: usize, width: usize, sums: I::V) -> I::V {
        I::add(sums, load::<I>(self.0, column, width))
    }
}

/// `gelu(sum + bias)`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BiasGelu<'a>(pub &'a [f32]);

impl Finish for BiasGelu<'_> {
    #[inline(always)]
    fn finish<I: Isa>(&mut self, row: usize, column: usize, width: usize, sums: I::V) -> I::V {
        gelu::<I>(Bias(self.0).finish::<I>(row, column, width, sums))
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
    fn finish<I: Isa>(&mut self, row: usize, column: usize, width: usize, sums: I::V) -> I::V {
        let before = Bias(self.bias).finish::<I>(row, column, width, sums);
        store::<I>(self.before, row * self.columns + column, width, before);
        gelu::<I>(before)
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
    fn finish<I: Isa>(&mut self, row: usize, column: usize, width: usize, sums: I::V) -> I::V {
        let sums = Bias(self.bias).finish::<I>(row, column, width, sums);
        I::add(sums, load::<I>(self.residual, row * self.columns + column, width))
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
    fn finish<I: Isa>(&mut self, row: usize, column: usize, width: usize, sums: I::V) -> I::V {
        let at = row * self.columns + column;
        let (after, slope) = gelu_and_slope::<I>(load::<I>(self.before, at, width));
        store::<I>(self.before, at, width, after);
        I::mul(sums, slope)
    }
}
