//! Products whose operands and short sums are in half precision (IEEE binary16, "f16"), the long sums in f32.
//!
//! AVX512-FP16 multiplies and adds twice as many numbers in an instruction as f32 does. Sums of [`CHUNK`] products are kept
//! in f16, then added up in f32: an operand is rounded by at most 2⁻¹² of itself (bf16: 2⁻⁹), a short sum a few times that.
//! Numbers beyond 65504 are taken as 65504.

use rayon::prelude::*;

use super::{Finish, Lhs, Product, ROWS};
use crate::ops::buffer::Buffer;

/// Products added in f16.
const CHUNK: usize = 96;

/// Numbers rounded by one task.
const SHARE: usize = 1 << 16;

/// Columns of a panel, those of the f32 panels of AVX-512.
const WIDTH: usize = 32;

/// Most rows and panels of a register tile.
const TILE: (usize, usize) = (8, 3);

/// Whether this processor has the instructions.
pub(crate) fn available() -> bool {
    #[cfg(target_arch = "x86_64")]
    let found = is_x86_feature_detected!("avx512fp16") && is_x86_feature_detected!("f16c");
    #[cfg(not(target_arch = "x86_64"))]
    let found = false;
    found && crate::ops::isa::tile().1 == WIDTH
}

/// The numbers in f16.
pub(crate) fn rounded(values: &[f32]) -> Buffer<u16> {
    assert!(available(), "half precision was asked for where `available` says no");
    let mut out = Buffer::uninit(values.len());
    #[cfg(target_arch = "x86_64")]
    out.par_chunks_mut(SHARE).zip(values.par_chunks(SHARE)).for_each(|(out, values)| {
        // SAFETY: the instructions are there, as `available` says.
        unsafe { x86::round(values, out) };
    });
    out
}

