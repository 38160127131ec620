//! From raw CT and lesion labels to the arrays that training and inference read.
//!
//! Two stages, each a library call and a sub-command of `ild-preprocess`:
//! - [`NiiToNpz`]: pairs CTs with labels, cleans the labels, windows the CT, splits by patient,
//!   writes one NPZ per patient;
//! - [`NpzToNpy`]: the slices of the NPZ as single arrays, labels at 256 × 256.
//!
//! Labels are handled as [`LabelRuns`]; components, dust and instances work on them. A CT is never
//! resampled or reoriented.

mod case;
mod dataset;
mod dust;
mod error;
pub mod flags;
mod flattened;
mod grey_level;
mod instances;
mod nearest;
mod nii_to_npz;
mod npy_folder;
mod npy_summary;
mod npz_files;
mod npz_to_npy;
mod output;
mod pairs;
mod patients;
mod percentile;
mod picture;
pub mod record;
mod split;
mod splits_file;
mod summary;
mod window;

pub use case::{
    CaseFacts, CaseLabels, CaseSettings, Modality, build_stack, clean_labels, no_hounsfield_units,
};
pub use dataset::{DATASET_FILE, Dataset, DatasetPart};
pub use dust::{DustLimits, keep_large, remove_dust};
pub use error::{Error, Result, one_line};
pub use flattened::{Flattened, LUNG_HU};
pub use grey_level::{Scaling, value_range};
pub use ild_io::{Components, LabelRuns, Neighbours, Run};
pub use instances::{TooManyInstances, reference_first_id, split_instances};
pub use nearest::{nearest_indices, resize_nearest};
pub use nii_to_npz::{NiiToNpz, SplitChoice};
pub use npy_summary::{NpyRow, NpySummary};
pub use npz_to_npy::{LABEL_SIZE, NpzToNpy, SliceFacts};
pub use pairs::{Pair, Pairs, Sources, find_pairs};
pub use percentile::positive_percentiles;
pub use picture::{Windowed, spread_mr, window_ct, window_slices};
pub use split::{Candidate, Part, draw, draw_folds};
pub use splits_file::read_splits;
pub use summary::{Row, Status, Summary};
pub use window::{PRESETS, Windowing, bounds_hu};
