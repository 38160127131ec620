//! What finds lesions on a slice without being asked where.

use ndarray::{Array2, Array3};

use crate::coordinates::StackIndex;
use crate::{Range, Result};

/// What a finder says about one slice. Maps have grids of their own, stretched over the slice.
#[derive(Clone, Debug, PartialEq)]
pub struct SliceLesions {
    /// Probability that a pixel is diseased, `[h, w]`.
    pub lesion: Array2<f32>,
    /// Of which class it is if it is diseased, `[k, h', w']`; sums to 1 over `k`.
    pub class: Array3<f32>,
    /// Probability that there is any lesion on the slice.
    pub gate: f32,
    /// Probability that each class is on the slice, `[k]`.
    pub present: Vec<f32>,
    /// How far apart several views are about `gate · lesion`; `None` where one looked.
    pub range: Option<Range>,
}

/// Finds lesions slice by slice.
pub trait LesionFinder {
    /// Label ids of the class channels.
    fn classes(&self) -> &[u8];

    /// What there is on each slice that it looks at, in ascending order, handed to `take`.
    ///
    /// # Errors
    /// When the model or `take` fails, and the interruption by the user.
    fn look(&mut self, take: &mut dyn FnMut(StackIndex, SliceLesions) -> Result<()>) -> Result<()>;
}
