//! From a prompt on one slice to answers on many: the seam where a box that travels
//! ([`BoxJourney`]) can be exchanged for another way, SAM 2's memory for one.

pub mod gaps;
pub mod journey;
pub mod sweep;

pub use gaps::GapRule;
pub use sweep::BoxJourney;

use crate::coordinates::StackIndex;
use crate::prompt::Track;
use crate::{Prediction, Result, SliceSegmenter};

/// The model's answer for one track on one slice.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Index of the track.
    pub track: usize,
    /// Where.
    pub slice: StackIndex,
    /// What the model said.
    pub prediction: Prediction,
}

/// Carries prompts from their start slices through the stack.
pub trait Propagator {
    /// The slices that `tracks` may need, in the order in which [`Propagator::propagate`] asks for
    /// them; some may be passed over.
    fn visits(&self, tracks: &[Track]) -> Vec<StackIndex>;

    /// Asks `model` slice by slice and hands over each answer.
    ///
    /// # Errors
    /// What `model` or `take` return, and the interruption by the user.
    fn propagate(
        &self,
        tracks: &[Track],
        model: &mut dyn SliceSegmenter,
        take: &mut dyn FnMut(Answer) -> Result<()>,
    ) -> Result<()>;
}
