//! Prompts that are wrong on purpose: they show whether the box matters to the model.

use ild_io::BoundingBox;
use ild_model::{SliceBox, SliceSize};
use ndarray::{Array2, ArrayView2, ArrayView3, Axis};

use super::by_piece::box_around;
use crate::pieces::Piece;
use crate::prompt::{SlicePrompt, Track};

/// Boxes are not made smaller than this to find an empty place, px.
const SMALLEST_BOX_PX: usize = 4;

/// For each label the box of the largest piece of another label, at that piece's place: a model
/// that follows its box draws nothing of the label it is asked for. Empty when there is only one
/// label.
#[must_use]
pub fn of_another_lesion(pieces: &[Piece], shift: usize, size: SliceSize) -> Vec<Track> {
    let mut labels: Vec<u8> = pieces.iter().map(|piece| piece.label).collect();
    labels.sort_unstable();
    labels.dedup();
    let of_another = |label: u8| {
        let others = pieces.iter().filter(|piece| piece.label != label);
        let other = others.max_by_key(|piece| piece.voxels)?;
        let (start, extent) = other.key_slice();
        let prompt = SlicePrompt::Box(box_around(extent, shift, size));
        Some(Track { label, start, span: other.span(), prompt })
    };
    labels.into_iter().filter_map(of_another).collect()
}

/// For each piece a box of its size on its own slice, moved to the nearest place where no label is
/// (made smaller where there is none): a model that follows its box draws nothing. Boxes are used
/// on that slice alone.
#[must_use]
pub fn without_lesion(labels: ArrayView3<u8>, pieces: &[Piece]) -> Vec<Track> {
    pieces
        .iter()
        .filter_map(|piece| {
            let (start, extent) = piece.key_slice();
            let slice = labels.index_axis(Axis(0), start.0);
            let empty = nearest_empty(slice, extent.around)?;
            let prompt = SlicePrompt::Box(SliceBox::new(empty.prompt_px(
                [0; 4],
                slice.dim().1,
                slice.dim().0,
            )));
            let span = crate::coordinates::Span::only(start);
            Some(Track { label: piece.label, start, span, prompt })
        })
        .collect()
}

/// The box of the size of `of` (or half of it, and so on) whose middle is nearest to that of `of`
/// and in which `slice` is 0.
fn nearest_empty(slice: ArrayView2<u8>, of: BoundingBox) -> Option<BoundingBox> {
    let (height, width) = slice.dim();
    let labelled = Sums::of(slice);
    let middle = |b: &BoundingBox| [b.x0 + b.x1, b.y0 + b.y1];
    let [mx, my] = middle(&of);
    let (mut w, mut h) = (of.x1 - of.x0, of.y1 - of.y0);
    loop {
        let places = (0..=height.checked_sub(h)?)
            .flat_map(|y0| (0..=width.saturating_sub(w)).map(move |x0| (y0, x0)))
            .map(|(y0, x0)| BoundingBox { x0, y0, x1: x0 + w, y1: y0 + h })
            .filter(|b| labelled.within(b) == 0);
        let distance = |b: &BoundingBox| {
            let [x, y] = middle(b);
            x.abs_diff(mx).pow(2) + y.abs_diff(my).pow(2)
        };
        if let Some(nearest) = places.min_by_key(distance) {
            return Some(nearest);
        }
        if w <= SMALLEST_BOX_PX && h <= SMALLEST_BOX_PX {
            return None;
        }
        (w, h) = ((w / 2).max(SMALLEST_BOX_PX.min(w)), (h / 2).max(SMALLEST_BOX_PX.min(h)));
    }
}

/// Labelled pixels above and left of each place, so that those of a box take four look-ups.
struct Sums(Array2<u32>);

impl Sums {
    fn of(slice: ArrayView2<u8>) -> Self {
        let (height, width) = slice.dim();
        let mut sums = Array2::<u32>::zeros((height + 1, width + 1));
        for ((y, x), &id) in slice.indexed_iter() {
            sums[[y + 1, x + 1]] =
                sums[[y, x + 1]] + sums[[y + 1, x]] - sums[[y, x]] + u32::from(id != 0);
        }
        Self(sums)
    }

    fn within(&self, b: &BoundingBox) -> u32 {
        let at = |y: usize, x: usize| self.0[[y, x]];
        at(b.y1, b.x1) + at(b.y0, b.x0) - at(b.y0, b.x1) - at(b.y1, b.x0)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, s};

    use super::*;
    use crate::pieces::Pieces;

    const SIZE: SliceSize = SliceSize { height: 40, width: 50 };

    fn labels() -> Array3<u8> {
        let mut labels = Array3::<u8>::zeros((3, 40, 50));
        labels.slice_mut(s![0, 5..15, 5..15]).fill(2);
        labels.slice_mut(s![1..3, 20..38, 30..44]).fill(4);
        labels
    }

    fn start_box(track: &Track) -> SliceBox {
        let SlicePrompt::Box(b) = track.prompt else { panic!("a box") };
        b
    }

    #[test]
    fn each_label_gets_the_box_of_another() {
        let labels = labels();
        let pieces = Pieces::of(labels.view(), &[]).all;
        let tracks = of_another_lesion(&pieces, 0, SIZE);
        assert_eq!(tracks.iter().map(|track| track.label).collect::<Vec<_>>(), [2, 4]);
        for track in &tracks {
            let b = start_box(track);
            let inside = labels[[track.start.0, b.y0 as usize, b.x0 as usize]];
            assert!(inside != 0 && inside != track.label);
        }
        assert_eq!(of_another_lesion(&pieces[..1], 0, SIZE), []);
    }

    #[test]
    fn an_empty_box_is_as_large_as_the_lesion_and_beside_it() {
        let labels = labels();
        let pieces = Pieces::of(labels.view(), &[]).all;
        for track in without_lesion(labels.view(), &pieces) {
            let b = start_box(&track);
            let slice = labels.index_axis(Axis(0), track.start.0);
            assert!(slice.indexed_iter().all(|((y, x), &id)| id == 0 || !b.holds(x, y)));
            let piece = pieces.iter().find(|piece| piece.label == track.label).unwrap();
            let around = piece.key_slice().1.around;
            assert_eq!(b.x1 - b.x0 + 1.0, (around.x1 - around.x0) as f64);
        }
    }

    #[test]
    fn a_slice_full_of_lesion_has_room_for_no_box() {
        let full = Array2::<u8>::ones((20, 20));
        assert_eq!(nearest_empty(full.view(), BoundingBox { x0: 0, y0: 0, x1: 9, y1: 9 }), None);
    }
}
