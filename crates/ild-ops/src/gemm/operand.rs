//! What the operands of products are kept in: f32 here, or [f16](super::f16), or
//! [bf16](super::bf16).

use super::{Packed, pack_columns, pack_rows};
use crate::buffer::Buffer;
use crate::isa::{Isa, Kernel, dispatch};
use crate::memory::Number;

/// A cache line is asked for every so many products: tiles of 12 × 32 then bring a whole panel in
/// 96 rows.
const FETCH: usize = 4;

/// Numbers in a cache line.
const CACHE_LINE: usize = 16;

/// Where a register tile reads.
pub(crate) struct Corner<T> {
    /// Element `(i, p)` of `A` is at `i·row + p·step`.
    pub a: *const T,
    pub row: usize,
    pub step: usize,
    /// Row `p` of the panel's `n` columns.
    pub b: *const T,
    pub n: usize,
    /// What to bring near meanwhile.
    pub ahead: *const T,
}

/// A number of `A` and `B`.
pub(crate) trait Operand: Number + Default + Send + Sync + std::fmt::Debug {
    /// Whether this is `f16`.
    const HALF: bool;

    /// Rows of `B` that lie side by side in a panel. Where it is not 1, [`Corner::step`] must be.
    const GROUP: usize;

    /// Most products of a sum before it is put down: a panel of this depth stays in the first-level
    /// cache.
    const DEPTH: usize;

    /// Runs a kernel that computes with such operands.
    fn dispatch<K: Kernel>(kernel: K) -> K::Output;

    /// Packs into `panels` a matrix whose row `p` is `row(p)` (`n` numbers).
    fn pack_rows<'a, I: Isa, const N: usize>(
        panels: &mut [Self],
        k: usize,
        n: usize,
        row: impl Fn(usize) -> &'a [f32],
    );

    /// Packs into `panels` a matrix whose column `c` is `column(c)` (`k` numbers).
    fn pack_columns<'a, I: Isa, const N: usize>(
        panels: &mut [Self],
        k: usize,
        n: usize,
        column: impl Fn(usize) -> &'a [f32],
    );

    /// A packed matrix's panels.
    fn panels(packed: &Packed) -> &[Self];

    /// Rows of `k` numbers as `A`, [`Self::padded`] apart: the same, or rounded into `room`.
    fn rows<'a>(x: &'a [f32], k: usize, room: &'a mut Buffer) -> &'a [Self];

    /// Numbers of a row of `A` with the zeros behind its `k`, and of a packed column.
    fn padded(k: usize) -> usize {
        k.next_multiple_of(Self::GROUP)
    }

    /// `count` numbers, zeros behind them.
    ///
    /// # Safety
    /// They must be readable.
    unsafe fn load<I: Isa>(from: *const Self, count: usize) -> I::V;

    /// The counterpart of [`Self::load`].
    ///
    /// # Safety
    /// `count` numbers must be writable.
    unsafe fn store<I: Isa>(to: *mut Self, value: I::V, count: usize);

    /// The sums of `k` products for a tile of `M` rows and the first `R` registers of the panel's
    /// columns.
    ///
    /// # Safety
    /// All that is summed up must be readable.
    unsafe fn sums<I: Isa, const M: usize, const R: usize>(
        at: Corner<Self>,
        k: usize,
    ) -> [[I::V; R]; M];

    /// The same for all of the panel's columns, where the sums are in half precision as they come.
    ///
    /// # Safety
    /// As [`Self::sums`].
    unsafe fn halves<I: Isa, const M: usize>(_: &Corner<Self>, _k: usize) -> Option<[I::H; M]> {
        None
    }
}

impl Operand for f32 {
    const HALF: bool = false;
    const GROUP: usize = 1;
    const DEPTH: usize = 384;

    fn dispatch<K: Kernel>(kernel: K) -> K::Output {
        dispatch(kernel)
    }

    #[inline(always)]
    fn pack_rows<'a, I: Isa, const N: usize>(
        panels: &mut [f32],
        k: usize,
        n: usize,
        row: impl Fn(usize) -> &'a [f32],
    ) {
        pack_rows::<N>(panels, k, n, row);
    }

    #[inline(always)]
    fn pack_columns<'a, I: Isa, const N: usize>(
        panels: &mut [f32],
        k: usize,
        n: usize,
        column: impl Fn(usize) -> &'a [f32],
    ) {
        pack_columns::<I, N>(panels, k, n, column);
    }

    fn panels(packed: &Packed) -> &[Self] {
        packed.f32()
    }

    fn rows<'a>(x: &'a [f32], _: usize, _: &'a mut Buffer) -> &'a [f32] {
        x
    }

    #[inline(always)]
    unsafe fn load<I: Isa>(from: *const f32, count: usize) -> I::V {
        // SAFETY: the caller's promise.
        unsafe { if count == I::LANES { I::load(from) } else { I::load_part(from, count) } }
    }

    #[inline(always)]
    unsafe fn store<I: Isa>(to: *mut f32, value: I::V, count: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            if count == I::LANES { I::store(to, value) } else { I::store_part(to, value, count) }
        }
    }

    #[inline(always)]
    unsafe fn sums<I: Isa, const M: usize, const R: usize>(
        at: Corner<f32>,
        k: usize,
    ) -> [[I::V; R]; M] {
        let Corner { mut a, row, step, mut b, n, mut ahead } = at;
        let mut sums = [[I::splat(0.0); R]; M];
        for start in (0..k).step_by(FETCH) {
            I::prefetch(ahead);
            ahead = ahead.wrapping_add(CACHE_LINE);
            for _ in 0..FETCH.min(k - start) {
                // SAFETY: the caller's promise.
                unsafe {
                    let mut line = [I::splat(0.0); R];
                    for (j, line) in line.iter_mut().enumerate() {
                        *line = I::load(b.add(j * I::LANES));
                    }
                    for (i, sums) in sums.iter_mut().enumerate() {
                        let value = I::splat(*a.add(i * row));
                        for (sum, line) in sums.iter_mut().zip(line) {
                            *sum = I::mul_add(value, line, *sum);
                        }
                    }
                }
                a = a.wrapping_add(step);
                b = b.wrapping_add(n);
            }
        }
        sums
    }
}
