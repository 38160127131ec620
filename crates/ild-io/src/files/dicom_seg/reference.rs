//! A Segmentation as another object refers to it.

use std::path::Path;

use dicom_dictionary_std::tags;

use super::read::label_names_of;
use crate::files::dicom_file::DicomFile;
use crate::files::dicom_series::values::text;
use crate::{Error, LabelTable, Result};

/// A Segmentation by its identifiers.
#[derive(Clone, Debug, PartialEq)]
pub struct SegReference {
    /// SOPClassUID.
    pub class: String,
    /// SOPInstanceUID.
    pub instance: String,
    /// SeriesInstanceUID.
    pub series: String,
    /// StudyInstanceUID.
    pub study: String,
    /// What its segments are called, under their numbers.
    pub segments: LabelTable,
}

impl SegReference {
    /// Reads the header of the Segmentation at `path`.
    ///
    /// # Errors
    /// When it is no readable Segmentation, or has no identifiers.
    pub fn read(path: &Path) -> Result<Self> {
        let object = DicomFile::checked(path)?.until(tags::PIXEL_DATA)?;
        let need = |tag, name: &str| {
            text(&object, tag)
                .ok_or_else(|| Error::refused(path, name, "none", "write the segmentation again"))
        };
        Ok(Self {
            class: need(tags::SOP_CLASS_UID, "SOPClassUID")?,
            instance: need(tags::SOP_INSTANCE_UID, "SOPInstanceUID")?,
            series: need(tags::SERIES_INSTANCE_UID, "SeriesInstanceUID")?,
            study: need(tags::STUDY_INSTANCE_UID, "StudyInstanceUID")?,
            segments: label_names_of(path, &object)?,
        })
    }
}
