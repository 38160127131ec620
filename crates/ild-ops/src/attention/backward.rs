//! The backward pass of attention.
//!
//! With `P = softmax(S)`, `S = scale·Q·Kᵀ`, `O = P·V` and `Δ = Σ over channels of dO∘O`:
//! `dV = Pᵀ·dO`, `dS = P∘(dO·Vᵀ − Δ)`, `dQ = scale·dS·K`, `dK = scale·dSᵀ·Q`.
//! Scores are kept transposed (keys × queries): then two of the three products that read them read
//! rows.

use rayon::prelude::*;

use super::source::{Part, Slot, Source};
use super::{KEYS, SCORES_ROW};
use crate::buffer::Buffer;
use crate::gemm::{
    Finish, Lhs, Plain, Product, Rhs, check_rows, multiply, pack_columns, pack_rows, packed_len,
};
use crate::isa::{Isa, Kernel, dispatch};
use crate::math::{exp, load_at, sum_pairs};
use crate::memory::unspecified;
use crate::shared::Shared;

/// Keys of a block; [`KEYS`] queries are taken at a time.
const BLOCK: usize = 96;

/// Keys of one task. Each task keeps its own sum for the queries' gradients, so the result does not
/// depend on the threads.
const SEGMENT: usize = 1056;

/// What the forward pass left and what comes back.
pub(super) struct Given<'a> {
    pub scale: f32,
    pub out: &'a [f32],
    pub grad: &'a [f32],
    /// `[problem, query]`.
    pub log_sums: &'a [f32],
}

/// Writes the gradients of the three parts; adds those of padding tokens to `bias`.
///
/// Where queries are pooled, the part of the queries must be zeros before.
pub(super) fn backward<S: Source>(
    source: &S,
    given: &Given,
    parts: [&Shared; 3],
    bias: &mut [f32],
) {
    let (queries, _) = source.sizes();
    let padding: Vec<Vec<f32>> = (0..source.problems())
        .into_par_iter()
        .map(|problem| {
            let log_sums = &given.log_sums[problem * queries..(problem + 1) * queries];
            one_problem(source, source.problem(problem), given, log_sums, parts, bias.len())
        })
        .collect();
    for padding in padding {
        for (bias, padding) in bias.iter_mut().zip(padding) {
            *bias += padding;
        }
    }
}

/// Returns the gradient of the bias, or nothing where the problem has no padding.
fn one_problem<S: Source>(
    source: &S,
    problem: S::Problem,
    given: &Given,
    log_sums: &[f32],
    parts: [&Shared; 3],
    bias: usize,
) -> Vec<f32> {
    let (_, keys) = source.sizes();
    let dim = source.dim();
    let prepared = dispatch(Prepare { source, problem, given, log_sums });
    let segments: Vec<(Vec<f32>, Sink)> = (0..keys.div_ceil(SEGMENT))
        .into_par_iter()
        .map(|i| {
            let mut sink = Sink { parts, bias: Vec::new(), channels: bias };
            let first = i * SEGMENT;
            let dq = dispatch(Segment {
                source,
                problem,
                prepared: &prepared,
                first,
                last: keys.min(first + SEGMENT),
                sink: &mut sink,
            });
            (dq, sink)
        })
        .collect();
    let mut segments = segments.into_iter();
    let Some((mut dq, mut sink)) = segments.next() else { return Vec::new() };
    for (more, other) in segments {
        dq.iter_mut().zip(more).for_each(|(a, b)| *a += b);
        if sink.bias.is_empty() {
            sink.bias = other.bias;
        } else {
            sink.bias.iter_mut().zip(other.bias).for_each(|(a, b)| *a += b);
        }
    }
    for (i, row) in dq.chunks_exact_mut(dim).enumerate() {
        row.iter_mut().for_each(|a| *a *= given.scale);
        source.spread_query(problem, i, row, |slot, channel, value| {
            sink.put(Part::Query, slot, channel, &[value])
        });
    }
    sink.bias
}

/// Where gradients go: places of their own in the parts, or the sum for the padding's bias.
struct Sink<'a> {
    parts: [&'a Shared<'a>; 3],
    bias: Vec<f32>,
    channels: usize,
}

