//! `B` in panels: panel `j` holds columns `j·N ..` as `[k][N]`, the last panel filled up with
//! zeros.

use std::sync::{Arc, Mutex, PoisonError};

use half::{bf16, f16};
use rayon::prelude::*;

use super::{Finish, Lhs, Operand, Product, Rhs};
use crate::buffer::Buffer;
use crate::isa::{Isa, Kernel, tile};
use crate::precision::Precision;

/// A packed matrix of `k × n`.
#[derive(Debug)]
pub(crate) struct Packed {
    /// The panels, one after the other.
    panels: Panels,
    /// Rows, the length of the sums.
    pub k: usize,
    /// Columns.
    pub n: usize,
}

impl Packed {
    /// Packs a matrix given by its rows: `weight` `[k, n]`.
    pub fn rows(k: usize, n: usize, weight: &[f32]) -> Self {
        Self::new(Precision::F32, k, n, weight, false)
    }

    /// Packs a matrix given by its columns: `weight` `[n, k]`, as linear layers keep it.
    pub fn columns(k: usize, n: usize, weight: &[f32]) -> Self {
        Self::new(Precision::F32, k, n, weight, true)
    }

    /// Packs a matrix given by its rows, or its columns, for products in `precision`.
    pub fn new(precision: Precision, k: usize, n: usize, weight: &[f32], columns: bool) -> Self {
        let panels = match precision {
            Precision::F32 => Panels::F32(panels(k, n, weight, columns)),
            Precision::F16 => Panels::F16(panels(k, n, weight, columns)),
            Precision::Bf16 => Panels::Bf16(panels(k, n, weight, columns)),
        };
        Self { panels, k, n }
    }

    /// What its numbers are in.
    pub fn precision(&self) -> Precision {
        match self.panels {
            Panels::F32(_) => Precision::F32,
            Panels::F16(_) => Precision::F16,
            Panels::Bf16(_) => Precision::Bf16,
        }
    }

    /// `out = finish(x · B)`, or `finish(out + x · B)` with `add`, on this thread. Rows of `x` are
    /// [`Operand::padded`] apart.
    pub fn multiply<T: Operand, O: Operand, F: Finish>(
        &self,
        x: &[T],
        out: &mut [O],
        add: bool,
        finish: &mut F,
    ) {
        let k = T::padded(self.k);
        let rows = x.len() / k.max(1);
        let lhs = Lhs { data: x, row: k, step: 1 };
        let rhs = Rhs { panels: T::panels(self), k, depth: 0..k, columns: 0..self.n };
        let out_row = out.len() / rows.max(1);
        T::dispatch(Product { rows, lhs, rhs, out, out_row, add, finish });
    }

    pub(super) fn f32(&self) -> &[f32] {
        match &self.panels {
            Panels::F32(panels) => panels,
            _ => self.is_other("f32"),
        }
    }

    pub(super) fn f16(&self) -> &[f16] {
        match &self.panels {
            Panels::F16(panels) => panels,
            _ => self.is_other("f16"),
        }
    }

    pub(super) fn bf16(&self) -> &[bf16] {
        match &self.panels {
            Panels::Bf16(panels) => panels,
            _ => self.is_other("bf16"),
        }
    }

    fn is_other(&self, asked: &str) -> ! {
        unreachable!("{asked} of a matrix in {}", self.precision().name())
    }
}

/// The weight of a frozen layer, packed when first used and kept: packing takes as long as three
/// rows' products.
#[derive(Debug, Default)]
pub struct PackedWeight(Mutex<Option<Arc<Packed>>>);

impl PackedWeight {
    /// `weight` `[n, k]` in `precision`. It must be the same weight at every call.
    pub(crate) fn get(
        &self,
        precision: Precision,
        k: usize,
        n: usize,
        weight: &[f32],
    ) -> Arc<Packed> {
        self.get_or(precision, || Packed::new(precision, k, n, weight, true))
    }

    /// What `pack` made when it was first called in `precision`.
    pub(crate) fn get_or(
        &self,
        precision: Precision,
        pack: impl FnOnce() -> Packed,
    ) -> Arc<Packed> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*kept {
            Some(packed) if packed.precision() == precision => packed.clone(),
            _ => kept.insert(Arc::new(pack())).clone(),
        }
    }
}

/// The numbers of a packed matrix.
#[derive(Debug)]
enum Panels {
    F32(Buffer),
    F16(Buffer<f16>),
    Bf16(Buffer<bf16>),
}

/// Numbers in the panels of a `k × n` matrix.
pub(crate) fn packed_len(k: usize, n: usize) -> usize {
    n.next_multiple_of(tile().1) * k
}

/// The panels of a weight, given by its rows or by its columns.
fn panels<T: Operand>(k: usize, n: usize, weight: &[f32], columns: bool) -> Buffer<T> {
    let (_, width) = tile();
    let mut panels = Buffer::unspecified(packed_len(T::padded(k), n));
    let fill = |(j, panel): (usize, &mut [T])| {
        let range = j * width..(j * width + width).min(n);
        T::dispatch(Panel { panel, k, n, range, weight, columns });
    };
    panels.par_chunks_mut((T::padded(k) * width).max(1)).enumerate().for_each(fill);
    panels
}

/// One panel of a weight.
struct Panel<'a, T> {
    panel: &'a mut [T],
    k: usize,
    n: usize,
    range: std::ops::Range<usize>,
    weight: &'a [f32],
    columns: bool,
}

impl<T: Operand> Kernel for Panel<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa, const M: usize, const N: usize>(self) {
        let Self { panel, k, n, range, weight, columns } = self;
        if columns {
            T::pack_columns::<I, N>(panel, k, range.len(), |c| {
                &weight[(range.start + c) * k..(range.start + c + 1) * k]
            });
        } else {
            T::pack_rows::<I, N>(panel, k, range.len(), |p| {
                &weight[p * n + range.start..p * n + range.end]
            });
        }
    }
}

/// Packs into `panels` a matrix whose row `p` is `row(p)` (`n` numbers).
#[inline(always)]
pub(crate) fn pack_rows<'a, const N: usize>(
    panels: &mut [f32],
    k: usize,
    n: usize,
    row: impl Fn(usize) -> &'a [f32],
) {
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
pub(crate) fn pack_columns<'a, I: Isa, const N: usize>(
    panels: &mut [f32],
    k: usize,
    n: usize,
    column: impl Fn(usize) -> &'a [f32],
) {
    for (panel, start) in panels.chunks_exact_mut((k * N).max(1)).zip((0..n).step_by(N)) {
        let used = N.min(n - start);
        if used < N {
            panel.fill(0.0);
        }
        let mut columns: [&[f32]; N] = [&[]; N];
        for (c, to) in columns[..used].iter_mut().enumerate() {
            *to = column(start + c);
        }
        let (blocks, lines) = (used / I::LANES * I::LANES, k / I::LANES * I::LANES);
        for c in (0..blocks).step_by(I::LANES) {
            for p in (0..lines).step_by(I::LANES) {
                I::transpose(&columns[c..], p, &mut panel[p * N + c..], N);
            }
        }
        // What no square of registers covers: the last rows, then the last columns.
        for (c, numbers) in columns[..used].iter().enumerate() {
            let done = if c < blocks { lines } else { 0 };
            for (p, &number) in numbers.iter().enumerate().take(k).skip(done) {
                panel[p * N + c] = number;
            }
        }
    }
}
