//! Where on a slice the model is told to look.

use ild_model::decoder::prompt_encoder::label;
use ild_model::{InputBox, InputPoint, SliceBox, SlicePoint, SliceSize};

/// In pixels of the slice.
#[derive(Clone, Debug, PartialEq)]
pub enum SlicePrompt {
    /// Around the lesion.
    Box(SliceBox),
    /// Each inside (`true`) or outside the lesion.
    Points(Vec<(SlicePoint, bool)>),
    /// A box whose answer points correct, each inside (`true`) or outside the lesion.
    BoxAndPoints(SliceBox, Vec<(SlicePoint, bool)>),
}

/// In pixels of the model's input.
#[derive(Clone, Debug, PartialEq)]
pub enum InputPrompt {
    /// Around the lesion.
    Box(InputBox),
    /// Each inside (`true`) or outside the lesion.
    Points(Vec<(InputPoint, bool)>),
    /// A box whose answer points correct.
    BoxAndPoints(InputBox, Vec<(InputPoint, bool)>),
}

impl SlicePrompt {
    /// The same prompt on an input of `side` × `side` px.
    #[must_use]
    pub fn to_input(&self, size: SliceSize, side: usize) -> InputPrompt {
        let places = |points: &[(SlicePoint, bool)]| {
            points.iter().map(|&(place, inside)| (place.to_input(size, side), inside)).collect()
        };
        match self {
            Self::Box(b) => InputPrompt::Box(b.to_input(size, side)),
            Self::Points(points) => InputPrompt::Points(places(points)),
            Self::BoxAndPoints(b, points) => {
                InputPrompt::BoxAndPoints(b.to_input(size, side), places(points))
            }
        }
    }

    /// Its box, where it has one.
    #[must_use]
    pub fn around(&self) -> Option<SliceBox> {
        match self {
            Self::Box(b) | Self::BoxAndPoints(b, _) => Some(*b),
            Self::Points(_) => None,
        }
    }

    /// Its points, inside (`true`) and outside.
    #[must_use]
    pub fn points(&self) -> &[(SlicePoint, bool)] {
        match self {
            Self::Box(_) => &[],
            Self::Points(points) | Self::BoxAndPoints(_, points) => points,
        }
    }
}

impl InputPrompt {
    /// As the points of SAM 2's prompt encoder, with their labels: a box is its two corners.
    #[must_use]
    pub fn as_points(&self) -> Vec<([f32; 2], i64)> {
        let corners = |b: &InputBox| {
            let [x0, y0, x1, y1] = b.to_f32();
            [([x0, y0], label::TOP_LEFT), ([x1, y1], label::BOTTOM_RIGHT)]
        };
        let clicks = |points: &[(InputPoint, bool)]| -> Vec<([f32; 2], i64)> {
            let kind = |inside| if inside { label::INSIDE } else { label::OUTSIDE };
            points.iter().map(|&(place, inside)| (place.to_f32(), kind(inside))).collect()
        };
        match self {
            Self::Box(b) => corners(b).to_vec(),
            Self::Points(points) => clicks(points),
            Self::BoxAndPoints(b, points) => [corners(b).to_vec(), clicks(points)].concat(),
        }
    }
}
