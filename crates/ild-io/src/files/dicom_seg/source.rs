//! The series that a segmentation belongs to: its grid, its slices by UID, its patient and study.

use std::collections::BTreeSet;
use std::path::Path;

use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::tags;
use dicom_object::{InMemDicomObject, OpenFileOptions};
use rayon::prelude::*;

use super::Element;
use super::uid::Content;
use crate::files::dicom_series::values::{all_text, text};
use crate::files::dicom_series::{self, damaged};
use crate::files::dicom_study;
use crate::{Error, Geometry, Result};

/// What is the patient's and the study's (PS3.3 C.7.1.1, C.7.2.1), and whether it has to stand there
/// even if it is empty (type 2).
const PATIENT_AND_STUDY: [(Tag, VR, bool); 15] = [
    (tags::PATIENT_NAME, VR::PN, true),
    (tags::PATIENT_ID, VR::LO, true),
    (tags::ISSUER_OF_PATIENT_ID, VR::LO, false),
    (tags::PATIENT_BIRTH_DATE, VR::DA, true),
    (tags::PATIENT_SEX, VR::CS, true),
    (tags::PATIENT_AGE, VR::AS, false),
    (tags::PATIENT_IDENTITY_REMOVED, VR::CS, false),
    (tags::DEIDENTIFICATION_METHOD, VR::LO, false),
    (tags::STUDY_INSTANCE_UID, VR::UI, true),
    (tags::STUDY_DATE, VR::DA, true),
    (tags::STUDY_TIME, VR::TM, true),
    (tags::REFERRING_PHYSICIAN_NAME, VR::PN, true),
    (tags::STUDY_ID, VR::SH, true),
    (tags::ACCESSION_NUMBER, VR::SH, true),
    (tags::STUDY_DESCRIPTION, VR::LO, false),
];
/// What became of the pixels before they were segmented (PS3.3 C.7.6.1.1.5).
const LOSSY: [(Tag, VR); 2] =
    [(tags::LOSSY_IMAGE_COMPRESSION_RATIO, VR::DS), (tags::LOSSY_IMAGE_COMPRESSION_METHOD, VR::CS)];

/// A series that can be referred to.
#[derive(Clone, Debug)]
pub struct SourceSeries {
    /// Where its voxels are; arrays on it are `[slice, row, column]` as the pixels are stored.
    pub geometry: Geometry,
    /// What is odd about it.
    pub notes: Vec<String>,
    pub(super) uid: String,
    pub(super) number: Option<u32>,
    pub(super) frame_of_reference: String,
    pub(super) position_reference: String,
    /// `None` where a slice was never compressed with loss.
    pub(super) lossy: Option<Vec<Element>>,
    pub(super) patient_and_study: Vec<Element>,
    /// As the first slice writes them.
    pub(super) orientation: String,
    pub(super) pixel_spacing: String,
    pub(super) thickness: Option<String>,
    /// In the order of the grid.
    pub(super) slices: Vec<SourceSlice>,
}

/// One image of the series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SourceSlice {
    pub class: String,
    pub instance: String,
    /// ImagePositionPatient as it is written.
    pub position: String,
}

impl SourceSeries {
    /// Reads the headers of a series in the folder `path`: the one `wanted` by UID or number, else the
    /// one that is read as its CT ([`crate::read_dicom_ct`]).
    ///
    /// # Errors
    /// What [`crate::read_dicom_ct`] refuses before it looks at pixels, and slices that cannot be
    /// referred to: without UIDs of their own, of a series or of a study.
    pub fn read(path: &Path, wanted: Option<&str>) -> Result<Self> {
        let stack = match dicom_study::files(path, wanted)? {
            Some((files, _)) => dicom_series::ordered_files(path, &files)?,
            None => dicom_series::ordered(path)?,
        };
        Self::of(path, stack)
    }

