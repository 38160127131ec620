//! What kind of file something is, by its content.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::Result;
use crate::files::dicom_file::{holds_dicom, is_dicom};
use crate::files::input::unreadable;
use crate::files::{dicom_seg, nrrd};

/// Kinds of files that this crate reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// NIfTI-1 or -2, also a half of a `.hdr` / `.img` pair.
    Nifti,
    /// NRRD with attached voxels.
    Nrrd,
    /// Arrays of numpy, zipped.
    Npz,
    /// One array of numpy.
    Npy,
    /// A folder or a zip archive of DICOM slices, or one file of them.
    Dicom,
    /// A DICOM Segmentation: a label map on slices of a series.
    DicomSeg,
}

impl Format {
    /// Looks at a file's first bytes; what is none of the others (a pipe, too) is taken for NIfTI,
    /// whose reader says what is wrong.
    ///
    /// # Errors
    /// When there is nothing at `path`, or it cannot be read.
    pub fn of(path: &Path) -> Result<Self> {
        let meta = std::fs::metadata(path).map_err(unreadable(path))?;
        if meta.is_dir() {
            return Ok(Self::Dicom);
        }
        if !meta.is_file() {
            return Ok(Self::Nifti);
        }
        let mut start = Vec::new();
        ild_cli::inputs::note(path);
        File::open(path)
            .and_then(|file| file.take(8).read_to_end(&mut start))
            .map_err(unreadable(path))?;
        Ok(match &start[..] {
            [b'P', b'K', 3, ..] if holds_dicom(path) => Self::Dicom,
            [b'P', b'K', 3 | 5, ..] => Self::Npz,
            [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => Self::Npy,
            start if start.starts_with(nrrd::MAGIC) => Self::Nrrd,
            _ if is_dicom(path) && dicom_seg::is_seg(path) => Self::DicomSeg,
            _ if is_dicom(path) => Self::Dicom,
            _ => Self::Nifti,
        })
    }
}
