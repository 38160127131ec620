//! Connected pieces of a label map on a stack: what touches (26 neighbours) and carries one label.
//!
//! The slices of an NPZ can lie far apart in the CT. Slices that are near are neighbours; where the
//! stack is broken (the same gaps over which no box is carried) a piece ends.

use std::collections::BTreeMap;
use std::ops::Range;

use ild_io::{BoundingBox, Components, LabelRuns, Neighbours};
use ndarray::{Array3, ArrayView3, s};

use crate::coordinates::{Span, StackIndex};

/// One piece.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    /// Its label.
    pub label: u8,
    /// Its voxels.
    pub voxels: u64,
    /// What it is on each of its slices.
    pub slices: BTreeMap<StackIndex, Extent>,
}

/// A piece on one slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The tight box around it.
    pub around: BoundingBox,
    /// Its pixels.
    pub pixels: u64,
}

impl Piece {
    /// First and last slice.
    ///
    /// # Panics
    /// Never for a piece of [`Pieces`], which has a slice at least.
    #[must_use]
    pub fn span(&self) -> Span<StackIndex> {
        let mut slices = self.slices.keys().copied();
        let first = slices.next().expect("a piece has a slice");
        slices.fold(Span::only(first), Span::with)
    }

    /// The slice with the most of it; of equals, the one nearest to the middle.
    ///
    /// # Panics
    /// As [`Piece::span`].
    #[must_use]
    pub fn key_slice(&self) -> (StackIndex, Extent) {
        let middle = self.span().middle().0;
        let best = self
            .slices
            .iter()
            .max_by_key(|(slice, extent)| {
                (extent.pixels, std::cmp::Reverse(slice.0.abs_diff(middle)))
            })
            .expect("a piece has a slice");
        (*best.0, *best.1)
    }
}

/// All pieces of a label map.
#[derive(Clone, Debug)]
pub struct Pieces {
    /// In the order in which the array first meets them.
    pub all: Vec<Piece>,
    stretches: Vec<Stretch>,
}

/// Slices of the stack that are neighbours.
#[derive(Clone, Debug)]
struct Stretch {
    first: usize,
    runs: LabelRuns,
    /// Index of the piece of each run.
    piece_of_run: Vec<usize>,
}

impl Pieces {
    /// The pieces of `labels` (`[n, y, x]`). `breaks[i]`: slices `i` and `i + 1` are no neighbours;
    /// empty: all are.
    #[must_use]
    pub fn of(labels: ArrayView3<u8>, breaks: &[bool]) -> Self {
        let mut found = Self { all: Vec::new(), stretches: Vec::new() };
        for stretch in stretches(labels.dim().0, breaks) {
            let first = stretch.start;
            let runs = LabelRuns::new(labels.slice(s![stretch, .., ..]), &[]);
            let components = Components::new(&runs, Neighbours::Volume26);
            let offset = found.all.len();
            found.all.extend(components.voxels.iter().map(|&voxels| Piece {
                label: 0,
                voxels,
                slices: BTreeMap::new(),
            }));
            let piece_of_run =
                components.of_run.iter().map(|&component| offset + component as usize).collect();
            found.stretches.push(Stretch { first, runs, piece_of_run });
        }
        let mut all = std::mem::take(&mut found.all);
        found.for_each_run(|piece, label, slice, y, columns| {
            all[piece].label = label;
            all[piece].add(slice, y, &columns);
        });
        found.all = all;
        found
    }

    /// Every run of voxels: its piece, label, slice, row and columns.
    pub fn for_each_run(&self, mut take: impl FnMut(usize, u8, StackIndex, usize, Range<usize>)) {
        for stretch in &self.stretches {
            let [depth, height, _] = stretch.runs.shape_zyx();
            for (z, y) in (0..depth).flat_map(|z| (0..height).map(move |y| (z, y))) {
                for i in stretch.runs.row(z, y) {
                    let run = stretch.runs.all()[i];
                    let slice = StackIndex(stretch.first + z);
                    let columns = run.x0 as usize..run.x1 as usize;
                    take(stretch.piece_of_run[i], run.label, slice, y, columns);
                }
            }
        }
    }

    /// Gives every voxel of `labels` the label `new` says for its piece (by index); 0 erases it.
    pub fn relabel(&self, labels: &mut Array3<u8>, new: &[u8]) {
        self.for_each_run(|piece, _, slice, y, columns| {
            labels.slice_mut(s![slice.0, y, columns]).fill(new[piece]);
        });
    }
}

impl Piece {
    fn add(&mut self, slice: StackIndex, y: usize, columns: &Range<usize>) {
        let here = BoundingBox { x0: columns.start, x1: columns.end, y0: y, y1: y + 1 };
        let extent = self.slices.entry(slice).or_insert(Extent { around: here, pixels: 0 });
        extent.pixels += columns.len() as u64;
        let around = &mut extent.around;
        *around = BoundingBox {
            x0: around.x0.min(here.x0),
            x1: around.x1.max(here.x1),
            y0: around.y0.min(here.y0),
            y1: around.y1.max(here.y1),
        };
    }
}

/// The neighbouring slices of a stack of `n`, cut at its breaks.
fn stretches(n: usize, breaks: &[bool]) -> Vec<Range<usize>> {
    let mut out = Vec::new();
    let mut first = 0;
    for i in 0..n {
        if i + 1 == n || breaks.get(i).copied().unwrap_or(false) {
            out.push(first..i + 1);
            first = i + 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> Array3<u8> {
        let mut labels = Array3::zeros((4, 10, 12));
        labels.slice_mut(s![0, 2..4, 2..5]).fill(3);
        labels.slice_mut(s![1, 3..7, 4..9]).fill(3);
        labels.slice_mut(s![2, 3..5, 4..9]).fill(3);
        labels.slice_mut(s![1, 3..7, 9..11]).fill(1);
        labels
    }

    #[test]
    fn a_piece_knows_its_slices_and_the_one_with_the_most_of_it() {
        let pieces = Pieces::of(labels().view(), &[]);
        assert_eq!(pieces.all.len(), 2);
        let lesion = &pieces.all[0];
        assert_eq!((lesion.label, lesion.voxels), (3, 6 + 20 + 10));
        assert_eq!(lesion.span(), Span { first: StackIndex(0), last: StackIndex(2) });
        let (slice, extent) = lesion.key_slice();
        assert_eq!(slice, StackIndex(1));
        assert_eq!(extent.around, BoundingBox { x0: 4, y0: 3, x1: 9, y1: 7 });
    }

    #[test]
    fn a_break_in_the_stack_ends_a_piece() {
        let pieces = Pieces::of(labels().view(), &[false, true, false]);
        assert_eq!(pieces.all.iter().map(|piece| piece.voxels).collect::<Vec<_>>(), [26, 8, 10]);
    }

    #[test]
    fn pieces_are_renamed_and_erased_voxel_by_voxel() {
        let mut labels = labels();
        let pieces = Pieces::of(labels.view(), &[]);
        pieces.relabel(&mut labels, &[5, 0]);
        assert_eq!(labels.iter().filter(|&&id| id == 5).count(), 36);
        assert!(labels.iter().all(|&id| id == 0 || id == 5));
    }
}
