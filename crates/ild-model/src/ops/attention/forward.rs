//! The forward pass of attention.

use std::ops::Range;

use rayon::prelude::*;

use super::source::{Part, Source};
use super::{KEYS, SCORES_ROW};
use crate::ops::buffer::Buffer;
use crate::ops::gemm::{
    Finish, Lhs, Panels, Plain, Product, Rhs, check_rows, multiply, multiply_half, pack_columns, pack_rows, packed_len,
};
use crate::ops::isa::{Isa, Kernel, dispatch};
use crate::ops::math::{exp2, load, load_at, registers, store, store_at};
use crate::ops::node::uninit;
use crate::ops::precision::Precision;
use crate::ops::shared::Shared;

/// Most queries of a block; their scores against [`KEYS`] keys stay in a core's second-level cache.
const QUERIES: usize = 96;

/// Keys of a problem that is worth rounding to half precision.
const SMALL: usize = 128;

/// Lanes of the widest register.
const PEAKS: usize = 16;

/// Writes the attention of every problem; `log_sums` becomes `[problem, query]`.
pub(super) fn forward<S: Source>(source: &S, scale: f32, out: &mut [f32], log_sums: Option<&mut Vec<f32>>) {
    let (queries, keys) = source.sizes();
    let out = Shared::new(out);
    let mut unwanted = Vec::new();
    let log_sums = log_sums.unwrap_or(&mut unwanted);
    *log_sums = uninit(source.problems() * queries);
    let block = even_blocks(queries, QUERIES);
    let precision = precision_for(keys, Precision::current());
    log_sums.par_chunks_mut(queries.max(1)).enumerate().for_each(|(problem, log_sums)| {
        let problem = source.problem(problem);
        let packed = dispatch(Pack { source, problem, precision });
        log_sums.par_chunks_mut(block).enumerate().for_each_init(Scratch::default, |scratch, (i, log_sums)| {
            dispatch(Block { source, problem, scale, first: i * block, packed: &packed, out: &out, log_sums, scratch });
        });
    });
}

/// The same on this thread.
pub(super) fn forward_here<S: Source>(source: &S, scale: f32, precision: Precision, out: &mut [f32], scratch: &mut Scratch) {
    let (queries, keys) = source.sizes();
    let precision = precision_for(keys, precision);
    let out = &Shared::new(out);
    let mut log_sums = std::mem::take(&mut scratch.log_sums);
    let log_sums_here = log_sums.room(queries);
    let block = even_blocks(queries, QUERIES);
    for problem in 0..source.problems() {
        let problem = source.problem(problem);
        let packed = &dispatch(Pack { source, problem, precision });
        for (i, log_sums) in log_sums_here.chunks_mut(block).enumerate() {
            dispatch(Block { source, problem, scale, first: i * block, packed, out, log_sums, scratch });
        }
    }
    scratch.log_sums = log_sums;
}

/// What a block of queries needs beside its inputs; kept from block to block.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    q: Buffer,
    scores: Buffer,
    /// The largest scores of each query so far, one for each lane of a register.
    peaks: Buffer,
    acc: Buffer,
    largest: Buffer,
    sums: Buffer,
    log_sums: Buffer,
}

/// Small windows stay in f32: rounding their operands takes longer than it saves.
fn precision_for(keys: usize, asked: Precision) -> Precision {
    if keys < SMALL { Precision::F32 } else { asked }
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

struct Pack<'a, S: Source> {
    source: &'a S,
    problem: S::Problem,
    precision: Precision,
}

impl<S: Source> Kernel for Pack<'_, S> {
    type Output = PackedKeys;

    #[inline(always)]
    fn run<I: Isa, const M: usize, const N: usize>(self) -> PackedKeys {
        let (_, count) = self.source.sizes();
        let dim = self.source.dim();
        let mut keys = Buffer::uninit(packed_len(dim, count));
        pack_columns::<I, N>(&mut keys, dim, count, |i| self.source.row(self.problem, Part::Key, i));
        let mut values = Buffer::uninit(packed_len(count, dim));
        pack_rows::<N>(&mut values, count, dim, |i| self.source.row(self.problem, Part::Value, i));
        PackedKeys { keys: Panels::new(keys, self.precision), values: Panels::new(values, self.precision) }
    }
}

struct Block<'a, S: Source> {
    source: &'a S,
    problem: S::Problem,
    scale: f32,
    first: usize,
    packed: &'a PackedKeys,
    out: &'a Shared<'a>,
    log_sums: &'a mut [f32],
    scratch: &'a mut Scratch,
}

