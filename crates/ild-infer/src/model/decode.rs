//! Features and prompts to masks.

use std::sync::Arc;

use candle_core::Tensor;
use ild_model::logits_to_probability;
use ild_model::{DecodeMode, ImageFeatures, InputBox, MaskPrediction, Sam2, SliceSize};
use ndarray::Array2;

use crate::coordinates::StackIndex;
use crate::model::answer::{Prediction, Scores, SliceSegmenter};
use crate::model::features::SliceFeatures;
use crate::model::views::Views;
use crate::prompt::InputPrompt;
use crate::{Engine, Error, Result};

/// SAM 2's decoder on features that somebody provides slice by slice.
pub struct Decoder<'a, S> {
    /// The model, or several that answer together.
    pub engine: &'a Engine,
    /// Where the features of a slice are had.
    pub features: S,
    /// Of the slices.
    pub slice_size: SliceSize,
}

impl<S: SliceFeatures> SliceSegmenter for Decoder<'_, S> {
    fn segment(&mut self, slice: StackIndex, prompts: &[InputPrompt]) -> Result<Vec<Prediction>> {
        let features = self.features.at(slice)?;
        self.engine.decode(&features, prompts, self.slice_size)
    }

    fn features(&mut self, slice: StackIndex) -> Result<Arc<Views>> {
        self.features.at(slice)
    }
}

/// The model's answers, one per prompt, at the size of the slice. A GPU gets all boxes at once; a
/// CPU is busy with one.
///
/// # Errors
/// When the model fails.
pub fn decode(
    model: &Sam2,
    features: &ImageFeatures,
    prompts: &[InputPrompt],
    size: SliceSize,
) -> Result<Vec<Prediction>> {
    let boxes: Option<Vec<InputBox>> = prompts
        .iter()
        .map(|prompt| if let InputPrompt::Box(b) = prompt { Some(*b) } else { None })
        .collect();
    let answers: ild_model::Result<Vec<Prediction>> = match boxes {
        Some(boxes) if !model.device().is_cpu() => decode_boxes(model, features, &boxes, size),
        _ => prompts.iter().map(|prompt| decode_one(model, features, prompt, size)).collect(),
    };
    answers.map_err(Error::Model)
}

fn decode_boxes(
    model: &Sam2,
    features: &ImageFeatures,
    boxes: &[InputBox],
    size: SliceSize,
) -> ild_model::Result<Vec<Prediction>> {
    let corners: Vec<f32> = boxes.iter().flat_map(|b| b.to_f32()).collect();
    let corners = Tensor::from_vec(corners, (boxes.len(), 4), model.device())?;
    let answer = model.decode_box(features, &corners, DecodeMode::Eval)?;
    (0..boxes.len()).map(|i| prediction(&answer, i, size)).collect()
}

fn decode_one(
    model: &Sam2,
    features: &ImageFeatures,
    prompt: &InputPrompt,
    size: SliceSize,
) -> ild_model::Result<Prediction> {
    match prompt {
        InputPrompt::Box(b) => {
            Ok(decode_boxes(model, features, std::slice::from_ref(b), size)?.swap_remove(0))
        }
        prompt => decode_points(model, features, &prompt.as_points(), size),
    }
}

fn decode_points(
    model: &Sam2,
    features: &ImageFeatures,
    points: &[([f32; 2], i64)],
    size: SliceSize,
) -> ild_model::Result<Prediction> {
    let places: Vec<f32> = points.iter().flat_map(|(place, _)| *place).collect();
    let labels: Vec<f32> = points.iter().map(|&(_, label)| label as f32).collect();
    let places = Tensor::from_vec(places, (1, points.len(), 2), model.device())?;
    let labels = Tensor::from_vec(labels, (1, points.len()), model.device())?;
    prediction(&model.decode_points(features, &places, &labels, DecodeMode::Eval)?, 0, size)
}

