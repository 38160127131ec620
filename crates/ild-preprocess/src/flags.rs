//! The flags of both stages, and what they mean to the library.
#![allow(
    rustdoc::invalid_html_tags,
    rustdoc::broken_intra_doc_links,
    reason = "the flags' docs are help texts: a terminal shows `<case>` as it is"
)]

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::{Args, builder::PossibleValuesParser, builder::TypedValueParser};
use ild_cli::Common;
use ild_io::Window;
use ild_io::cohort::LabelNames;
use serde::Serialize;

use crate::cohort::pairs::Sources;
use crate::cohort::placing::SplitChoice;
use crate::cohort::split::FoldUse;
use crate::labels::dust::DustLimits;
use crate::labels::healthy::Healthy;
use crate::picture::grey_level::Scaling;
use crate::picture::window::{PRESETS, Windowing};
use crate::stages::case::{CaseSettings, Modality};
use crate::stages::nii_to_npz::NiiToNpz;
use crate::stages::npz_to_npy::{NpzToNpy, TrainingPart};
use crate::stages::summary::Status;
use crate::{Error, Result};

/// The duodenum in the abdominal set that the older scripts were written for; they always drop it.
const REFERENCE_REMOVED_ID: u8 = 12;

/// Flags of `nii-to-npz`.
#[derive(Args, Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct NiiToNpzFlags {
    /// Folder of CT files, `<case>_0000.nii.gz`.
    #[arg(long, value_name = "DIR")]
    pub img_path: PathBuf,
    /// Folder of label files, `<case>.nii.gz`, on the grids of the CTs.
    #[arg(long, value_name = "DIR")]
    pub gt_path: PathBuf,
    /// Where npz_train/, npz_valid/ and npz_test/ are made.
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
    /// What follows the case name in a CT's file name.
    #[arg(long, default_value = "_0000.nii.gz", value_name = "SUFFIX")]
    pub img_name_suffix: String,
    /// What follows the case name in a label's file name.
    #[arg(long, default_value = ".nii.gz", value_name = "SUFFIX")]
    pub gt_name_suffix: String,
    /// CT (a window makes Hounsfield units grey) or MR (percentiles do).
    #[arg(long, value_enum, default_value = "CT")]
    pub modality: Modality,
    /// Second half of the folder name <modality>_<anatomy>.
    #[arg(long, default_value = "ILD", value_name = "NAME", value_parser = folder_name)]
    pub anatomy: String,
    /// Put <modality>_<anatomy>_ before each file name.
    #[arg(long)]
    pub name_prefix: bool,
    /// Names of the label ids: labels.json or nnU-Net's dataset.json [default: one of these beside
    /// or above --gt-path, else the five ILD classes].
    #[arg(long, value_name = "FILE.json")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<PathBuf>,

    /// Cases and slices that a person declared free of disease; they teach "no lesion here". JSON:
    /// {"cases": ["id"], "slices": {"id": [z]}}, z counted from 0.
    #[arg(long, value_name = "FILE.json")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthy: Option<PathBuf>,

    /// Window by name: soft (40/400), lung (-600/1500), lung-wide (-1000..500 HU), medsam-lung
    /// (-160/1500), or rgb (lung,
    /// -450/700 and soft on the three channels) [default: soft, which makes aerated lung black].
    #[arg(long, value_name = "NAME", conflicts_with_all = ["window_level", "window_width"], value_parser = preset(), help_heading = "Window")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<String>,
    /// Centre of the window, HU [default: 40].
    #[arg(long, allow_negative_numbers = true, value_name = "HU", help_heading = "Window")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_level: Option<f64>,
    /// Extent of the window, HU [default: 400].
    #[arg(long, value_name = "HU", value_parser = positive, help_heading = "Window")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_width: Option<f64>,

    /// Remove 26-connected components of fewer voxels than this, each label on its own.
    #[arg(long, default_value_t = DustLimits::default().min_voxels_3d, value_name = "N", help_heading = "Labels")]
    pub min_voxels_3d: u64,
    /// Then remove 8-connected components of fewer pixels than this in each slice.
    #[arg(long, default_value_t = DustLimits::default().min_pixels_2d, value_name = "N", help_heading = "Labels")]
    pub min_pixels_2d: u64,
    /// Label ids to drop, e.g. 12,13.
    #[arg(long, value_delimiter = ',', value_name = "ID,ID", help_heading = "Labels")]
    pub remove_label_ids: Vec<u8>,
    /// Give each 26-connected component of this label an id of its own.
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(u8).range(1..), help_heading = "Labels")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tumor_id: Option<u8>,

    /// Split by a file: {"train": [], "valid": [], "test": []} or nnU-Net's splits_final.json.
    #[arg(long, value_name = "FILE.json", conflicts_with_all = ["ratios", "folds"], help_heading = "Split")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub splits: Option<PathBuf>,
    /// Which fold of a splits_final.json, counted from 0.
    #[arg(long, default_value_t = 0, value_name = "N", help_heading = "Split")]
    pub fold: usize,
    /// Shares of patients in train, valid and test [default: 70,10,20].
    #[arg(long, value_name = "TRAIN,VALID,TEST", value_parser = shares, conflicts_with = "folds", help_heading = "Split")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratios: Option<Ratios>,
    /// Cross-validation: fold_0/ .. fold_<K-1>/, each with npz_train/ and npz_valid/.
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u16).range(2..), help_heading = "Split")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folds: Option<u16>,
    /// With --folds: fold <K> also gets npz_test/. Its own cases are the test then, those of the
    /// next fold choose the best epoch, and the rest teach; three folds at least.
    #[arg(long, requires = "folds", help_heading = "Split")]
    pub fold_tests: bool,
    /// Draw the split anew although the output folder has one; says which cases move. Without this
    /// a split stays as it was first drawn: new cases are placed beside the others.
    #[arg(long, help_heading = "Split")]
    #[serde(skip)]
    pub redraw: bool,
    /// CSV of case,patient for patients who were scanned more than once; their scans stay together.
    #[arg(long, value_name = "FILE.csv", help_heading = "Split")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patients: Option<PathBuf>,

    /// Also write the slices that `npz-to-npy` would make of npz_train/ and npz_valid/ into this
    /// folder, straight from memory.
    #[arg(long, value_name = "DIR", conflicts_with = "folds")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub npy_dir: Option<PathBuf>,
    /// Also write the kept slices and their labels as <case>_img.nii.gz and <case>_gt.nii.gz, for
    /// checking by eye.
    #[arg(long)]
    pub save_nii: bool,
    /// Exactly what the older Python script does: grey scaled by each image's own range, label 12
    /// dropped, tumour instances numbered from two above the largest label, grids of CT and label
    /// compared by shape only (a note says when they differ), slices cut along the file's third
    /// axis whether or not that is the patient's, the first 40 names for training and the rest for
    /// test (unless a split is given).
    #[arg(long)]
    pub parity: bool,
}

