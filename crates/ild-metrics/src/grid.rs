//! Whether two files lie on one grid, and how far apart they are when not.

use std::path::Path;

use ild_io::Geometry;

use crate::{Error, Result};

/// Corners closer than this are the same place: rounding in headers, not a shift.
pub(crate) const SAME_GRID_MM: f64 = 0.05;

/// Refuses `path`, a `what`, unless its grid `have` lies on `want`, the grid of the `of`.
///
/// # Errors
/// Says the sizes, or how far apart the corners are.
pub(crate) fn same_grid(path: &Path, what: &str, have: &Geometry, of: &str, want: &Geometry) -> Result<()> {
    let resample = format!(
        "resample the {what} onto the {of}'s grid with {}",
        if what == "CT" { "linear interpolation" } else { "nearest neighbour" }
    );
    if have.shape_zyx != want.shape_zyx {
        let expected = format!("{:?} voxels (z, y, x), as the {of}", want.shape_zyx);
        return Err(Error::rejected(path, expected, format!("{:?}", have.shape_zyx), resample));
    }
    let apart = want.corner_distance_mm(have);
    if apart > SAME_GRID_MM {
        let codes = [want, have].map(|grid| grid.affine.axis_codes());
        return Err(Error::rejected(
            path,
            format!("the {of}'s grid"),
            format!("a grid whose corners lie up to {apart:.2} mm away ({of} {}, {what} {})", codes[0], codes[1]),
            format!("{resample}, or copy the {of}'s header if only the header is wrong"),
        ));
    }
    Ok(())
}
