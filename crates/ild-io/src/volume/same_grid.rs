//! Whether two files have their voxels in the same places, in whatever order.

use std::path::Path;

use ild_cli::Refusal;

#[cfg(doc)]
use crate::Stored;
use crate::error::OtherGrid;
use crate::volume::part::within;
use crate::volume::storage_order::{Source, StorageOrder};
use crate::{Affine, Geometry, LabelMap, Result};

/// Grids whose corners are closer than this are the same grid: header rounding, not a shift.
pub const SAME_GRID_MM: f64 = 0.05;
/// Two axes are one when a step along them differs by less than this share of it: header rounding.
const SAME_STEP: f64 = 1e-2;

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
        let refusal = Refusal::of(path)
            .expected(format!("the {of}'s grid, {:?} voxels (z, y, x)", want.shape_zyx))
            .found(format!("{:?}", have.shape_zyx))
            .next(resample);
        return Err(Box::new(OtherGrid { refusal, apart_mm: None }).into());
    }
    let apart = want.corner_distance_mm(have);
    if apart > SAME_GRID_MM {
        let [want, have] = [want, have].map(|grid| grid.affine.axis_codes());
        let refusal = Refusal::of(path)
            .expected(format!("the {of}'s grid"))
            .found(format!(
                "a grid whose corners lie up to {apart:.2} mm away ({of} {want}, {what} {have})"
            ))
            .next(resample);
        return Err(Box::new(OtherGrid { refusal, apart_mm: Some(apart) }).into());
    }
    Ok(())
}

impl LabelMap {
    /// The label map on `grid`, the grid of the `of`; the map was read from `path` and is called a
    /// `what` in messages.
    ///
    /// When both have their voxels in the same places and only store them in another order (axes
    /// swapped or flipped: LAS beside LPS), the log says so, and the map is from then on stored as
    /// `grid` is. No voxel is interpolated. A map of some slices of a series ([`Stored::part`]) gets
    /// the others, empty.
    ///
    /// # Errors
    /// When the places differ; says how far ([`same_grid`]).
    pub fn on_grid_of(
        mut self,
        path: &Path,
        what: &str,
        of: &str,
        grid: &Geometry,
    ) -> Result<Self> {
        if let Err(elsewhere) = same_grid(path, what, &self.geometry, of, grid) {
            if self.geometry.stored.part
                && let Some(whole) = within(&self, grid)
            {
                return Ok(whole);
            }
            let order = order_between(&self.geometry, grid).ok_or(elsewhere)?;
            self.labels = order.array(self.labels);
        }
        if let Some(note) = order_note(what, &self.geometry, of, grid) {
            tracing::warn!("{}: {note}", path.display());
        }
        self.geometry = grid.clone();
        Ok(self)
    }
}

/// That two files which have their voxels in the same places store them in two orders.
#[must_use]
pub fn order_note(what: &str, have: &Geometry, of: &str, want: &Geometry) -> Option<String> {
    let [have, want] = [have, want].map(Geometry::stored_codes);
    (have != want).then(|| {
        format!(
            "the {what} is stored {have}, the {of} {want}: the same voxels, put in the {of}'s order"
        )
    })
}

/// How the voxels of `have` have to be turned to be those of `want`; `None` when their places
/// differ.
fn order_between(have: &Geometry, want: &Geometry) -> Option<StorageOrder> {
    let order = matching_axes(&have.affine, &want.affine)?;
    let turned = order.grid(have);
    let same =
        turned.shape_zyx == want.shape_zyx && turned.corner_distance_mm(want) <= SAME_GRID_MM;
    same.then_some(order)
}

pub(super) fn matching_axes(have: &Affine, want: &Affine) -> Option<StorageOrder> {
    let mut sources = [Source { from: 0, flipped: false }; 3];
    for (column, source) in sources.iter_mut().enumerate() {
        let wanted = want.step_mm(column);
        let tolerance = SAME_STEP * want.spacing_xyz_mm()[column];
        let like = |from: usize, sign: f64| {
            have.step_mm(from).iter().zip(&wanted).all(|(s, w)| (sign * s - w).abs() <= tolerance)
        };
        *source = (0..3)
            .flat_map(|from| [false, true].map(|flipped| Source { from, flipped }))
            .find(|source| like(source.from, if source.flipped { -1.0 } else { 1.0 }))?;
    }
    Some(StorageOrder::from_sources(sources))
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;
    use crate::volume::geometry::oblique_lps as ct;

    fn map(geometry: &Geometry) -> LabelMap {
        let [z, y, x] = geometry.shape_zyx;
        let labels = Array3::from_shape_fn((z, y, x), |(z, y, x)| (30 * z + 6 * y + x) as u8);
        LabelMap { labels, geometry: geometry.clone() }
    }

    #[test]
    fn arrays_in_two_orders_are_laid_over_each_other() {
        // Rows and slices swapped and columns reversed in memory, as no reader hands them out.
        let axes =
            [(0, true), (2, false), (1, false)].map(|(from, flipped)| Source { from, flipped });
        let order = StorageOrder::from_sources(axes);
        let turned =
            LabelMap { labels: order.array(map(&ct()).labels), geometry: order.grid(&ct()) };
        let back = turned.on_grid_of(Path::new("a.nii"), "label", "CT", &ct()).unwrap();
        assert_eq!(back.labels, map(&ct()).labels);
    }

    #[test]
    fn a_shifted_grid_or_another_spacing_is_not_the_same() {
        let ct = ct();
        let mut flipped = StorageOrder::from_sources(
            [(0, false), (1, true), (2, false)].map(|(from, flipped)| Source { from, flipped }),
        )
        .grid(&ct);
        flipped.affine.0[2][3] += 0.2;
        let (mut coarser, mut longer) = (ct.clone(), ct.clone());
        coarser.affine.0[2][2] = 2.6;
        longer.shape_zyx[0] += 1;
        for other in [flipped, coarser, longer] {
            let refused = map(&other).on_grid_of(Path::new("a.nii"), "label", "CT", &ct);
            assert!(refused.is_err_and(|error| error.is_rejection()));
        }
    }
}
