//! A label map as prompt: drawn through the lesion, or on a single slice of it.

use std::path::Path;

use super::ground_truth;
use crate::journey::Track;
use crate::{Error, Result, Scan};
use ild_io::read_label_map;

/// Tracks from the mask at `path`, which must lie on the scan's grid.
///
/// A label drawn on several slices is followed between the first and the last of them; a label
/// drawn on one slice is followed through the whole stack until it is lost.
///
/// # Errors
/// Refuses a mask on another grid, an empty one, and one whose slices are not in the stack.
pub fn tracks(path: &Path, scan: &Scan, shift: usize) -> Result<Vec<Track>> {
    let map = read_label_map(path)?.on_grid_of(path, "mask", "CT", scan.grid())?;
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
    let mut tracks = ground_truth::tracks(stack.view(), &ids, shift);
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
        if track.span[0] == track.span[1] {
            track.span = [0, scan.z_index().len() - 1];
        }
    }
    Ok(tracks)
}
