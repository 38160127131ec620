//! `dataset.json` beside the NPY slices: what training has to know about them.

use std::collections::BTreeMap;
use std::path::Path;

use ild_io::LabelTable;
use serde::{Deserialize, Serialize};

use crate::picture::window::Windowing;
use crate::{Error, Result};

/// Name of the file in the NPY folder.
pub const DATASET_FILE: &str = "dataset.json";

/// Everything about a folder of slices that the slices do not say themselves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dataset {
    /// Names of the label ids.
    pub label_table: LabelTable,
    /// How the CT became grey; `None` when the NPZ did not say (MR, or files of the older scripts).
    pub window: Option<Windowing>,
    /// Rows and columns of the label slices.
    pub label_size: usize,
    /// `train` and `valid`.
    pub parts: BTreeMap<String, DatasetPart>,
}

/// One part of the slices.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DatasetPart {
    /// Names of the cases.
    pub cases: Vec<String>,
    /// Number of slices.
    pub slices: usize,
    /// Slices that hold each label id.
    pub slices_per_label: BTreeMap<u8, usize>,
    /// Names of the slices declared free of disease.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub healthy_slices: Vec<String>,
    /// Which slice of its CT each slice is.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ct_slices: BTreeMap<String, usize>,
    /// Slices left out because every label of theirs vanished at the label size.
    pub vanished_slices: usize,
}

impl Dataset {
    /// Reads `dataset.json` of an NPY folder; `None` when there is none (a folder made by the older
    /// scripts).
    ///
    /// # Errors
    /// When it is there and is not what this program writes.
    pub fn read(npy_dir: &Path) -> Result<Option<Self>> {
        let path = npy_dir.join(DATASET_FILE);
        if !path.exists() {
            return Ok(None);
        }
        let text = ild_io::read_text(&path)?;
        serde_json::from_str(&text).map(Some).map_err(|error| {
            Error::refused(
                &path,
                "what `ild-preprocess npz-to-npy` writes",
                error.to_string(),
                "run npz-to-npy again with --force",
            )
        })
    }

    /// Writes `dataset.json` into an NPY folder.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, npy_dir: &Path) -> Result<()> {
        Ok(ild_cli::write_json_atomic(&npy_dir.join(DATASET_FILE), self)?)
    }
}
