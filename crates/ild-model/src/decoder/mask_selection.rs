//! Which of the four masks is the answer.

use candle_core::{Result, Tensor};

use crate::decoder::mask_decoder::AllMasks;

/// Half-width of the band of logits around 0 that makes a mask unstable
/// (`dynamic_multimask_stability_delta`).
const STABILITY_DELTA: f64 = 0.05;
/// Below this share of stable pixels another mask is taken (`dynamic_multimask_stability_thresh`).
const STABILITY_THRESHOLD: f32 = 0.98;

/// How one mask is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeMode {
    /// The first mask, always: what the loss sees.
    Train,
    /// The first mask where it is stable, else the one of the other three with the highest
    /// predicted IoU.
    Eval,
    /// The one of the other three with the highest predicted IoU: what video takes where a frame
    /// has no prompt, or one click.
    Multimask,
}

/// `#(logit > δ) / #(logit > −δ)` of each mask; 1 where nothing is above −δ (SAM 2's
/// `_get_stability_scores`).
///
/// # Shapes
/// - `logits`: `[b, 1, h, w]`; returns `b` scores
///
/// # Errors
/// Shapes other than these.
pub fn stability_scores(logits: &Tensor) -> Result<Vec<f32>> {
    let flat = logits.detach().flatten_from(1)?;
    let count =
        |above: f64| flat.gt(above)?.to_dtype(candle_core::DType::F32)?.sum(1)?.to_vec1::<f32>();
    let pairs = count(STABILITY_DELTA)?.into_iter().zip(count(-STABILITY_DELTA)?);
    Ok(pairs.map(|(inner, outer)| if outer > 0.0 { inner / outer } else { 1.0 }).collect())
}

/// Number of the mask to take for each image of the batch (SAM 2's
/// `_dynamic_multimask_via_stability`).
///
/// # Errors
/// Shapes other than those of [`AllMasks`].
pub fn select(all: &AllMasks, mode: DecodeMode) -> Result<Vec<usize>> {
    let b = all.logits.dim(0)?;
    if mode == DecodeMode::Train {
        return Ok(vec![0; b]);
    }
    let iou = all.iou.detach().to_vec2::<f32>()?;
    if mode == DecodeMode::Multimask {
        return Ok(iou.iter().map(|iou| best_of_the_others(iou)).collect());
    }
    let stable = stability_scores(&all.logits.narrow(1, 0, 1)?)?
        .into_iter()
        .map(|score| score >= STABILITY_THRESHOLD);
    Ok(stable
        .zip(iou)
        .map(|(stable, iou)| if stable { 0 } else { best_of_the_others(&iou) })
        .collect())
}

/// The first largest of entries 1 and up.
fn best_of_the_others(iou: &[f32]) -> usize {
    (2..iou.len()).fold(1, |best, i| if iou[i] > iou[best] { i } else { best })
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    fn masks(first: f32, iou: [f32; 4]) -> AllMasks {
        let logits = Tensor::full(first, (1, 4, 10, 10), &Device::Cpu).unwrap();
        let iou = Tensor::new(&[iou], &Device::Cpu).unwrap();
        AllMasks {
            logits,
            iou,
            object_score: Tensor::zeros((1, 1), DType::F32, &Device::Cpu).unwrap(),
            mask_tokens: Tensor::zeros((1, 4, 8), DType::F32, &Device::Cpu).unwrap(),
        }
    }

    #[test]
    fn a_stable_mask_stays_and_an_unstable_one_yields_to_the_best_of_the_others() {
        assert_eq!(select(&masks(3.0, [0.1, 0.2, 0.9, 0.3]), DecodeMode::Eval).unwrap(), [0]);
        assert_eq!(select(&masks(0.01, [1.0, 0.2, 0.9, 0.3]), DecodeMode::Eval).unwrap(), [2]);
        assert_eq!(select(&masks(0.01, [1.0, 0.2, 0.9, 0.3]), DecodeMode::Train).unwrap(), [0]);
        assert_eq!(select(&masks(3.0, [1.0, 0.2, 0.9, 0.3]), DecodeMode::Multimask).unwrap(), [2]);
    }

    #[test]
    fn an_empty_mask_is_stable_and_ties_go_to_the_first() {
        assert_eq!(select(&masks(-3.0, [0.0, 1.0, 1.0, 1.0]), DecodeMode::Eval).unwrap(), [0]);
        assert_eq!(select(&masks(0.0, [0.0, 0.7, 0.7, 0.7]), DecodeMode::Eval).unwrap(), [1]);
    }
}
