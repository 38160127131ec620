//! The flags of `ild-infer`: names, units, defaults and help.

use std::path::PathBuf;

use clap::Args;
use ild_cli::veil;
use ild_io::{DicomOptions, SegType};
use ild_model::PrecisionWish;
use ild_preprocess::Windowing;
use serde::Serialize;

use super::{Checkpoints, RuleFlags};
use crate::Preset;
use crate::baseline::Baseline;
use crate::case_file::Shard;
use crate::prompt::PromptSource;
use crate::propagate::{GapRule, Propagation};

/// Everything that can be set.
#[derive(Args, Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Settings {
    /// What to segment: an NPZ of `ild-preprocess`, a CT (.nii.gz, .nii), a folder of either, or DICOM:
    /// the folder or zip archive of a series or a study, a DICOMDIR, or a folder with one of these per
    /// case.
    #[arg(long, value_name = "DIR|CASE.npz|CT.nii.gz")]
    pub input: PathBuf,
    /// DICOM input: the series, by SeriesInstanceUID or SeriesNumber [default: the axial original CT
    /// series with the thinnest slices, with a kernel of the lung before others].
    #[arg(long, value_name = "UID|NUMBER")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub series: Option<String>,
    /// DICOM input of a tilted gantry: shift each slice in its own plane to a right-angled grid; such
    /// series are refused otherwise.
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub upright: bool,
    /// Weights: fine-tuned (.safetensors of ild-train, .pth of the older scripts) or vanilla SAM 2
    /// (.pt). Several, with commas between, answer together: the mean of their probabilities counts.
    #[arg(long, value_name = "FILE[,FILE…]", required_unless_present = "baseline")]
    pub checkpoint: Option<Checkpoints>,
    /// Each slice is also looked at in its mirror image (left and right exchanged), and the mean of
    /// both answers counts. Takes twice the time.
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub mirror: bool,
    /// Size of the model: t, s, b+, l, nano, t512 or a TOML description [default: what the checkpoint
    /// says].
    #[arg(long, value_name = "M")]
    pub model: Option<String>,
    /// Folder for label maps, NPZ, sidecars and pictures.
    #[arg(long, value_name = "DIR")]
    pub output: PathBuf,
    /// Where the start boxes come from: `gt` (ground truth, for measuring), `auto` (lesions that
    /// the checkpoint has learned to find and name; CT input only), `heuristic` (dense regions of
    /// the lung; CT input only), a .json of boxes or points, a mask (.nii.gz), or a folder with one
    /// such file per case. `gt-other` (the box of another lesion) and `gt-empty` (a box without
    /// any) are wrong on purpose: they show whether the box matters.
    #[arg(long, value_name = "gt|auto|heuristic|FILE|DIR")]
    pub prompt: PromptSource,
    /// How a start prompt is carried through the stack: by the `box` around the last answer, or by
    /// SAM 2's `memory` of the slices before, which needs weights whose memory was trained (Meta's,
    /// MedSAM2's). See docs/memory.md.
    #[arg(long, value_enum, default_value = "box")]
    pub propagate: Propagation,
    /// Prepare slices as somebody else's scripts do, for their weights: their window, grey levels,
    /// resizing and model size, where neither another flag nor the checkpoint names one.
    #[arg(long, value_enum)]
    pub preset: Option<Preset>,
    /// Outward move of each side of a box taken from a mask, in pixels.
    #[arg(long, default_value_t = 5, value_name = "PX")]
    pub bbox_shift: usize,
    /// What to do between slices of an NPZ that are not neighbours in the CT [default: near; carry
    /// with --parity].
    #[arg(long, value_enum)]
    pub gap: Option<GapRule>,
    /// A journey ends after this many empty predictions in a row; 0: never [default: 3; never with
    /// --parity].
    #[arg(long, value_name = "N")]
    pub stop_after: Option<usize>,
    /// Connected pieces of a label below this are dropped from the label map, and not prompted with
    /// `gt` or a mask, mL; 0: none [default: 0.1; 0 with --parity].
    #[arg(long, value_name = "ML", value_parser = not_negative)]
    pub smallest_ml: Option<f64>,
    /// Do exactly what the older scripts do: one box per class, gaps unseen, the start box for
    /// ever, islands kept, the lowest label value taken for background.
    #[arg(long)]
    pub parity: bool,
    /// Instead of a model: fill each slice's ground-truth box (what a model must beat).
    #[arg(long, value_enum)]
    pub baseline: Option<Baseline>,

    /// Window for CT input: soft, lung, lung-wide, medsam-lung or rgb [default: the one the
    /// checkpoint was trained with, or that of --preset].
    #[arg(long, value_name = "NAME", conflicts_with_all = ["window_level", "window_width"])]
    pub window: Option<Windowing>,
    /// Centre of the window, HU.
    #[arg(long, value_name = "HU", requires = "window_width", allow_negative_numbers = true)]
    pub window_level: Option<f64>,
    /// Extent of the window, HU.
    #[arg(long, value_name = "HU", requires = "window_level")]
    pub window_width: Option<f64>,
    /// Ground truth for CT input: the label file, or the folder that holds it. Without `--prompt
    /// gt` it is only drawn in the picture.
    #[arg(long, value_name = "DIR|FILE")]
    pub gt_path: Option<PathBuf>,
    /// A CT in a folder is called `<case><suffix>`.
    #[arg(long, default_value = "_0000.nii.gz", value_name = "SUFFIX")]
    pub img_name_suffix: String,
    /// Its label file is called `<case><suffix>`.
    #[arg(long, default_value = ".nii.gz", value_name = "SUFFIX")]
    pub gt_name_suffix: String,
    /// Only the cases that this folder holds too, by name: the NPZ of one split, for CT from the
    /// folder of all.
    #[arg(long, value_name = "DIR")]
    #[serde(skip)]
    pub cases_of: Option<PathBuf>,
    /// Names of the label ids: labels.json or nnU-Net's dataset.json [default: the NPZ's or the
    /// checkpoint's own].
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,

    /// Also write each label as its own mask, before overlaps are resolved.
    #[arg(long)]
    pub save_nii: bool,
    /// Also write each label's probability (float32).
    #[arg(long)]
    pub save_probabilities: bool,
    /// Also write how far apart the answers of several weights, or of the mirror image, are: the
    /// highest probability minus the lowest (float32), `uncertainty/<case>.nii.gz`.
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub save_uncertainty: bool,
    /// Also write a DICOM Segmentation of the series, `dicom-seg/<case>.dcm`; DICOM input only.
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub save_dicom_seg: bool,
    /// DICOM input: call each case and the patient of its Segmentation by a pseudonym, made of the
    /// StudyInstanceUID; its UIDs stay, and no path that is typed and no UID is named elsewhere. Files of a
    /// case (--gt-path, prompts in a folder) are looked for under it.
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub anonymous: bool,
    /// How its pixels say what they are of: a bit for each segment, or a number for each voxel
    /// (smaller; recent viewers only).
    #[arg(long, value_enum, default_value = "binary", value_name = "TYPE")]
    #[serde(skip_serializing_if = "is_binary")]
    pub seg_type: SegType,
    /// Only every N-th case, beginning with case I (from 0): one line for every job of an array.
    #[arg(long, value_name = "I/N")]
    #[serde(skip)]
    pub shard: Option<Shard>,

    /// `auto`: where the masks come from: the `head` that finds the lesions, the `decoder` prompted
    /// with their boxes, or `both` (the decoder where the two agree).
    #[arg(long, value_enum, default_value = "head")]
    pub auto_mask: AutoMask,
    /// `auto`: by which rules lesions are found.
    #[command(flatten)]
    #[serde(flatten)]
    pub auto_rules: RuleFlags,
    /// `heuristic`: candidates are dropped when less than this share of the mask on their start slice is
    /// stable, that is stays when the threshold moves from probability 0.27 to 0.73 (SAM's
    /// stability score).
    #[arg(long, default_value_t = 0.5, value_name = "0..1", value_parser = share)]
    pub heuristic_min_stability: f32,
    /// `heuristic`: candidates whose start slice the model rates below this IoU are dropped. Not asked
    /// of weights whose scores were never trained.
    #[arg(long, default_value_t = 0.5, value_name = "0..1", value_parser = share)]
    pub heuristic_min_iou: f32,
    /// `heuristic`: candidates whose object score (a logit) is below this are dropped; likewise.
    #[arg(long, default_value_t = 0.0, value_name = "LOGIT", allow_negative_numbers = true)]
    pub heuristic_min_object_score: f32,
    /// Memory for features of slices that are needed again, MiB; what does not fit is encoded
    /// again.
    #[arg(long, default_value_t = 2048, value_name = "MIB")]
    #[serde(skip)]
    pub feature_memory: usize,
    /// What the image encoder computes in: `half` is what is fastest here below f32 (f16 on Intel's
    /// CPUs with AVX512-FP16, bf16 on AMD's with AVX512-BF16); it changes results (docs/parity.md).
    #[arg(long, value_enum, default_value = "f32")]
    pub precision: PrecisionWish,
    /// Slices encoded at once [default: 1 on a CPU, 4 on a GPU].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    #[serde(skip)]
    pub batch_size: Option<u16>,
}

