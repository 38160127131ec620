//! Which files of a folder are cases.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ild_cli::Refusal;

use super::listing::{is_hidden, list};
use crate::files::dicom_study;
use crate::{Format, Result};

/// How many file names a refusal shows.
const SHOWN_NAMES: usize = 3;

/// Endings of files that hold a scan, a mask or a stack, longest first.
const ENDINGS: [&str; 9] =
    [".seg.nrrd", ".seg.dcm", ".nii.gz", ".nrrd", ".nii", ".npz", ".hdr", ".dcm", ".zip"];
/// What a DICOM Segmentation of a case is called.
const SEGMENTATIONS: [&str; 2] = [".seg.dcm", ".dcm"];

/// What counts as the file of a case.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// A volume is called `<case><suffix>`; of `.nii.gz`, `.nii` will do. `None`: volumes are no
    /// cases.
    pub suffix: Option<&'a str>,
    /// A volume is not called `<case><but_not>`, although that ends in `suffix` too: the CTs in a
    /// folder that they share with their labels.
    pub but_not: Option<&'a str>,
    /// `<case>.npz` counts.
    pub npz: bool,
    /// Which DICOM counts.
    pub dicom: Dicom,
    /// Where to look.
    pub depth: Depth,
    /// What to do with a case that has an NPZ and a volume side by side.
    pub twice: Twice,
}

/// Where cases are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// In the folder.
    Here,
    /// In the folder; when it holds none, in the folders directly in it.
    BelowIfNoneHere,
    /// In the folder and in the folders directly in it.
    HereAndBelow,
}

/// Which DICOM is the file of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dicom {
    /// None.
    No,
    /// A folder or a zip archive of it, called `<case>` or, with nnU-Net's channel, `<case>_0000`.
    Series,
    /// A Segmentation called `<case>.dcm` or `<case>.seg.dcm`.
    Segmentation,
}

/// An NPZ and a volume of one case in one folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Twice {
    /// Nobody can say which is meant.
    Refused,
    /// The volume is taken: it says where it lies.
    Volume,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// Case → file.
    pub cases: BTreeMap<String, PathBuf>,
    /// Files that would be cases if their names were UTF-8.
    pub unnameable: Vec<PathBuf>,
}

impl Files {
    /// The cases' names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.cases.keys().map(String::as_str)
    }

    /// These files, or a refusal that says which names were looked for and what is there.
    ///
    /// # Errors
    /// When there is no case at all.
    pub fn or_refuse(self, folder: &Path, wanted: &Wanted, next: &str) -> Result<Self> {
        if !self.cases.is_empty() || !self.unnameable.is_empty() {
            return Ok(self);
        }
        let dicom = match wanted.dicom {
            Dicom::No => None,
            Dicom::Series => Some(" (or folders or zips of DICOM)"),
            Dicom::Segmentation => Some(".dcm"),
        };
        let npz = wanted.npz.then_some(".npz");
        let endings: Vec<&str> = npz.into_iter().chain(wanted.suffix).chain(dicom).collect();
        let here = list(folder)?;
        let names: Vec<_> = here
            .iter()
            .take(SHOWN_NAMES)
            .filter_map(|path| path.file_name())
            .map(|name| name.to_string_lossy())
            .collect();
        let found = if names.is_empty() {
            "an empty folder".to_owned()
        } else {
            format!("only {}", names.join(", "))
        };
        let expected = format!("files that end in {}", endings.join(" or "));
        Err(Refusal::of(folder).expected(expected).found(found).next(next).into())
    }
}

/// The cases in `folder`; hidden files, and the pictures that `ild-preprocess nii-to-npz
/// --save-nii` puts beside its NPZ, are none.
///
/// # Errors
/// Refuses a folder that is not there and a case with two files; fails when it cannot be read.
pub fn case_files(folder: &Path, wanted: &Wanted) -> Result<Files> {
    let here = list(folder)?;
    let mut found = Files::default();
    add(&mut found, &here, folder, wanted)?;
    let below = match wanted.depth {
        Depth::Here => false,
        Depth::BelowIfNoneHere => found.cases.is_empty(),
        Depth::HereAndBelow => true,
    };
    if below {
        for sub in here.iter().filter(|path| path.is_dir() && !is_hidden(path)) {
            add(&mut found, &list(sub)?, folder, wanted)?;
        }
    }
    Ok(found)
}

