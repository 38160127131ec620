//! What propagation asks of a model: a slice and where to look; back comes a probability for every
//! pixel.

use std::sync::Arc;

use ndarray::Array2;

use crate::coordinates::StackIndex;
use crate::model::views::Views;
use crate::prompt::InputPrompt;
use crate::{Error, Result};

/// Probability above which a pixel belongs to the lesion, strictly (the reference's rule).
pub const THRESHOLD: f32 = 0.5;

/// What the decoder thinks of its own answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scores {
    /// Its estimate of the mask's intersection over union, 0 to 1.
    pub iou: f32,
    /// Logit that the prompted object is there at all.
    pub object: f32,
}

/// The answer for one prompt on one slice.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// `[y, x]` at the size of the slice.
    pub probability: Array2<f32>,
    /// `None` where no decoder was asked.
    pub scores: Option<Scores>,
    /// How far apart several views are; `None` where one answered.
    pub range: Option<Range>,
}

/// The lowest and the highest of several probabilities, pixel by pixel.
#[derive(Clone, Debug, PartialEq)]
pub struct Range {
    /// `[y, x]`.
    pub lowest: Array2<f32>,
    /// `[y, x]`.
    pub highest: Array2<f32>,
}

impl Range {
    /// Of maps of one size; `None` of none.
    pub fn of<'a>(maps: impl IntoIterator<Item = &'a Array2<f32>>) -> Option<Self> {
        let mut maps = maps.into_iter();
        let first = maps.next()?;
        let mut range = Self { lowest: first.clone(), highest: first.clone() };
        for map in maps {
            range.lowest.zip_mut_with(map, |low, &p| *low = low.min(p));
            range.highest.zip_mut_with(map, |high, &p| *high = high.max(p));
        }
        Some(range)
    }
}

impl Prediction {
    /// The pixels above [`THRESHOLD`].
    #[must_use]
    pub fn mask(&self) -> Array2<bool> {
        self.probability.mapv(|p| p > THRESHOLD)
    }
}

/// Segments single slices of one case.
pub trait SliceSegmenter {
    /// One prediction per prompt on `slice`.
    ///
    /// # Errors
    /// When the model fails, or `slice` was not announced to a segmenter that works ahead.
    fn segment(&mut self, slice: StackIndex, prompts: &[InputPrompt]) -> Result<Vec<Prediction>>;

    /// The features of `slice`, for a propagator that does more with them than ask the decoder.
    ///
    /// # Errors
    /// As [`SliceSegmenter::segment`]; a segmenter that has no features says so.
    fn features(&mut self, slice: StackIndex) -> Result<Arc<Views>> {
        Err(Error::NoFeatures(slice.0))
    }
}
