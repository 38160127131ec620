//! One patient scan.

use std::path::Path;

use crate::{Error, Geometry, LabelMap, Result, Volume};

/// Grids whose corners are closer than this are the same grid: header rounding, not a shift.
pub const SAME_GRID_MM: f64 = 0.05;

/// A CT with its label map, on one grid.
#[derive(Clone, Debug)]
pub struct Case {
    /// Name without suffixes.
    pub id: String,
    /// The scan.
    pub ct: Volume,
    /// Lesions, when known.
    pub label: Option<LabelMap>,
}

impl Case {
    /// Puts a CT and its label together; there is no `Case` whose two grids differ.
    ///
    /// # Errors
    /// When the label lies on another grid ([`LabelMap::on_grid_of`]); `label_path` is named.
    pub fn new(
        id: impl Into<String>,
        ct: Volume,
        label: Option<LabelMap>,
        label_path: &Path,
    ) -> Result<Self> {
        let label = label
            .map(|label| label.on_grid_of(label_path, "label", "CT", &ct.geometry))
            .transpose()?;
        Ok(Self { id: id.into(), ct, label })
    }
}

/// Refuses the file `path`, a `what`, unless its grid `have` is `want`, the grid of the `of`, up to
/// header rounding.
///
/// # Errors
/// When the shapes differ, or a corner voxel of one lies more than 0.05 mm from the other's; says
/// how far.
pub fn same_grid(
    path: &Path,
    what: &str,
    have: &Geometry,
    of: &str,
    want: &Geometry,
) -> Result<()> {
    let how = if what == "CT" { "linear interpolation" } else { "nearest neighbour" };
    let resample = format!("resample the {what} onto the {of}'s grid with {how}");
    if have.shape_zyx != want.shape_zyx {
        let expected = format!("the {of}'s grid, {:?} voxels (z, y, x)", want.shape_zyx);
        return Err(Error::rejected(path, expected, format!("{:?}", have.shape_zyx), resample));
    }
    let apart = want.corner_distance_mm(have);
    if apart > SAME_GRID_MM {
        let [want, have] = [want, have].map(|grid| grid.affine.axis_codes());
        return Err(Error::rejected(
            path,
            format!("the {of}'s grid"),
            format!(
                "a grid whose corners lie up to {apart:.2} mm away ({of} {want}, {what} {have})"
            ),
            format!("{resample}, or copy the {of}'s header if only the header is wrong"),
        ));
    }
    Ok(())
}
