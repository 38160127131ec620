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
    /// When the shapes differ, or a corner voxel of one lies more than 0.05 mm from the other's; `label_path` is named.
    pub fn new(id: impl Into<String>, ct: Volume, label: Option<LabelMap>, label_path: &Path) -> Result<Self> {
        if let Some(label) = &label {
            same_grid(&ct.geometry, &label.geometry, label_path)?;
        }
        Ok(Self { id: id.into(), ct, label })
    }
}

/// Accepts a label's grid that is its CT's, up to header rounding.
///
/// # Errors
/// When the shapes differ, or a corner voxel of one lies more than 0.05 mm from the other's; `label_path` is named.
pub fn same_grid(ct: &Geometry, label: &Geometry, label_path: &Path) -> Result<()> {
    let (want, have) = (ct.shape_zyx, label.shape_zyx);
    if want != have {
        return Err(Error::rejected(
            label_path,
            format!("the CT's grid, {want:?} voxels (z, y, x)"),
            format!("{have:?}"),
            "resample the label onto the CT with nearest neighbour",
        ));
    }
    let apart = ct.corner_distance_mm(label);
    if apart > SAME_GRID_MM {
        return Err(Error::rejected(
            label_path,
            "the CT's grid",
            format!(
                "a grid whose corners lie up to {apart:.2} mm away (CT {}, label {})",
                ct.affine.axis_codes(),
                label.affine.axis_codes()
            ),
            "resample the label onto the CT with nearest neighbour, or copy the CT's header if only the header is wrong",
        ));
    }
    Ok(())
}
