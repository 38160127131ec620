//! Chest CT volumes and label maps, their geometry, and the files they live in.
//!
//! Conventions, everywhere in ild:
//! - arrays are indexed `[z, y, x]`, C order: axial slices from foot to head, rows to the patient's
//!   back, columns to the left (LPS), whatever the order in the file; what is written goes back
//!   into the order of the file it belongs to ([`StorageOrder`]);
//! - world coordinates are RAS+ in millimetres (NIfTI-1); DICOM's LPS is flipped once, on reading;
//! - an [`Affine`] maps voxel `(x, y, z)` to world;
//! - units are in names: `_mm`, `_hu`, `_px`, `_ml`.

pub mod cohort;
mod error;
mod files;
pub mod info;
pub mod lung;
pub mod picture;
mod volume;

pub use error::{Error, OtherGrid, Result};
pub use files::convert::{Converted, convert};
pub use files::dicom_file::{instance_uid, is_dicom as is_dicom_file};
pub use files::dicom_out::SourceSeries;
pub use files::dicom_seg::{
    SegAlgorithm, SegFrames, SegMaker, SegOutput, SegReference, SegSettings, SegType,
    convert_from_seg, convert_to_seg, write_dicom_seg,
};
pub use files::dicom_series::{SeriesFacts, read_dicom_series, read_series_files};
pub use files::dicom_sr::{MeasuredGroup, Measurement, Quantity, SrReport, SrSite, write_dicom_sr};
pub use files::dicom_study::{
    Chosen, DicomCase, DicomOptions, DicomStudy, Plane, SeriesEntry, dicom_cases, dicom_ct_files,
    read_dicom_ct,
};
pub use files::format::Format;
pub use files::input::read_text;
pub use files::nifti::{
    NiftiOrientation, read_label_map, read_label_map_as_stored, read_volume, read_volume_as_stored,
    volume_bytes, write_label_map, write_label_map_described, write_volume, write_volume_described,
};
pub use files::npy::{NpyArray, NpyElement, read_npy, read_npy_u8, write_npy, write_npy_u8};
pub use files::npz::{NpzFile, NpzWriter, read_npz_u8, write_npz_u8, write_npz_with};
pub use files::nrrd::nrrd_bytes;
pub use files::slice_stack::{Images, SliceStack, Window, read_npz, write_npz};
pub use volume::affine::Affine;
pub use volume::bounding_box::BoundingBox;
pub use volume::case::Case;
pub use volume::coded_term::CodedTerm;
pub use volume::components::{Components, Neighbours};
pub use volume::geometry::{Geometry, Stored};
pub use volume::header_note::{HeaderNote, LengthSource};
pub use volume::hounsfield::hounsfield_doubt;
pub use volume::label_map::LabelMap;
pub use volume::label_runs::{LabelRuns, Run};
pub use volume::label_table::{Label, LabelTable};
pub use volume::placement::{Misplaced, Placement};
pub use volume::same_grid::{SAME_GRID_MM, order_note, same_grid};
pub use volume::slice_pieces::{SlicePiece, SlicePieces};
pub use volume::storage_order::StorageOrder;
pub use volume::{Volume, Voxels};
