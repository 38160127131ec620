//! The flags of `ild-metrics quantify`.

use std::path::PathBuf;

use clap::Args;
use ild_io::cohort::bare_case;
use serde::Serialize;

/// Measure a mask: volume per class, share of the lung, and where in the lung.
#[derive(Args, Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct QuantifySettings {
    /// Label map, NIfTI; of people or of a program.
    #[arg(value_name = "MASK")]
    pub mask: PathBuf,
    /// Lung mask on the same grid; every value but 0 is lung.
    #[arg(long, value_name = "MASK")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lung: Option<PathBuf>,
    /// CT on the same grid, in HU; without --lung the lung is found in it, and the report shows
    /// slices of it.
    #[arg(long, value_name = "CT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ct: Option<PathBuf>,
    /// Folder for quantification.json, quantification.csv and report.html [default: only the
    /// printed table].
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<PathBuf>,
    /// JSON with the names of the labels, nnU-Net's dataset.json too [default: those that ild-infer
    /// wrote beside the mask, else labels.json or dataset.json beside or above it, else none].
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<PathBuf>,
}

impl QuantifySettings {
    /// The mask's name without ending.
    #[must_use]
    pub fn case(&self) -> String {
        let name = self.mask.file_name().unwrap_or_default().to_string_lossy();
        bare_case(&name, &[]).to_owned()
    }
}
