//! Products in bf16 (eight bits with f32's range), all sums in f32.
//!
//! A word of 32 bits holds two rows' numbers of a column, and two numbers of a row of `A`; one
//! instruction of AVX512-BF16 multiplies words and adds both products to a sum in f32. On AMD's
//! processors that is twice the work of f32's instruction. Where it is missing, two instructions do
//! the same to the last bit (but for numbers below 2⁻¹²⁶), so results do not depend on the
//! processor.

use half::bf16;

use super::rounded::{pack_rounded_columns, rounded_rows};
use super::{Corner, Operand, Packed};
use crate::buffer::Buffer;
use crate::isa::{Isa, Kernel, dispatch_bf16};
use crate::math::load;

/// A cache line is asked for every so many words: as often as in f32.
const FETCH: usize = 4;

/// Numbers in a cache line.
const CACHE_LINE: usize = 32;

impl Operand for bf16 {
    const HALF: bool = false;
    const GROUP: usize = 2;
    const DEPTH: usize = 768; // the bytes of f32's

    fn dispatch<K: Kernel>(kernel: K) -> K::Output {
        dispatch_bf16(kernel)
    }

    #[inline(always)]
    fn pack_rows<'a, I: Isa, const N: usize>(
        panels: &mut [bf16],
        k: usize,
        n: usize,
        row: impl Fn(usize) -> &'a [f32],
    ) {
        let panel = Self::padded(k) * N;
        for p in (0..k).step_by(Self::GROUP) {
            let (lower, upper) = (row(p), (p + 1 < k).then(|| row(p + 1)));
            for (start, panel) in (0..n).step_by(N).zip(panels.chunks_exact_mut(panel)) {
                let pair = &mut panel[p * N..(p + 2) * N];
                for at in (0..N).step_by(I::LANES) {
                    let count = n.saturating_sub(start + at).min(I::LANES);
                    let lower = part::<I>(lower, start + at, count);
                    let upper = match upper {
                        Some(row) => part::<I>(row, start + at, count),
                        None => I::splat(0.0),
                    };
                    // SAFETY: the pair has room for `N` words.
                    unsafe { I::store(pair[2 * at..].as_mut_ptr().cast(), I::words(lower, upper)) };
                }
            }
        }
    }

    #[inline(always)]
    fn pack_columns<'a, I: Isa, const N: usize>(
        panels: &mut [bf16],
        k: usize,
        n: usize,
        column: impl Fn(usize) -> &'a [f32],
    ) {
        pack_rounded_columns::<bf16, I, N>(panels, k, n, column, |c| c);
    }

    fn panels(packed: &Packed) -> &[Self] {
        packed.bf16()
    }

    fn rows<'a>(x: &'a [f32], k: usize, room: &'a mut Buffer) -> &'a [bf16] {
        rounded_rows(x, k, room)
    }

    #[inline(always)]
    unsafe fn load<I: Isa>(from: *const bf16, count: usize) -> I::V {
        // SAFETY: the caller's promise.
        unsafe { I::load_bf16(from, count) }
    }

    #[inline(always)]
    unsafe fn store<I: Isa>(to: *mut bf16, value: I::V, count: usize) {
        // SAFETY: the caller's promise.
        unsafe { I::store_bf16(to, value, count) }
    }

    #[inline(always)]
    unsafe fn sums<I: Isa, const M: usize, const R: usize>(
        at: Corner<bf16>,
        k: usize,
    ) -> [[I::V; R]; M] {
        let Corner { mut a, row, mut b, n, mut ahead, .. } = at;
        let mut sums = [[I::splat(0.0); R]; M];
        let words = k / Self::GROUP;
        for start in (0..words).step_by(FETCH) {
            I::prefetch(ahead.cast());
            ahead = ahead.wrapping_add(CACHE_LINE);
            for _ in 0..FETCH.min(words - start) {
                // SAFETY: the caller's promise.
                unsafe {
                    let mut line = [I::splat(0.0); R];
                    for (j, line) in line.iter_mut().enumerate() {
                        *line = I::load(b.cast::<f32>().add(j * I::LANES));
                    }
                    for (i, sums) in sums.iter_mut().enumerate() {
                        let pair = I::splat(a.add(i * row).cast::<f32>().read_unaligned());
                        for (sum, line) in sums.iter_mut().zip(line) {
                            *sum = I::dot(pair, line, *sum);
                        }
                    }
                }
                a = a.wrapping_add(Self::GROUP);
                b = b.wrapping_add(Self::GROUP * n);
            }
        }
        sums
    }
}