fn add(found: &mut Files, paths: &[PathBuf], folder: &Path, wanted: &Wanted) -> Result<()> {
    for path in paths.iter().filter(|path| !is_hidden(path)) {
        let Some(name) = path.file_name() else { continue };
        let Some(text) = name.to_str() else {
            if case_of(&name.to_string_lossy(), wanted).is_some() {
                found.unnameable.push(path.clone());
            }
            continue;
        };
        // Whatever has a case's name is one; a reader refuses what is no file, in words.
        let dicom = || case_of_dicom(path, text, wanted);
        let Some(case) = case_of(text, wanted).or_else(dicom) else { continue };
        if is_for_looking(path, text) {
            continue;
        }
        let Some(other) = found.cases.insert(case.to_owned(), path.clone()) else { continue };
        match (wanted.twice, is_npz(&other), is_npz(path)) {
            (Twice::Volume, true, false) if other.parent() == path.parent() => {}
            (Twice::Volume, false, true) if other.parent() == path.parent() => {
                found.cases.insert(case.to_owned(), other);
            }
            _ => {
                return Err(Refusal::of(folder)
                    .expected("one file per case")
                    .found(format!("`{case}` twice: {} and {}", other.display(), path.display()))
                    .next("name the folder that holds only one of them")
                    .into());
            }
        }
    }
    Ok(())
}

/// The case that a file of this name is of.
fn case_of<'a>(name: &'a str, wanted: &Wanted) -> Option<&'a str> {
    let is_other = wanted.but_not.is_some_and(|other| without(name, other).is_some());
    let volume = wanted.suffix.filter(|_| !is_other);
    let npz = if wanted.npz { name.strip_suffix(".npz") } else { None };
    npz.or_else(|| without(name, volume?)).filter(|case| !case.is_empty())
}

/// The same of DICOM, which is recognised by what it is: folders have any name.
fn case_of_dicom<'a>(path: &Path, name: &'a str, wanted: &Wanted) -> Option<&'a str> {
    match wanted.dicom {
        Dicom::No => None,
        Dicom::Segmentation => {
            let case = SEGMENTATIONS.iter().find_map(|end| name.strip_suffix(end))?;
            Format::of(path).is_ok_and(|format| format == Format::DicomSeg).then_some(case)
        }
        Dicom::Series => {
            let folder = path.is_dir().then_some(name).or_else(|| name.strip_suffix(".zip"))?;
            let channel = wanted.suffix.map(|suffix| suffix.split('.').next().unwrap_or_default());
            let case = channel.and_then(|channel| folder.strip_suffix(channel)).unwrap_or(folder);
            dicom_study::holds_dicom(path).then_some(case)
        }
    }
    .filter(|case| !case.is_empty())
}

fn without<'a>(name: &'a str, suffix: &str) -> Option<&'a str> {
    name.strip_suffix(suffix).or_else(|| name.strip_suffix(suffix.strip_suffix(".gz")?))
}

fn is_npz(path: &Path) -> bool {
    path.extension().is_some_and(|end| end.eq_ignore_ascii_case("npz"))
}

/// Whether the file is one that `ild-preprocess nii-to-npz --save-nii` puts beside `<case>.npz`:
/// grey values and labels of some slices to look at, no CT and no label map of one.
fn is_for_looking(path: &Path, name: &str) -> bool {
    let case = ["_img.nii.gz", "_gt.nii.gz"].iter().find_map(|end| name.strip_suffix(end));
    case.is_some_and(|case| path.with_file_name(format!("{case}.npz")).is_file())
}

