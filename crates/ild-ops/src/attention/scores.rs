//! Scores of a block of queries against a block of keys, and the probabilities they become.

use half::{bf16, f16};

use crate::gemm::{Finish, Operand, check_rows};
use crate::isa::{Half, Isa};
use crate::math::{exp2, load, store};

/// Numbers in the widest register.
pub(super) const PEAKS: usize = 32;

/// What the operands of attention are in.
pub(crate) trait Scores: Operand {
    /// What scores are in until they are probabilities.
    type Score: Operand;

    /// −∞.
    const LOWEST: Self::Score;

    /// The largest of [`PEAKS`] numbers.
    fn largest<I: Isa>(numbers: &[Self::Score]) -> f32;

    /// `2^(row − peak)` of the first `len` numbers, zeros behind them up to a whole register, in
    /// the row's own memory; returns their sum.
    fn powers<I: Isa>(row: &mut [Self::Score], len: usize, peak: f32) -> f32;

    /// Rows of scores that [`Self::powers`] made probabilities.
    fn probabilities(scores: &[Self::Score]) -> &[Self];
}

impl Scores for f32 {
    type Score = f32;

    const LOWEST: f32 = f32::NEG_INFINITY;

    #[inline(always)]
    fn largest<I: Isa>(numbers: &[f32]) -> f32 {
        I::largest(load::<I>(numbers, 0, I::LANES))
    }

    #[inline(always)]
    fn powers<I: Isa>(row: &mut [f32], len: usize, peak: f32) -> f32 {
        powers::<f32, I>(row, len, peak)
    }

    fn probabilities(scores: &[f32]) -> &[f32] {
        scores
    }
}

/// Eight digits are enough for a probability, but not for the score it is made of.
impl Scores for bf16 {
    type Score = f32;

    const LOWEST: f32 = f32::NEG_INFINITY;

    #[inline(always)]
    fn largest<I: Isa>(numbers: &[f32]) -> f32 {
        <f32 as Scores>::largest::<I>(numbers)
    }

    #[inline(always)]
    fn powers<I: Isa>(row: &mut [f32], len: usize, peak: f32) -> f32 {
        powers::<bf16, I>(row, len, peak)
    }

    fn probabilities(scores: &[f32]) -> &[bf16] {
        // SAFETY: two numbers lie in each score, and any bits are numbers.
        unsafe { std::slice::from_raw_parts(scores.as_ptr().cast(), 2 * scores.len()) }
    }
}

/// [`Scores::powers`] of scores in f32, from the row's start on in `T`, which is no longer than f32.
#[inline(always)]
fn powers<T: Operand, I: Isa>(row: &mut [f32], len: usize, peak: f32) -> f32 {
    const { assert!(size_of::<T>() <= size_of::<f32>()) };
    let filled = len.next_multiple_of(I::LANES);
    row[len..filled].fill(f32::NEG_INFINITY);
    let row = &mut row[..filled];
    let mut total = I::splat(0.0);
    for at in (0..filled).step_by(I::LANES) {
        let power = exp2::<I>(I::sub(load::<I>(row, at, I::LANES), I::splat(peak)));
        // SAFETY: number `at` of `T` lies in the row, and not behind the scores that were read.
        unsafe { T::store::<I>(row.as_mut_ptr().cast::<T>().add(at), power, I::LANES) };
        total = I::add(total, power);
    }
    I::total(total)
}

impl Scores for f16 {
    type Score = f16;

    const LOWEST: f16 = f16::NEG_INFINITY;

    #[inline(always)]
    fn largest<I: Isa>(numbers: &[f16]) -> f32 {
        // SAFETY: the slice is a register long.
        let [low, high] = unsafe { I::H::load(numbers[..PEAKS].as_ptr()) }.widen();
        I::largest(I::max(low, high))
    }

    /// Four registers are added up before single precision takes over.
    #[inline(always)]
    fn powers<I: Isa>(row: &mut [f16], len: usize, peak: f32) -> f32 {
        let lanes = 2 * I::LANES;
        let filled = len.next_multiple_of(lanes);
        row[len..filled].fill(f16::NEG_INFINITY);
        let peak = I::H::splat(f16::from_f32(peak));
        let mut total = I::splat(0.0);
        for row in row[..filled].chunks_mut(4 * lanes) {
            let mut short = I::H::zeros();
            for numbers in row.chunks_exact_mut(lanes) {
                // SAFETY: the slice is a register long.
                unsafe {
                    let power = I::H::load(numbers.as_ptr()).sub(peak).exp2();
                    power.store(numbers.as_mut_ptr());
                    short = short.add(power);
                }
            }
            let [low, high] = short.widen();
            total = I::add(total, I::add(low, high));
        }
        I::total(total)
    }

    fn probabilities(scores: &[f16]) -> &[f16] {
        scores
    }
}

/// Keeps the largest score of each row, lane by lane.
pub(super) struct Peaks<'a, T> {
    /// [`PEAKS`] for each row.
    pub scores: &'a mut [T],
}

impl<T: Operand> Finish for Peaks<'_, T> {
    const IN_HALVES: bool = true;

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
            let peaks = self.scores.as_mut_ptr().add(row * PEAKS);
            T::store::<I>(peaks, I::max(scores, T::load::<I>(peaks, I::LANES)), I::LANES);
        }
        sums
    }

    #[inline(always)]
    unsafe fn finish_halves<I: Isa>(&mut self, row: usize, _: usize, sums: I::H) -> I::H {
        let sums = I::H::splat(f16::MIN).max(I::H::splat(f16::MAX).min(sums));
        // SAFETY: as above; scores in halves have peaks in halves.
        unsafe {
            let peaks = self.scores.as_mut_ptr().add(row * PEAKS).cast::<f16>();
            sums.max(I::H::load(peaks)).store(peaks);
        }
        sums
    }
}
