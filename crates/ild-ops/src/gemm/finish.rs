//! What happens to a row of a register tile before it is stored.

use crate::isa::Isa;
use crate::math::{gelu, gelu_and_slope, gelu_rough, load_at, store_at};

/// The last step of a product, a register of one row at a time.
pub(crate) trait Finish {
    /// Panics unless [`Self::finish`] finds what it needs for each of `rows × columns` places.
    fn check(&self, rows: usize, columns: usize);

    /// Asks for what [`Self::finish`] will read for the register at `row`, `column ..`, if that is
    /// far away.
    #[inline(always)]
    fn prefetch<I: Isa>(&self, _row: usize, _column: usize) {}

    /// What is stored at `row`, `column ..`, of which `width` numbers count.
    ///
    /// # Safety
    /// [`Self::check`] must have passed for a size that these places are in.
    unsafe fn finish<I: Isa>(
        &mut self,
        row: usize,
        column: usize,
        width: usize,
        sums: I::V,
    ) -> I::V;

    /// Whether sums that are in half precision, and are to be, can stay in it:
    /// [`Self::finish_halves`].
    const IN_HALVES: bool = false;

    /// [`Self::finish`] of a whole register in half precision.
    ///
    /// # Safety
    /// As [`Self::finish`].
    unsafe fn finish_halves<I: Isa>(&mut self, _row: usize, _column: usize, _sums: I::H) -> I::H {
        unreachable!("not in half precision")
    }
}

/// Panics unless `data`, in rows of `row` numbers, holds `rows × columns` places.
pub(crate) fn check_rows<T>(data: &[T], row: usize, rows: usize, columns: usize) {
    assert!(
        row >= columns && data.len() + row >= rows * row + columns,
        "{} numbers in rows of {row} for {rows} × {columns}",
        data.len()
    );
}

/// The sums as they are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plain;

impl Finish for Plain {
    fn check(&self, _: usize, _: usize) {}

    #[inline(always)]
    unsafe fn finish<I: Isa>(&mut self, _: usize, _: usize, _: usize, sums: I::V) -> I::V {
        sums
    }
}

/// `sum + bias`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bias<'a>(pub &'a [f32]);

impl Finish for Bias<'_> {
    fn check(&self, _: usize, columns: usize) {
        assert!(self.0.len() >= columns, "a bias of {} for {columns} columns", self.0.len());
    }

    #[inline(always)]
    unsafe fn finish<I: Isa>(&mut self, _: usize, column: usize, width: usize, sums: I::V) -> I::V {
        // SAFETY: as `check` found.
        unsafe { I::add(sums, load_at::<I>(self.0, column, width)) }
    }
}

/// `gelu(sum + bias)`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BiasGelu<'a>(pub &'a [f32]);

impl Finish for BiasGelu<'_> {
    fn check(&self, rows: usize, columns: usize) {
        Bias(self.0).check(rows, columns);
    }

    #[inline(always)]
    unsafe fn finish<I: Isa>(
        &mut self,
        row: usize,
        column: usize,
        width: usize,
        sums: I::V,
    ) -> I::V {
        // SAFETY: as `check` found.
        gelu::<I>(unsafe { Bias(self.0).finish::<I>(row, column, width, sums) })
    }
}

/// [`BiasGelu`] for results that are rounded to half precision.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BiasGeluRough<'a>(pub &'a [f32]);

impl Finish for BiasGeluRough<'_> {
    fn check(&self, rows: usize, columns: usize) {
        Bias(self.0).check(rows, columns);
    }

    #[inline(always)]
    unsafe fn finish<I: Isa>(
        &mut self,
        row: usize,
        column: usize,
        width: usize,
        sums: I::V,
    ) -> I::V {
        // SAFETY: as `check` found.
        gelu_rough::<I>(unsafe { Bias(self.0).finish::<I>(row, column, width, sums) })
    }
}

/// `gelu(sum + bias)`, and `sum + bias` kept in `before` (as many columns as the result) for the
/// gradient.
#[derive(Debug)]
pub(crate) struct BiasGeluKeep<'a> {
    pub bias: &'a [f32],
    pub before: &'a mut [f32],
    pub columns: usize,
}

impl Finish for BiasGeluKeep<'_> {
    fn check(&self, rows: usize, columns: usize) {
        Bias(self.bias).check(rows, columns);
        check_rows(self.before, self.columns, rows, columns);
    }

    #[inline(always)]
    unsafe fn finish<I: Isa>(
        &mut self,
        row: usize,
        column: usize,
        width: usize,
        sums: I::V,
    ) -> I::V {
        // SAFETY: as `check` found.
        unsafe {
            let before = Bias(self.bias).finish::<I>(row, column, width, sums);
            store_at::<I>(self.before, row * self.columns + column, width, before);
            gelu::<I>(before)
        }
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
    fn check(&self, rows: usize, columns: usize) {
        Bias(self.bias).check(rows, columns);
        check_rows(self.residual, self.columns, rows, columns);
    }

    #[inline(always)]
    fn prefetch<I: Isa>(&self, row: usize, column: usize) {
        I::prefetch(self.residual.as_ptr().wrapping_add(row * self.columns + column));
    }

    #[inline(always)]
    unsafe fn finish<I: Isa>(
        &mut self,
        row: usize,
        column: usize,
        width: usize,
        sums: I::V,
    ) -> I::V {
        // SAFETY: as `check` found.
        unsafe {
            let sums = Bias(self.bias).finish::<I>(row, column, width, sums);
            I::add(sums, load_at::<I>(self.residual, row * self.columns + column, width))
        }
    }
}

/// `sum · gelu′(before)`; `before`, which has as many columns as the result, becomes
/// `gelu(before)`.
#[derive(Debug)]
pub(crate) struct GeluSlope<'a> {
    pub before: &'a mut [f32],
    pub columns: usize,
}

impl Finish for GeluSlope<'_> {
    fn check(&self, rows: usize, columns: usize) {
        check_rows(self.before, self.columns, rows, columns);
    }

    #[inline(always)]
    unsafe fn finish<I: Isa>(
        &mut self,
        row: usize,
        column: usize,
        width: usize,
        sums: I::V,
    ) -> I::V {
        let at = row * self.columns + column;
        // SAFETY: as `check` found.
        unsafe {
            let (after, slope) = gelu_and_slope::<I>(load_at::<I>(self.before, at, width));
            store_at::<I>(self.before, at, width, after);
            I::mul(sums, slope)
        }
    }
}
