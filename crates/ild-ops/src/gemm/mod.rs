//! Matrix products `C = A·B` with the work that follows them done while the result is still in
//! registers.
//!
//! `B` is packed into panels of as many columns as a register tile; `A` is read where it lies. For
//! the widths of SAM 2 (96 to 3072) this is 5 to 25 % faster than a general product that packs
//! both, and the bias, GELU and residual cost no pass over memory (docs/performance.md).

mod bf16;
mod f16;
mod few_rows;
mod finish;
mod operand;
mod pack;
mod rounded;
mod tile;
mod weight_gradient;

pub(crate) use few_rows::{FEW, FewRows};
pub(crate) use finish::{
    Bias, BiasGelu, BiasGeluKeep, BiasGeluRough, BiasResidual, Finish, GeluSlope, Plain, check_rows,
};
pub(crate) use operand::{Corner, Operand};
pub use pack::PackedWeight;
pub(crate) use pack::{Packed, pack_columns, pack_rows, packed_len};
pub(crate) use tile::{Lhs, Product, Rhs, multiply};
pub(crate) use weight_gradient::weight_gradient;

use super::isa::{Isa, Kernel};

/// Rows handled as one task: a multiple of every tile's height, small enough for `A` and `C` to
/// stay in a core's cache.
pub(crate) const ROWS: usize = 96;

impl<F: Finish, T: Operand, O: Operand> Kernel for Product<'_, F, T, O> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa, const M: usize, const N: usize>(self) {
        multiply::<I, M, N, F, T, O>(self);
    }
}
