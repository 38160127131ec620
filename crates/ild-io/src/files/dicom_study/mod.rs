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

use crate::files::dicom_file::{self, is_archive, is_dicom};
use crate::files::dicom_series;
use crate::{Error, Result, SeriesFacts, Volume, read_series_files};

pub use choice::Chosen;
pub use listing::{DicomStudy, Plane, SeriesEntry};

/// The file that lists what is on a medium; its folder is meant.
const DIRECTORY: &str = "DICOMDIR";

/// Which CT of a folder is read, and how.
#[derive(Clone, Copy, Debug, Default)]
pub struct DicomOptions<'a> {
    /// The series by its UID or number; without one the rule chooses ([`DicomStudy::choose`]).
    pub series: Option<&'a str>,
    /// Whether slices of a tilted gantry are shifted, each in its own plane, to a right-angled grid;
    /// otherwise they are refused.
    pub upright: bool,
}

/// Reads the CT at `path`, a DICOM folder (the files in it, else those below it), a zip archive of one,
/// or one file. Arrays are in axial order.
///
/// # Errors
/// When no series or more than the wanted one matches, and what [`crate::read_dicom_series`] refuses.
pub fn read_dicom_ct(path: &Path, options: DicomOptions) -> Result<(Volume, SeriesFacts)> {
    let (volume, facts) = read_as_stored(path, options)?;
    Ok((volume.axial(), facts))
}

/// [`read_dicom_ct`] in the order of the slices' pixels.
pub(crate) fn read_as_stored(path: &Path, options: DicomOptions) -> Result<(Volume, SeriesFacts)> {
    let (files, note) = match files(path, options.series)? {
        Some((files, note)) => (files, note),
        None => (vec![path.to_owned()], None),
    };
    let (volume, mut facts) = read_series_files(path, &files, options.upright)?;
    facts.notes.extend(note);
    Ok((volume, facts))
}

/// The files on disk that [`read_dicom_ct`] reads.
///
/// # Errors
/// As [`read_dicom_ct`] before it looks at pixels.
pub fn dicom_ct_files(path: &Path, wanted: Option<&str>) -> Result<Vec<PathBuf>> {
    if is_archive(path) {
        return Ok(vec![path.to_owned()]);
    }
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
        false if is_archive(path) => DicomStudy::scan(path)?,
        false if is_directory(path) => DicomStudy::scan(
            path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")),
        )?,
        false => return Ok(None),
    };
    if study.series.is_empty() {
        // Whose reader says what is there instead.
        let slices = dicom_series::ordered(path)?.slices;
        let mut files: Vec<PathBuf> = slices.into_iter().map(|(path, _)| path).collect();
        files.dedup();
        return Ok(Some((files, None)));
    }
    let Chosen { series, others } = study.choose(wanted)?;
    study.whole(series)?;
    Ok(Some((series.files.clone(), others)))
}

impl DicomStudy {
    /// Refuses a series beside whose files lie some that cannot be read: at its end nobody would miss
    /// them.
    fn whole(&self, series: &SeriesEntry) -> Result<()> {
        let beside = |file: &Path| series.files.iter().any(|own| own.parent() == file.parent());
        match self.unreadable.iter().find(|(file, _)| beside(file)) {
            None => Ok(()),
            Some((_, why)) => Err(Error::refused(
                &self.path,
                "DICOM files that can be read, since a slice may be among them",
                why,
                "copy the file again, or take it away if it is no slice of the series",
            )),
        }
    }
}

fn is_directory(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.eq_ignore_ascii_case(DIRECTORY))
}

/// Whether a file is called like an archive of a study.
pub(crate) fn is_zip_name(path: &Path) -> bool {
    path.extension().is_some_and(|end| end.eq_ignore_ascii_case("zip"))
}

/// Whether a folder, what lies below it, or a zip archive holds DICOM.
pub(crate) fn holds_dicom(path: &Path) -> bool {
    match path.is_dir() {
        true => listing::holds_dicom(path, 0),
        false => dicom_file::holds_dicom(path),
    }
}

/// A patient's CT among several: a folder or a zip archive of DICOM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DicomCase {
    /// Its name, of an archive without `.zip`.
    pub id: String,
    /// The folder or archive.
    pub path: PathBuf,
}

/// The cases of a folder that holds DICOM: itself, when files lie in it or all that lies in folders
/// below is of one study; else each folder and each zip archive in it that holds some. Empty when there
/// is none.
///
/// # Errors
/// When a folder cannot be read, or its name is no UTF-8.
pub fn dicom_cases(folder: &Path) -> Result<Vec<DicomCase>> {
    let here = crate::cohort::list(folder)?;
    let case = |path: &Path| {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let name = if path.is_dir() { absolute.file_name() } else { absolute.file_stem() };
        let name = name.and_then(|name| name.to_str()).map(str::to_owned);
        let id = name.ok_or_else(|| {
            Error::refused(path, "a folder with a name in UTF-8", "another", "rename the folder")
        })?;
        Ok(DicomCase { id, path: path.to_owned() })
    };
    if here.iter().any(|path| is_dicom(path)) {
        return Ok(vec![case(folder)?]);
    }
    let mut found = Vec::new();
    let mut studies = std::collections::BTreeSet::new();
    let mut archives = 0;
    for below in here.iter().filter(|path| !listing::is_hidden(path)) {
        let archive = is_zip_name(below) && holds_dicom(below);
        if !archive && !below.is_dir() {
            continue;
        }
        let study = DicomStudy::scan(below)?;
        if !study.series.is_empty() {
            studies.extend(study.series.iter().map(|series| series.study.clone()));
            found.push(below.clone());
            archives += usize::from(archive);
        }
    }
    match found.len() {
        0 => Ok(Vec::new()),
        _ if archives == 0 && studies.len() == 1 && !studies.contains("") => {
            Ok(vec![case(folder)?])
        }
        _ => found.iter().map(|path| case(path)).collect(),
    }
}
