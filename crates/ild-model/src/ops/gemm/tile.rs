//! The product of a few rows with a packed matrix, register tile by register tile.

use std::ops::Range;

use super::Finish;
use crate::ops::isa::{Isa, REGISTERS};
use crate::ops::math::{load_at, store_at};

/// Length of the sums taken at once: a panel of this depth stays in the first-level cache.
const DEPTH: usize = 384;

/// A cache line is asked for every so many products: tiles of 12 × 32 then bring a whole panel in 96 rows.
const FETCH: usize = 4;

/// Numbers in a cache line.
const CACHE_LINE: usize = 16;

/// `A` where it lies: element `(i, p)` is `data[i·row + p·step]`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lhs<'a> {
    pub data: &'a [f32],
    pub row: usize,
    pub step: usize,
}

/// Part of a packed matrix: rows `depth` of the panels that hold `columns` (whose start is a multiple of the tile's width).
#[derive(Debug, Clone)]
pub(crate) struct Rhs<'a, T = f32> {
    pub panels: &'a [T],
    /// Rows of the whole packed matrix.
    pub k: usize,
    pub depth: Range<usize>,
    pub columns: Range<usize>,
}

/// `out[i, j] (+)= Σₚ A[i, p]·B[p, j]` for `rows` rows, then [`Finish`]. Row `i` of `out` starts at `i·out_row`.
#[derive(Debug)]
pub(crate) struct Product<'a, F, T = f32> {
    pub rows: usize,
    pub lhs: Lhs<'a>,
    pub rhs: Rhs<'a, T>,
    pub out: &'a mut [f32],
    pub out_row: usize,
    /// Whether what is in `out` counts.
    pub add: bool,
    pub finish: &'a mut F,
}

/// Computes a [`Product`] on this thread.
#[inline(always)]
pub(crate) fn multiply<I: Isa, const M: usize, const N: usize, F: Finish>(product: Product<F>) {
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
    assert!(rhs.panels.len() >= rhs.columns.end.next_multiple_of(N) * rhs.k);
    finish.check(rows, width);

    let mut from = 0;
    loop {
        let to = (from + DEPTH).min(depth);
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
                ahead: rhs.panels.as_ptr().wrapping_add((panel + 1) * rhs.k * N + (rhs.depth.start + from) * N),
                ahead_by_row: (to - from) * N / rows,
            };
            // SAFETY: the assertions above hold for every row, column and depth of this block.
            unsafe {
                if block.width > I::LANES {
                    block.rows::<I, M, N, REGISTERS, F>(rows, out, finish);
                } else {
                    block.rows::<I, M, N, 1, F>(rows, out, finish);
                }
            };
        }
        if last {
            break;
        }
        from = to;
    }
}

struct Block<'a> {
    k: usize,
    lhs: Lhs<'a>,
    panel: &'a [f32],
    column: usize,
    width: usize,
    out_row: usize,
    add: bool,
    last: bool,
    /// The panel after this one, of which each row of the result brings its share into the cache.
    ahead: *const f32,
    ahead_by_row: usize,
}

impl Block<'_> {
    /// All rows: tiles of `M`, then of 4, 2 and 1; of the panel's columns those in the first `R` registers.
    #[inline(always)]
    unsafe fn rows<I: Isa, const M: usize, const N: usize, const R: usize, F: Finish>(&self, rows: usize, out: &mut [f32], finish: &mut F) {
        let mut row = 0;
        // SAFETY: as this function's.
        unsafe {
            while rows - row >= M {
                self.tile::<I, M, N, R, F>(row, out, finish);
                row += M;
            }
            while rows - row >= 4 {
                self.tile::<I, 4, N, R, F>(row, out, finish);
                row += 4;
            }
            if rows - row >= 2 {
                self.tile::<I, 2, N, R, F>(row, out, finish);
                row += 2;
            }
            if rows - row == 1 {
                self.tile::<I, 1, N, R, F>(row, out, finish);
            }
        }
    }

    /// # Safety
    /// Rows `row .. row + M` and `k` columns of `A`, `k` rows of the panel, those rows of `out`, and what `finish` needs for them, must exist.
    #[inline(always)]
    unsafe fn tile<I: Isa, const M: usize, const N: usize, const R: usize, F: Finish>(&self, row: usize, out: &mut [f32], finish: &mut F) {
        let mut sums = [[I::splat(0.0); R]; M];
        // SAFETY: the caller's promise.
        unsafe {
            let mut a = self.lhs.data.as_ptr().add(row * self.lhs.row);
            let mut b = self.panel.as_ptr();
            let mut ahead = self.ahead.wrapping_add(row * self.ahead_by_row);
            for start in (0..self.k).step_by(FETCH) {
                I::prefetch(ahead);
                ahead = ahead.wrapping_add(CACHE_LINE);
                for _ in 0..FETCH.min(self.k - start) {
                    let mut line = [I::splat(0.0); R];
                    for (j, line) in line.iter_mut().enumerate() {
                        *line = I::load(b.add(j * I::LANES));
                    }
                    for (i, sums) in sums.iter_mut().enumerate() {
                        let value = I::splat(*a.add(i * self.lhs.row));
                        for (sum, line) in sums.iter_mut().zip(line) {
                            *sum = I::mul_add(value, line, *sum);
                        }
                    }
                    a = a.wrapping_add(self.lhs.step);
                    b = b.add(N);
                }
            }
        }
        // A copy, so that the loop over rows below does not force the accumulators above out of the registers.
        let done = sums;
        for (i, sums) in done.into_iter().enumerate() {
            for (j, sums) in sums.into_iter().enumerate() {
                let first = j * I::LANES;
                // SAFETY: the caller's promise.
                unsafe {
                    if self.width >= R * I::LANES {
                        self.store::<I, F>(row + i, first, I::LANES, sums, out, finish); // its own copy: with a constant width
                    } else if first < self.width {
                        self.store::<I, F>(row + i, first, (self.width - first).min(I::LANES), sums, out, finish);
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
    unsafe fn store<I: Isa, F: Finish>(&self, row: usize, first: usize, width: usize, mut sums: I::V, out: &mut [f32], finish: &mut F) {
        let column = self.column + first;
        let at = row * self.out_row + column;
        // SAFETY: the caller's promise.
        unsafe {
            if self.add {
                sums = I::add(sums, load_at::<I>(out, at, width));
            }
            if self.last {
                sums = finish.finish::<I>(row, column, width, sums);
            }
            store_at::<I>(out, at, width, sums);
        }
    }
}
