//! Files grouped into series, by their headers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use dicom_dictionary_std::tags;
use rayon::prelude::*;

use crate::Result;
use crate::cohort::list;
use crate::files::dicom_file::{self, DicomFile, is_dicom};
use crate::files::dicom_series::frames;
use crate::files::dicom_series::values::{all_text, number, numbers, text, whole};

/// Media have patients, studies, series and a folder above.
const DEEPEST: usize = 6;
/// Cosine from which on a normal points along an axis of the patient.
const ALONG: f64 = 0.9;

/// Which way the slices of a series lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Plane {
    /// Across the body.
    Axial,
    /// From side to side.
    Sagittal,
    /// From front to back.
    Coronal,
    /// Along no axis of the patient.
    Oblique,
    /// The headers do not say.
    Unknown,
}

/// One series, by its headers; nothing in it says whose it is.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct SeriesEntry {
    /// SeriesInstanceUID; empty where there is none.
    pub uid: String,
    /// StudyInstanceUID; empty where there is none.
    pub study: String,
    /// SeriesNumber.
    pub number: Option<u32>,
    /// `CT`, `SEG`, …
    pub modality: String,
    /// SeriesDescription.
    pub description: String,
    /// ConvolutionKernel.
    pub kernel: String,
    /// SliceThickness, mm.
    pub thickness_mm: Option<f64>,
    /// ImageType.
    pub image_type: String,
    /// Which way its slices lie.
    pub plane: Plane,
    /// How many slices it has: files, or the frames in them.
    pub slices: usize,
    /// Its files, sorted by name.
    pub files: Vec<PathBuf>,
}

/// The series in and below a folder.
#[derive(Clone, Debug, PartialEq)]
pub struct DicomStudy {
    /// The folder.
    pub path: PathBuf,
    /// By number, then by UID.
    pub series: Vec<SeriesEntry>,
    /// DICOM files that could not be read, and why.
    pub unreadable: Vec<(PathBuf, String)>,
}

impl DicomStudy {
    /// Reads the headers of the DICOM files in the folder `path`, or, when there is none in it, of those
    /// below; in a zip archive, of all.
    ///
    /// # Errors
    /// When a folder cannot be listed. A file that cannot be read belongs to no series.
    pub fn scan(path: &Path) -> Result<Self> {
        let mut files = Vec::new();
        match dicom_file::is_archive(path) {
            true => files = dicom_file::files_in_archive(path)?,
            false => dicom_files(path, 0, &mut files)?,
        }
        let headers: Vec<Result<Option<SeriesEntry>>> =
            files.par_iter().map(|file| entry(file)).collect();
        let mut unreadable = Vec::new();
        let mut series: BTreeMap<(Option<u32>, String, String), SeriesEntry> = BTreeMap::new();
        for (header, file) in headers.into_iter().zip(&files) {
            let header = match header {
                Ok(Some(header)) => header,
                Ok(None) => continue,
                Err(error) => {
                    unreadable.push((file.clone(), error.to_string()));
                    continue;
                }
            };
            // Where UIDs were taken out, number and description tell series apart.
            let named = if header.uid.is_empty() { &header.description } else { &header.uid };
            let key = (header.number, header.study.clone(), named.clone());
            match series.get_mut(&key) {
                Some(known) => {
                    known.slices += header.slices;
                    known.files.extend(header.files);
                }
                None => drop(series.insert(key, header)),
            }
        }
        Ok(Self { path: path.to_owned(), series: series.into_values().collect(), unreadable })
    }
}

/// The DICOM files in `folder`; when there is none, those in the folders in it.
fn dicom_files(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<()> {
    let here = list(folder)?;
    let before = files.len();
    files.extend(here.iter().filter(|path| !is_hidden(path) && is_dicom(path)).cloned());
    let only_directory = files[before..].iter().all(|path| super::is_directory(path));
    if depth < DEEPEST && only_directory {
        for below in here.iter().filter(|path| path.is_dir() && !is_hidden(path)) {
            dicom_files(below, depth + 1, files)?;
        }
    }
    Ok(())
}

/// Whether there is a DICOM file in `folder` or below.
pub(super) fn holds_dicom(folder: &Path, depth: usize) -> bool {
    let here = list(folder).unwrap_or_default();
    let mut files = here.iter().filter(|path| !is_hidden(path));
    let mut below = here.iter().filter(|path| path.is_dir() && !is_hidden(path));
    files.any(|path| is_dicom(path))
        || depth < DEEPEST && below.any(|folder| holds_dicom(folder, depth + 1))
}

pub(super) fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

/// A series of one file; `None` for a file that is of none.
fn entry(path: &Path) -> Result<Option<SeriesEntry>> {
    dicom_file::note(path);
    if super::is_directory(path) {
        return Ok(None);
    }
    let object = DicomFile::checked(path)?.until(tags::PIXEL_DATA)?;
    let slices = frames::count(&object);
    let object = frames::first(&object);
    let said = |tag| text(&object, tag).unwrap_or_default();
    // Reports and the directory of a medium have no picture.
    if whole(&object, tags::ROWS).is_none() {
        return Ok(None);
    }
    Ok(Some(SeriesEntry {
        uid: said(tags::SERIES_INSTANCE_UID),
        study: said(tags::STUDY_INSTANCE_UID),
        number: text(&object, tags::SERIES_NUMBER).and_then(|number| number.parse().ok()),
        modality: said(tags::MODALITY),
        description: said(tags::SERIES_DESCRIPTION),
        kernel: said(tags::CONVOLUTION_KERNEL),
        thickness_mm: number(&object, tags::SLICE_THICKNESS).filter(|mm| *mm > 0.0),
        image_type: all_text(&object, tags::IMAGE_TYPE).unwrap_or_default(),
        plane: numbers(&object, tags::IMAGE_ORIENTATION_PATIENT)
            .filter(|_| numbers::<3>(&object, tags::IMAGE_POSITION_PATIENT).is_some())
            .map_or(Plane::Unknown, plane),
        slices,
        files: vec![path.to_owned()],
    }))
}

fn plane(o: [f64; 6]) -> Plane {
    let normal = [o[1] * o[5] - o[2] * o[4], o[2] * o[3] - o[0] * o[5], o[0] * o[4] - o[1] * o[3]];
    let along = normal.iter().position(|cosine| cosine.abs() > ALONG);
    match along {
        Some(0) => Plane::Sagittal,
        Some(1) => Plane::Coronal,
        Some(_) => Plane::Axial,
        None => Plane::Oblique,
    }
}
