//! What can be asked of an evaluation: the flags of `ild-metrics evaluate`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};
use serde::{Serialize, Serializer};

/// Compare predictions with ground truth.
#[derive(Args, Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct EvaluateSettings {
    /// Folder of predicted label maps: `<case>.nii.gz`, or NPZ with one array per label name.
    #[arg(long, value_name = "DIR")]
    pub pred: PathBuf,
    /// Folder of ground truth: NPZ of `ild-preprocess nii-to-npz`, or label maps `<case>.nii.gz`.
    #[arg(long, value_name = "DIR")]
    pub gt: PathBuf,
    /// Folder for the tables, plots and the report. Everything is measured anew each time (--force
    /// or not), and what an earlier evaluation left there is replaced.
    #[arg(long, value_name = "DIR")]
    pub output: PathBuf,
    /// What `--pred` is called in tables and report.
    #[arg(long, value_name = "NAME", default_value = "prediction")]
    pub name: String,
    /// Other predictions of the same cases, scored alike and shown beside it (untrained weights,
    /// filled boxes, another model).
    #[arg(long, alias = "compare", value_name = "NAME=DIR", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub baseline: Vec<NamedFolder>,
    /// Predictions of the same cases made without any prompt: the second headline, never mixed with
    /// the first.
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub automatic: Option<PathBuf>,
    /// The experiment `ild-infer --prompt gt-other`: each lesion prompted with the box of another
    /// one. If the box matters, this scores low.
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other_box: Option<PathBuf>,
    /// The experiment `ild-infer --prompt gt-empty`: each lesion prompted with a box that holds
    /// nothing.
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub empty_box: Option<PathBuf>,
    /// Label maps `<case>.nii.gz` in which every slice of the CT is known, as `ild-phantom` writes
    /// them to truthTr: measures the slices that nobody annotated too.
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truth: Option<PathBuf>,
    /// Predictions of patients who are known to have no disease: whatever is in them is false.
    #[arg(long, value_name = "NAME=DIR", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub healthy: Vec<NamedFolder>,
    /// Folder with the CT of each case for the report's pictures, NPZ or NIfTI [default: the images
    /// inside ground-truth NPZ].
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images: Option<PathBuf>,
    /// Ending of the CT files in --images when they are NIfTI.
    #[arg(long, value_name = "SUFFIX", default_value = "_0000.nii.gz")]
    pub img_name_suffix: String,
    /// Ending of the ground-truth files when they are NIfTI.
    #[arg(long, value_name = "SUFFIX", default_value = ".nii.gz")]
    pub gt_name_suffix: String,
    /// Ending of the predicted files when they are NIfTI.
    #[arg(long, value_name = "SUFFIX", default_value = ".nii.gz")]
    pub pred_name_suffix: String,
    /// JSON with the names of the labels, nnU-Net's dataset.json too [default: labels.json or
    /// dataset.json beside or above the ground truth, else what ground truth and predictions say
    /// themselves, else numbers].
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<PathBuf>,
    /// Distance at which two surfaces count as the same in NSD, mm.
    #[arg(long, value_name = "MM", default_value_t = 2.0, value_parser = not_negative)]
    pub nsd_tolerance_mm: f64,
    /// Which slices of a ground-truth NIfTI were looked at by the annotator. NPZ files say it
    /// themselves.
    #[arg(long, default_value = "labelled")]
    pub annotated: Annotated,
    /// Share of a lesion that has to be covered for it to count as found, 0 to 1; any overlap
    /// counts at 0.
    #[arg(long, value_name = "SHARE", default_value_t = 0.1, value_parser = share)]
    pub lesion_overlap: f64,
    /// Redraws of the patients behind each 95 % interval; 0 for none.
    #[arg(long, value_name = "N", default_value_t = 2000)]
    pub bootstrap: usize,
    /// CSV with the columns case and patient, when several cases are of one patient [default: each
    /// case its own patient].
    #[arg(long, value_name = "FILE.csv")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patients: Option<PathBuf>,
    /// Also write `parity/`: the older evaluation script's tables with its rules and its swapped
    /// spacing.
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub parity: bool,
}

/// Which slices of a label map count as annotated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Annotated {
    /// Those that hold a label; on the others the prediction's volume is reported apart.
    #[default]
    Labelled,
    /// All: a slice without label is known to hold no lesion.
    All,
}

/// `NAME=DIR`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedFolder {
    /// What it is called in tables and report.
    pub name: String,
    /// The folder.
    pub path: PathBuf,
}

impl FromStr for NamedFolder {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, path)) if !name.trim().is_empty() && !path.is_empty() => {
                Ok(Self { name: name.trim().to_owned(), path: path.into() })
            }
            _ => {
                Err("expected NAME=DIR, e.g. `before training=runs/sample/infer-initial`"
                    .to_owned())
            }
        }
    }
}

impl Serialize for NamedFolder {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}={}", self.name, self.path.display()))
    }
}

fn not_negative(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|v: &f64| v.is_finite() && *v >= 0.0)
        .ok_or_else(|| "expected a length in mm, 0 or more".to_owned())
}

fn share(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|v| (0.0..=1.0).contains(v))
        .ok_or_else(|| "expected a share from 0 to 1".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_folder_needs_both_parts() {
        let named: NamedFolder = "before training=runs/a=b".parse().unwrap();
        assert_eq!(
            (named.name.as_str(), named.path.to_str()),
            ("before training", Some("runs/a=b"))
        );
        assert!("runs/a".parse::<NamedFolder>().is_err());
        assert!("=runs".parse::<NamedFolder>().is_err());
    }
}
