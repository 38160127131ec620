//! The product of a few rows with a packed matrix, register tile by register tile.

use std::ops::Range;

use super::{Corner, Finish, Operand};
use crate::isa::{Half, Isa, REGISTERS};

/// `A` where it lies: element `(i, p)` is `data[i·row + p·step]`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lhs<'a, T = f32> {
    pub data: &'a [T],
    pub row: usize,
    pub step: usize,
}

/// Part of a packed matrix: rows `depth` of the panels that hold `columns` (whose start is a
/// multiple of the tile's width).
#[derive(Debug, Clone)]
pub(crate) struct Rhs<'a, T = f32> {
    pub panels: &'a [T],
    /// Rows of the whole packed matrix, [padded](Operand::padded).
    pub k: usize,
    pub depth: Range<usize>,
    pub columns: Range<usize>,
}

/// `out[i, j] (+)= Σₚ A[i, p]·B[p, j]` for `rows` rows, then [`Finish`]. Row `i` of `out` starts at
/// `i·out_row`.
#[derive(Debug)]
pub(crate) struct Product<'a, F, T = f32, O = f32> {
    pub rows: usize,
    pub lhs: Lhs<'a, T>,
    pub rhs: Rhs<'a, T>,
    pub out: &'a mut [O],
    pub out_row: usize,
    /// Whether what is in `out` counts.
    pub add: bool,
    pub finish: &'a mut F,
}

/// Computes a [`Product`] on this thread.
#[inline(always)]
pub(crate) fn multiply<
    I: Isa,
    const M: usize,
    const N: usize,
    F: Finish,
    T: Operand,
    O: Operand,
>(
    product: Product<F, T, O>,
) {
    let Product { rows, lhs, rhs, out, out_row, add, finish } = product;
    const { assert!(N == REGISTERS * I::LANES) };
    let (depth, width) = (rhs.depth.len(), rhs.columns.len());
    if rows == 0 || width == 0 {
        return;
    }
    // Everything the tiles below read and write.
    assert!(out.len() >= (rows - 1) * out_row + width);
    assert!(depth == 0 || lhs.data.len() > (rows - 1) * lhs.row + (depth - 1) * lhs.step);
    assert!(rhs.columns.start % N == 0 && rhs.depth.end <= rhs.k);
    assert!(
        T::GROUP == 1 || lhs.step == 1 && rhs.depth.start % T::GROUP == 0 && depth % T::GROUP == 0
    );
    assert!(rhs.panels.len() >= rhs.columns.end.next_multiple_of(N) * rhs.k);
    finish.check(rows, width);

    let mut from = 0usize;
    loop {
        let to = from.saturating_add(T::DEPTH).min(depth);
        let last = to == depth;
        for (panel, column) in (rhs.columns.start / N..).zip((0..width).step_by(N)) {
            let block = Block {
                k: to - from,
                lhs: Lhs { data: &lhs.data[(from * lhs.step).min(lhs.data.len())..], ..lhs },
                panel: &rhs.panels[panel * rhs.k * N + (rhs.depth.start + from) * N..],
                column,
                width: N.min(width - column),
                out_row,
                add: add || from > 0,
                last,
                ahead: rhs
                    .panels
                    .as_ptr()
                    .wrapping_add((panel + 1) * rhs.k * N + (rhs.depth.start + from) * N),
                ahead_by_row: (to - from) * N / rows,
            };
            // SAFETY: the assertions above hold for every row, column and depth of this block.
            unsafe {
                if block.width > I::LANES {
                    block.rows::<I, M, N, REGISTERS, F, O>(rows, out, finish);
                } else {
                    block.rows::<I, M, N, 1, F, O>(rows, out, finish);
                }
            };
        }
        if last {
            break;
        }
        from = to;
    }
}

struct Block<'a, T> {
    k: usize,
    lhs: Lhs<'a, T>,
    panel: &'a [T],
    column: usize,
    width: usize,
    out_row: usize,
    add: bool,
    last: bool,
    /// The panel after this one, of which each row of the result brings its share into the cache.
    ahead: *const T,
    ahead_by_row: usize,
}

