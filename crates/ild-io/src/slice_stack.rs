//! The patient-level NPZ: the windowed slices of a case that hold a label, and how they lie in the CT.

use std::path::Path;

use ndarray::{Array3, Array4};

use crate::{Affine, LabelTable, Result};

/// Windowed 8-bit slices.
#[derive(Clone, Debug, PartialEq)]
pub enum Images {
    /// `[n, y, x]`.
    Grey(Array3<u8>),
    /// `[n, y, x, 3]`: three windows.
    Rgb(Array4<u8>),
}

/// The HU range that 0..255 stands for.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Window {
    /// Centre, HU.
    pub level_hu: f64,
    /// Extent, HU.
    pub width_hu: f64,
}

/// Contents of `<case>.npz`. Files written by the older scripts have no `z_index`, `affine`, `shape_zyx`, `window` and label table.
#[derive(Clone, Debug, PartialEq)]
pub struct SliceStack {
    /// Key `imgs`.
    pub images: Images,
    /// Key `gts`, `[n, y, x]`.
    pub labels: Option<Array3<u8>>,
    /// Key `spacing`, mm.
    pub spacing_xyz_mm: [f64; 3],
    /// Key `z_index`: slice `i` here is slice `z_index[i]` of the CT.
    pub z_index: Option<Vec<i64>>,
    /// Key `affine`, of the whole CT.
    pub affine: Option<Affine>,
    /// Key `shape`, of the whole CT.
    pub shape_zyx: Option<[usize; 3]>,
    /// Key `window`; `None` for MR and files of the older scripts.
    pub window: Option<Window>,
    /// Key `label_table`.
    pub label_table: Option<LabelTable>,
}

/// Reads an NPZ of ours, of numpy or of the older scripts.
///
/// # Errors
/// When the file is not a readable NPZ, lacks `imgs`, or holds arrays of another type, rank or size.
pub fn read_npz(path: &Path) -> Result<SliceStack> {
    todo!("{}", path.display())
}

/// Writes an NPZ that `numpy.load` reads, arrays byte for byte as numpy writes them.
///
/// # Errors
/// When the file cannot be written.
pub fn write_npz(path: &Path, stack: &SliceStack) -> Result<()> {
    todo!("{} {stack:?}", path.display())
}
