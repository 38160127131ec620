//! Products of so few rows that packing the weight would take longer than the product: the
//! decoder's tokens.

use super::Finish;
use crate::isa::{Isa, Kernel};
use crate::math::{load, registers};

/// Most rows of such a product.
pub(crate) const FEW: usize = 16;

/// Rows and columns of a tile of sums.
const TILE: usize = 4;

/// `out[i, j] = Σₚ x[i, p]·weight[j, p]`, then [`Finish`]: the weight is read where it lies,
/// `[outputs, inputs]`.
pub(crate) struct FewRows<'a, F> {
    pub x: &'a [f32],
    pub weight: &'a [f32],
    pub inputs: usize,
    pub outputs: usize,
    pub out: &'a mut [f32],
    pub finish: &'a mut F,
}

impl<F: Finish> Kernel for FewRows<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa, const M: usize, const N: usize>(self) {
        let Self { x, weight, inputs, outputs, out, finish } = self;
        let rows = out.len() / outputs;
        finish.check(rows, outputs);
        let mut sums = [[0f32; N]; FEW];
        for first in (0..outputs).step_by(N) {
            let width = N.min(outputs - first);
            for column in (0..width).step_by(TILE) {
                // Rows and columns beyond the last are the last again; what they give is not used.
                let columns: [&[f32]; TILE] = std::array::from_fn(|j| {
                    line(weight, inputs, (first + column + j).min(outputs - 1))
                });
                for row in (0..rows).step_by(TILE) {
                    let lines: [&[f32]; TILE] =
                        std::array::from_fn(|i| line(x, inputs, (row + i).min(rows - 1)));
                    let tile = dot_products::<I>(&lines, &columns, inputs);
                    for (sums, tile) in sums[row..].iter_mut().zip(tile) {
                        for (sum, value) in sums[column..].iter_mut().zip(tile) {
                            *sum = value;
                        }
                    }
                }
            }
            for (row, sums) in sums[..rows].iter().enumerate() {
                for (at, count) in registers::<I>(width) {
                    // SAFETY: checked above.
                    let done = unsafe {
                        finish.finish::<I>(row, first + at, count, load::<I>(sums, at, count))
                    };
                    crate::math::store::<I>(out, row * outputs + first + at, count, done);
                }
            }
        }
    }
}

#[inline(always)]
fn line(matrix: &[f32], len: usize, i: usize) -> &[f32] {
    &matrix[i * len..(i + 1) * len]
}

/// The products of each row with each column.
#[inline(always)]
fn dot_products<I: Isa>(
    rows: &[&[f32]; TILE],
    columns: &[&[f32]; TILE],
    len: usize,
) -> [[f32; TILE]; TILE] {
    let mut sums = [[I::splat(0.0); TILE]; TILE];
    for (at, count) in registers::<I>(len) {
        let mut b = [I::splat(0.0); TILE];
        for (b, column) in b.iter_mut().zip(columns) {
            *b = load::<I>(column, at, count);
        }
        for (sums, row) in sums.iter_mut().zip(rows) {
            let a = load::<I>(row, at, count);
            for (sum, b) in sums.iter_mut().zip(b) {
                *sum = I::mul_add(a, b, *sum);
            }
        }
    }
    let mut totals = [[0f32; TILE]; TILE];
    for (totals, sums) in totals.iter_mut().zip(sums) {
        for (total, sum) in totals.iter_mut().zip(sums) {
            *total = I::total(sum);
        }
    }
    totals
}
