//! From a prompt on one slice to answers on many: a box that travels ([`BoxJourney`]), or SAM 2's
//! memory ([`MemoryPropagation`]).

pub mod gaps;
pub mod journey;
pub mod memory;
pub mod sweep;

pub use gaps::GapRule;
pub use memory::MemoryPropagation;
pub use sweep::BoxJourney;

use crate::coordinates::StackIndex;
use crate::prompt::Track;
use crate::{Prediction, Result, SliceSegmenter};

/// How prompts are carried through a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Propagation {
    /// Each slice is prompted with the box around the answer on the slice before.
    Box,
    /// Each slice looks at what SAM 2's memory holds of the slices before; needs weights that have
    /// one.
    Memory,
}

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
