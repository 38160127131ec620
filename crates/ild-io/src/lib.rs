//! Chest CT volumes and label maps, their geometry, and the files they live in.
//!
//! Conventions, everywhere in ild:
//! - arrays are indexed `[z, y, x]`, C order, in the order of the file (no reorientation);
//! - world coordinates are RAS+ in millimetres (NIfTI-1); DICOM's LPS is flipped once, on reading;
//! - an [`Affine`] maps voxel `(x, y, z)` to world;
//! - units are in names: `_mm`, `_hu`, `_px`, `_ml`.

mod bounding_box;
mod case;
mod components;
mod convert;
mod dicom_series;
mod error;
mod format;
mod geometry;
mod gzip;
pub mod info;
mod input;
mod label_file;
mod label_map;
mod label_runs;
mod label_table;
pub mod lung;
mod nifti;
mod npy;
mod npz;
mod nrrd;
pub mod phantom;
pub mod picture;
mod raw_voxels;
mod reorder;
mod slice_stack;
mod volume;

pub use bounding_box::BoundingBox;
pub use case::{Case, SAME_GRID_MM, same_grid};
pub use components::{Components, Neighbours};
pub use convert::{Converted, convert};
pub use dicom_series::{SeriesFacts, read_dicom_series};
pub use error::{Error, Result};
pub use format::Format;
pub use geometry::{Affine, Geometry};
pub use input::read_text;
pub use label_map::LabelMap;
pub use label_runs::{LabelRuns, Run};
pub use label_table::{Label, LabelTable};
pub use nifti::{
    NiftiOrientation, read_label_map, read_volume, write_label_map, write_label_map_described,
    write_volume, write_volume_described,
};
pub use npy::{NpyArray, NpyElement, read_npy, read_npy_u8, write_npy, write_npy_u8};
pub use npz::{NpzFile, NpzWriter, read_npz_u8, write_npz_u8, write_npz_with};
pub use slice_stack::{Images, SliceStack, Window, read_npz, write_npz};
pub use volume::{Volume, Voxels};
