//! One prompt for each connected piece of a label: its box on the slice with the most of it,
//! followed between its first and its last slice.

use ild_model::{SliceBox, SliceSize};

use crate::pieces::{Extent, Piece};
use crate::prompt::{SlicePrompt, Track};

/// The tracks of `pieces`; boxes are moved outward by `shift` px on each side.
#[must_use]
pub fn tracks<'a>(
    pieces: impl IntoIterator<Item = &'a Piece>,
    shift: usize,
    size: SliceSize,
) -> Vec<Track> {
    pieces
        .into_iter()
        .map(|piece| {
            let (start, extent) = piece.key_slice();
            let prompt = SlicePrompt::Box(box_around(extent, shift, size));
            Track { label: piece.label, start, span: piece.span(), prompt }
        })
        .collect()
}

/// The box around a piece on one slice, each side moved outward by `shift` px.
pub(super) fn box_around(extent: Extent, shift: usize, size: SliceSize) -> SliceBox {
    SliceBox::new(extent.around.prompt_px([shift; 4], size.width, size.height))
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, s};

    use super::*;
    use crate::coordinates::{Span, StackIndex};
    use crate::pieces::Pieces;

    #[test]
    fn two_pieces_of_a_label_are_two_tracks_with_boxes_of_their_own() {
        let mut labels = Array3::<u8>::zeros((5, 40, 50));
        labels.slice_mut(s![0..2, 5..10, 5..12]).fill(2);
        labels.slice_mut(s![1, 4..11, 5..12]).fill(2);
        labels.slice_mut(s![2..5, 20..30, 30..40]).fill(2);
        let size = SliceSize { height: 40, width: 50 };
        let tracks = tracks(&Pieces::of(labels.view(), &[]).all, 1, size);
        assert_eq!(tracks.len(), 2);
        assert_eq!(tracks[0].start, StackIndex(1));
        assert_eq!(tracks[0].span, Span { first: StackIndex(0), last: StackIndex(1) });
        assert_eq!(tracks[0].prompt, SlicePrompt::Box(SliceBox::new([4.0, 3.0, 12.0, 11.0])));
        assert_eq!(tracks[1].start, StackIndex(3));
    }
}
