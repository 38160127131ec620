//! `B` in panels: panel `j` holds columns `j·N ..` as `[k][N]`, the last panel filled up with zeros.

use rayon::prelude::*;

use super::half::rounded;
use crate::ops::isa::{Isa, Kernel, dispatch, tile};
use crate::ops::node::uninit;
use crate::ops::precision::Precision;

/// Numbers of a column moved together: as many lines of a panel stay in the first-level cache.
const STRIP: usize = 64;

/// A packed matrix of `k × n`.
#[derive(Debug)]
pub(crate) struct Packed {
    /// The panels, one after the other.
    pub panels: Panels,
    /// Rows, the length of the sums.
    pub k: usize,
    /// Columns.
    pub n: usize,
}

impl Packed {
    /// Packs a matrix given by its rows: `weight` `[k, n]`.
    pub fn rows(k: usize, n: usize, weight: &[f32]) -> Self {
        Self::new(k, n, weight, false)
    }

    /// Packs a matrix given by its columns: `weight` `[n, k]`, as linear layers keep it.
    pub fn columns(k: usize, n: usize, weight: &[f32]) -> Self {
        Self::new(k, n, weight, true)
    }

    fn new(k: usize, n: usize, weight: &[f32], columns: bool) -> Self {
        let (_, width) = tile();
        let mut panels = uninit(packed_len(k, n));
        let fill = |(j, panel): (usize, &mut [f32])| {
            let range = j * width..(j * width + width).min(n);
            dispatch(Panel { panel, k, n, range, weight, columns });
        };
        panels.par_chunks_mut((k * width).max(1)).enumerate().for_each(fill);
        Self { panels: Panels::new(panels, Precision::current()), k, n }
    }
}

/// The numbers of a packed matrix.
#[derive(Debug)]
pub(crate) enum Panels {
    Single(Vec<f32>),
    Half(Vec<u16>),
}

impl Panels {
    /// Rounds to `precision`.
    pub fn new(panels: Vec<f32>, precision: Precision) -> Self {
        match precision {
            Precision::F32 | Precision::Bf16 => Self::Single(panels),
            Precision::F16 => Self::Half(rounded(&panels)),
        }
    }
}

/// Numbers in the panels of a `k × n` matrix.
pub(crate) fn packed_len(k: usize, n: usize) -> usize {
    n.next_multiple_of(tile().1) * k
}

/// One panel of a weight.
struct Panel<'a> {
    panel: &'a mut [f32],
    k: usize,
    n: usize,
    range: std::ops::Range<usize>,
    weight: &'a [f32],
    columns: bool,
}

impl Kernel for Panel<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa, const M: usize, const N: usize>(self) {
        let Self { panel, k, n, range, weight, columns } = self;
        if columns {
            pack_columns::<N>(panel, k, range.len(), |c| &weight[(range.start + c) * k..(range.start + c + 1) * k]);
        } else {
            pack_rows::<N>(panel, k, range.len(), |p| &weight[p * n + range.start..p * n + range.end]);
        }
    }
}

/// Packs into `panels` a matrix whose row `p` is `row(p)` (`n` numbers).
#[inline(always)]
pub(crate) fn pack_rows<'a, const N: usize>(panels: &mut [f32], k: usize, n: usize, row: impl Fn(usize) -> &'a [f32]) {
    for p in 0..k {
        let source = &row(p)[..n];
        let mut chunks = source.chunks_exact(N);
        let mut at = p * N;
        for chunk in &mut chunks {
            panels[at..at + N].copy_from_slice(chunk);
            at += k * N;
        }
        let rest = chunks.remainder();
        if !rest.is_empty() {
            panels[at..at + rest.len()].copy_from_slice(rest);
            panels[at + rest.len()..at + N].fill(0.0);
        }
    }
}

/// Packs into `panels` a matrix whose column `c` is `column(c)` (`k` numbers).
#[inline(always)]
pub(crate) fn pack_columns<'a, const N: usize>(panels: &mut [f32], k: usize, n: usize, column: impl Fn(usize) -> &'a [f32]) {
    for (panel, start) in panels.chunks_exact_mut((k * N).max(1)).zip((0..n).step_by(N)) {
        let used = N.min(n - start);
        if used < N {
            panel.fill(0.0);
        }
        for (i, lines) in panel.chunks_mut(STRIP * N).enumerate() {
            for c in 0..used {
                let numbers = &column(start + c)[i * STRIP..k.min((i + 1) * STRIP)];
                for (line, &number) in lines.chunks_exact_mut(N).zip(numbers) {
                    line[c] = number;
                }
            }
        }
    }
}
