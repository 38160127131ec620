//! Which NPZ files a stage is given.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::cohort::pairs::list;
use crate::{Error, Result};

/// Name → file, for `folder/*.npz` and `folder/*/*.npz`.
pub(crate) fn find_npz(folder: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let mut files: BTreeMap<String, PathBuf> = BTreeMap::new();
    let here = list(folder)?;
    let below = here
        .iter()
        .filter(|path| path.is_dir() && !hidden(path))
        .map(|path| list(path))
        .collect::<Result<Vec<_>>>()?;
    for path in here.iter().chain(below.iter().flatten()) {
        if hidden(path) || path.extension().is_none_or(|ending| ending != "npz") {
            continue;
        }
        let name = path.file_stem().and_then(|stem| stem.to_str()).ok_or_else(|| {
            Error::refused(path, "a UTF-8 file name", "other bytes", "rename the file")
        })?;
        if let Some(other) = files.insert(name.to_owned(), path.clone()) {
            return Err(Error::refused(
                path,
                "each name once",
                format!("{} as well", other.display()),
                "name one of the two folders, or make the NPZ with --name-prefix",
            ));
        }
    }
    Ok(files)
}

fn hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

pub(crate) fn refuse_overlap(
    train: &BTreeMap<String, PathBuf>,
    valid: &BTreeMap<String, PathBuf>,
) -> Result<()> {
    match train.iter().find(|(name, _)| valid.contains_key(*name)) {
        None => Ok(()),
        Some((name, path)) => Err(Error::refused(
            path,
            "a case that is only trained on",
            format!("the same case in {}", valid[name].display()),
            "a case in two parts is a leak: remove one of the two",
        )),
    }
}
