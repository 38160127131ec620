//! The series that a segmentation belongs to: its grid, its slices by UID, its patient and study.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use rayon::prelude::*;

use super::uid::Content;
use super::{Element, Item};
use crate::files::dicom_file::DicomFile;
use crate::files::dicom_series::values::{all_text, text};
use crate::files::dicom_series::{self, Tilt, frames};
use crate::files::dicom_study;
use crate::{DicomOptions, Error, Geometry, Result};

/// Numbers of our series lie this far above the number of the series they belong to.
const SERIES_NUMBER_ABOVE: u32 = 100;
/// Of a program there is no serial number.
const NO_SERIAL_NUMBER: &str = "none";

/// What an object of ours is.
#[derive(Clone, Copy, Debug)]
pub(in crate::files) struct Kind<'a> {
    /// SOP class.
    pub class: &'a str,
    /// Modality.
    pub modality: &'a str,
    /// SeriesDescription.
    pub description: &'a str,
    /// How far above [`SERIES_NUMBER_ABOVE`] the number of its series lies.
    pub number: u32,
    /// The program that writes it, and its version.
    pub writer: [&'a str; 2],
}

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
    pub(in crate::files) uid: String,
    pub(in crate::files) number: Option<u32>,
    pub(in crate::files) frame_of_reference: String,
    pub(in crate::files) position_reference: String,
    /// `None` where a slice was never compressed with loss.
    pub(in crate::files) lossy: Option<Vec<Element>>,
    pub(in crate::files) patient_and_study: Vec<Element>,
    /// As the first slice writes them.
    pub(in crate::files) orientation: String,
    pub(in crate::files) pixel_spacing: String,
    pub(in crate::files) thickness: Option<String>,
    /// In the order of the grid.
    pub(in crate::files) slices: Vec<SourceSlice>,
    /// How the slices were shifted to the grid, where the gantry was tilted.
    pub(in crate::files) tilt: Option<Tilt>,
}

/// One image of the series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::files) struct SourceSlice {
    pub class: String,
    pub instance: String,
    /// Which frame of it, from 1, where it has several.
    pub frame: Option<u32>,
    /// ImagePositionPatient as it is written.
    pub position: String,
}

impl SourceSeries {
    /// Reads the headers of the series in the folder or archive `path` that [`crate::read_dicom_ct`]
    /// reads with the same `options`.
    ///
    /// # Errors
    /// What [`crate::read_dicom_ct`] refuses before it looks at pixels, and slices that cannot be
    /// referred to: without UIDs of their own, of a series or of a study.
    pub fn read(path: &Path, options: DicomOptions) -> Result<Self> {
        let files = dicom_study::files(path, options.series)?;
        let files = files.map_or_else(|| vec![path.to_owned()], |(files, _)| files);
        Self::of(path, dicom_series::ordered_files(path, &files, options.upright)?)
    }

    /// Its SeriesInstanceUID.
    #[must_use]
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// Patient, study, a series of our own, equipment, and what the object is.
    pub(in crate::files) fn head(&self, content: &Content, kind: Kind) -> Item {
        let [program, version] = kind.writer;
        let number = self.number.unwrap_or(0).saturating_add(SERIES_NUMBER_ABOVE + kind.number);
        Item::new()
            .text(tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 192")
            .with(self.patient_and_study.iter().cloned())
            .text(tags::SOP_CLASS_UID, VR::UI, kind.class)
            .text(tags::SOP_INSTANCE_UID, VR::UI, content.uid("instance"))
            .text(tags::MODALITY, VR::CS, kind.modality)
            .text(tags::SERIES_INSTANCE_UID, VR::UI, content.uid("series"))
            .text(tags::SERIES_NUMBER, VR::IS, number.to_string())
            .text(tags::SERIES_DESCRIPTION, VR::LO, kind.description)
            .text(tags::MANUFACTURER, VR::LO, "ild")
            .text(tags::MANUFACTURER_MODEL_NAME, VR::LO, program)
            .text(tags::DEVICE_SERIAL_NUMBER, VR::LO, NO_SERIAL_NUMBER)
            .text(tags::SOFTWARE_VERSIONS, VR::LO, version)
            .text(tags::INSTANCE_NUMBER, VR::IS, "1")
    }

    /// Its StudyInstanceUID.
    #[must_use]
    pub fn study(&self) -> String {
        let study =
            self.patient_and_study.iter().find(|e| e.header().tag == tags::STUDY_INSTANCE_UID);
        let uid = study.and_then(|element| element.to_str().ok()).unwrap_or_default();
        uid.trim_end_matches(['\0', ' ']).to_owned()
    }

    /// Every instance of the series once, as an item that refers to it.
    pub(in crate::files) fn instances(&self) -> Vec<Item> {
        let mut instances: Vec<_> = self.slices.iter().collect();
        instances.dedup_by_key(|slice| &slice.instance);
        let instance = |slice: &SourceSlice| {
            Item::new().text(tags::REFERENCED_SOP_CLASS_UID, VR::UI, &slice.class).text(
                tags::REFERENCED_SOP_INSTANCE_UID,
                VR::UI,
                &slice.instance,
            )
        };
        instances.into_iter().map(instance).collect()
    }

    fn of(path: &Path, stack: dicom_series::Ordered) -> Result<Self> {
        let headers = headers(&stack.slices)?;
        let first = &headers[0];
        let need = |tag, name: &str| {
            text(first, tag).ok_or_else(|| {
                Error::refused(
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
        let slices = headers.iter().zip(&stack.slices).map(|(header, file)| slice(header, file));
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
            tilt: stack.tilt,
            geometry: stack.geometry,
            notes,
        })
    }
}

/// What each slice says before its pixels.
fn headers(slices: &[(PathBuf, Option<u32>)]) -> Result<Vec<InMemDicomObject>> {
    let files: BTreeSet<&PathBuf> = slices.iter().map(|(path, _)| path).collect();
    let images = files.into_par_iter().map(|path| Ok((path, frames::images(path, header(path)?)?)));
    let images: BTreeMap<&PathBuf, Vec<InMemDicomObject>> = images.collect::<Result<_>>()?;
    // The frames are those that were counted when the slices were ordered.
    let of =
        |(path, frame): &(PathBuf, Option<u32>)| images[path][frame.unwrap_or(0) as usize].clone();
    Ok(slices.iter().map(of).collect())
}

/// Everything before the pixels; the file was looked at before.
fn header(path: &Path) -> Result<InMemDicomObject> {
    let object = DicomFile::open(path)?.until(tags::PIXEL_DATA)?;
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

fn slice(header: &InMemDicomObject, (file, frame): &(PathBuf, Option<u32>)) -> Result<SourceSlice> {
    let need = |tag, name: &str| {
        all_text(header, tag).ok_or_else(|| {
            let next = "export the original images of the series";
            Error::refused(file, name, "none", next)
        })
    };
    Ok(SourceSlice {
        class: need(tags::SOP_CLASS_UID, "SOPClassUID")?,
        instance: need(tags::SOP_INSTANCE_UID, "SOPInstanceUID")?,
        frame: frame.map(|frame| frame + 1),
        position: need(tags::IMAGE_POSITION_PATIENT, "ImagePositionPatient")?,
    })
}

fn one_uid_each(path: &Path, slices: &[SourceSlice]) -> Result<()> {
    let uids: BTreeSet<_> = slices.iter().map(|slice| (&slice.instance, slice.frame)).collect();
    if uids.len() == slices.len() {
        return Ok(());
    }
    Err(Error::refused(
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
