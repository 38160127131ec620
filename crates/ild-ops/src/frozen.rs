//! Layers that do not change any more: what the operations for inference are given.

use std::sync::Arc;

use candle_core::Tensor;

use super::gemm::PackedWeight;

/// A layer that does not change any more.
#[derive(Debug, Clone)]
pub struct Frozen<'a> {
    /// `[out, c]`; of a transposed convolution `[c, out, 2, 2]`.
    pub weight: &'a Tensor,
    /// `[out]`.
    pub bias: &'a Tensor,
    /// This weight's and no other's.
    pub packed: Arc<PackedWeight>,
}

impl Frozen<'_> {
    pub(crate) fn maps(&self, from: usize, to: usize) -> bool {
        self.weight.dims() == [to, from] && self.bias.dims() == [to]
    }
}

/// A normalisation over channels.
#[derive(Debug, Clone)]
pub struct Norm<'a> {
    /// `[c]`.
    pub weight: &'a Tensor,
    /// `[c]`.
    pub bias: &'a Tensor,
    /// Added to the variance.
    pub eps: f64,
}

impl Norm<'_> {
    pub(crate) fn is_of(&self, channels: usize) -> bool {
        self.weight.dims() == [channels] && self.bias.dims() == [channels]
    }
}