/// `count` numbers of a row, rounded but as wide as f32, zeros behind them.
#[inline(always)]
fn part<I: Isa>(row: &[f32], at: usize, count: usize) -> I::V {
    if count == 0 {
        return I::splat(0.0);
    }
    I::round_to_bf16(load::<I>(row, at, count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gemm::Plain;
    use crate::isa::{Baseline, REGISTERS, dispatch, tile};
    use crate::precision::Precision;

    /// Small integers are exact in bf16 and their sums in f32, so every place must be right to the
    /// last bit.
    #[test]
    fn products_of_integers_are_exact_at_every_size() {
        for (rows, k, n, add) in [
            (1, 1, 1, false),
            (5, 147, 96, false),
            (13, 64, 33, true),
            (97, 65, 100, true),
            (200, 16, 32, false),
            (14, 1601, 40, true), // deeper than a panel in the cache
        ] {
            let number = |i: usize| ((i * 7) % 5) as f32 - 2.0;
            let (a, b): (Vec<f32>, Vec<f32>) =
                ((0..rows * k).map(number).collect(), (0..k * n).map(number).collect());
            let transposed: Vec<f32> = (0..k * n).map(|i| b[i % k * n + i / k]).collect();
            for (weight, columns) in [(&b, false), (&transposed, true)] {
                let packed = Packed::new(Precision::Bf16, k, n, weight, columns);
                let mut out = vec![1f32; rows * n];
                let mut room = Buffer::default();
                packed.multiply(bf16::rows(&a, k, &mut room), &mut out, add, &mut Plain);
                for (i, out) in out.iter().enumerate() {
                    let exact: f32 = (0..k).map(|p| a[i / n * k + p] * b[p * n + i % n]).sum();
                    let expected = exact + f32::from(u8::from(add));
                    assert_eq!(*out, expected, "{rows}×{k}×{n}, place {i}, columns: {columns}");
                }
            }
        }
    }

    /// Sixteen words times sixteen words, added to sixteen sums.
    #[derive(Clone, Copy)]
    struct Dot([[f32; 16]; 3]);

    impl Kernel for Dot {
        type Output = [u32; 16];
        fn run<I: Isa, const M: usize, const N: usize>(self) -> [u32; 16] {
            let Self([a, b, mut sums]) = self;
            for at in (0..16).step_by(I::LANES) {
                let [a, b, sum] = [&a, &b, &sums].map(|numbers| load::<I>(numbers, at, I::LANES));
                crate::math::store::<I>(&mut sums, at, I::LANES, I::dot(a, b, sum));
            }
            sums.map(f32::to_bits)
        }
    }

    /// Sixteen numbers rounded, by themselves and as words of themselves, and read again.
    #[derive(Clone, Copy)]
    struct Round([f32; 16]);

    impl Kernel for Round {
        type Output = [[bf16; 16]; 4];
        fn run<I: Isa, const M: usize, const N: usize>(self) -> [[bf16; 16]; 4] {
            let mut rounded = [[bf16::ZERO; 16]; 2];
            let mut halves = [[0f32; 16]; 2];
            for at in (0..16).step_by(I::LANES) {
                let numbers = load::<I>(&self.0, at, I::LANES);
                let nearest = I::round_to_bf16(numbers);
                let words = I::words(nearest, I::sub(I::splat(0.0), nearest));
                for (half, part) in halves.iter_mut().zip([I::lower(words), I::upper(words)]) {
                    crate::math::store::<I>(half, at, I::LANES, part);
                }
                // SAFETY: the arrays are sixteen numbers long.
                unsafe {
                    I::store_bf16(rounded[0].as_mut_ptr().add(at), numbers, I::LANES);
                    let read = I::load_bf16(rounded[0].as_ptr().add(at), I::LANES - 1);
                    I::store_bf16(rounded[1].as_mut_ptr().add(at), read, I::LANES - 1);
                }
            }
            let [lower, upper] = halves.map(|half| half.map(bf16::from_f32));
            [rounded[0], rounded[1], lower, upper]
        }
    }

    /// Numbers of all sizes that a network has, the same every time.
    fn noise(count: usize) -> Vec<f32> {
        let mut state = 2024u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 40) as f32 / 8_388_608.0 - 1.0
        };
        (0..count).map(|i| next() * 2f32.powi((i % 23) as i32 - 11)).collect()
    }

    #[test]
    fn the_instruction_and_what_stands_in_for_it_give_the_same_bits() {
        let word = |pair: &[f32]| {
            let [lower, upper] = [0, 1].map(|i| u32::from(bf16::from_f32(pair[i]).to_bits()));
            f32::from_bits(upper << 16 | lower)
        };
        for numbers in noise(16 * 5 * 400).chunks_exact(16 * 5) {
            let words: Vec<f32> = numbers[..64].chunks_exact(2).map(word).collect();
            let part = |words: &[f32]| <[f32; 16]>::try_from(words).unwrap();
            let dot = Dot([part(&words[..16]), part(&words[16..]), part(&numbers[64..])]);
            let found = dispatch_bf16(dot);
            assert_eq!(found, dispatch(dot));
            assert_eq!(found, dot.run::<Baseline, 4, 8>());
        }
    }

    #[test]
    fn rounding_is_to_the_nearest_and_to_the_even_of_two() {
        let tie = |bits: u32| f32::from_bits(bits | 0x8000);
        let ends = [f32::MAX, f32::MIN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0];
        let ties = [tie(0x3f80_0000), tie(0x3f81_0000), tie(0xbf80_0000), tie(0xbf81_0000)];
        let mut numbers = [ends.as_slice(), &ties, &noise(16 * 200)].concat();
        numbers.resize(numbers.len().next_multiple_of(16), 1.0);
        for numbers in numbers.chunks_exact(16) {
            let numbers = <[f32; 16]>::try_from(numbers).unwrap();
            let nearest = numbers.map(bf16::from_f32);
            let round = Round(numbers);
            for found in [dispatch_bf16(round), dispatch(round), round.run::<Baseline, 4, 8>()] {
                let [rounded, _, lower, upper] = found;
                assert_eq!(rounded.map(bf16::to_bits), nearest.map(bf16::to_bits));
                assert_eq!(lower.map(bf16::to_bits), nearest.map(bf16::to_bits));
                assert_eq!(upper, nearest.map(|x| -x), "0 − 0 is 0, whatever its sign");
            }
        }
        for bits in [0x7fff_ffffu32, 0xffff_8000, 0x7f80_0001, f32::NAN.to_bits()] {
            let round = Round([f32::from_bits(bits); 16]);
            for found in [dispatch_bf16(round), dispatch(round), round.run::<Baseline, 4, 8>()] {
                assert!(found[0].into_iter().all(bf16::is_nan), "{bits:x}");
            }
        }
    }

    #[test]
    fn a_part_of_a_register_is_read_with_zeros_behind_it() {
        let round = Round([3.0; 16]);
        let here = tile().1 / REGISTERS;
        for (found, lanes) in [(dispatch_bf16(round), here), (round.run::<Baseline, 4, 8>(), 4)] {
            for (i, number) in found[1].into_iter().enumerate() {
                let last = i % lanes == lanes - 1;
                assert_eq!(number.to_f32(), if last { 0.0 } else { 3.0 }, "lane {i} of {lanes}");
            }
        }
    }
}
