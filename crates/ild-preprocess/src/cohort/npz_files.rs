//! Which NPZ files a stage is given.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ild_io::cohort::{Depth, Twice, Wanted, case_files};

use crate::{Error, Result};

/// Name → file, for `folder/*.npz` and `folder/*/*.npz`.
pub(crate) fn find_npz(folder: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let wanted = Wanted {
        dicom: ild_io::cohort::Dicom::No,
        suffix: None,
        but_not: None,
        npz: true,
        depth: Depth::HereAndBelow,
        twice: Twice::Refused,
    };
    let found = case_files(folder, &wanted)?;
    match found.unnameable.first() {
        None => Ok(found.cases),
        Some(path) => {
            Err(Error::refused(path, "a UTF-8 file name", "other bytes", "rename the file"))
        }
    }
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
