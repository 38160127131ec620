//! Operands of 16 bits: rows of `A` rounded, and columns of `B` in words of two rows.

use super::{Operand, pack_columns};
use crate::buffer::Buffer;
use crate::isa::{Isa, Kernel};
use crate::math::{load, registers};

/// Rows of `k` numbers, rounded into `room`, [`Operand::padded`] apart.
pub(super) fn rounded_rows<'a, T: Operand>(x: &[f32], k: usize, room: &'a mut Buffer) -> &'a [T] {
    let rows = room.room_of(x.len() / k.max(1) * T::padded(k));
    T::dispatch(Rounded { x, k, rows });
    rows
}

/// Packs a matrix given by its columns: two numbers of a rounded column are a word of a pair of
/// rows, so that words are packed as f32's numbers are. Place `c` of a panel takes column
/// `order(c)`.
#[inline(always)]
pub(super) fn pack_rounded_columns<'a, T: Operand, I: Isa, const N: usize>(
    panels: &mut [T],
    k: usize,
    n: usize,
    column: impl Fn(usize) -> &'a [f32],
    order: impl Fn(usize) -> usize,
) {
    let width = T::padded(k);
    let mut columns = Buffer::unspecified(N * width);
    for (panel, start) in panels.chunks_exact_mut((width * N).max(1)).zip((0..n).step_by(N)) {
        for (c, rounded) in columns.chunks_exact_mut(width.max(1)).enumerate() {
            match start + c {
                c if c < n => round::<T, I>(column(c), rounded),
                _ => rounded.fill(T::default()),
            }
        }
        let columns = words(&columns);
        let column = |c| &columns[order(c) * width / 2..(order(c) + 1) * width / 2];
        pack_columns::<I, N>(words_mut(panel), width / 2, N, column);
    }
}

/// Rounds `row` into `rounded`, with zeros behind it.
#[inline(always)]
fn round<T: Operand, I: Isa>(row: &[f32], rounded: &mut [T]) {
    rounded[row.len()..].fill(T::default());
    for (at, count) in registers::<I>(row.len()) {
        // SAFETY: the slice has `count` numbers.
        unsafe {
            T::store::<I>(rounded[at..at + count].as_mut_ptr(), load::<I>(row, at, count), count)
        };
    }
}

/// Pairs of numbers as words of 32 bits, to be moved and not computed with.
fn words<T: Operand>(pairs: &[T]) -> &[f32] {
    check_words(pairs);
    // SAFETY: two numbers are as long as a word, and any bits are one; the alignment is right.
    unsafe { std::slice::from_raw_parts(pairs.as_ptr().cast(), pairs.len() / 2) }
}

/// [`words`] to write to.
fn words_mut<T: Operand>(pairs: &mut [T]) -> &mut [f32] {
    check_words(pairs);
    // SAFETY: as above.
    unsafe { std::slice::from_raw_parts_mut(pairs.as_mut_ptr().cast(), pairs.len() / 2) }
}

fn check_words<T>(pairs: &[T]) {
    const { assert!(2 * size_of::<T>() == size_of::<f32>()) };
    assert!(pairs.len().is_multiple_of(2) && pairs.as_ptr().cast::<f32>().is_aligned());
}

/// Rows of `k` numbers, rounded.
struct Rounded<'a, T> {
    x: &'a [f32],
    k: usize,
    rows: &'a mut [T],
}

impl<T: Operand> Kernel for Rounded<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa, const M: usize, const N: usize>(self) {
        let rows = self.rows.chunks_exact_mut(T::padded(self.k).max(1));
        for (x, row) in self.x.chunks_exact(self.k.max(1)).zip(rows) {
            round::<T, I>(x, row);
        }
    }
}