impl<T: Operand> Block<'_, T> {
    /// All rows: tiles of `M`, then of 4, 2 and 1; of the panel's columns those in the first `R`
    /// registers.
    #[inline(always)]
    unsafe fn rows<
        I: Isa,
        const M: usize,
        const N: usize,
        const R: usize,
        F: Finish,
        O: Operand,
    >(
        &self,
        rows: usize,
        out: &mut [O],
        finish: &mut F,
    ) {
        let mut row = 0;
        // SAFETY: as this function's.
        unsafe {
            while rows - row >= M {
                self.tile::<I, M, N, R, F, O>(row, out, finish);
                row += M;
            }
            while rows - row >= 4 {
                self.tile::<I, 4, N, R, F, O>(row, out, finish);
                row += 4;
            }
            if rows - row >= 2 {
                self.tile::<I, 2, N, R, F, O>(row, out, finish);
                row += 2;
            }
            if rows - row == 1 {
                self.tile::<I, 1, N, R, F, O>(row, out, finish);
            }
        }
    }

    /// # Safety
    /// Rows `row .. row + M` and `k` columns of `A`, `k` rows of the panel, those rows of `out`,
    /// and what `finish` needs for them, must exist.
    #[inline(always)]
    unsafe fn tile<
        I: Isa,
        const M: usize,
        const N: usize,
        const R: usize,
        F: Finish,
        O: Operand,
    >(
        &self,
        row: usize,
        out: &mut [O],
        finish: &mut F,
    ) {
        if self.last {
            for i in 0..M {
                for j in 0..R {
                    finish.prefetch::<I>(row + i, self.column + j * I::LANES);
                }
            }
        }
        let at = Corner {
            a: self.lhs.data.as_ptr().wrapping_add(row * self.lhs.row),
            row: self.lhs.row,
            step: self.lhs.step,
            b: self.panel.as_ptr(),
            n: N,
            ahead: self.ahead.wrapping_add(row * self.ahead_by_row),
        };
        if F::IN_HALVES && O::HALF && !self.add && self.width >= N {
            // SAFETY: the caller's promise.
            if let Some(sums) = unsafe { T::halves::<I, M>(&at, self.k) } {
                for (i, sums) in sums.into_iter().enumerate() {
                    let to = out[(row + i) * self.out_row + self.column..][..N].as_mut_ptr();
                    // SAFETY: the caller's promise; `O` is `f16`.
                    unsafe {
                        finish.finish_halves::<I>(row + i, self.column, sums).store(to.cast())
                    };
                }
                return;
            }
        }
        // SAFETY: the caller's promise.
        let sums = unsafe { T::sums::<I, M, R>(at, self.k) };
        // A copy, so that the loop over rows below does not force the accumulators above out of the
        // registers.
        let done = sums;
        for (i, sums) in done.into_iter().enumerate() {
            for (j, sums) in sums.into_iter().enumerate() {
                let first = j * I::LANES;
                // SAFETY: the caller's promise.
                unsafe {
                    if self.width >= R * I::LANES {
                        self.store::<I, F, O>(row + i, first, I::LANES, sums, out, finish); // its own copy: with a constant width
                    } else if first < self.width {
                        self.store::<I, F, O>(
                            row + i,
                            first,
                            (self.width - first).min(I::LANES),
                            sums,
                            out,
                            finish,
                        );
                    }
                }
            }
        }
    }

    /// `width` finished sums of a row, from column `first` of the panel on.
    ///
    /// # Safety
    /// These places must be in `out`, and `finish` checked for them.
    #[inline(always)]
    unsafe fn store<I: Isa, F: Finish, O: Operand>(
        &self,
        row: usize,
        first: usize,
        width: usize,
        mut sums: I::V,
        out: &mut [O],
        finish: &mut F,
    ) {
        let column = self.column + first;
        let at = row * self.out_row + column;
        // SAFETY: the caller's promise.
        unsafe {
            debug_assert!(at + width <= out.len());
            let to = out.as_mut_ptr().add(at);
            if self.add {
                sums = I::add(sums, O::load::<I>(to, width));
            }
            if self.last {
                sums = finish.finish::<I>(row, column, width, sums);
            }
            O::store::<I>(to, sums, width);
        }
    }
}
