//! Prediction and ground truth on one grid: the stretch of the CT between the first and the last
//! annotated slice.
//!
//! Annotated slices stand at their true height, so that distances across slices are right even
//! where slices were not annotated; slices that were not annotated are empty in both. What the
//! prediction holds on those is counted apart.

use std::collections::BTreeMap;
use std::path::Path;

use ild_cli::Refusal;
use ild_io::{LabelMap, SAME_GRID_MM, same_grid};
use ndarray::{Array3, ArrayView3, Axis, Zip};

use crate::{AnnotatedCase, Error, Labels, Prediction, Result};

/// A pair that can be scored.
#[derive(Clone, Debug)]
pub struct Aligned {
    /// Ground truth `[z, y, x]`.
    pub reference: Array3<u8>,
    /// Prediction on the same grid.
    pub predicted: Labels,
    /// Which slices of the block were annotated.
    pub annotated: Vec<bool>,
    /// The block's first slice in the CT.
    pub first_slice: usize,
    /// Voxel distances of the block, mm.
    pub spacing_zyx_mm: [f64; 3],
    /// Volume of a voxel, mL.
    pub voxel_ml: f64,
    /// Predicted voxels on slices of the CT that were not annotated, by class.
    pub predicted_elsewhere: BTreeMap<u8, u64>,
    /// How many slices that are, 0 when the prediction covers only annotated slices.
    pub slices_elsewhere: usize,
    /// Voxels on annotated slices that nobody annotated and that are in no count.
    pub left_out: u64,
}

impl Aligned {
    /// Lays `prediction` over `truth`; `None` stands for a prediction that is not there, an empty
    /// one.
    ///
    /// # Errors
    /// Refuses a prediction on another grid and says how far off it is; `path` is the prediction's.
    pub fn new(
        truth: &AnnotatedCase,
        prediction: Option<&Prediction>,
        path: &Path,
    ) -> Result<Self> {
        let z_index = truth.placement.z_index();
        let first_slice = z_index.first().copied().unwrap_or(0);
        let depth = z_index.last().map_or(0, |last| last + 1 - first_slice);
        let (_, height, width) = truth.labels.dim();
        let annotated: Vec<bool> =
            (first_slice..first_slice + depth).map(|z| z_index.binary_search(&z).is_ok()).collect();
        // Slice of the block ← slice of a stack of annotated slices.
        let block = |stack: ArrayView3<u8>, slice_of: &dyn Fn(usize) -> usize| {
            let mut block = Array3::zeros((depth, height, width));
            for (i, z) in z_index.iter().enumerate() {
                block
                    .index_axis_mut(Axis(0), z - first_slice)
                    .assign(&stack.index_axis(Axis(0), slice_of(i)));
            }
            block
        };
        let reference = block(truth.labels.view(), &|i| i);
        let mut aligned = Self {
            predicted: Labels::One(Array3::zeros(reference.dim())),
            reference,
            annotated,
            first_slice,
            spacing_zyx_mm: truth.placement.geometry().spacing_zyx_mm(),
            voxel_ml: truth.placement.geometry().voxel_volume_ml(),
            predicted_elsewhere: BTreeMap::new(),
            slices_elsewhere: 0,
            left_out: 0,
        };
        if let Some(prediction) = prediction {
            let turned = in_order_of(truth, prediction, path);
            let prediction = turned.as_ref().unwrap_or(prediction);
            let whole = covers_whole_ct(truth, prediction, path)?;
            same_slices(truth, prediction, path)?;
            let slice_of = |i: usize| if whole { z_index[i] } else { i };
            aligned.predicted = prediction.labels.map(|stack| block(stack, &slice_of));
            if whole {
                aligned.count_elsewhere(truth, &prediction.labels);
            }
        }
        Ok(aligned)
    }

    /// Leaves out the voxels that nobody annotated, on both sides; a prediction of `ignored` itself
    /// is none.
    #[must_use]
    pub fn without(mut self, ignored: u8) -> Self {
        let unknown = self.reference.mapv(|id| id == ignored);
        self.left_out = unknown.iter().filter(|&&unknown| unknown).count() as u64;
        let clear = |map: &mut Array3<u8>| {
            Zip::from(map).and(&unknown).for_each(|id, &unknown| {
                *id = if unknown || *id == ignored { 0 } else { *id };
            });
        };
        clear(&mut self.reference);
        match &mut self.predicted {
            Labels::One(map) => clear(map),
            Labels::PerClass(maps) => maps.values_mut().for_each(clear),
        }
        self.predicted_elsewhere.remove(&ignored);
        self
    }

