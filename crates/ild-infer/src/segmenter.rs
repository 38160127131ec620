//! What the journey asks of a model: a slice and where to look, back comes a probability for every
//! pixel.

use ndarray::Array2;

use crate::Result;

/// Probability above which a pixel belongs to the lesion, strictly (the reference's rule).
pub const THRESHOLD: f32 = 0.5;

/// Where on a slice the model is told to look, in pixels of its square input.
#[derive(Clone, Debug, PartialEq)]
pub enum Prompt {
    /// `x0, y0, x1, y1`.
    Box([f64; 4]),
    /// Places `(x, y)`, each inside (`true`) or outside the lesion.
    Points(Vec<([f64; 2], bool)>),
}

impl Prompt {
    /// The prompt given in pixels of a `height` × `width` slice, in pixels of the model's `side` ×
    /// `side` input.
    ///
    /// Divides first and multiplies then, as the reference does, so that boxes are equal to the
    /// last bit.
    #[must_use]
    pub fn to_input(&self, height: usize, width: usize, side: usize) -> Self {
        let (h, w, s) = (height as f64, width as f64, side as f64);
        match self {
            Self::Box([x0, y0, x1, y1]) => {
                Self::Box([x0 / w * s, y0 / h * s, x1 / w * s, y1 / h * s])
            }
            Self::Points(points) => Self::Points(
                points.iter().map(|&([x, y], inside)| ([x / w * s, y / h * s], inside)).collect(),
            ),
        }
    }
}

/// The model's answer for one prompt on one slice.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// `[y, x]` at the size of the slice.
    pub probability: Array2<f32>,
    /// The model's own estimate of its IoU.
    pub iou: f32,
    /// Logit that the prompted object is there at all.
    pub object_score: f32,
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
    /// One prediction per prompt on slice `z`.
    ///
    /// # Errors
    /// When the model fails.
    fn segment(&mut self, z: usize, prompts: &[Prompt]) -> Result<Vec<Prediction>>;

    /// Slice `z` was announced and is not needed at this visit.
    fn skip(&mut self, _z: usize) {}
}
