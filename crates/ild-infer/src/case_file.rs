//! Which cases there are to segment.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use ild_io::DicomCase;
use ild_io::cohort::{self, Depth, Files, Twice, Wanted, bare_case};
use serde::Serialize;

use crate::{Error, Result};

/// A case on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseFile {
    /// Name without suffixes.
    pub id: String,
    /// The NPZ or NIfTI file, or the folder or zip archive of DICOM.
    pub path: PathBuf,
}

impl CaseFile {
    /// Whether it is a preprocessed stack rather than a CT.
    #[must_use]
    pub fn is_npz(&self) -> bool {
        self.path.extension().is_some_and(|end| end.eq_ignore_ascii_case("npz"))
    }

    /// Whether it is a DICOM series.
    #[must_use]
    pub fn is_dicom(&self) -> bool {
        let end = self.path.extension().map(|end| end.to_ascii_lowercase());
        self.path.is_dir() || end.is_some_and(|end| end == "dcm" || end == "zip")
    }

    /// The files that are read of it; of a DICOM folder those of one series, as `series` says.
    ///
    /// # Errors
    /// When no series can be chosen.
    pub fn files(&self, series: Option<&str>) -> Result<Vec<PathBuf>> {
        Ok(match self.is_dicom() {
            true => ild_io::dicom_ct_files(&self.path, series)?,
            false => vec![self.path.clone()],
        })
    }

    /// A file that the user named himself: any suffix of ours is taken off.
    fn named(path: &Path, suffix: &str) -> Result<Self> {
        let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(|| {
            Error::refused(path, "a file name in UTF-8", "another encoding", "rename the file")
        })?;
        let id = bare_case(name, &[suffix]);
        if id == name {
            return Err(Error::refused(
                path,
                "an .npz, .nii.gz, .nii, .dcm or .zip file, or a folder",
                format!("`{name}`"),
                "convert it with `ild-io convert`",
            ));
        }
        Ok(Self { id: id.to_owned(), path: path.to_owned() })
    }
}

/// The cases at `input`, sorted by name: the file itself, or in a folder (or the folders directly
/// in it) every `.npz` and every file that ends in `suffix`; where there is none, the DICOM in and
/// below the folder ([`ild_io::dicom_cases`]).
///
/// # Errors
/// Refuses a place without cases (says which names were looked for) and two files with the same
/// case name.
pub fn find_cases(input: &Path, suffix: &str) -> Result<Vec<CaseFile>> {
    if !input.exists() {
        return Err(Error::refused(
            input,
            "an NPZ, a CT, a folder of them, or one of DICOM",
            "nothing at this path",
            "check the spelling",
        ));
    }
    let medium = input.file_name().is_some_and(|name| name.eq_ignore_ascii_case("DICOMDIR"));
    if medium && let Some(folder) = input.parent() {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        return find_cases(folder, suffix);
    }
    if !input.is_dir() {
        return Ok(vec![CaseFile::named(input, suffix)?]);
    }
    let wanted = Wanted {
        dicom: cohort::Dicom::No,
        suffix: Some(suffix),
        but_not: None,
        npz: true,
        depth: Depth::BelowIfNoneHere,
        twice: Twice::Refused,
    };
    let next = "--img-name-suffix names another ending of CT files; a split of few patients leaves \
                parts empty";
    let found = cohort::case_files(input, &wanted)?;
    if found == Files::default() {
        let dicom = ild_io::dicom_cases(input)?;
        if !dicom.is_empty() {
            let case = |DicomCase { id, path }| CaseFile { id, path };
            return Ok(dicom.into_iter().map(case).collect());
        }
    }
    let found = found.or_refuse(input, &wanted, next)?;
    if let Some(path) = found.unnameable.first() {
        return Err(Error::refused(
            path,
            "a file name in UTF-8",
            "another encoding",
            "rename the file",
        ));
    }
    Ok(found.cases.into_iter().map(|(id, path)| CaseFile { id, path }).collect())
}

/// `I/N`: every N-th case, beginning with case I (from 0).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: usize,
    count: usize,
}

impl Shard {
    /// What the share of the output folder is called.
    #[must_use]
    pub fn share(self) -> String {
        format!("{}-of-{}", self.index, self.count)
    }

    /// The cases of this shard; shards of one cohort are disjoint and together complete.
    #[must_use]
    pub fn of<T>(self, cases: Vec<T>) -> Vec<T> {
        cases
            .into_iter()
            .enumerate()
            .filter(|(i, _)| i % self.count == self.index)
            .map(|(_, case)| case)
            .collect()
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let parsed = text
            .split_once('/')
            .and_then(|(index, count)| Some((index.parse().ok()?, count.parse().ok()?)));
        match parsed {
            Some((index, count)) if index < count => Ok(Self { index, count }),
            _ => Err("expected I/N with I from 0 to N-1, e.g. 0/8 to 7/8".to_owned()),
        }
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl Serialize for Shard {
    fn serialize<S: serde::Serializer>(
        &self,
        serializer: S,
    ) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_gives_its_cases_by_name() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b_0000.nii.gz", "a.npz", "a.json", "c.nii.gz", ".hidden.npz"] {
            std::fs::write(folder.path().join(name), b"x").unwrap();
        }
        let ids: Vec<String> = find_cases(folder.path(), "_0000.nii.gz")
            .unwrap()
            .into_iter()
            .map(|case| case.id)
            .collect();
        assert_eq!(ids, ["a", "b"]);
        let file = folder.path().join("c.nii.gz");
        assert_eq!(
            find_cases(&file, "_0000.nii.gz").unwrap(),
            [CaseFile { id: "c".into(), path: file }]
        );
    }

    #[test]
    fn an_empty_folder_says_which_names_were_looked_for() {
        let folder = tempfile::tempdir().unwrap();
        let text = find_cases(folder.path(), "_ct.nii.gz").unwrap_err().to_string();
        assert!(text.contains(".npz or _ct.nii.gz") && text.contains("empty folder"), "{text}");
        assert!(find_cases(Path::new("no/such/place"), "x").unwrap_err().is_rejection());
    }

    #[test]
    fn shards_are_disjoint_and_complete() {
        let mut all: Vec<u32> = (0..3)
            .flat_map(|i| format!("{i}/3").parse::<Shard>().unwrap().of((0..10).collect()))
            .collect();
        all.sort_unstable();
        assert_eq!(all, (0..10).collect::<Vec<_>>());
        assert!("3/3".parse::<Shard>().is_err() && "1".parse::<Shard>().is_err());
    }
}
