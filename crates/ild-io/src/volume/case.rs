//! One patient scan.

use std::path::Path;

use crate::{LabelMap, Result, Volume};

/// A CT with its label map, on one grid.
#[derive(Clone, Debug)]
pub struct Case {
    /// Name without suffixes.
    pub id: String,
    /// The scan.
    pub ct: Volume,
    /// Lesions, when known.
    pub label: Option<LabelMap>,
}

impl Case {
    /// Puts a CT and its label together; there is no `Case` whose two grids differ.
    ///
    /// # Errors
    /// When the label lies on another grid ([`LabelMap::on_grid_of`]); `label_path` is named.
    pub fn new(
        id: impl Into<String>,
        ct: Volume,
        label: Option<LabelMap>,
        label_path: &Path,
    ) -> Result<Self> {
        let label = label
            .map(|label| label.on_grid_of(label_path, "label", "CT", &ct.geometry))
            .transpose()?;
        Ok(Self { id: id.into(), ct, label })
    }
}
