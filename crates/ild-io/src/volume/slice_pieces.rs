//! The connected pieces of one slice, by imageproc.
//!
//! [`Components`](crate::Components) finds pieces of a whole volume on its runs; this is for a
//! single small slice that is there as pixels.

use image::{GrayImage, Luma};
use imageproc::region_labelling::{Connectivity, connected_components};
use ndarray::{Array2, ArrayView2};

use crate::BoundingBox;

/// Pixels that touch by side or corner and carry one label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlicePiece {
    /// Their label.
    pub label: u8,
    /// How many they are.
    pub pixels: u64,
    /// The tight box around them.
    pub around: BoundingBox,
}

/// The pieces of a slice.
#[derive(Clone, Debug, PartialEq)]
pub struct SlicePieces {
    /// In the order in which the rows first meet them.
    pub all: Vec<SlicePiece>,
    /// For each pixel, `[y, x]`, one more than the index of its piece; 0 for background.
    number: Array2<u32>,
}

impl SlicePieces {
    /// Finds the pieces of `slice`, `[y, x]`; 0 is background.
    ///
    /// # Panics
    /// For a slice of 2³² pixels or more, which no reader hands out.
    #[must_use]
    pub fn new(slice: ArrayView2<u8>) -> Self {
        let (height, width) = slice.dim();
        // A column of background more: imageproc keeps room for one piece less than there are
        // pixels, and labels can be as many.
        let mut image = GrayImage::new(width as u32 + 1, height as u32);
        for ((y, x), &label) in slice.indexed_iter() {
            image.put_pixel(x as u32, y as u32, Luma([label]));
        }
        let numbered = connected_components(&image, Connectivity::Eight, Luma([0]));
        let number = Array2::from_shape_fn((height, width), |(y, x)| {
            numbered.get_pixel(x as u32, y as u32)[0]
        });
        let mut all: Vec<SlicePiece> = Vec::new();
        for ((y, x), &n) in number.indexed_iter().filter(|(_, n)| **n > 0) {
            let here = BoundingBox { x0: x, y0: y, x1: x + 1, y1: y + 1 };
            match all.get_mut(n as usize - 1) {
                Some(piece) => {
                    piece.pixels += 1;
                    piece.around.x0 = piece.around.x0.min(x);
                    piece.around.x1 = piece.around.x1.max(x + 1);
                    piece.around.y1 = y + 1;
                }
                None => all.push(SlicePiece { label: slice[[y, x]], pixels: 1, around: here }),
            }
        }
        Self { all, number }
    }

    /// `[y, x]`, 1 on the piece `all[index]`.
    #[must_use]
    pub fn mask(&self, index: usize) -> Array2<u8> {
        self.number.mapv(|number| u8::from(number as usize == index + 1))
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Axis, arr2};
    use proptest::prelude::*;

    use super::*;
    use crate::{Components, LabelRuns, Neighbours};

    #[test]
    fn corners_touch_and_labels_do_not_mix() {
        let slice = arr2(&[[0, 1, 0, 2], [1, 0, 2, 2], [0, 0, 0, 0], [3, 0, 0, 1]]);
        let pieces = SlicePieces::new(slice.view());
        let found: Vec<_> = pieces.all.iter().map(|p| (p.label, p.pixels, p.around)).collect();
        let around = |x0, y0, x1, y1| BoundingBox { x0, y0, x1, y1 };
        assert_eq!(
            found,
            [
                (1, 2, around(0, 0, 2, 2)),
                (2, 3, around(2, 0, 4, 2)),
                (3, 1, around(0, 3, 1, 4)),
                (1, 1, around(3, 3, 4, 4)),
            ]
        );
        assert_eq!(pieces.mask(1).indexed_iter().filter(|(_, inside)| **inside == 1).count(), 3);
    }

    #[test]
    fn pieces_may_be_as_many_as_pixels() {
        let slice = Array2::from_shape_fn((6, 6), |(y, x)| (1 + x % 2 + 2 * (y % 2)) as u8);
        assert_eq!(SlicePieces::new(slice.view()).all.len(), 36);
        assert_eq!(SlicePieces::new(arr2(&[[7]]).view()).all.len(), 1);
    }

    proptest! {
        /// The same pieces in the same order as the runs of the volume give.
        #[test]
        fn pieces_are_those_of_the_runs(
            (height, width) in (1usize..12, 1usize..20),
            texture in prop::collection::vec(0u8..4, 240),
        ) {
            let slice = Array2::from_shape_fn((height, width), |(y, x)| texture[y * width + x]);
            let runs = LabelRuns::new(slice.view().insert_axis(Axis(0)), &[]);
            let components = Components::new(&runs, Neighbours::Slice8);
            let pieces = SlicePieces::new(slice.view());
            let pixels: Vec<u64> = pieces.all.iter().map(|piece| piece.pixels).collect();
            prop_assert_eq!(&pixels, &components.voxels);
            for index in 0..pieces.all.len() {
                let own = runs.filtered(|run| components.of_run[run] as usize == index);
                let mut expected = Array2::zeros(slice.dim());
                own.paint(0, expected.view_mut());
                let label = pieces.all[index].label;
                prop_assert_eq!(pieces.mask(index) * label, expected);
            }
        }
    }
}
