//! DICOM Segmentation: a label map that an archive keeps with the CT and a viewer lays over it.
//!
//! Standard: PS3.3 A.51 (Segmentation), C.8.20 (its modules), C.7.6.16 and C.7.6.17 (frames and
//! dimensions).
//!
//! ```text
//! maker           who made the mask
//! segments        label table → segments; colour (CIELab)
//! frames          which slices become frames, and what each says of itself
//! bits            pixels of one bit
//! write           all of that in one object
//! read, planes    back: segments and frames → one label map on the slices that the file spans
//! convert         the commands
//! reference       a Segmentation as another object refers to it
//! ```

mod bits;
mod colour;
pub(crate) mod convert;
mod frames;
mod maker;
mod planes;
mod read;
mod reference;
mod segments;
mod write;

use dicom_dictionary_std::{tags, uids};

use crate::files::dicom_file::DicomFile;

pub use convert::{SegOutput, convert_from_seg, convert_to_seg};
pub use maker::{SegAlgorithm, SegMaker};
pub(crate) use read::{label_names, read_segmentation};
pub use reference::SegReference;
pub use write::{SegSettings, write_dicom_seg};

/// How the pixels of a Segmentation say what they are of (SegmentationType).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SegType {
    /// A bit for each voxel of each segment: what every viewer reads.
    #[default]
    Binary,
    /// A segment number for each voxel: smaller with many classes, read by recent viewers only.
    Labelmap,
}

/// Which slices of a segment become frames. A label map always has all between the first and the
/// last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SegFrames {
    /// Those that hold something of it.
    #[default]
    Held,
    /// Those between its first and its last, for viewers that misplace segments with holes.
    Spanned,
}

impl SegType {
    fn defined_term(self) -> &'static str {
        match self {
            Self::Binary => "BINARY",
            Self::Labelmap => "LABELMAP",
        }
    }
}

/// Whether the DICOM file at `path` says that it is a Segmentation; one that cannot be walked says
/// nothing.
pub(crate) fn is_seg(path: &std::path::Path) -> bool {
    let classes = [uids::SEGMENTATION_STORAGE, uids::LABEL_MAP_SEGMENTATION_STORAGE];
    let object = DicomFile::checked(path).and_then(|file| file.until(tags::SOP_CLASS_UID));
    object.is_ok_and(|object| {
        let class = object.meta().media_storage_sop_class_uid();
        classes.contains(&class.trim_end_matches('\0'))
    })
}
