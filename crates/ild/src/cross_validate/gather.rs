//! The predictions of all folds in one folder, as links.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use ild_cli::Rejected;

use super::fold::Folds;
use crate::stage::files_below;

/// Folders of predictions, in a fold and of all.
const KINDS: [&str; 2] = ["infer", "infer-auto"];

/// Makes `OUTPUT/infer` and `OUTPUT/infer-auto` anew.
///
/// # Errors
/// When a case was to be predicted by two folds, or has no prediction.
pub fn gather(folds: &Folds) -> anyhow::Result<()> {
    for kind in KINDS {
        let all = folds.output().join(kind);
        take_links_away(&all)?;
        let there: Vec<u16> =
            folds.each().filter(|fold| folds.folder(*fold).join(kind).is_dir()).collect();
        if there.is_empty() {
            continue; // e.g. nothing is found without a prompt in MR
        }
        fs::create_dir_all(&all).with_context(|| all.display().to_string())?;
        let mut seen = BTreeSet::new();
        for fold in there {
            let predicted = folds.folder(fold).join(kind);
            for case in cases(&folds.npz(fold, "test")) {
                if !seen.insert(case.clone()) {
                    bail!("{case} is in the test of two folds, of which fold {fold} is one");
                }
                link_case(&predicted, &case, &all)?;
            }
        }
    }
    Ok(())
}

/// Empties a folder of links; anything else in it is not of an earlier gathering.
fn take_links_away(folder: &Path) -> anyhow::Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    let at = || folder.display().to_string();
    let entries: Vec<_> = fs::read_dir(folder).with_context(at)?.collect::<Result<_, _>>()?;
    if let Some(other) = entries.iter().find(|entry| !entry.path().is_symlink()) {
        bail!(Rejected(format!(
            "{}: expected links to the predictions of the folds, found something else; choose \
             another pipeline.output, or move it away",
            other.path().display()
        )));
    }
    entries.iter().try_for_each(|entry| fs::remove_file(entry.path())).with_context(at)?;
    fs::remove_dir(folder).with_context(at)
}

/// Names of the NPZ below a folder.
fn cases(folder: &Path) -> Vec<String> {
    let files = files_below(folder).into_iter();
    let npz = files.filter(|file| file.extension() == Some(OsStr::new("npz")));
    npz.filter_map(|file| Some(file.file_stem()?.to_string_lossy().into_owned())).collect()
}

/// The label map of a case and what lies beside it: `<case>.nii.gz`, `<case>.json` and so on.
fn link_case(from: &Path, case: &str, to: &Path) -> anyhow::Result<()> {
    let whole = fs::canonicalize(from).with_context(|| from.display().to_string())?;
    let mut found = false;
    for entry in fs::read_dir(&whole).with_context(|| from.display().to_string())? {
        let entry = entry?;
        let name = entry.file_name();
        let of_case = name.to_string_lossy().strip_prefix(case).is_some_and(|r| r.starts_with('.'));
        if of_case && entry.path().is_file() {
            let link = to.join(&name);
            std::os::unix::fs::symlink(entry.path(), &link)
                .with_context(|| link.display().to_string())?;
            found = true;
        }
    }
    if !found {
        bail!("{}: expected the prediction of {case}, found none", from.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_takes_its_own_files_and_not_those_of_a_longer_name() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::create_dir_all(&to).unwrap();
        fs::create_dir_all(from.join("p1.folder")).unwrap();
        for name in ["p1.nii.gz", "p1.json", "p10.nii.gz"] {
            fs::write(from.join(name), name).unwrap();
        }
        link_case(&from, "p1", &to).unwrap();
        let mut names: Vec<_> =
            fs::read_dir(&to).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["p1.json", "p1.nii.gz"]);
        assert_eq!(fs::read_to_string(to.join("p1.json")).unwrap(), "p1.json");
        assert!(link_case(&from, "p2", &to).is_err());
    }
}
