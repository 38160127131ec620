//! Half precision (IEEE binary16, "f16") in registers.

use half::f16;

/// A register of half-precision numbers: twice as many as a register `V` of single-precision ones.
///
/// The methods of an instruction set that cannot compute in half precision are never called: see
/// [`super::dispatch_f16`].
pub(crate) trait Half<V>: Copy {
    /// Zeros.
    fn zeros() -> Self {
        unreachable!("{NONE}")
    }
    /// The same number in every lane.
    fn splat(_: f16) -> Self {
        unreachable!("{NONE}")
    }
    /// The two numbers at `from`, again and again.
    ///
    /// # Safety
    /// Two numbers must be readable.
    unsafe fn splat_pair(_from: *const f16) -> Self {
        unreachable!("{NONE}")
    }
    /// # Safety
    /// A register of numbers must be readable.
    unsafe fn load(_from: *const f16) -> Self {
        unreachable!("{NONE}")
    }
    /// # Safety
    /// A register of numbers must be writable.
    unsafe fn store(self, _to: *mut f16) {
        unreachable!("{NONE}")
    }
    /// Lane by lane.
    fn add(self, _: Self) -> Self {
        unreachable!("{NONE}")
    }
    /// Lane by lane.
    fn sub(self, _: Self) -> Self {
        unreachable!("{NONE}")
    }
    /// The larger, lane by lane; `other` where either is not a number.
    fn max(self, _other: Self) -> Self {
        unreachable!("{NONE}")
    }
    /// The smaller, lane by lane; `other` where either is not a number.
    fn min(self, _other: Self) -> Self {
        unreachable!("{NONE}")
    }
    /// `self·b + c` in one rounding.
    fn mul_add(self, _b: Self, _c: Self) -> Self {
        unreachable!("{NONE}")
    }
    /// `2ˣ` for `x ≤ 0`, relative error ≤ 7e-4 (most of it rounding); 0 below −25.
    fn exp2(self) -> Self {
        unreachable!("{NONE}")
    }
    /// Lanes `2i` of both side by side, and lanes `2i + 1` of both side by side. Twice is as never.
    fn interleave(self, _: Self) -> [Self; 2] {
        unreachable!("{NONE}")
    }
    /// The same numbers in single precision.
    fn widen(self) -> [V; 2] {
        unreachable!("{NONE}")
    }
    /// Rounds; numbers beyond 65504 become 65504.
    fn narrow(_: [V; 2]) -> Self {
        unreachable!("{NONE}")
    }
    /// `count` numbers (at most those of a `V`) in single precision, zeros behind them.
    ///
    /// # Safety
    /// `count` numbers must be readable.
    unsafe fn load_part(_from: *const f16, _count: usize) -> V {
        unreachable!("{NONE}")
    }
    /// The counterpart of [`Self::load_part`], rounding as [`Self::narrow`].
    ///
    /// # Safety
    /// `count` numbers must be writable.
    unsafe fn store_part(_to: *mut f16, _value: V, _count: usize) {
        unreachable!("{NONE}")
    }
}

const NONE: &str = "half precision without its instructions";

/// None.
impl<V> Half<V> for () {}

#[cfg(test)]
mod tests {
    use super::super::{Isa, Kernel, dispatch_f16, f16_available};
    use super::*;

    /// `2ˣ` of a register of numbers.
    struct Exp2([f16; 32]);

    impl Kernel for Exp2 {
        type Output = [f16; 32];
        fn run<I: Isa, const M: usize, const N: usize>(self) -> [f16; 32] {
            let mut powers = [f16::ZERO; 32];
            // SAFETY: both arrays are a register long.
            unsafe { I::H::load(self.0.as_ptr()).exp2().store(powers.as_mut_ptr()) };
            powers
        }
    }

    #[test]
    fn the_power_of_two_is_within_7e_4() {
        if !f16_available() {
            return;
        }
        let every_negative: Vec<f16> =
            (0x8000..=f16::NEG_INFINITY.to_bits()).map(f16::from_bits).collect();
        for numbers in every_negative.chunks(32) {
            let mut x = [f16::ZERO; 32];
            x[..numbers.len()].copy_from_slice(numbers);
            for (x, found) in x.into_iter().zip(dispatch_f16(Exp2(x))) {
                let (exact, found) = (x.to_f64().exp2(), found.to_f64());
                let fewer_digits = if exact < 2f64.powi(-14) { 2f64.powi(-25) } else { 0.0 };
                assert!(
                    (found - exact).abs() <= 7e-4 * exact + fewer_digits,
                    "2^{x} is {found}, not {exact}"
                );
            }
        }
        assert!(dispatch_f16(Exp2([f16::NAN; 32])).into_iter().all(f16::is_nan));
    }

    /// Numbers put side by side with the next 32, and that once more; and in single precision and
    /// back.
    struct ThereAndBack([f16; 64]);

    impl Kernel for ThereAndBack {
        type Output = [[f16; 64]; 3];
        fn run<I: Isa, const M: usize, const N: usize>(self) -> [[f16; 64]; 3] {
            let mut out = [[f16::ZERO; 64]; 3];
            // SAFETY: the arrays are two registers long.
            unsafe {
                let [a, b] = [I::H::load(self.0.as_ptr()), I::H::load(self.0[32..].as_ptr())];
                let [evens, odds] = a.interleave(b);
                let [first, second] = evens.interleave(odds);
                for (out, pair) in out.iter_mut().zip([
                    [evens, odds],
                    [first, second],
                    [a, b].map(|a| I::H::narrow(a.widen())),
                ]) {
                    pair[0].store(out.as_mut_ptr());
                    pair[1].store(out[32..].as_mut_ptr());
                }
            }
            out
        }
    }

    #[test]
    fn interleaving_and_widening_go_there_and_back() {
        if !f16_available() {
            return;
        }
        let numbers: [f16; 64] = std::array::from_fn(|i| f16::from_f32(i as f32));
        let [interleaved, again, rounded] = dispatch_f16(ThereAndBack(numbers));
        for i in 0..16 {
            assert_eq!(interleaved[2 * i..2 * i + 2], [numbers[2 * i], numbers[32 + 2 * i]]);
            assert_eq!(
                interleaved[32 + 2 * i..32 + 2 * i + 2],
                [numbers[2 * i + 1], numbers[32 + 2 * i + 1]]
            );
        }
        assert_eq!([again, rounded], [numbers; 2]);
    }
}
