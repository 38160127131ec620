//! The reference's prompt: per label, the largest of the boxes around it on each slice, used on its
//! middle slice.

use ild_io::BoundingBox;
use ndarray::ArrayView3;

use crate::Prompt;
use crate::journey::Track;

/// One track per id in `ids` that occurs in `labels` (`[z, y, x]`); boxes are moved outward by
/// `shift` px on each side.
#[must_use]
pub fn tracks(labels: ArrayView3<u8>, ids: &[u8], shift: usize) -> Vec<Track> {
    ids.iter().filter_map(|&id| track(labels, id, shift)).collect()
}

fn track(labels: ArrayView3<u8>, id: u8, shift: usize) -> Option<Track> {
    let (_, height, width) = labels.dim();
    let mut span: Option<[usize; 2]> = None;
    let mut largest: Option<(f64, [f64; 4])> = None;
    for (z, slice) in labels.outer_iter().enumerate() {
        let Some(tight) = BoundingBox::around(slice, |v| v == id) else { continue };
        span = Some([span.map_or(z, |s| s[0]), z]);
        let moved = tight.prompt_px([shift; 4], width, height);
        let area = (moved[2] - moved[0]) * (moved[3] - moved[1]);
        // Strictly larger: of equal boxes the first one counts.
        if largest.is_none_or(|(most, _)| area > most) {
            largest = Some((area, moved));
        }
    }
    let (span, (_, start_box)) = (span?, largest?);
    Some(Track {
        label: id,
        start: span[0] + (span[1] - span[0]) / 2,
        span,
        prompt: Prompt::Box(start_box),
    })
}

/// The ids that the reference segments: every value that occurs except the smallest, which it takes
/// for background.
#[must_use]
pub fn reference_ids(labels: ArrayView3<u8>) -> Vec<u8> {
    all_values(labels).into_iter().skip(1).collect()
}

/// The ids that occur, without background.
#[must_use]
pub fn ids(labels: ArrayView3<u8>) -> Vec<u8> {
    all_values(labels).into_iter().filter(|&id| id != 0).collect()
}

fn all_values(labels: ArrayView3<u8>) -> Vec<u8> {
    let mut seen = [false; 256];
    for &id in labels {
        seen[usize::from(id)] = true;
    }
    (0..=255).filter(|&id| seen[usize::from(id)]).collect()
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
                start: 3,
                span: [1, 6],
                prompt: Prompt::Box([15.0, 5.0, 34.0, 34.0])
            }
        );
        assert_eq!((tracks[1].start, tracks[1].span), (2, [2, 2]));
    }

    #[test]
    fn the_reference_takes_the_smallest_value_for_background() {
        let labels = Array3::from_shape_fn((1, 1, 3), |(_, _, x)| [2u8, 4, 7][x]);
        assert_eq!(reference_ids(labels.view()), [4, 7]);
        assert_eq!(ids(labels.view()), [2, 4, 7]);
    }
}
