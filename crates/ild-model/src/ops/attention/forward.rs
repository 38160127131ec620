//! The forward pass of attention.

use std::ops::Range;

use rayon::prelude::*;

use super::shared::Shared;
use super::source::{Part, Source};
use super::{KEYS, SCORES_ROW};
use crate::ops::gemm::{Lhs, Panels, Plain, Product, Rhs, multiply, multiply_half, pack_columns, pack_rows, packed_len};
use crate::ops::isa::{Isa, Kernel, dispatch};
use crate::ops::math::{exp, load, registers, store};
use crate::ops::node::uninit;
use crate::ops::precision::Precision;

/// Most queries of a block; their scores against [`KEYS`] keys stay in a core's second-level cache.
const QUERIES: usize = 96;

/// Writes the attention of every problem; `log_sums` becomes `[problem, query]`.
pub(super) fn forward<S: Source>(source: &S, scale: f32, out: &mut [f32], log_sums: Option<&mut Vec<f32>>) {
    let (queries, _) = source.sizes();
    let out = Shared::new(out);
    let mut unwanted = Vec::new();
    let log_sums = log_sums.unwrap_or(&mut unwanted);
    *log_sums = uninit(source.problems() * queries);
    let block = even_blocks(queries, QUERIES);
    let precision = Precision::current();
    log_sums.par_chunks_mut(queries.max(1)).enumerate().for_each(|(problem, log_sums)| {
        let packed = dispatch(Pack { source, problem, precision });
        log_sums.par_chunks_mut(block).enumerate().for_each(|(i, log_sums)| {
            dispatch(Block { source, problem, scale, first: i * block, packed: &packed, out: &out, log_sums });
        });
    });
}

/// Length of equal blocks of at most `most`, a multiple of the tallest tile.
fn even_blocks(count: usize, most: usize) -> usize {
    count.div_ceil(count.div_ceil(most).max(1)).next_multiple_of(12)
}

/// Keys (by columns) and values (by rows) of a problem, packed.
struct PackedKeys {
    keys: Panels,
    values: Panels,
}

struct Pack<'a, S> {
    source: &'a S,
    problem: usize,
    precision: Precision,
}

impl<S: Source> Kernel for Pack<'_, S> {
    type Output = PackedKeys;

    #[inline(always)]
    fn run<I: Isa, const M: usize, const N: usize>(self) -> PackedKeys {
        let (_, count) = self.source.sizes();
        let dim = self.source.dim();
        let mut keys = uninit(packed_len(dim, count));
        pack_columns::<N>(&mut keys, dim, count, |i| self.source.row(self.problem, Part::Key, i));
        let mut values = uninit(packed_len(count, dim));
        pack_rows::<N>(&mut values, count, dim, |i| self.source.row(self.problem, Part::Value, i));
        PackedKeys { keys: Panels::new(keys, self.precision), values: Panels::new(values, self.precision) }
    }
}

struct Block<'a, S> {
    source: &'a S,
    problem: usize,
    scale: f32,
    first: usize,
    packed: &'a PackedKeys,
    out: &'a Shared<'a>,
    log_sums: &'a mut [f32],
}

impl<S: Source> Kernel for Block<'_, S> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa, const M: usize, const N: usize>(self) {
        let (_, keys) = self.source.sizes();
        let (dim, rows) = (self.source.dim(), self.log_sums.len());
        let mut q = uninit(rows * dim);
        for (i, q) in q.chunks_exact_mut(dim).enumerate() {
            self.source.query(self.problem, self.first + i, q);
            for q in q {
                *q *= self.scale;
            }
        }
        let mut scores = uninit(rows * SCORES_ROW);
        let mut acc = uninit(rows * dim);
        let mut largest = vec![f32::NEG_INFINITY; rows];
        let mut sums = vec![0f32; rows];
        for start in (0..keys).step_by(KEYS) {
            let end = (start + KEYS).min(keys);
            let queries = Lhs { data: &q, row: dim, step: 1 };
            product::<I, M, N>(rows, queries, (&self.packed.keys, dim, 0..dim, start..end), (&mut scores, SCORES_ROW), false);
            for (i, row) in scores.chunks_exact_mut(SCORES_ROW).enumerate() {
                let (peak, total) = exponentials::<I>(row, end - start, largest[i]);
                let shrink = if peak == largest[i] { 1.0 } else { (largest[i] - peak).exp() };
                sums[i] = I::fma(sums[i], shrink, total);
                largest[i] = peak;
                if start > 0 && shrink != 1.0 {
                    let acc = &mut acc[i * dim..(i + 1) * dim];
                    for (at, count) in registers::<I>(dim) {
                        let shrunk = I::mul(load::<I>(acc, at, count), I::splat(shrink));
                        store::<I>(acc, at, count, shrunk);
                    }
                }
            }
            let probabilities = Lhs { data: &scores, row: SCORES_ROW, step: 1 };
            product::<I, M, N>(rows, probabilities, (&self.packed.values, keys, start..end, 0..dim), (&mut acc, dim), start > 0);
        }
        for (i, acc) in acc.chunks_exact(dim).enumerate() {
            self.log_sums[i] = largest[i] + sums[i].ln();
            if let Some(start) = self.source.output(self.problem, self.first + i) {
                let share = 1.0 / sums[i];
                // SAFETY: this row belongs to this query and head alone.
                let out = unsafe { self.out.slice(start, dim) };
                for (out, acc) in out.iter_mut().zip(acc) {
                    *out = acc * share;
                }
            }
        }
    }
}

/// `out (+)= lhs · (rows `depth` and columns `columns` of a packed matrix of `k` rows)`.
#[inline(always)]
fn product<I: Isa, const M: usize, const N: usize>(
    rows: usize,
    lhs: Lhs,
    (panels, k, depth, columns): (&Panels, usize, Range<usize>, Range<usize>),
    (out, out_row): (&mut [f32], usize),
    add: bool,
) {
    let finish = &mut Plain;
    match panels {
        Panels::Single(panels) => {
            let rhs = Rhs { panels: panels.as_slice(), k, depth, columns };
            multiply::<I, M, N, Plain>(Product { rows, lhs, rhs, out, out_row, add, finish });
        }
        Panels::Half(panels) => {
            let rhs = Rhs { panels: panels.as_slice(), k, depth, columns };
            multiply_half(Product { rows, lhs, rhs, out, out_row, add, finish });
        }
    }
}

/// `row = e^(row − peak)` for the first `len` numbers, where `peak` is their largest or `before`; returns the peak and the sum.
///
/// The row must have room for a whole number of registers.
#[inline(always)]
fn exponentials<I: Isa>(row: &mut [f32], len: usize, before: f32) -> (f32, f32) {
    let filled = len.next_multiple_of(I::LANES);
    row[len..filled].fill(f32::NEG_INFINITY);
    let row = &mut row[..filled];
    let mut largest = I::splat(before);
    for at in (0..filled).step_by(I::LANES) {
        largest = I::max(load::<I>(row, at, I::LANES), largest);
    }
    let peak = I::largest(largest);
    let mut total = I::splat(0.0);
    for at in (0..filled).step_by(I::LANES) {
        let value = exp::<I>(I::sub(load::<I>(row, at, I::LANES), I::splat(peak)));
        store::<I>(row, at, I::LANES, value);
        total = I::add(total, value);
    }
    (peak, I::total(total))
}
