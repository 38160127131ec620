//! The two stages: a folder in, a folder out.

pub(crate) mod case;
pub(crate) mod nii_to_npz;
pub(crate) mod npy_summary;
pub(crate) mod npz_to_npy;
pub(crate) mod output;
pub(crate) mod summary;
