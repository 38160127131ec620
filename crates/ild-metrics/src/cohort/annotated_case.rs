//! Ground truth of one case: which slices were annotated, where they lie, and what is on them.

use std::path::Path;

use ild_io::{Affine, Geometry, Images, LabelTable, read_label_map, read_npz};
use ndarray::{Array3, ArrayView2, Axis};

use crate::{Annotated, Error, Result};

/// The annotated slices of a case.
#[derive(Clone, Debug)]
pub struct AnnotatedCase {
    /// Label ids of the annotated slices, `[n, y, x]`.
    pub labels: Array3<u8>,
    /// Slice `i` is slice `z_index[i]` of the CT; ascending.
    pub z_index: Vec<usize>,
    /// Whether `z_index` is known, rather than assumed to be 0, 1, 2, …
    pub z_known: bool,
    /// The CT's grid; its affine is made of the spacing alone when `affine_known` is false.
    pub geometry: Geometry,
    /// Whether the file says where the volume lies in the patient.
    pub affine_known: bool,
    /// 8-bit images of the annotated slices, when the file holds them.
    pub images: Option<Images>,
    /// Names of the labels, when the file holds them.
    pub label_table: Option<LabelTable>,
}

impl AnnotatedCase {
    /// Reads an NPZ (its `gts` are the annotated slices) or a NIfTI label map.
    ///
    /// # Errors
    /// When the file is refused or cannot be read, and for an NPZ without `gts`.
    pub fn read(path: &Path, annotated: Annotated) -> Result<Self> {
        let is_npz = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("npz"));
        if is_npz { Self::from_npz(path) } else { Self::from_nifti(path, annotated) }
    }

    fn from_npz(path: &Path) -> Result<Self> {
        let stack = read_npz(path)?;
        let labels = stack.labels.ok_or_else(|| {
            Error::rejected(
                path,
                "an NPZ with `gts`",
                "none",
                "ground truth is needed to evaluate; `quantify` works without",
            )
        })?;
        let (n, height, width) = labels.dim();
        let z_known = stack.z_index.is_some();
        let z_index: Vec<usize> = match stack.z_index {
            Some(index) => index.into_iter().map(|z| z as usize).collect(),
            None => (0..n).collect(),
        };
        let depth = z_index.last().map_or(n, |z| z + 1);
        let shape_zyx = stack.shape_zyx.unwrap_or([depth, height, width]);
        let affine_known = stack.affine.is_some();
        let affine =
            stack.affine.unwrap_or_else(|| Affine::from_spacing_xyz_mm(stack.spacing_xyz_mm));
        let geometry =
            Geometry { spacing_xyz_mm: stack.spacing_xyz_mm, ..Geometry::new(shape_zyx, affine) };
        Ok(Self {
            labels,
            z_index,
            z_known,
            geometry,
            affine_known,
            images: Some(stack.images),
            label_table: stack.label_table,
        })
    }

    fn from_nifti(path: &Path, annotated: Annotated) -> Result<Self> {
        let map = read_label_map(path)?;
        let labelled =
            |slice: ArrayView2<u8>| annotated == Annotated::All || slice.iter().any(|&id| id != 0);
        let z_index: Vec<usize> = map
            .labels
            .outer_iter()
            .enumerate()
            .filter(|(_, s)| labelled(*s))
            .map(|(z, _)| z)
            .collect();
        let labels = if z_index.len() == map.labels.dim().0 {
            map.labels
        } else {
            map.labels.select(Axis(0), &z_index)
        };
        Ok(Self {
            labels,
            z_index,
            z_known: true,
            geometry: map.geometry,
            affine_known: true,
            images: None,
            label_table: None,
        })
    }
}