/// The case that somebody means by `name`: the last part of a path, without the ending of a scan
/// and without the `suffixes` of the cohort. A name without any of these is the case itself.
#[must_use]
pub fn bare_case<'a>(name: &'a str, suffixes: &[&str]) -> &'a str {
    let file = name.trim().rsplit(['/', '\\']).next().unwrap_or(name);
    suffixes
        .iter()
        .copied()
        .chain(ENDINGS)
        .find_map(|end| without(file, end))
        .filter(|case| !case.is_empty())
        .unwrap_or(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, b"x").unwrap();
        }
        folder
    }

    fn wanted(suffix: &str) -> Wanted<'_> {
        Wanted {
            suffix: Some(suffix),
            but_not: None,
            npz: true,
            dicom: Dicom::No,
            depth: Depth::BelowIfNoneHere,
            twice: Twice::Refused,
        }
    }

    fn names(made: &tempfile::TempDir, wanted: &Wanted) -> Vec<String> {
        case_files(made.path(), wanted).unwrap().names().map(str::to_owned).collect()
    }

    #[test]
    fn a_folder_gives_its_cases_by_name() {
        let made =
            folder(&["b_0000.nii.gz", "a.npz", "a.json", "c.nii.gz", ".hidden.npz", "d_0000.nii"]);
        assert_eq!(names(&made, &wanted("_0000.nii.gz")), ["a", "b", "d"]);
    }

    #[test]
    fn cases_one_folder_down_are_found_once() {
        let made = folder(&["CT_ILD/a.npz", "CT_ILD/b.npz", "readme.txt", ".ild/c.npz"]);
        assert_eq!(names(&made, &wanted(".nii.gz")), ["a", "b"]);
        let twice = folder(&["x/a.npz", "y/a.npz"]);
        let error = case_files(twice.path(), &wanted(".nii.gz")).unwrap_err().to_string();
        assert!(error.contains("one file per case") && error.contains("`a` twice"), "{error}");
    }

    #[test]
    fn of_a_volume_and_an_npz_either_the_volume_counts_or_none() {
        let made = folder(&["a.nii.gz", "a.npz", "b.npz"]);
        assert!(case_files(made.path(), &wanted(".nii.gz")).is_err());
        let volumes = Wanted { twice: Twice::Volume, ..wanted(".nii.gz") };
        let found = case_files(made.path(), &volumes).unwrap();
        assert_eq!(found.cases["a"], made.path().join("a.nii.gz"));
        assert_eq!(found.cases["b"], made.path().join("b.npz"));
    }

    #[test]
    fn pictures_beside_an_npz_are_no_cases() {
        let made = folder(&["x.npz", "x_img.nii.gz", "x_gt.nii.gz", "y_img.nii.gz"]);
        assert_eq!(names(&made, &wanted(".nii.gz")), ["x", "y_img"], "y_img belongs to no NPZ");
    }

    #[test]
    fn cts_that_share_a_folder_with_their_labels_are_no_labels() {
        let made = folder(&["a_0000.nii.gz", "a.nii.gz"]);
        let labels = Wanted { but_not: Some("_0000.nii.gz"), ..wanted(".nii.gz") };
        assert_eq!(names(&made, &labels), ["a"]);
    }

    #[test]
    fn an_empty_folder_says_which_names_were_looked_for() {
        let made = folder(&["notes.txt"]);
        let wanted = wanted("_ct.nii.gz");
        let text = case_files(made.path(), &wanted)
            .unwrap()
            .or_refuse(made.path(), &wanted, "")
            .unwrap_err()
            .to_string();
        assert!(text.contains(".npz or _ct.nii.gz") && text.contains("only notes.txt"), "{text}");
        assert!(case_files(&made.path().join("absent"), &wanted).unwrap_err().is_rejection());
    }

    #[test]
    fn a_name_with_an_ending_or_a_path_means_the_case() {
        let bare = |name| bare_case(name, &["_0000.nii.gz"]);
        assert_eq!(bare("imagesTr/p1a_0000.nii.gz"), "p1a");
        assert_eq!(bare("C:\\scans\\p1a.nii"), "p1a");
        assert_eq!(
            (bare("p1a.seg.nrrd"), bare(" p1a "), bare(".nii.gz")),
            ("p1a", "p1a", ".nii.gz")
        );
    }
}
