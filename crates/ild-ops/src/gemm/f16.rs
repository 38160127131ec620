//! Products in half precision (IEEE binary16, "f16"), their long sums in f32.
//!
//! AVX512-FP16 multiplies and adds twice as many numbers in an instruction as f32 does. Sums of
//! [`CHUNK`] products are kept in f16, in two halves, then added up in f32: an operand is rounded
//! by at most 2⁻¹² of itself (bf16: 2⁻⁹), a short sum a few times that. Rows of `B` come in pairs:
//! a register of a panel holds two rows' numbers of half its columns, and a word of `A` two numbers
//! of a row, so that `A` is read as it lies. Numbers beyond 65504 are taken as 65504.

use half::f16;

use super::rounded::{pack_rounded_columns, rounded_rows};
use super::{Corner, Operand, Packed};
use crate::buffer::Buffer;
use crate::isa::{Half, Isa, Kernel, dispatch_f16};
use crate::math::load;

/// Products added up in f16, half of them in either sum.
const CHUNK: usize = 192;

impl Operand for f16 {
    const HALF: bool = true;
    const GROUP: usize = 2;
    const DEPTH: usize = usize::MAX; // sums are put down every `CHUNK` products as it is

    fn dispatch<K: Kernel>(kernel: K) -> K::Output {
        dispatch_f16(kernel)
    }

    /// Two rows side by side, first their even columns.
    #[inline(always)]
    fn pack_rows<'a, I: Isa, const N: usize>(
        panels: &mut [f16],
        k: usize,
        n: usize,
        row: impl Fn(usize) -> &'a [f32],
    ) {
        let panel = Self::padded(k) * N;
        for p in (0..k).step_by(Self::GROUP) {
            let rows = [Some(row(p)), (p + 1 < k).then(|| row(p + 1))];
            for (start, panel) in (0..n).step_by(N).zip(panels.chunks_exact_mut(panel)) {
                let mut halves = [I::H::zeros(); 2];
                for (half, row) in halves.iter_mut().zip(rows) {
                    if let Some(row) = row {
                        let len = N.min(n - start);
                        let first = len.min(I::LANES);
                        *half = I::H::narrow([
                            load::<I>(row, start, first),
                            load::<I>(row, start + first, len - first),
                        ]);
                    }
                }
                let [even, odd] = halves[0].interleave(halves[1]);
                let pair = &mut panel[p * N..(p + 2) * N];
                // SAFETY: the pair has room for two registers.
                unsafe {
                    even.store(pair.as_mut_ptr());
                    odd.store(pair[N..].as_mut_ptr());
                }
            }
        }
    }

    /// First a panel's even columns.
    #[inline(always)]
    fn pack_columns<'a, I: Isa, const N: usize>(
        panels: &mut [f16],
        k: usize,
        n: usize,
        column: impl Fn(usize) -> &'a [f32],
    ) {
        let order = |c: usize| if 2 * c < N { 2 * c } else { 2 * c - N + 1 };
        pack_rounded_columns::<f16, I, N>(panels, k, n, column, order);
    }

    fn panels(packed: &Packed) -> &[Self] {
        packed.f16()
    }

    fn rows<'a>(x: &'a [f32], k: usize, room: &'a mut Buffer) -> &'a [f16] {
        rounded_rows(x, k, room)
    }

    #[inline(always)]
    unsafe fn load<I: Isa>(from: *const f16, count: usize) -> I::V {
        // SAFETY: the caller's promise.
        unsafe { I::H::load_part(from, count) }
    }

    #[inline(always)]
    unsafe fn store<I: Isa>(to: *mut f16, value: I::V, count: usize) {
        // SAFETY: the caller's promise.
        unsafe { I::H::store_part(to, value, count) }
    }

    #[inline(always)]
    unsafe fn sums<I: Isa, const M: usize, const R: usize>(
        at: Corner<f16>,
        k: usize,
    ) -> [[I::V; R]; M] {
        let mut sums = [[I::splat(0.0); R]; M];
        for from in (0..k).step_by(CHUNK) {
            // SAFETY: the caller's promise.
            let short = unsafe { short_sums::<I, M>(&at, from..k.min(from + CHUNK)) };
            for (sums, short) in sums.iter_mut().zip(short) {
                for (sum, wide) in sums.iter_mut().zip(short.widen()) {
                    *sum = if from == 0 { wide } else { I::add(*sum, wide) };
                }
            }
        }
        sums
    }

    #[inline(always)]
    unsafe fn halves<I: Isa, const M: usize>(at: &Corner<f16>, k: usize) -> Option<[I::H; M]> {
        // SAFETY: the caller's promise.
        if k <= CHUNK { Some(unsafe { short_sums::<I, M>(at, 0..k) }) } else { None } // a closure would not be compiled for `I`
    }
}