impl Sink<'_> {
    fn put(&mut self, part: Part, slot: Slot, channel: usize, values: &[f32]) {
        match slot {
            Slot::At(start) => {
                let part = self.parts[part as usize];
                // SAFETY: a token's part belongs to one problem, and in it to one row.
                let place = unsafe { part.slice(start + channel, values.len()) };
                place.copy_from_slice(values);
            }
            Slot::Bias(start) => {
                self.bias.resize(self.channels, 0.0);
                self.bias[start + channel..].iter_mut().zip(values).for_each(|(a, b)| *a += b);
            }
        }
    }
}

/// The queries' side of a problem, packed both ways.
struct Prepared<'a> {
    /// `scale·Q`.
    q_columns: Buffer,
    q_rows: Buffer,
    grad_columns: Buffer,
    grad_rows: Buffer,
    deltas: Vec<f32>,
    log_sums: &'a [f32],
}

struct Prepare<'a, S: Source> {
    source: &'a S,
    problem: S::Problem,
    given: &'a Given<'a>,
    log_sums: &'a [f32],
}

impl<'a, S: Source> Kernel for Prepare<'a, S> {
    type Output = Prepared<'a>;

    #[inline(always)]
    fn run<I: Isa, const M: usize, const N: usize>(self) -> Prepared<'a> {
        let (count, _) = self.source.sizes();
        let dim = self.source.dim();
        let mut q = Buffer::unspecified(count * dim);
        let zeros = vec![0f32; dim];
        let output = |data: &'a [f32], i: usize| {
            self.source.output(self.problem, i).map(|start| &data[start..start + dim])
        };
        let grad = |i: usize| output(self.given.grad, i).unwrap_or(&zeros);
        let mut deltas = vec![0f32; count];
        for (i, (q, delta)) in q.chunks_exact_mut(dim).zip(&mut deltas).enumerate() {
            self.source.query(self.problem, i, q);
            q.iter_mut().for_each(|q| *q *= self.given.scale);
            if let Some(out) = output(self.given.out, i) {
                *delta = sum_pairs(out, grad(i), |out, grad| out * grad);
            }
        }
        let mut q_columns = Buffer::unspecified(packed_len(dim, count));
        pack_columns::<I, N>(&mut q_columns, dim, count, |i| &q[i * dim..(i + 1) * dim]);
        let mut q_rows = Buffer::unspecified(packed_len(count, dim));
        pack_rows::<N>(&mut q_rows, count, dim, |i| &q[i * dim..(i + 1) * dim]);
        let mut grad_columns = Buffer::unspecified(packed_len(dim, count));
        pack_columns::<I, N>(&mut grad_columns, dim, count, grad);
        let mut grad_rows = Buffer::unspecified(packed_len(count, dim));
        pack_rows::<N>(&mut grad_rows, count, dim, grad);
        Prepared { q_columns, q_rows, grad_columns, grad_rows, deltas, log_sums: self.log_sums }
    }
}

struct Segment<'a, 's, S: Source> {
    source: &'a S,
    problem: S::Problem,
    prepared: &'a Prepared<'a>,
    first: usize,
    last: usize,
    sink: &'a mut Sink<'s>,
}

impl<S: Source> Kernel for Segment<'_, '_, S> {
    /// The queries' gradient from these keys, not yet scaled.
    type Output = Vec<f32>;

    #[inline(always)]
    fn run<I: Isa, const M: usize, const N: usize>(self) -> Vec<f32> {
        let (queries, _) = self.source.sizes();
        let dim = self.source.dim();
        let mut dq = unspecified(queries * dim);
        let mut scratch = Scratch::new(dim);
        for start in (self.first..self.last).step_by(BLOCK) {
            let rows = BLOCK.min(self.last - start);
            for i in 0..rows {
                scratch.k[i * dim..(i + 1) * dim].copy_from_slice(self.source.row(
                    self.problem,
                    Part::Key,
                    start + i,
                ));
                scratch.v[i * dim..(i + 1) * dim].copy_from_slice(self.source.row(
                    self.problem,
                    Part::Value,
                    start + i,
                ));
            }
            let k = &scratch.k;
            pack_rows::<N>(&mut scratch.k_rows, rows, dim, |p| &k[p * dim..(p + 1) * dim]);
            for from in (0..queries).step_by(KEYS) {
                let range = from..(from + KEYS).min(queries);
                scratch.pair::<I, M, N>(
                    self.prepared,
                    rows,
                    range,
                    dim,
                    &mut dq,
                    start > self.first,
                );
            }
            for i in 0..rows {
                let row = i * dim..(i + 1) * dim;
                for (part, gradient) in [(Part::Key, &scratch.dk), (Part::Value, &scratch.dv)] {
                    self.sink.put(
                        part,
                        self.source.slot(self.problem, part, start + i),
                        0,
                        &gradient[row.clone()],
                    );
                }
            }
        }
        dq
    }
}

