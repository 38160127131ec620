//! A folder of DICOM with one or several series: what they are, and which of them is the chest CT.
//!
//! ```text
//! listing   files → series, by their headers
//! choice    the rule by which one is chosen
//! kernel    which reconstruction kernels are the lung's
//! ```

mod choice;
mod kernel;
mod listing;

use std::path::{Path, PathBuf};

use crate::files::dicom_series::{self, is_dicom};
use crate::{Error, Result, SeriesFacts, Volume, read_series_files};

pub use choice::Chosen;
pub use listing::{DicomStudy, Plane, SeriesEntry};

/// The file that lists what is on a medium; its folder is meant.
const DIRECTORY: &str = "DICOMDIR";

/// Reads the CT at `path`, a DICOM folder (the files in it, else those below it) or one slice: the
/// series `wanted` by its UID or number, else the one that the rule chooses ([`DicomStudy::choose`]).
/// Arrays are in axial order.
///
/// # Errors
/// When no series or more than the wanted one matches, and what [`crate::read_dicom_series`] refuses.
pub fn read_dicom_ct(path: &Path, wanted: Option<&str>) -> Result<(Volume, SeriesFacts)> {
    let (volume, facts) = read_as_stored(path, wanted)?;
    Ok((volume.axial(), facts))
}

/// [`read_dicom_ct`] in the order of the slices' pixels.
pub(crate) fn read_as_stored(path: &Path, wanted: Option<&str>) -> Result<(Volume, SeriesFacts)> {
    match files(path, wanted)? {
        Some((files, note)) => {
            let (volume, mut facts) = read_series_files(path, &files)?;
            facts.notes.extend(note);
            Ok((volume, facts))
        }
        None => crate::read_dicom_series(path),
    }
}

/// The files that [`read_dicom_ct`] reads.
///
/// # Errors
/// As [`read_dicom_ct`] before it looks at pixels.
pub fn dicom_ct_files(path: &Path, wanted: Option<&str>) -> Result<Vec<PathBuf>> {
    Ok(files(path, wanted)?.map_or_else(|| vec![path.to_owned()], |(files, _)| files))
}

/// The files of the series that is meant, and what was passed over for it; `None` where nobody has to
/// choose: a single file.
pub(in crate::files) fn files(
    path: &Path,
    wanted: Option<&str>,
) -> Result<Option<(Vec<PathBuf>, Option<String>)>> {
    let study = match path.is_dir() {
        true => DicomStudy::scan(path)?,
        false if is_directory(path) => DicomStudy::scan(
            path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")),
        )?,
        false => return Ok(None),
    };
    if study.series.is_empty() {
        // Whose reader says what is there instead.
        return dicom_series::ordered(path).map(|ordered| Some((ordered.files, None)));
    }
    let Chosen { series, others } = study.choose(wanted)?;
    Ok(Some((series.files.clone(), others)))
}

fn is_directory(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.eq_ignore_ascii_case(DIRECTORY))
}

/// A patient's CT among several: a folder of DICOM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DicomCase {
    /// The folder's name.
    pub id: String,
    /// The folder.
    pub path: PathBuf,
}

/// The cases of a folder that holds DICOM: itself, when files lie in it or all that lies below is of
/// one study; else each folder in it that holds some. Empty when there is none.
///
/// # Errors
/// When a folder cannot be read, or its name is no UTF-8.
pub fn dicom_cases(folder: &Path) -> Result<Vec<DicomCase>> {
    let here = crate::cohort::list(folder)?;
    let case = |path: &Path| {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let name = absolute.file_name().and_then(|name| name.to_str()).map(str::to_owned);
        let id = name.ok_or_else(|| {
            Error::rejected(path, "a folder with a name in UTF-8", "another", "rename the folder")
        })?;
        Ok(DicomCase { id, path: path.to_owned() })
    };
    if here.iter().any(|path| is_dicom(path)) {
        return Ok(vec![case(folder)?]);
    }
    let mut found = Vec::new();
    let mut studies = std::collections::BTreeSet::new();
    for below in here.iter().filter(|path| path.is_dir() && !listing::is_hidden(path)) {
        let study = DicomStudy::scan(below)?;
        if !study.series.is_empty() {
            studies.extend(study.series.iter().map(|series| series.study.clone()));
            found.push(below.clone());
        }
    }
    match found.len() {
        0 => Ok(Vec::new()),
        _ if studies.len() == 1 && !studies.contains("") => Ok(vec![case(folder)?]),
        _ => found.iter().map(|path| case(path)).collect(),
    }
}
