//! One object, written beside its name and renamed.

use std::io;
use std::path::Path;

use dicom_dictionary_std::uids;
use dicom_object::FileMetaTableBuilder;

use super::Item;
use crate::Result;

/// Writes an object in Explicit VR Little Endian.
pub(in crate::files) fn write(path: &Path, item: Item) -> Result<()> {
    let object = item
        .0
        .with_meta(FileMetaTableBuilder::new().transfer_syntax(uids::EXPLICIT_VR_LITTLE_ENDIAN))
        .map_err(ild_cli::FileError::at(path, "written"))?;
    ild_cli::write_atomic(path, |file| object.write_all(file).map_err(io::Error::other))?;
    Ok(())
}
