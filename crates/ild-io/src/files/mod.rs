//! The formats: one file or folder each, opened by the same guards.

pub(crate) mod convert;
pub(crate) mod dicom_file;
pub(crate) mod dicom_out;
pub(crate) mod dicom_seg;
pub(crate) mod dicom_series;
pub(crate) mod dicom_sr;
pub(crate) mod dicom_study;
pub(crate) mod format;
pub(crate) mod gzip;
pub(crate) mod input;
pub(crate) mod label_file;
pub(crate) mod nifti;
pub(crate) mod npy;
pub(crate) mod npz;
pub(crate) mod nrrd;
mod placement;
pub(crate) mod raw_voxels;
pub(crate) mod slice_stack;