impl NiiToNpzFlags {
    /// The run these flags ask for.
    ///
    /// # Errors
    /// When the label table cannot be read.
    pub fn resolve(&self, common: &Common) -> Result<NiiToNpz> {
        let names = LabelNames::of_folder(self.labels.as_deref(), &self.gt_path)?;
        match &names.from {
            Some(path) => tracing::info!("names of the labels from {}", path.display()),
            None => tracing::warn!(
                "no labels.json or dataset.json beside the labels: they are taken for the five \
                 ILD classes (--labels names others)"
            ),
        }
        let label_table = names.table.unwrap_or_default();
        if self.modality == Modality::Mr
            && (self.window.is_some() || self.window_level.is_some() || self.window_width.is_some())
        {
            tracing::warn!(
                "windows are for CT; an MR volume is spread between its own percentiles"
            );
        }
        let mut removed_ids = self.remove_label_ids.clone();
        if self.parity {
            removed_ids.push(REFERENCE_REMOVED_ID);
        }
        removed_ids.sort_unstable();
        removed_ids.dedup();
        let settings = CaseSettings {
            modality: self.modality,
            windowing: self.windowing()?,
            scaling: if self.parity { Scaling::ImageRange } else { Scaling::WindowBounds },
            removed_ids,
            tumor_id: self.tumor_id,
            any_grid: self.parity,
            as_stored: self.parity,
            reference_instance_ids: self.parity,
            limits: DustLimits {
                min_voxels_3d: self.min_voxels_3d,
                min_pixels_2d: self.min_pixels_2d,
            },
            label_table,
            healthy: self.healthy.as_deref().map(Healthy::read).transpose()?.unwrap_or_default(),
            save_nii: self.save_nii,
        };
        Ok(NiiToNpz {
            sources: Sources {
                image_dir: self.img_path.clone(),
                label_dir: self.gt_path.clone(),
                image_suffix: self.img_name_suffix.clone(),
                label_suffix: self.gt_name_suffix.clone(),
            },
            output: self.output.clone(),
            settings,
            anatomy: self.anatomy.clone(),
            name_prefix: self.name_prefix,
            split: self.split(),
            fold_use: self.fold_use()?,
            patients: self.patients.clone(),
            seed: common.seed,
            force: common.force,
            redraw: self.redraw,
            npy_dir: self.npy_dir.clone(),
        })
    }

    fn windowing(&self) -> Result<Windowing> {
        if let Some(name) = &self.window {
            return name
                .parse()
                .map_err(|why: String| Error::refused("--window", why, format!("`{name}`"), ""));
        }
        let Some(default) = Windowing::default().single() else { return Ok(Windowing::default()) };
        Ok(Windowing::Grey(Window {
            level_hu: self.window_level.unwrap_or(default.level_hu),
            width_hu: self.window_width.unwrap_or(default.width_hu),
        }))
    }

