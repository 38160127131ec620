//! What is minimised: one forward and backward pass over a batch.

use candle_core::Tensor;
use candle_core::backprop::GradStore;
use ild_model::memory::Memory;
use ild_model::{DecodeMode, ImageFeatures, MaskPrediction, Sam2};

use crate::data::batch::Batch;
use crate::error::Result;
use crate::optimiser::dense_loss::dense_loss;
use crate::optimiser::loss::Loss;
use crate::optimiser::prompt_loss::prompt_loss;
use crate::run::clips::follow;
use crate::watch::history::{HeadLoss, MeanLoss};

/// How the losses of a batch are put together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Objective {
    /// Whether object score and predicted IoU are taught.
    pub scores: bool,
    /// Weight of the lesion head's loss; `None` leaves the head alone.
    pub head_weight: Option<f64>,
    /// Share of the head's gradient that reaches the trunk.
    pub head_gradient: f64,
}

/// Losses of some batches.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Losses {
    /// Of the answers to prompts.
    pub prompts: MeanLoss,
    /// Of the lesion head.
    pub head: HeadLoss,
}

impl Objective {
    /// Gradients of one batch; adds its losses to `losses`.
    ///
    /// The loss is the mean over the questions plus the weighted loss of the head, from one encoding
    /// of each slice. With a `memory`, every slice of a clip after the first is a question too.
    ///
    /// # Errors
    /// When a tensor operation fails.
    pub fn backward(
        &self,
        model: &Sam2,
        memory: Option<&Memory>,
        batch: &Batch,
        losses: &mut Losses,
    ) -> Result<GradStore> {
        let (features, maps) = match self.head_weight {
            None => (model.encode_image(&batch.images)?, None),
            Some(_) => model.encode_image_gated(&batch.images, self.head_gradient)?,
        };
        let mut parts = Vec::new();
        for (predicted, loss) in self.answers(model, &features, batch)? {
            losses.prompts.add(&loss.dice.to_vec1()?, &loss.bce.to_vec1()?);
            parts.push((predicted.logits.dim(0)?, loss.total));
        }
        if let Some(memory) = memory {
            let (clips, sums) = (&batch.clips, &mut losses.prompts);
            parts.extend(follow((model, memory), &features, clips, self.scores, sums)?);
        }
        let mut total = mean_of(parts)?;
        if let (Some(weight), Some(maps), Some(target)) = (self.head_weight, &maps, &batch.dense) {
            let loss = dense_loss(maps, target)?;
            losses.head.add(&loss, maps.batch()?)?;
            let weighted = (loss.total * weight)?;
            total = Some(match total {
                None => weighted,
                Some(total) => (total + weighted)?,
            });
        }
        let total = total.ok_or_else(|| {
            candle_core::Error::Msg("a batch without a question and without a head".to_owned())
        })?;
        Ok(total.backward()?)
    }

    /// Predictions and losses of a batch's boxes and clicks.
    ///
    /// # Errors
    /// When a tensor operation fails.
    pub fn answers(
        &self,
        model: &Sam2,
        features: &ImageFeatures,
        batch: &Batch,
    ) -> Result<Vec<(MaskPrediction, Loss)>> {
        let mut answers = Vec::new();
        if let Some(asked) = &batch.boxes {
            let features = asked.features(features)?;
            let predicted = model.decode_box(&features, &asked.given, DecodeMode::Train)?;
            let loss = prompt_loss(&predicted, asked, self.scores)?;
            answers.push((predicted, loss));
        }
        if let Some(asked) = &batch.clicks {
            let (features, (points, kinds)) = (asked.features(features)?, &asked.given);
            let predicted = model.decode_points(&features, points, kinds, DecodeMode::Train)?;
            let loss = prompt_loss(&predicted, asked, self.scores)?;
            answers.push((predicted, loss));
        }
        Ok(answers)
    }
}

/// The mean over all questions of means over some of them.
fn mean_of(parts: Vec<(usize, Tensor)>) -> Result<Option<Tensor>> {
    let all: usize = parts.iter().map(|(count, _)| count).sum();
    let mut mean: Option<Tensor> = None;
    for (count, part) in parts {
        let part = if count == all { part } else { (part * (count as f64 / all as f64))? };
        mean = Some(match mean {
            None => part,
            Some(mean) => (mean + part)?,
        });
    }
    Ok(mean)
}