    fn count_elsewhere(&mut self, truth: &AnnotatedCase, labels: &Labels) {
        let z_index = truth.placement.z_index();
        let mut count = |map: ArrayView3<u8>| {
            for (z, slice) in map.outer_iter().enumerate() {
                if z_index.binary_search(&z).is_err() {
                    slice
                        .iter()
                        .filter(|id| **id != 0)
                        .for_each(|id| *self.predicted_elsewhere.entry(*id).or_default() += 1);
                }
            }
            self.slices_elsewhere = map.dim().0 - z_index.len();
        };
        match labels {
            Labels::One(map) => count(map.view()),
            Labels::PerClass(maps) => maps.values().for_each(|map| count(map.view())),
        }
    }
}

/// The prediction in the order of the ground truth's arrays, when it has the same voxels in another
/// one; only a file of an earlier version has.
fn in_order_of(truth: &AnnotatedCase, prediction: &Prediction, path: &Path) -> Option<Prediction> {
    let grid = truth.placement.geometry();
    let (Labels::One(labels), Some(geometry)) = (&prediction.labels, &prediction.geometry) else {
        return None;
    };
    let apart = same_grid(path, "prediction", geometry, "ground truth", grid).is_err();
    if !apart || !truth.placement.knows_place() {
        return None;
    }
    let map = LabelMap { labels: labels.clone(), geometry: geometry.clone() };
    let map = map.on_grid_of(path, "prediction", "ground truth", grid).ok()?;
    Some(Prediction {
        shape_zyx: map.geometry.shape_zyx,
        geometry: Some(map.geometry),
        labels: Labels::One(map.labels),
        ..prediction.clone()
    })
}

/// Whether the prediction has all slices of the CT (else only the annotated ones); refuses it when
/// it fits neither.
fn covers_whole_ct(truth: &AnnotatedCase, prediction: &Prediction, path: &Path) -> Result<bool> {
    let (n, height, width) = truth.labels.dim();
    let placement = &truth.placement;
    let (whole, stack) = (placement.geometry().shape_zyx, [n, height, width]);
    let found = prediction.shape_zyx;
    let fits_whole = found == whole && (placement.knows_slices() || whole == stack);
    if !fits_whole && found != stack {
        let expected = if whole == stack {
            format!("{stack:?} voxels (z, y, x), as the ground truth")
        } else {
            format!("{whole:?} voxels (z, y, x) as the CT, or {stack:?} as its annotated slices")
        };
        return Err(Error::refused(
            path,
            expected,
            format!("{found:?}"),
            "resample the prediction onto the CT with nearest neighbour",
        ));
    }
    match &prediction.geometry {
        Some(geometry) if fits_whole && placement.knows_place() => {
            same_grid(path, "prediction", geometry, "ground truth", placement.geometry())?;
        }
        Some(geometry) => same_spacing(truth, geometry, path)?,
        None => {}
    }
    Ok(fits_whole)
}

/// Refuses a stack that says of itself that it holds other slices than were annotated.
fn same_slices(truth: &AnnotatedCase, prediction: &Prediction, path: &Path) -> Result<()> {
    let wanted = truth.placement.z_index();
    match &prediction.z_index {
        Some(found) if truth.placement.knows_slices() && found.as_slice() != wanted => {
            let [wanted, found] =
                [wanted, found].map(|slices| match (slices.first(), slices.last()) {
                    (Some(first), Some(last)) => {
                        format!("{} slices from {first} to {last}", slices.len())
                    }
                    _ => "no slices".to_owned(),
                });
            Err(Refusal::of(path)
                .expected(format!("`z_index` of the annotated slices, {wanted}"))
                .found(found)
                .next("predict the annotated slices, or the whole CT as NIfTI")
                .into())
        }
        _ => Ok(()),
    }
}

/// All that can be compared when the ground truth does not know where it lies.
fn same_spacing(truth: &AnnotatedCase, geometry: &ild_io::Geometry, path: &Path) -> Result<()> {
    let (want, have) = (truth.placement.geometry().spacing_xyz_mm, geometry.spacing_xyz_mm);
    let in_plane = (0..2).all(|axis| (want[axis] - have[axis]).abs() <= SAME_GRID_MM);
    if in_plane {
        return Ok(());
    }
    Err(Error::refused(
        path,
        format!("pixels of {:.3} × {:.3} mm, as the ground truth", want[0], want[1]),
        format!("{:.3} × {:.3} mm", have[0], have[1]),
        "resample the prediction onto the CT with nearest neighbour",
    ))
}