/// Computes a product on this thread.
pub(crate) fn multiply_half<F: Finish>(product: Product<F, u16>) {
    let (depth, width) = (product.rhs.depth.len(), product.rhs.columns.len());
    if product.rows == 0 || width == 0 {
        return;
    }
    assert!(available(), "half precision was asked for where `available` says no");
    // Everything the tiles below read and write.
    assert!(product.out.len() >= (product.rows - 1) * product.out_row + width);
    assert!(product.rhs.columns.start.is_multiple_of(WIDTH) && product.rhs.depth.end <= product.rhs.k);
    assert!(product.rhs.panels.len() >= product.rhs.columns.end.next_multiple_of(WIDTH) * product.rhs.k);
    assert!(product.lhs.step == 1 && (depth == 0 || product.lhs.data.len() >= (product.rows - 1) * product.lhs.row + depth));
    product.finish.check(product.rows, width);
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the instructions are there, as `available` says; the places are there, as the assertions above say.
    unsafe {
        x86::multiply(product);
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;
    use std::cell::Cell;
    use std::mem::MaybeUninit;

    use super::{CHUNK, Finish, Lhs, Product, ROWS, TILE, WIDTH};
    use crate::ops::isa::{Avx512, Isa};
    use crate::ops::math::{load, load_at, registers, store_at};

    thread_local! {
        /// Where [`doubled`] writes, kept from product to product.
        static LHS: Cell<Vec<u32>> = const { Cell::new(Vec::new()) };
    }

    /// The largest finite f16.
    const LARGEST: f32 = 65504.0;

    /// Sixteen numbers in f16, kept within its range (what is not a number stays so).
    #[inline]
    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx512fp16,avx2,fma,f16c")]
    fn to_half(value: __m512) -> __m256i {
        let low = Avx512::max(Avx512::splat(-LARGEST), value);
        _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(Avx512::min(Avx512::splat(LARGEST), low))
    }

    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx512fp16,avx2,fma,f16c")]
    pub(super) unsafe fn round(values: &[f32], out: &mut [u16]) {
        for (at, count) in registers::<Avx512>(values.len()) {
            let mut lanes = [0u16; 16];
            // SAFETY: the array has sixteen places.
            unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), to_half(load::<Avx512>(values, at, count))) };
            out[at..at + count].copy_from_slice(&lanes[..count]);
        }
    }

    /// Each number of the rows twice in a word, so that one word fills a register with it.
    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx512fp16,avx2,fma,f16c")]
    fn doubled(lhs: Lhs, rows: usize, depth: usize, out: &mut Vec<u32>) {
        out.clear();
        out.reserve(rows * depth + 16);
        let places: [u16; 32] = std::array::from_fn(|i| i as u16 / 2);
        // SAFETY: the array has the register's size.
        let places = unsafe { _mm512_loadu_si512(places.as_ptr().cast()) };
        for row in 0..rows {
            let data = &lhs.data[row * lhs.row..row * lhs.row + depth];
            for (at, count) in registers::<Avx512>(depth) {
                let half = _mm512_castsi256_si512(to_half(load::<Avx512>(data, at, count)));
                let twice = _mm512_permutexvar_epi16(places, half);
                // SAFETY: the capacity is there; what a register writes beyond the row is written again or never read.
                unsafe { _mm512_storeu_si512(out.as_mut_ptr().add(row * depth + at).cast(), twice) };
            }
        }
        // SAFETY: the loop wrote every place.
        unsafe { out.set_len(rows * depth) };
    }

    /// # Safety
    /// The assertions of [`super::multiply_half`] hold.
    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx512fp16,avx2,fma,f16c")]
    pub(super) unsafe fn multiply<F: Finish>(product: Product<F, u16>) {
        let depth = product.rhs.depth.len();
        let mut lhs = LHS.take();
        for first in (0..product.rows).step_by(ROWS) {
            let rows = ROWS.min(product.rows - first);
            let from = Lhs { data: &product.lhs.data[first * product.lhs.row..], ..product.lhs };
            doubled(from, rows, depth, &mut lhs);
            for column in (0..product.rhs.columns.len()).step_by(TILE.1 * WIDTH) {
                let panel = (product.rhs.columns.start + column) / WIDTH;
                let panel = &product.rhs.panels[(panel * product.rhs.k + product.rhs.depth.start) * WIDTH..];
                let mut block = Block {
                    lhs: &lhs,
                    depth,
                    panel,
                    apart: product.rhs.k * WIDTH,
                    first,
                    column,
                    width: product.rhs.columns.len() - column,
                    out: &mut *product.out,
                    out_row: product.out_row,
                    add: product.add,
                    finish: &mut *product.finish,
                };
                // SAFETY: the caller's promise.
                unsafe {
                    match block.width.div_ceil(WIDTH) {
                        1 => block.rows::<1>(rows),
                        2 => block.rows::<2>(rows),
                        _ => block.rows::<3>(rows),
                    }
                }
            }
        }
        LHS.set(lhs);
    }

    /// The sums of a register tile: rows, panels, columns of a panel.
    type Sums<const M: usize, const C: usize> = MaybeUninit<[[[f32; WIDTH]; C]; M]>;

    struct Block<'a, F> {
        lhs: &'a [u32],
        depth: usize,
        panel: &'a [u16],
        /// From a panel to the next.
        apart: usize,
        /// The first row in `out`.
        first: usize,
        column: usize,
        width: usize,
        out: &'a mut [f32],
        out_row: usize,
        add: bool,
        finish: &'a mut F,
    }

    impl<F: Finish> Block<'_, F> {
        #[inline]
        #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx512fp16,avx2,fma,f16c")]
        unsafe fn rows<const C: usize>(&mut self, rows: usize) {
            let mut row = 0;
            // SAFETY: the caller's promise.
            unsafe {
                while rows - row >= TILE.0 {
                    self.tile::<{ TILE.0 }, C>(row);
                    row += TILE.0;
                }
                while rows - row >= 4 {
                    self.tile::<4, C>(row);
                    row += 4;
                }
                while rows > row {
                    self.tile::<1, C>(row);
                    row += 1;
                }
            }
        }

        #[inline]
        #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx512fp16,avx2,fma,f16c")]
        unsafe fn tile<const M: usize, const C: usize>(&mut self, row: usize) {
            let mut sums: Sums<M, C> = MaybeUninit::uninit();
            // SAFETY: the caller's promise; the first chunk writes every sum.
            let sums = unsafe {
                self.chunk::<M, C, true>(row, 0, CHUNK.min(self.depth), &mut sums);
                for from in (CHUNK..self.depth).step_by(CHUNK) {
                    self.chunk::<M, C, false>(row, from, CHUNK.min(self.depth - from), &mut sums);
                }
                sums.assume_init_ref()
            };
            for (i, sums) in sums.iter().enumerate() {
                let sums = sums.as_flattened();
                for (at, count) in registers::<Avx512>(self.width.min(C * WIDTH)) {
                    let place = (self.first + row + i) * self.out_row + self.column + at;
                    // SAFETY: the caller's promise.
                    unsafe {
                        let mut value = load_at::<Avx512>(sums, at, 16);
                        if self.add {
                            value = Avx512::add(value, load_at::<Avx512>(self.out, place, count));
                        }
                        let value = self.finish.finish::<Avx512>(self.first + row + i, self.column + at, count, value);
                        store_at::<Avx512>(self.out, place, count, value);
                    }
                }
            }
        }

        /// Adds `depth` products to each sum, or writes the sums if they are the `FIRST`.
        #[inline]
        #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx512fp16,avx2,fma,f16c")]
        unsafe fn chunk<const M: usize, const C: usize, const FIRST: bool>(
            &self,
            row: usize,
            from: usize,
            depth: usize,
            sums: &mut Sums<M, C>,
        ) {
            let mut short = [[_mm512_setzero_ph(); C]; M];
            // SAFETY: the caller's promise.
            unsafe {
                let a = self.lhs.as_ptr().add(row * self.depth + from);
                let b = self.panel.as_ptr().add(from * WIDTH);
                for p in 0..depth {
                    let mut line = [_mm512_setzero_ph(); C];
                    for (j, line) in line.iter_mut().enumerate() {
                        *line = _mm512_castsi512_ph(_mm512_loadu_si512(b.add(j * self.apart + p * WIDTH).cast()));
                    }
                    for (i, short) in short.iter_mut().enumerate() {
                        let value = _mm512_castsi512_ph(_mm512_set1_epi32(*a.add(i * self.depth + p) as i32));
                        for (short, line) in short.iter_mut().zip(line) {
                            *short = _mm512_fmadd_ph(value, line, *short);
                        }
                    }
                }
            }
            let done = short; // see `gemm/tile.rs`
            let mut at = sums.as_mut_ptr().cast::<f32>();
            for done in &done {
                for done in done {
                    let halves = _mm512_castph_si512(*done);
                    for half in [_mm512_castsi512_si256(halves), _mm512_extracti64x4_epi64::<1>(halves)] {
                        let sum = _mm512_cvtph_ps(half);
                        // SAFETY: the sums are as many as the lanes of `done`, and written before unless they are the first.
                        unsafe {
                            Avx512::store(at, if FIRST { sum } else { Avx512::add(Avx512::load(at), sum) });
                            at = at.add(16);
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::gemm::{Plain, Rhs, pack_rows, packed_len};

    /// Small integers and their short sums are exact in f16, so every place must be right to the last bit.
    #[test]
    fn products_of_integers_are_exact_at_every_size() {
        if !available() {
            return;
        }
        for (rows, k, n, add) in [(1, 1, 1, false), (5, 147, 96, false), (13, 64, 33, true), (97, 65, 100, true), (200, 16, 32, false)] {
            let number = |i: usize| ((i * 7) % 5) as f32 - 2.0;
            let (a, b): (Vec<f32>, Vec<f32>) = ((0..rows * k).map(number).collect(), (0..k * n).map(number).collect());
            let mut panels = vec![0f32; packed_len(k, n)];
            pack_rows::<WIDTH>(&mut panels, k, n, |p| &b[p * n..(p + 1) * n]);
            let mut out = vec![1f32; rows * n];
            let panels = rounded(&panels);
            let rhs = Rhs { panels: &panels[..], k, depth: 0..k, columns: 0..n };
            let lhs = Lhs { data: &a, row: k, step: 1 };
            multiply_half(Product { rows, lhs, rhs, out: &mut out, out_row: n, add, finish: &mut Plain });
            for (i, out) in out.iter().enumerate() {
                let exact: f32 = (0..k).map(|p| a[i / n * k + p] * b[p * n + i % n]).sum();
                assert_eq!(*out, exact + f32::from(u8::from(add)), "{rows}×{k}×{n}, place {i}");
            }
        }
    }

    #[test]
    fn numbers_beyond_the_range_become_its_end() {
        if available() {
            assert_eq!(rounded(&[1e6, -1e6, 1.0, 65504.0])[..], [0x7bff, 0xfbff, 0x3c00, 0x7bff]);
            assert!(half::f16::from_bits(rounded(&[f32::NAN])[0]).is_nan());
        }
    }
}