    fn of(path: &Path, stack: dicom_series::Ordered) -> Result<Self> {
        let headers: Vec<InMemDicomObject> =
            stack.files.par_iter().map(|file| header(file)).collect::<Result<_>>()?;
        let first = &headers[0];
        let need = |tag, name: &str| {
            text(first, tag).ok_or_else(|| {
                Error::rejected(
                    path,
                    format!("{name}, by which a segmentation says what it belongs to"),
                    "none",
                    "export the original images of the series",
                )
            })
        };
        need(tags::STUDY_INSTANCE_UID, "StudyInstanceUID")?;
        let uid = need(tags::SERIES_INSTANCE_UID, "SeriesInstanceUID")?;
        let mut notes = stack.notes;
        let frame_of_reference = text(first, tags::FRAME_OF_REFERENCE_UID).unwrap_or_else(|| {
            notes.push("the series has no FrameOfReferenceUID: one is made of its UID".to_owned());
            Content::default().with(&uid).uid("frame of reference")
        });
        let slices = headers.iter().zip(&stack.files).map(|(header, file)| slice(header, file));
        let slices: Vec<SourceSlice> = slices.collect::<Result<_>>()?;
        one_uid_each(path, &slices)?;
        Ok(Self {
            uid,
            number: text(first, tags::SERIES_NUMBER).and_then(|number| number.parse().ok()),
            frame_of_reference,
            position_reference: text(first, tags::POSITION_REFERENCE_INDICATOR).unwrap_or_default(),
            lossy: lossy(&headers),
            patient_and_study: patient_and_study(first),
            orientation: need(tags::IMAGE_ORIENTATION_PATIENT, "ImageOrientationPatient")
                .map(|_| all_text(first, tags::IMAGE_ORIENTATION_PATIENT).unwrap_or_default())?,
            pixel_spacing: all_text(first, tags::PIXEL_SPACING).unwrap_or_default(),
            thickness: text(first, tags::SLICE_THICKNESS),
            slices,
            geometry: stack.geometry,
            notes,
        })
    }
}

/// Everything before the pixels; the file was looked at before.
fn header(path: &Path) -> Result<InMemDicomObject> {
    let object = OpenFileOptions::new().read_until(tags::PIXEL_DATA).open_file(path);
    let object = object.map_err(|error| damaged(path, &error))?;
    // Some anonymisers leave the UIDs in the file's own header only.
    let (class, instance) = (
        object.meta().media_storage_sop_class_uid().trim_end_matches('\0').to_owned(),
        object.meta().media_storage_sop_instance_uid().trim_end_matches('\0').to_owned(),
    );
    let mut object = object.into_inner();
    for (tag, uid) in [(tags::SOP_CLASS_UID, class), (tags::SOP_INSTANCE_UID, instance)] {
        if text(&object, tag).is_none() && !uid.is_empty() {
            object.put(DataElement::new(tag, VR::UI, PrimitiveValue::from(uid)));
        }
    }
    Ok(object)
}

fn slice(header: &InMemDicomObject, file: &Path) -> Result<SourceSlice> {
    let need = |tag, name: &str| {
        all_text(header, tag).ok_or_else(|| {
            let next = "export the original images of the series";
            Error::rejected(file, name, "none", next)
        })
    };
    Ok(SourceSlice {
        class: need(tags::SOP_CLASS_UID, "SOPClassUID")?,
        instance: need(tags::SOP_INSTANCE_UID, "SOPInstanceUID")?,
        position: need(tags::IMAGE_POSITION_PATIENT, "ImagePositionPatient")?,
    })
}

fn one_uid_each(path: &Path, slices: &[SourceSlice]) -> Result<()> {
    let uids: BTreeSet<&str> = slices.iter().map(|slice| slice.instance.as_str()).collect();
    if uids.len() == slices.len() {
        return Ok(());
    }
    Err(Error::rejected(
        path,
        "a SOPInstanceUID of its own for each slice, by which a segmentation refers to it",
        format!("{} UIDs for {} slices", uids.len(), slices.len()),
        "export the series again; whoever took the names out gave one UID twice",
    ))
}

fn patient_and_study(first: &InMemDicomObject) -> Vec<Element> {
    let copied = PATIENT_AND_STUDY.into_iter().filter_map(|(tag, vr, needed)| {
        let value = match all_text(first, tag) {
            Some(value) => PrimitiveValue::Str(value),
            None if needed => PrimitiveValue::Empty,
            None => return None,
        };
        Some(DataElement::new(tag, vr, value))
    });
    copied.collect()
}

fn lossy(headers: &[InMemDicomObject]) -> Option<Vec<Element>> {
    let lossy = |header: &&InMemDicomObject| {
        text(header, tags::LOSSY_IMAGE_COMPRESSION).as_deref() == Some("01")
    };
    let header = headers.iter().find(lossy)?;
    let element = |(tag, vr): (Tag, VR)| {
        Some(DataElement::new(tag, vr, PrimitiveValue::Str(all_text(header, tag)?)))
    };
    Some(LOSSY.into_iter().filter_map(element).collect())
}
