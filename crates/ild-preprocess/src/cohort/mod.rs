//! Which files there are, whose they are, and which part each case belongs to.

pub(crate) mod dataset;
pub(crate) mod kept_split;
pub(crate) mod nested;
pub(crate) mod npy_folder;
pub(crate) mod npz_files;
pub(crate) mod pairs;
pub(crate) mod patients;
pub(crate) mod placing;
pub(crate) mod split;
pub(crate) mod splits_file;

pub use ild_cli::done as record;
