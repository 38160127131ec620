//! The forward pass of attention.

use rayon::prelude::*;

use super::scores::{PEAKS, Peaks, Scores};
use super::source::{Part, Source};
use super::{KEYS, SCORES_ROW};
use crate::buffer::Buffer;
use crate::gemm::{Lhs, Operand, Plain, Product, Rhs, multiply, packed_len};
use crate::isa::{Isa, Kernel};
use crate::math::{load, registers, store};
use crate::memory::unspecified;
use crate::shared::Shared;

/// Most queries of a block; their scores against [`KEYS`] keys stay in a core's second-level cache.
const QUERIES: usize = 96;

/// Writes the attention of every problem, with operands in `T`; `log_sums` becomes `[problem,
/// query]`.
pub(super) fn forward<S: Source, T: Scores>(
    source: &S,
    scale: f32,
    out: &mut [f32],
    log_sums: Option<&mut Vec<f32>>,
) {
    let (queries, _) = source.sizes();
    let out = Shared::new(out);
    let mut unwanted = Vec::new();
    let log_sums = log_sums.unwrap_or(&mut unwanted);
    *log_sums = unspecified(source.problems() * queries);
    let block = even_blocks(queries, QUERIES);
    log_sums.par_chunks_mut(queries.max(1)).enumerate().for_each(|(problem, log_sums)| {
        let problem = source.problem(problem);
        let mut packed = Packed::default();
        let packed = packed.fill::<S, T>(source, problem);
        log_sums.par_chunks_mut(block).enumerate().for_each_init(
            Scratch::default,
            |scratch, (i, log_sums)| {
                T::dispatch(Block {
                    source,
                    problem,
                    scale,
                    first: i * block,
                    packed,
                    out: &out,
                    log_sums,
                    scratch,
                });
            },
        );
    });
}

/// The same on this thread.
pub(super) fn forward_here<S: Source, T: Scores>(
    source: &S,
    scale: f32,
    out: &mut [f32],
    scratch: &mut Scratch,
) {
    let (queries, _) = source.sizes();
    let out = &Shared::new(out);
    let (mut packed, mut log_sums) =
        (std::mem::take(&mut scratch.packed), std::mem::take(&mut scratch.log_sums));
    let log_sums_here = log_sums.room(queries);
    let block = even_blocks(queries, QUERIES);
    for problem in 0..source.problems() {
        let problem = source.problem(problem);
        let packed = packed.fill::<S, T>(source, problem);
        for (i, log_sums) in log_sums_here.chunks_mut(block).enumerate() {
            T::dispatch(Block {
                source,
                problem,
                scale,
                first: i * block,
                packed,
                out,
                log_sums,
                scratch,
            });
        }
    }
    (scratch.packed, scratch.log_sums) = (packed, log_sums);
}

/// What a block of queries needs beside its inputs; kept from block to block.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    packed: Packed,
    query: Buffer,
    q: Buffer,
    scores: Buffer,
    /// The largest scores of each query so far, one for each lane of a register.
    peaks: Buffer,
    acc: Buffer,
    largest: Buffer,
    sums: Buffer,
    log_sums: Buffer,
}

/// Length of equal blocks of at most `most`, a multiple of the tallest tile.
fn even_blocks(count: usize, most: usize) -> usize {
    count.div_ceil(count.div_ceil(most).max(1)).next_multiple_of(12)
}

/// Room for the keys (by columns) and values (by rows) of a problem, packed.
#[derive(Debug, Default)]
struct Packed {
    keys: Buffer,
    values: Buffer,
}

impl Packed {
    /// Fills both.
    fn fill<S: Source, T: Operand>(&mut self, source: &S, problem: S::Problem) -> [&[T]; 2] {
        let ((_, count), dim, wide) = (source.sizes(), source.dim(), source.value_dim());
        let keys = self.keys.room_of(packed_len(T::padded(dim), count));
        let values = self.values.room_of(packed_len(T::padded(count), wide));
        T::dispatch(Pack { source, problem, keys, values });
        [keys, values]
    }
}

struct Pack<'a, S: Source, T> {
    source: &'a S,
    problem: S::Problem,
    keys: &'a mut [T],
    values: &'a mut [T],
}

