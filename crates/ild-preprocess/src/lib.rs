//! From raw CT and lesion labels to the arrays that training and inference read.
//!
//! Two stages, each a library call and a sub-command of `ild-preprocess`:
//! - [`NiiToNpz`]: pairs CTs with labels, cleans the labels, windows the CT, splits by patient,
//!   writes one NPZ per patient;
//! - [`NpzToNpy`]: the slices of the NPZ as single arrays, labels at 256 × 256.
//!
//! Labels are handled as [`LabelRuns`]; components, dust and instances work on them. A CT is never
//! resampled or reoriented.

pub mod cohort;
mod error;
pub mod flags;
mod labels;
mod picture;
mod stages;

pub use cohort::dataset::{DATASET_FILE, Dataset, DatasetPart};
pub use cohort::nested::cases_of_share;
pub use cohort::pairs::{Pair, Pairs, Sources, find_pairs};
pub use cohort::placing::SplitChoice;
pub use cohort::split::{Candidate, FoldUse, Part, draw, draw_folds};
pub use cohort::splits_file::read_splits;
pub use error::{Error, Result};
pub use ild_io::{Components, LabelRuns, Neighbours, Run};
pub use labels::dust::{DustLimits, keep_large, remove_dust};
pub use labels::healthy::Healthy;
pub use labels::instances::{TooManyInstances, reference_first_id, split_instances};
pub use picture::flattened::{Flattened, LUNG_HU};
pub use picture::grey_level::{Scaling, value_range};
pub use picture::nearest::{nearest_indices, resize_nearest};
pub use picture::percentile::positive_percentiles;
pub use picture::window::{PRESETS, Windowing, bounds_hu};
pub use picture::{Windowed, spread_mr, stretch_slices, window_ct, window_slices};
pub use stages::case::{CaseFacts, CaseLabels, CaseSettings, Modality, build_stack, clean_labels};
pub use stages::nii_to_npz::NiiToNpz;
pub use stages::npy_summary::{NpyRow, NpySummary};
pub use stages::npz_to_npy::{LABEL_SIZE, NpzToNpy, SliceFacts, TrainingPart};
pub use stages::summary::{Row, Status, Summary};