/// One block of keys and what is computed for it.
struct Scratch {
    k: Buffer,
    v: Buffer,
    k_rows: Buffer,
    dk: Buffer,
    dv: Buffer,
    /// `Pᵀ`, `[key, query]`.
    p: Buffer,
    /// `dSᵀ`.
    ds: Buffer,
}

impl Scratch {
    fn new(dim: usize) -> Self {
        let rows = || Buffer::unspecified(BLOCK * dim);
        let scores = || Buffer::unspecified(BLOCK * SCORES_ROW);
        Self {
            k: rows(),
            v: rows(),
            k_rows: Buffer::unspecified(packed_len(BLOCK, dim)),
            dk: rows(),
            dv: rows(),
            p: scores(),
            ds: scores(),
        }
    }

    /// Adds what the queries of `range` and this block's `rows` keys do to each other.
    #[inline(always)]
    fn pair<I: Isa, const M: usize, const N: usize>(
        &mut self,
        prepared: &Prepared,
        rows: usize,
        range: std::ops::Range<usize>,
        dim: usize,
        dq: &mut [f32],
        add_dq: bool,
    ) {
        let (log_sums, deltas) =
            (&prepared.log_sums[range.clone()], &prepared.deltas[range.clone()]);
        let add = range.start > 0;
        let columns = |panels| Rhs { panels, k: dim, depth: 0..dim, columns: range.clone() };
        let queries = |panels| Rhs {
            panels,
            k: prepared.deltas.len(),
            depth: range.clone(),
            columns: 0..dim,
        };
        let by_key = |data| Lhs { data, row: dim, step: 1 };
        let scores = |data| Lhs { data, row: SCORES_ROW, step: 1 };
        multiply::<I, M, N, _, _, _>(Product {
            rows,
            lhs: by_key(&self.k),
            rhs: columns(&prepared.q_columns),
            out: &mut self.p,
            out_row: SCORES_ROW,
            add: false,
            finish: &mut Probability { log_sums },
        });
        multiply::<I, M, N, _, _, _>(Product {
            rows,
            lhs: by_key(&self.v),
            rhs: columns(&prepared.grad_columns),
            out: &mut self.ds,
            out_row: SCORES_ROW,
            add: false,
            finish: &mut ScoreGradient { p: &self.p, deltas },
        });
        for (scores_of, panels, out) in [
            (&self.p, &prepared.grad_rows, &mut self.dv),
            (&self.ds, &prepared.q_rows, &mut self.dk),
        ] {
            multiply::<I, M, N, _, _, _>(Product {
                rows,
                lhs: scores(scores_of),
                rhs: queries(panels),
                out,
                out_row: dim,
                add,
                finish: &mut Plain,
            });
        }
        multiply::<I, M, N, _, _, _>(Product {
            rows: range.len(),
            lhs: Lhs { data: &self.ds, row: 1, step: SCORES_ROW },
            rhs: Rhs { panels: &self.k_rows, k: rows, depth: 0..rows, columns: 0..dim },
            out: &mut dq[range.start * dim..],
            out_row: dim,
            add: add_dq,
            finish: &mut Plain,
        });
    }
}

/// `e^(score − log sum of the query)`.
struct Probability<'a> {
    log_sums: &'a [f32],
}

impl Finish for Probability<'_> {
    fn check(&self, _: usize, columns: usize) {
        assert!(self.log_sums.len() >= columns);
    }

    #[inline(always)]
    unsafe fn finish<I: Isa>(&mut self, _: usize, column: usize, width: usize, sums: I::V) -> I::V {
        // SAFETY: as `check` found.
        exp::<I>(I::sub(sums, unsafe { load_at::<I>(self.log_sums, column, width) }))
    }
}

/// `P∘(dP − Δ)`.
struct ScoreGradient<'a> {
    p: &'a [f32],
    deltas: &'a [f32],
}

impl Finish for ScoreGradient<'_> {
    fn check(&self, rows: usize, columns: usize) {
        assert!(self.deltas.len() >= columns);
        check_rows(self.p, SCORES_ROW, rows, columns);
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
            let p = load_at::<I>(self.p, row * SCORES_ROW + column, width);
            I::mul(p, I::sub(sums, load_at::<I>(self.deltas, column, width)))
        }
    }
}