/// Answer `i` at the size of the slice.
fn prediction(answer: &MaskPrediction, i: usize, size: SliceSize) -> ild_model::Result<Prediction> {
    let side = answer.logits.dim(3)?;
    let values = answer.logits.get(i)?.flatten_all()?.to_vec1::<f32>()?;
    let logits = Array2::from_shape_vec((side, side), values)
        .map_err(|error| candle_core::Error::Msg(error.to_string()))?;
    let scalar = |tensor: &Tensor| tensor.get(i)?.get(0)?.to_scalar::<f32>();
    Ok(Prediction {
        probability: logits_to_probability(logits.view(), size.height, size.width),
        scores: Some(Scores { iou: scalar(&answer.iou)?, object: scalar(&answer.object_score)? }),
        range: None,
    })
}

#[cfg(test)]
mod tests {
    use ild_model::{Sam2Config, Weights, image_to_input};
    use ndarray::Array3;

    use super::*;

    /// Sums in another order: some units in the last place of an f32.
    const TOLERANCE: f32 = 1e-5;

    #[test]
    fn boxes_decoded_together_are_the_boxes_decoded_one_by_one() {
        let config = Sam2Config::from_name_or_file("nano").unwrap();
        let (model, _) =
            Sam2::load(&config, &Weights::random(&config, 1).unwrap(), &candle_core::Device::Cpu)
                .unwrap();
        let slice = Array3::from_shape_fn((40, 50, 3), |(y, x, _)| (y * 5 + x) as u8);
        let input = image_to_input(slice.view(), config.image_size).into_raw_vec_and_offset().0;
        let side = config.image_size;
        let features = model
            .encode_image(&Tensor::from_vec(input, (1, 3, side, side), model.device()).unwrap())
            .unwrap();
        let boxes =
            [[10.0, 20.0, 100.0, 120.0], [130.0, 40.0, 200.0, 90.0], [0.0, 0.0, 256.0, 256.0]]
                .map(InputBox::new);
        let size = SliceSize { height: 40, width: 50 };
        let together = decode_boxes(&model, &features, &boxes, size).unwrap();
        for (b, a) in boxes.iter().zip(&together) {
            let b = decode_one(&model, &features, &InputPrompt::Box(*b), size).unwrap();
            let apart = a
                .probability
                .iter()
                .zip(&b.probability)
                .map(|(p, q)| (p - q).abs())
                .fold(0.0, f32::max);
            let [a, b] = [a, &b].map(|answer| answer.scores.unwrap().iou);
            assert!(apart < TOLERANCE && (a - b).abs() < TOLERANCE, "{apart}");
        }
        assert_ne!(together[0], together[1]);
    }

    #[test]
    fn a_box_without_corrections_is_the_box_and_a_correction_changes_it() {
        let config = Sam2Config::from_name_or_file("nano").unwrap();
        let (model, _) =
            Sam2::load(&config, &Weights::random(&config, 1).unwrap(), &candle_core::Device::Cpu)
                .unwrap();
        assert!(config.drawn_prompts, "the corners are drawn, too");
        let slice = Array3::from_shape_fn((40, 50, 3), |(y, x, _)| (y * 5 + x) as u8);
        let input = image_to_input(slice.view(), config.image_size).into_raw_vec_and_offset().0;
        let side = config.image_size;
        let input = Tensor::from_vec(input, (1, 3, side, side), model.device()).unwrap();
        let features = model.encode_image(&input).unwrap();
        let size = SliceSize { height: 40, width: 50 };
        let answer = |prompt: InputPrompt| {
            decode(&model, &features, &[prompt], size).unwrap().remove(0).probability
        };
        let b = InputBox::new([30.0, 40.0, 150.0, 180.0]);
        let outside = (ild_model::InputPoint { x: 100.0, y: 100.0 }, false);
        let alone = answer(InputPrompt::Box(b));
        let apart = |other: Array2<f32>| {
            alone.iter().zip(&other).map(|(p, q)| (p - q).abs()).fold(0.0, f32::max)
        };
        assert!(apart(answer(InputPrompt::BoxAndPoints(b, vec![]))) < TOLERANCE);
        assert!(apart(answer(InputPrompt::BoxAndPoints(b, vec![outside]))) > 1e-3);
    }
}
