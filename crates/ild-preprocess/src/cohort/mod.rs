//! Which files there are, whose they are, and which part each case belongs to.

pub(crate) mod dataset;
pub(crate) mod npy_folder;
pub(crate) mod npz_files;
pub(crate) mod pairs;
pub(crate) mod patients;
pub mod record;
pub(crate) mod split;
pub(crate) mod splits_file;