    fn fold_use(&self) -> Result<FoldUse> {
        match self.folds {
            Some(folds) if self.fold_tests && folds < 3 => Err(Error::refused(
                "--fold-tests",
                "three folds or more: one to test, one to choose the epoch by, the rest to teach",
                format!("--folds {folds}"),
                "",
            )),
            Some(_) if self.fold_tests => Ok(FoldUse::Test),
            _ => Ok(FoldUse::Validate),
        }
    }

    fn split(&self) -> SplitChoice {
        if let Some(path) = &self.splits {
            return SplitChoice::File { path: path.clone(), fold: self.fold };
        }
        match (self.folds, self.ratios) {
            (Some(folds), _) => SplitChoice::Folds(usize::from(folds)),
            (None, Some(Ratios(shares))) => SplitChoice::Ratios(shares),
            (None, None) if self.parity => SplitChoice::FirstForty,
            (None, None) => SplitChoice::Ratios([70.0, 10.0, 20.0]),
        }
    }
}

fn preset() -> impl TypedValueParser<Value = String> {
    PossibleValuesParser::new(PRESETS.map(|(name, _)| name))
}

fn positive(text: &str) -> std::result::Result<f64, String> {
    text.parse()
        .ok()
        .filter(|width: &f64| width.is_finite() && *width > 0.0)
        .ok_or_else(|| "expected a width above 0 HU".to_owned())
}

/// Shares of train, valid and test; any positive scale.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ratios(pub [f64; 3]);

fn shares(text: &str) -> std::result::Result<Ratios, String> {
    let numbers: Option<Vec<f64>> =
        text.split(',').map(|share| share.trim().parse().ok()).collect();
    match numbers.as_deref() {
        Some(&[train, valid, test])
            if [train, valid, test].iter().all(|share| share.is_finite() && *share >= 0.0)
                && train + valid + test > 0.0 =>
        {
            Ok(Ratios([train, valid, test]))
        }
        _ => Err("expected three shares of 0 or more, e.g. 70,10,20".to_owned()),
    }
}

fn folder_name(text: &str) -> std::result::Result<String, String> {
    let fine = !text.is_empty() && !text.contains(['/', '\\']);
    fine.then(|| text.to_owned()).ok_or_else(|| "expected a name without slashes".to_owned())
}

/// Flags of `npz-to-npy`.
#[derive(Args, Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct NpzToNpyFlags {
    /// NPZ to train on: npz_train, or npz_train/CT_ILD.
    #[arg(long, value_name = "DIR")]
    pub npz_train_dir: PathBuf,
    /// NPZ to validate with: npz_valid, or npz_valid/CT_ILD.
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub npz_valid_dir: Option<PathBuf>,
    /// Where train/imgs, train/gts, valid/imgs, valid/gts and dataset.json are made.
    #[arg(long, value_name = "DIR")]
    pub npy_dir: PathBuf,
    /// Take only this share of the training patients, percent, with every class in about its share;
    /// who is in a smaller part is in every larger one (--seed draws the order).
    #[arg(long, default_value_t = 100, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(1..=100))]
    #[serde(skip_serializing_if = "is_all")]
    pub train_share: u8,
    /// CSV with the columns case and patient, for --train-share when several cases are of one patient.
    #[arg(long, value_name = "FILE.csv")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patients: Option<PathBuf>,
}

/// The default is in no record.
fn is_all(percent: &u8) -> bool {
    *percent == 100
}

impl NpzToNpyFlags {
    /// The run these flags ask for.
    #[must_use]
    pub fn resolve(&self, common: &Common) -> NpzToNpy {
        NpzToNpy {
            train_dir: self.npz_train_dir.clone(),
            valid_dir: self.npz_valid_dir.clone(),
            npy_dir: self.npy_dir.clone(),
            part: (!is_all(&self.train_share) || self.patients.is_some()).then(|| TrainingPart {
                share: f64::from(self.train_share) / 100.0,
                patients: self.patients.clone(),
                seed: common.seed,
            }),
            force: common.force,
            just_written: BTreeSet::new(),
        }
    }
}

/// One error for a run in which cases failed or were refused, or that had nothing to write at all;
/// the table has said which. `count` is how many cases ended so.
///
/// # Errors
/// A write error when the machine failed for a case, [`ild_cli::Rejected`] inside when inputs were
/// refused or all skipped.
pub fn outcome(count: impl Fn(Status) -> usize) -> anyhow::Result<()> {
    let (failed, rejected) = (count(Status::Failed), count(Status::Rejected));
    if failed > 0 {
        return Err(anyhow::anyhow!(
            "{failed} cases failed; the same command goes on with them once the cause is gone"
        ));
    }
    if rejected > 0 {
        let inputs = if rejected == 1 { "input was" } else { "inputs were" };
        return Err(ild_cli::Rejected(format!(
            "{rejected} {inputs} rejected; all others are done"
        ))
        .into());
    }
    if count(Status::Skipped) > 0 && count(Status::Written) + count(Status::Unchanged) == 0 {
        let next = "give labels that hold something, or lower what drops it";
        return Err(ild_cli::Rejected(format!(
            "nothing was made of any case, for the reasons above; {next}"
        ))
        .into());
    }
    Ok(())
}
