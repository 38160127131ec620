//! What training does beside the model: the sums of a loss, the step of an optimiser.

use candle_core::{Result, Tensor};

use crate::adamw::{self, AdamWStep};
use crate::{gpu, reference};

/// The sums that Dice loss and cross-entropy of masks are made of, over the pixels of each mask:
/// with `p = sigmoid(x)` and truth `t` `Σ p·t`, `Σ p²`, `Σ t²` and `Σ max(x, 0) − x·t + ln(1 +
/// e^−|x|)`. There is no gradient for the truth.
///
/// # Example
/// The Dice loss of one mask:
/// ```
/// use candle_core::{Device, Tensor};
///
/// let logits = Tensor::new(&[[[[9f32, -9.0], [9.0, -9.0]]]], &Device::Cpu)?;
/// let truth = Tensor::new(&[[[[1f32, 0.0], [1.0, 0.0]]]], &Device::Cpu)?;
/// let sums = ild_ops::mask_sums(&logits, &truth)?.to_vec2::<f32>()?;
/// let [both, predicted, true_, _] = sums[0][..] else { unreachable!("four sums a mask") };
/// assert!(1.0 - 2.0 * both / (predicted + true_) < 1e-3);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Shapes
/// - `logits` and `masks`: `[b, 1, h, w]` of f32 (or f64); returns `[b, 4]`
///
/// # Errors
/// Logits and masks of unlike shapes, or without four axes.
pub fn mask_sums(logits: &Tensor, masks: &Tensor) -> Result<Tensor> {
    if logits.dims() != masks.dims() || logits.rank() != 4 {
        candle_core::bail!(
            "expected logits for masks of shape {:?}, found {:?}",
            masks.dims(),
            logits.dims()
        );
    }
    let masks = &masks.to_dtype(logits.dtype())?;
    if logits.dtype() == candle_core::DType::F32 && gpu::applies(&[logits]) {
        return gpu::mask_sums(logits, masks);
    }
    reference::mask_sums(logits, masks)
}

/// Moves a weight and its moments one step of AdamW (Loshchilov and Hutter 2019, algorithm 2), in
/// place.
///
/// # Shapes
/// - all four the same; f32
///
/// # Errors
/// Another shape or type: what was expected and found.
pub fn adamw(
    weight: &Tensor,
    mean: &Tensor,
    mean_square: &Tensor,
    gradient: &Tensor,
    step: &AdamWStep,
) -> Result<()> {
    let fits = |t: &&Tensor| t.dtype() == candle_core::DType::F32 && t.dims() == weight.dims();
    if let Some(other) = [weight, mean, mean_square, gradient].iter().find(|t| !fits(t)) {
        candle_core::bail!(
            "adamw: expected four tensors of f32 {:?}, found {:?} {:?}",
            weight.dims(),
            other.dtype(),
            other.dims()
        );
    }
    let gradient = &gradient.contiguous()?;
    if gpu::runs_on(weight.device()) {
        return gpu::adamw(weight, mean, mean_square, gradient, step);
    }
    adamw::adamw(weight, mean, mean_square, gradient, step)
}

/// `from + share·(to − from)`, written over `from` where it lies on the CPU: use what is returned.
///
/// # Shapes
/// - both the same; f32
///
/// # Errors
/// Another shape or type.
pub fn lerp(from: &Tensor, to: &Tensor, share: f64) -> Result<Tensor> {
    if from.device().is_cpu() {
        return adamw::lerp(from, to, share);
    }
    (from * (1.0 - share))? + (to * share)?
}