/// # Safety
/// As [`Operand::sums`].
#[inline(always)]
unsafe fn short_sums<I: Isa, const M: usize>(
    at: &Corner<f16>,
    depth: std::ops::Range<usize>,
) -> [I::H; M] {
    let mut short = [[I::H::zeros(); 2]; M];
    let mut a = at.a.wrapping_add(depth.start);
    let mut b = at.b.wrapping_add(depth.start * at.n);
    for _ in depth.step_by(f16::GROUP) {
        // SAFETY: the caller's promise.
        unsafe {
            let line = [I::H::load(b), I::H::load(b.add(at.n))];
            for (i, short) in short.iter_mut().enumerate() {
                let pair = I::H::splat_pair(a.add(i * at.row));
                for (short, line) in short.iter_mut().zip(line) {
                    *short = pair.mul_add(line, *short);
                }
            }
        }
        a = a.wrapping_add(f16::GROUP);
        b = b.wrapping_add(f16::GROUP * at.n);
    }
    let done = short; // see `gemm/tile.rs`
    let mut sums = [I::H::zeros(); M];
    for (sum, [left, right]) in sums.iter_mut().zip(done) {
        let [even, odd] = left.interleave(right);
        *sum = even.add(odd);
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gemm::Plain;
    use crate::isa::f16_available;
    use crate::precision::Precision;

    /// Small integers and their short sums are exact in f16, so every place must be right to the
    /// last bit.
    #[test]
    fn half_products_of_integers_are_exact_at_every_size() {
        if !f16_available() {
            return ild_test_support::skipped("this CPU has no AVX512-FP16");
        }
        for (rows, k, n, add) in [
            (1, 1, 1, false),
            (5, 147, 96, false),
            (13, 64, 33, true),
            (97, 65, 100, true),
            (200, 16, 32, false),
        ] {
            let number = |i: usize| ((i * 7) % 5) as f32 - 2.0;
            let (a, b): (Vec<f32>, Vec<f32>) =
                ((0..rows * k).map(number).collect(), (0..k * n).map(number).collect());
            let packed = Packed::new(Precision::F16, k, n, &b, false);
            let mut out = vec![1f32; rows * n];
            let mut room = Buffer::default();
            packed.multiply(f16::rows(&a, k, &mut room), &mut out, add, &mut Plain);
            for (i, out) in out.iter().enumerate() {
                let exact: f32 = (0..k).map(|p| a[i / n * k + p] * b[p * n + i % n]).sum();
                assert_eq!(*out, exact + f32::from(u8::from(add)), "{rows}×{k}×{n}, place {i}");
            }
        }
    }

    #[test]
    fn numbers_beyond_the_range_become_its_end() {
        if !f16_available() {
            return ild_test_support::skipped("this CPU has no AVX512-FP16");
        }
        let mut room = Buffer::default();
        let rounded = f16::rows(&[1e6, -1e6, 1.0, 65504.0, f32::NAN], 5, &mut room);
        assert_eq!(rounded[..4], [f16::MAX, f16::MIN, f16::ONE, f16::MAX]);
        assert!(rounded[4].is_nan() && rounded[5] == f16::ZERO);
    }
}
