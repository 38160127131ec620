//! What preprocessing knew about the slices: `dataset.json` beside `train/` and `valid/`.

use std::collections::BTreeMap;
use std::path::Path;

use ild_io::LabelTable;
use serde::Deserialize;
use serde_json::Value;

use crate::data::dataset::Declared;
use crate::error::Result;

/// Contents of `dataset.json`; every entry may be missing.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Sidecar {
    /// Names and colours of the labels.
    pub label_table: Option<LabelTable>,
    /// HU window of the slices, in preprocessing's words: handed on to the checkpoint as it is.
    pub window: Option<Value>,
    /// `train` and `valid`.
    #[serde(default)]
    pub parts: BTreeMap<String, SidecarPart>,
}

/// What is said of one part.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct SidecarPart {
    /// Whose slices they are.
    #[serde(default)]
    pub cases: Vec<String>,
    /// Slices that a person declared free of disease.
    #[serde(default)]
    pub healthy_slices: Vec<String>,
    /// Which slice of its CT each slice is.
    #[serde(default)]
    pub ct_slices: BTreeMap<String, usize>,
}

impl Sidecar {
    /// Reads `dataset.json` of an npy folder; a folder without one gives nothing.
    ///
    /// # Errors
    /// When the file is there and cannot be understood.
    pub fn read(npy_dir: &Path) -> Result<Self> {
        let path = npy_dir.join("dataset.json");
        ild_cli::inputs::note(&path);
        if !path.exists() {
            return Ok(Self::default());
        }
        let text = ild_io::read_text(&path)?;
        let refuse = |error: serde_json::Error| {
            ild_io::Error::refused(
                &path,
                "label table and window as JSON",
                error.to_string(),
                "run npz-to-npy again",
            )
        };
        Ok(serde_json::from_str(&text).map_err(refuse)?)
    }

    /// What is known of the slices of `part` beyond their labels.
    #[must_use]
    pub fn declared(&self, part: &str) -> Declared {
        let ignored = self.label_table.as_ref().and_then(LabelTable::ignored);
        let part = self.parts.get(part).cloned().unwrap_or_default();
        let healthy = part.healthy_slices.into_iter().collect();
        Declared { healthy, ignored, ct_slices: part.ct_slices }
    }
}