impl<S: Source> Kernel for Block<'_, S> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa, const M: usize, const N: usize>(self) {
        let (_, keys) = self.source.sizes();
        let (dim, rows) = (self.source.dim(), self.log_sums.len());
        let Scratch { q, scores, peaks, acc, largest, sums, .. } = self.scratch;
        let q = q.room(rows * dim);
        // Scores to the base of 2: its powers are cheaper than those of e.
        let scale = self.scale * std::f32::consts::LOG2_E;
        for (i, q) in q.chunks_exact_mut(dim).enumerate() {
            self.source.query(self.problem, self.first + i, q);
            for q in q {
                *q *= scale;
            }
        }
        let scores = scores.room(rows * SCORES_ROW);
        let acc = acc.room(rows * dim);
        let (largest, sums) = (largest.room(rows), sums.room(rows));
        let peaks = peaks.room(rows * PEAKS);
        peaks.fill(f32::NEG_INFINITY);
        largest.fill(f32::NEG_INFINITY);
        sums.fill(0.0);
        for start in (0..keys).step_by(KEYS) {
            let end = (start + KEYS).min(keys);
            let queries = Lhs { data: q, row: dim, step: 1 };
            let finish = &mut Peaks { scores: peaks };
            product::<I, M, N, _>(rows, queries, (&self.packed.keys, dim, 0..dim, start..end), (scores, SCORES_ROW), false, finish);
            for (i, row) in scores.chunks_exact_mut(SCORES_ROW).enumerate() {
                let peak = I::largest(load::<I>(peaks, i * PEAKS, I::LANES));
                let total = powers::<I>(row, end - start, peak);
                let shrink = if peak == largest[i] { 1.0 } else { (largest[i] - peak).exp2() };
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
            let probabilities = Lhs { data: scores, row: SCORES_ROW, step: 1 };
            product::<I, M, N, _>(rows, probabilities, (&self.packed.values, keys, start..end, 0..dim), (acc, dim), start > 0, &mut Plain);
        }
        for (i, acc) in acc.chunks_exact(dim).enumerate() {
            self.log_sums[i] = (largest[i] + sums[i].log2()) * std::f32::consts::LN_2;
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

/// `out (+)= lhs · (rows `depth` and columns `columns` of a packed matrix of `k` rows)`, then `finish`.
#[inline(always)]
fn product<I: Isa, const M: usize, const N: usize, F: Finish>(
    rows: usize,
    lhs: Lhs,
    (panels, k, depth, columns): (&Panels, usize, Range<usize>, Range<usize>),
    (out, out_row): (&mut [f32], usize),
    add: bool,
    finish: &mut F,
) {
    match panels {
        Panels::Single(panels) => {
            let rhs = Rhs { panels: &panels[..], k, depth, columns };
            multiply::<I, M, N, F>(Product { rows, lhs, rhs, out, out_row, add, finish });
        }
        Panels::Half(panels) => {
            let rhs = Rhs { panels: &panels[..], k, depth, columns };
            multiply_half(Product { rows, lhs, rhs, out, out_row, add, finish });
        }
    }
}

/// Keeps the largest number of each row, lane by lane.
struct Peaks<'a> {
    /// [`PEAKS`] for each row.
    scores: &'a mut [f32],
}

impl Finish for Peaks<'_> {
    fn check(&self, rows: usize, _: usize) {
        check_rows(self.scores, PEAKS, rows, PEAKS);
    }

    #[inline(always)]
    unsafe fn finish<I: Isa>(&mut self, row: usize, _: usize, width: usize, sums: I::V) -> I::V {
        let mut scores = sums;
        if width < I::LANES {
            let mut lanes = [f32::NEG_INFINITY; PEAKS];
            store::<I>(&mut lanes, 0, width, sums);
            scores = load::<I>(&lanes, 0, I::LANES);
        }
        // SAFETY: as `check` found; a register has no more lanes than `PEAKS`.
        unsafe {
            let before = load_at::<I>(self.scores, row * PEAKS, I::LANES);
            store_at::<I>(self.scores, row * PEAKS, I::LANES, I::max(scores, before));
        }
        sums
    }
}

/// `row = 2^(row − peak)` for the first `len` numbers; returns their sum.
///
/// The row must have room for a whole number of registers.
#[inline(always)]
fn powers<I: Isa>(row: &mut [f32], len: usize, peak: f32) -> f32 {
    let filled = len.next_multiple_of(I::LANES);
    row[len..filled].fill(f32::NEG_INFINITY);
    let row = &mut row[..filled];
    let mut total = I::splat(0.0);
    for at in (0..filled).step_by(I::LANES) {
        let value = exp2::<I>(I::sub(load::<I>(row, at, I::LANES), I::splat(peak)));
        store::<I>(row, at, I::LANES, value);
        total = I::add(total, value);
    }
    I::total(total)
}
