//! Attention of many queries to a few keys, as from the image to the tokens of a prompt: a lane of a
//! register for each query, so that no maximum and no sum goes across lanes, and nothing is packed.

use rayon::prelude::*;

use super::source::{Part, Source};
use crate::isa::{Isa, Kernel, dispatch};
use crate::math::{exp2, load, store};
use crate::shared::Shared;

/// Most keys.
const KEYS: usize = 16;

/// Most channels of a head.
const CHANNELS: usize = 64;

/// Queries of one task, and what numbers of queries and channels are multiples of: the widest register.
const QUERIES: usize = 512;
const LANES: usize = 16;

/// Keys, or channels, that are summed up side by side.
const ABREAST: usize = 4;

/// Whether [`attend`] knows these sizes.
pub(super) fn fits<S: Source>(source: &S) -> bool {
    let ((queries, keys), dim, wide) = (source.sizes(), source.dim(), source.value_dim());
    let channels = |count: usize| count.is_multiple_of(LANES) && count <= CHANNELS;
    queries.is_multiple_of(LANES) && (1..=KEYS).contains(&keys) && channels(dim) && channels(wide)
}

/// Writes the attention of every problem; the sizes must [fit](fits).
pub(super) fn attend<S: Source>(source: &S, scale: f32, out: &mut [f32]) {
    assert!(fits(source));
    let (queries, _) = source.sizes();
    let out = &Shared::new(out);
    let tasks = queries.div_ceil(QUERIES);
    (0..source.problems() * tasks).into_par_iter().for_each(|task| {
        let (problem, first) = (source.problem(task / tasks), task % tasks * QUERIES);
        let queries = first..queries.min(first + QUERIES);
        dispatch(FewKeys { source, problem, scale, queries, out });
    });
}

struct FewKeys<'a, S: Source> {
    source: &'a S,
    problem: S::Problem,
    scale: f32,
    queries: std::ops::Range<usize>,
    out: &'a Shared<'a>,
}

impl<S: Source> Kernel for FewKeys<'_, S> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa, const M: usize, const N: usize>(self) {
        let Self { source, problem, scale, queries, out } = self;
        let ((_, keys), dim, wide) = (source.sizes(), source.dim(), source.value_dim());
        // Scores to the base of 2: its powers are cheaper than those of e. Behind the last key stand
        // zeros, which count nowhere.
        let scale = scale * std::f32::consts::LOG2_E;
        let (mut k, mut v) = ([[0f32; CHANNELS]; KEYS], [[0f32; CHANNELS]; KEYS]);
        for j in 0..keys {
            let row = source.row(problem, Part::Key, j);
            k[j][..dim].iter_mut().zip(row).for_each(|(to, x)| *to = x * scale);
            v[j][..wide].copy_from_slice(source.row(problem, Part::Value, j));
        }
        let mut query = [[0f32; CHANNELS]; LANES];
        let (mut q, mut result) = ([0f32; CHANNELS * LANES], [0f32; CHANNELS * LANES]);
        for first in queries.step_by(I::LANES) {
            for (i, query) in query[..I::LANES].iter_mut().enumerate() {
                source.query(problem, first + i, &mut query[..dim]);
            }
            let rows = query.each_ref().map(|query| &query[..]);
            for at in (0..dim).step_by(I::LANES) {
                I::transpose(&rows, at, &mut q[at * I::LANES..], I::LANES);
            }
            let mut powers = [I::splat(0.0); KEYS];
            let mut largest = I::splat(f32::NEG_INFINITY);
            for j in (0..keys).step_by(ABREAST) {
                let mut sums = [I::splat(0.0); ABREAST];
                for c in 0..dim {
                    let q = load::<I>(&q, c * I::LANES, I::LANES);
                    for (i, sum) in sums.iter_mut().enumerate() {
                        *sum = I::mul_add(I::splat(k[j + i][c]), q, *sum);
                    }
                }
                for i in 0..ABREAST.min(keys - j) {
                    powers[j + i] = sums[i];
                    largest = I::max(sums[i], largest);
                }
            }
            let mut total = I::splat(0.0);
            for power in &mut powers[..keys] {
                *power = exp2::<I>(I::sub(*power, largest));
                total = I::add(total, *power);
            }
            let share = I::div(I::splat(1.0), total);
            for power in &mut powers[..keys] {
                *power = I::mul(*power, share);
            }
            for c in (0..wide).step_by(ABREAST) {
                let mut sums = [I::splat(0.0); ABREAST];
                for j in 0..keys {
                    for (i, sum) in sums.iter_mut().enumerate() {
                        *sum = I::mul_add(I::splat(v[j][c + i]), powers[j], *sum);
                    }
                }
                for (i, sum) in sums.into_iter().enumerate() {
                    store::<I>(&mut result, (c + i) * I::LANES, I::LANES, sum);
                }
            }
            // Channels as rows become queries as rows.
            for at in (0..wide).step_by(I::LANES) {
                let mut rows = [&[][..]; LANES];
                for (i, row) in rows[..I::LANES].iter_mut().enumerate() {
                    *row = &result[(at + i) * I::LANES..(at + i + 1) * I::LANES];
                }
                I::transpose(&rows, 0, &mut query.as_flattened_mut()[at..], CHANNELS);
            }
            for (i, query) in query[..I::LANES].iter().enumerate() {
                if let Some(start) = source.output(problem, first + i) {
                    // SAFETY: this row belongs to this query and head alone.
                    unsafe { out.slice(start, wide) }.copy_from_slice(&query[..wide]);
                }
            }
        }
    }
}