/// Where the masks of `--prompt auto` come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AutoMask {
    /// The head that found the lesions.
    Head,
    /// The decoder, prompted on each slice with the box of what the head found there.
    Decoder,
    /// The decoder where it draws what the head found, else the head.
    Both,
}

impl Settings {
    /// With `--anonymous`: what is typed is called otherwise in all that is said and recorded.
    pub fn hide_what_is_typed(&self) {
        if !self.anonymous {
            return;
        }
        let prompt = match &self.prompt {
            PromptSource::File(path) | PromptSource::Folder(path) => Some(path),
            PromptSource::Own(_) => None,
        };
        veil::hide(&self.input, "input");
        for (path, shown) in [
            (prompt, "prompt"),
            (self.gt_path.as_ref(), "ground truth"),
            (self.cases_of.as_ref(), "cases"),
        ] {
            path.iter().for_each(|path| veil::hide(path, shown));
        }
        veil::hide_folder(&self.output, "output");
        self.labels.iter().for_each(|file| veil::hide_folder(file, "labels"));
    }

    /// Which CT of a DICOM folder is read, and how.
    #[must_use]
    pub fn dicom(&self) -> DicomOptions<'_> {
        DicomOptions { series: self.series.as_deref(), upright: self.upright }
    }
}

/// The default is in no record: results of earlier versions stay the same.
fn is_binary(kind: &SegType) -> bool {
    *kind == SegType::Binary
}

/// A number from 0 to 1.
pub(super) fn share(text: &str) -> Result<f32, String> {
    let value = text.parse::<f32>().ok().filter(|value| (0.0..=1.0).contains(value));
    value.ok_or_else(|| "expected a number from 0 to 1".to_owned())
}

/// A number that is not negative, and finite.
pub(super) fn not_negative(text: &str) -> Result<f64, String> {
    let value = text.parse::<f64>().ok().filter(|value| *value >= 0.0 && value.is_finite());
    value.ok_or_else(|| "expected a number, 0 or more".to_owned())
}