impl<S: Source, T: Operand> Kernel for Pack<'_, S, T> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa, const M: usize, const N: usize>(self) {
        let ((_, count), dim) = (self.source.sizes(), self.source.dim());
        let wide = self.source.value_dim();
        T::pack_columns::<I, N>(self.keys, dim, count, |i| {
            self.source.row(self.problem, Part::Key, i)
        });
        T::pack_rows::<I, N>(self.values, count, wide, |i| {
            self.source.row(self.problem, Part::Value, i)
        });
    }
}

struct Block<'a, S: Source, T> {
    source: &'a S,
    problem: S::Problem,
    scale: f32,
    first: usize,
    /// Keys and values.
    packed: [&'a [T]; 2],
    out: &'a Shared<'a>,
    log_sums: &'a mut [f32],
    scratch: &'a mut Scratch,
}

impl<S: Source, T: Scores> Kernel for Block<'_, S, T> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa, const M: usize, const N: usize>(self) {
        let (_, keys) = self.source.sizes();
        let (dim, wide) = (self.source.dim(), self.source.value_dim());
        let rows = self.log_sums.len();
        let [packed_keys, packed_values] = self.packed;
        let Scratch { query, q, scores, peaks, acc, largest, sums, .. } = self.scratch;
        let (query, width) = (query.room(dim), T::padded(dim));
        let q = q.room_of::<T>(rows * width);
        // Scores to the base of 2: its powers are cheaper than those of e.
        let scale = self.scale * std::f32::consts::LOG2_E;
        for (i, q) in q.chunks_exact_mut(width).enumerate() {
            self.source.query(self.problem, self.first + i, query);
            q[dim..].fill(T::default());
            for (at, count) in registers::<I>(dim) {
                let scaled = I::mul(load::<I>(query, at, count), I::splat(scale));
                // SAFETY: the slice has `count` numbers.
                unsafe { T::store::<I>(q[at..at + count].as_mut_ptr(), scaled, count) };
            }
        }
        let scores = scores.room_of::<T::Score>(rows * SCORES_ROW);
        let acc = acc.room(rows * wide);
        let (largest, sums) = (largest.room(rows), sums.room(rows));
        let peaks = peaks.room_of::<T::Score>(rows * PEAKS);
        peaks.fill(T::LOWEST);
        largest.fill(f32::NEG_INFINITY);
        sums.fill(0.0);
        for start in (0..keys).step_by(KEYS) {
            let end = (start + KEYS).min(keys);
            multiply::<I, M, N, _, _, _>(Product {
                rows,
                lhs: Lhs { data: &*q, row: width, step: 1 },
                rhs: Rhs { panels: packed_keys, k: width, depth: 0..width, columns: start..end },
                out: scores,
                out_row: SCORES_ROW,
                add: false,
                finish: &mut Peaks { scores: peaks },
            });
            for (i, row) in scores.chunks_exact_mut(SCORES_ROW).enumerate() {
                let peak = T::largest::<I>(&peaks[i * PEAKS..]);
                let total = T::powers::<I>(row, end - start, peak);
                let shrink = if peak == largest[i] { 1.0 } else { (largest[i] - peak).exp2() };
                sums[i] = I::fma(sums[i], shrink, total);
                largest[i] = peak;
                if start > 0 && shrink != 1.0 {
                    let acc = &mut acc[i * wide..(i + 1) * wide];
                    for (at, count) in registers::<I>(wide) {
                        let shrunk = I::mul(load::<I>(acc, at, count), I::splat(shrink));
                        store::<I>(acc, at, count, shrunk);
                    }
                }
            }
            let probabilities = T::probabilities(scores);
            multiply::<I, M, N, _, _, _>(Product {
                rows,
                lhs: Lhs { data: probabilities, row: probabilities.len() / rows, step: 1 },
                rhs: Rhs {
                    panels: packed_values,
                    k: T::padded(keys),
                    depth: start..T::padded(end),
                    columns: 0..wide,
                },
                out: acc,
                out_row: wide,
                add: start > 0,
                finish: &mut Plain,
            });
        }
        for (i, acc) in acc.chunks_exact(wide).enumerate() {
            self.log_sums[i] = (largest[i] + sums[i].log2()) * std::f32::consts::LN_2;
            if let Some(start) = self.source.output(self.problem, self.first + i) {
                let share = 1.0 / sums[i];
                // SAFETY: this row belongs to this query and head alone.
                let out = unsafe { self.out.slice(start, wide) };
                for (out, acc) in out.iter_mut().zip(acc) {
                    *out = acc * share;
                }
            }
        }
    }
}
