//! Where on a slice the model is told to look.

use ild_model::{InputBox, InputPoint, SliceBox, SlicePoint, SliceSize};

/// In pixels of the slice.
#[derive(Clone, Debug, PartialEq)]
pub enum SlicePrompt {
    /// Around the lesion.
    Box(SliceBox),
    /// Each inside (`true`) or outside the lesion.
    Points(Vec<(SlicePoint, bool)>),
}

/// In pixels of the model's input.
#[derive(Clone, Debug, PartialEq)]
pub enum InputPrompt {
    /// Around the lesion.
    Box(InputBox),
    /// Each inside (`true`) or outside the lesion.
    Points(Vec<(InputPoint, bool)>),
}

impl SlicePrompt {
    /// The same prompt on an input of `side` × `side` px.
    #[must_use]
    pub fn to_input(&self, size: SliceSize, side: usize) -> InputPrompt {
        match self {
            Self::Box(b) => InputPrompt::Box(b.to_input(size, side)),
            Self::Points(points) => InputPrompt::Points(
                points
                    .iter()
                    .map(|&(place, inside)| (place.to_input(size, side), inside))
                    .collect(),
            ),
        }
    }
}
