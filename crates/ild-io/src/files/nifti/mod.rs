//! NIfTI-1 and NIfTI-2 files (`.nii`, `.nii.gz`, `.hdr` + `.img`, each gzipped or not), read
//! without trusting them.

mod data_type;
mod header;
mod notes;
mod orientation;
mod pair;
mod read;
mod write;

pub(crate) use data_type::DataType;
pub(crate) use header::Header;
pub use orientation::NiftiOrientation;
pub(crate) use read::read_unchecked;
pub use read::{read_label_map, read_label_map_as_stored, read_volume, read_volume_as_stored};
pub(crate) use write::{VOLUME_LEVEL, is_gzip_name};
pub use write::{
    volume_bytes, write_label_map, write_label_map_described, write_volume, write_volume_described,
};
