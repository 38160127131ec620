//! The loss of answers to prompts: masks, and in our own recipe whether there is anything at all.

use candle_core::{Result, Tensor};
use ild_model::MaskPrediction;

use crate::data::batch::Asked;
use crate::optimiser::loss::{Loss, dice_and_cross_entropy};
use crate::optimiser::mask_sums::mask_sums;

/// What a logit is set to where nobody knows the answer: its probability and loss are 0.
const NEVER: f64 = 30.0;
/// Weight of "is there anything?" and of the predicted intersection over union.
const SCORES: f64 = 0.05;

/// Loss of the masks of `predicted` against `asked`.
///
/// With `scores`, as our own recipe has it, object score and predicted IoU are taught as well, and
/// an empty answer has no Dice: there the cross-entropy alone counts, and `dice` is 0.
///
/// # Errors
/// When the shapes do not fit together.
pub fn prompt_loss<T>(predicted: &MaskPrediction, asked: &Asked<T>, scores: bool) -> Result<Loss> {
    let logits = match &asked.known {
        None => predicted.logits.clone(),
        Some(known) => only_known(&predicted.logits, known)?,
    };
    if !scores {
        return dice_and_cross_entropy(&logits, &asked.masks);
    }
    let (n, _, height, width) = asked.masks.dims4()?;
    let logits = ild_ops::upsample_bilinear(&logits, height, width)?;
    let sums = mask_sums(&logits, &asked.masks)?;
    let mut loss = Loss::of(&sums, height * width)?;
    if asked.filled.contains(&0.0) {
        let filled = Tensor::from_slice(&asked.filled, n, logits.device())?;
        loss.dice = (&loss.dice * filled)?;
        loss.total = (&loss.dice + &loss.bce)?.mean_all()?;
    }
    loss.total = (loss.total + (score_loss(predicted, &sums.detach(), asked)? * SCORES)?)?;
    Ok(loss)
}

/// Logits at the size of `known`, −[`NEVER`] where nobody knows the answer. With a mask of 0 there,
/// such a pixel adds nothing to Dice or cross-entropy, and no gradient.
///
/// # Errors
/// When the shapes do not fit together.
pub fn only_known(logits: &Tensor, known: &Tensor) -> Result<Tensor> {
    let (_, _, height, width) = known.dims4()?;
    let logits = ild_ops::upsample_bilinear(logits, height, width)?;
    (logits * known)? + known.affine(NEVER, -NEVER)?
}

/// Cross-entropy of the object score plus squared error of the predicted IoU where there is
/// something; the true one is that of the probabilities.
fn score_loss<T>(predicted: &MaskPrediction, sums: &Tensor, asked: &Asked<T>) -> Result<Tensor> {
    let filled = Tensor::from_slice(&asked.filled, (asked.filled.len(), 1), sums.device())?;
    let object = binary_cross_entropy(&predicted.object_score, &filled)?.mean_all()?;
    let sum = |i: usize| sums.narrow(1, i, 1); // [n, 1]
    let either = ((sum(1)? + sum(2)?)? - sum(0)?)?;
    let iou = (sum(0)? / (either + 1.0)?)?;
    let missed = ((&predicted.iou - iou)?.sqr()? * filled)?.mean_all()?;
    object + missed
}

/// `max(x, 0) − x·t + ln(1 + e^−|x|)` of each logit.
///
/// # Errors
/// When the shapes differ.
pub fn binary_cross_entropy(logits: &Tensor, truth: &Tensor) -> Result<Tensor> {
    let tail = (logits.abs()?.neg()?.exp()? + 1.0)?.log()?;
    (logits.relu()? - (logits * truth)?)? + tail
}
