//! A label map as prompt: drawn through the lesion, or on a single slice of it.

use std::path::Path;

use ild_io::cohort::LabelNames;
use ild_io::read_label_map;

use super::truth::{by_class, by_piece};
use crate::coordinates::Span;
use crate::pieces::Pieces;
use crate::prompt::Track;
use crate::{Error, Result, Scan};

/// How the labels of a map become prompts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Division<'a> {
    /// One box around everything of a class, the older scripts' way.
    ByClass,
    /// One box for each connected piece. The slice says where the stack is broken
    /// ([`crate::propagate::GapRule::restarts`]).
    ByPiece(&'a [bool]),
}

/// Tracks from the mask at `path`, which must lie on the scan's grid.
///
/// A label (or a piece of it) drawn on several slices is followed between the first and the last of
/// them; one drawn on one slice is followed through the whole stack until it is lost.
///
/// # Errors
/// Refuses a mask on another grid, an empty one, and one whose slices are not in the stack.
pub fn tracks(path: &Path, scan: &Scan, shift: usize, division: Division) -> Result<Vec<Track>> {
    let table = &scan.label_table;
    let mut map = read_label_map(path)?.on_grid_of(path, "mask", "CT", scan.grid())?;
    map.labels = LabelNames::beside(path)?.under(table, map.labels, path)?;
    map.labels = table.only_classes(map.labels);
    let ids = map.ids();
    if ids.is_empty() {
        return Err(Error::refused(
            path,
            "a mask with a label",
            "only zeros",
            "draw the lesion on at least one slice",
        ));
    }
    let stack = scan.placement.of_ct(map.labels.view());
    let mut tracks = match division {
        Division::ByClass => by_class::tracks(stack.view(), &ids, shift),
        Division::ByPiece(breaks) => {
            by_piece::tracks(&Pieces::of(stack.view(), breaks).all, shift, scan.slice_size())
        }
    };
    if tracks.is_empty() {
        let next = "segment the CT itself (NIfTI input), whose slices are all there";
        return Err(Error::refused(
            path,
            "a mask on slices that the stack holds",
            "labels on other slices only",
            next,
        ));
    }
    for track in &mut tracks {
        if track.span.first == track.span.last {
            track.span = Span::whole(scan.z_index().len());
        }
    }
    Ok(tracks)
}
