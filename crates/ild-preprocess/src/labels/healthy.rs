//! What a person declared free of disease: `{"cases": ["id"], "slices": {"id": [z, …]}}`.
//!
//! A slice without a label says nothing by itself: most were never looked at. Only what this file
//! names is shown to training as "no lesion here".

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use ild_io::Geometry;
use ild_io::cohort::Beside;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Slices of an array, or what stands where one should be.
type Declared = std::result::Result<BTreeSet<usize>, String>;

/// Cases and slices declared free of disease.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Healthy {
    /// Cases of which every slice is.
    #[serde(default)]
    pub cases: BTreeSet<String>,
    /// Case → slices of the CT's file, counted from 0 in the order in which it stores them.
    #[serde(default)]
    pub slices: BTreeMap<String, BTreeSet<usize>>,
    /// The file that says so.
    #[serde(skip)]
    pub from: Option<PathBuf>,
}

impl Healthy {
    /// Reads the file.
    ///
    /// # Errors
    /// When it cannot be read or says something else.
    pub fn read(path: &Path) -> Result<Self> {
        let text = ild_io::read_text(path)?;
        let read: std::result::Result<Self, _> = serde_json::from_str(&text);
        let declared = read.map_err(|error| {
            Error::refused(
                path,
                "{\"cases\": [\"id\"], \"slices\": {\"id\": [z]}}",
                error.to_string(),
                "docs/data-format.md describes the file",
            )
        })?;
        Ok(Self { from: Some(path.to_owned()), ..declared })
    }

    /// Whether nothing is declared.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cases.is_empty() && self.slices.is_empty()
    }

    /// Whether anything is declared of a case.
    #[must_use]
    pub fn names(&self, case: &str) -> bool {
        self.cases.contains(case) || self.slices.get(case).is_some_and(|slices| !slices.is_empty())
    }

    /// Axial slices of a case that are declared free of disease, as they are in the array of its CT.
    ///
    /// # Errors
    /// What was found instead of an axial slice of the CT, in words.
    pub fn slices_of(&self, case: &str, ct: &Geometry) -> Declared {
        if self.cases.contains(case) {
            return Ok((0..ct.shape_zyx[0]).collect());
        }
        let stored = ct.stored_codes();
        let turned = |&z: &usize| match ct.array_slice(z) {
            Some(at) => Ok(at),
            None if stored.ends_with(['S', 'I']) => {
                Err(format!("no slice {z}: the CT has {}, counted from 0", ct.shape_zyx[0]))
            }
            None => Err(format!("slice {z}, which is not axial: the CT is stored {stored}")),
        };
        self.slices.get(case).into_iter().flatten().map(turned).collect()
    }

    /// Cases that are named here and not among `there`.
    ///
    /// # Errors
    /// Refuses a name that looks like a slip of one that is there, and names of which none is.
    pub fn absent<'a>(&'a self, there: &[&'a str]) -> Result<BTreeSet<&'a str>> {
        let named = self.cases.iter().chain(self.slices.keys()).map(String::as_str);
        let beside = Beside::new(named, there.iter().copied());
        if let Some(path) = &self.from {
            beside.refuse_slips(path, "declared case", "pair of files")?;
        }
        Ok(beside.only_first)
    }
}

#[cfg(test)]
mod tests {
    use ild_io::Affine;

    use super::*;

    #[test]
    fn cases_and_slices_are_read_and_anything_else_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("healthy.json");
        std::fs::write(&path, r#"{"cases": ["b"], "slices": {"a": [3, 1]}}"#).unwrap();
        let healthy = Healthy::read(&path).unwrap();
        let ct = |depth| Geometry::new([depth, 5, 5], Affine::from_spacing_xyz_mm([1.0; 3]));
        assert_eq!(healthy.slices_of("b", &ct(2)), Ok([0, 1].into()));
        assert_eq!(healthy.slices_of("a", &ct(4)), Ok([1, 3].into()));
        assert!(healthy.slices_of("a", &ct(3)).unwrap_err().contains("no slice 3"));
        assert_eq!(healthy.slices_of("c", &ct(3)), Ok([].into()));
        assert_eq!(healthy.absent(&["a", "c"]).unwrap(), ["b"].into());
        let slip = healthy.absent(&["a", "B"]).unwrap_err().to_string();
        assert!(slip.contains("the nearest is `B`"), "{slip}");
        std::fs::write(&path, r#"{"case": ["b"]}"#).unwrap();
        assert!(Healthy::read(&path).unwrap_err().is_rejection());
    }
}
