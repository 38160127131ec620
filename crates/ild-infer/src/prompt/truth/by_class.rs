//! The reference's prompt: per label, the largest of the boxes around it on each slice, used on its
//! middle slice.

use ild_io::BoundingBox;
use ild_model::SliceBox;
use ndarray::ArrayView3;

use crate::coordinates::{Span, StackIndex};
use crate::prompt::{SlicePrompt, Track};

/// One track per id in `ids` that occurs in `labels` (`[z, y, x]`); boxes are moved outward by
/// `shift` px on each side.
#[must_use]
pub fn tracks(labels: ArrayView3<u8>, ids: &[u8], shift: usize) -> Vec<Track> {
    ids.iter().filter_map(|&id| track(labels, id, shift)).collect()
}

fn track(labels: ArrayView3<u8>, id: u8, shift: usize) -> Option<Track> {
    let (_, height, width) = labels.dim();
    let mut span: Option<Span<StackIndex>> = None;
    let mut largest: Option<(f64, SliceBox)> = None;
    for (z, slice) in labels.outer_iter().enumerate() {
        let Some(tight) = BoundingBox::around(slice, |v| v == id) else { continue };
        let here = StackIndex(z);
        span = Some(span.map_or(Span::only(here), |span| span.with(here)));
        let moved = SliceBox::new(tight.prompt_px([shift; 4], width, height));
        let area = (moved.x1 - moved.x0) * (moved.y1 - moved.y0);
        // Strictly larger: of equal boxes the first one counts.
        if largest.is_none_or(|(most, _)| area > most) {
            largest = Some((area, moved));
        }
    }
    let (span, (_, start_box)) = (span?, largest?);
    Some(Track { label: id, start: span.middle(), span, prompt: SlicePrompt::Box(start_box) })
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, s};

    use super::*;

    #[test]
    fn the_largest_box_starts_on_the_middle_slice() {
        let mut labels = Array3::<u8>::zeros((8, 40, 50));
        labels.slice_mut(s![1, 10..12, 10..12]).fill(3);
        labels.slice_mut(s![6, 10..30, 20..30]).fill(3);
        labels.slice_mut(s![2, 0..2, 0..2]).fill(5);
        let tracks = tracks(labels.view(), &[3, 4, 5], 5);
        assert_eq!(tracks.len(), 2, "label 4 does not occur");
        assert_eq!(
            tracks[0],
            Track {
                label: 3,
                start: StackIndex(3),
                span: Span { first: StackIndex(1), last: StackIndex(6) },
                prompt: SlicePrompt::Box(SliceBox::new([15.0, 5.0, 34.0, 34.0]))
            }
        );
        assert_eq!((tracks[1].start, tracks[1].span), (StackIndex(2), Span::only(StackIndex(2))));
    }
}
