//! The flags of `ild-fit`.

use std::path::PathBuf;

use clap::Args;
use ild_model::PrecisionWish;
use serde::Serialize;

/// Which weights, on which patients.
#[derive(Args, Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FitSettings {
    /// Weights that have learned to find and name lesions, one file; it stays as it is.
    #[arg(long, value_name = "FILE")]
    pub checkpoint: PathBuf,
    /// Size of the model: t, s, b+, l, nano, t512 or a TOML description [default: what the checkpoint
    /// says].
    #[arg(long, value_name = "M")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// CTs of the validation cases, among others: a folder of `<case><suffix>`, or of DICOM.
    #[arg(long, value_name = "DIR")]
    pub input: PathBuf,
    /// A CT is called `<case><suffix>`.
    #[arg(long, default_value = "_0000.nii.gz", value_name = "SUFFIX")]
    pub img_name_suffix: String,
    /// Ground truth of the validation cases, and so which they are: NPZ of `ild-preprocess`
    /// (npz_valid), or label maps.
    #[arg(long, value_name = "DIR")]
    pub valid: PathBuf,
    /// Its label maps are called `<case><suffix>`.
    #[arg(long, default_value = ".nii.gz", value_name = "SUFFIX")]
    pub gt_name_suffix: String,
    /// Folder of the training cases, NPZ or label maps: no patient of these may be among the
    /// validation's. Needed where the weights do not say which cases they know.
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train: Option<PathBuf>,
    /// The same of the test cases.
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<PathBuf>,
    /// CSV with the columns case and patient, when several cases are of one patient.
    #[arg(long, value_name = "FILE.csv")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patients: Option<PathBuf>,
    /// Redraws of the patients behind the interval that decides.
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(100..))]
    pub bootstrap: u32,
    /// What the image encoder computes in.
    #[arg(long, value_enum, default_value = "f32")]
    pub precision: PrecisionWish,
    /// Folder for the weights with rules and for how they were found.
    #[arg(long, value_name = "DIR")]
    pub output: PathBuf,
}
