//! Numbers a reviewer would accept: how well a segmentation agrees with ground truth, and how sure
//! that is.
//!
//! [`Evaluation::run`] reads two folders and gives a [`Cohort`] of scores; [`tables`], [`summary`]
//! and the report are views of it. Every definition stands in one file, named after it, and in
//! `docs/metrics.md`.

pub mod chart;
mod cohort;
mod compare;
mod curve;
mod error;
mod overlap;
mod presence;
mod quantify;
pub mod report;
pub mod statistics;
mod surface;
pub mod tables;
mod whole;

pub use cohort::aligned::Aligned;
pub use cohort::annotated_case::AnnotatedCase;
pub use cohort::case_scores::{
    BorderScores, CaseScores, ClassScores, ScoreSettings, SurfelScores, volume_dice,
};
pub use cohort::evaluate::{Evaluation, FileNotes};
pub use cohort::pairing::{CaseFiles, case_files};
pub use cohort::prediction::{Labels, Prediction};
pub use cohort::provenance::Provenance;
pub use cohort::settings::{Annotated, EvaluateSettings, NamedFolder};
pub use cohort::{Cohort, Headline, Outcome, Role, ScoredCase, Summary, System, mean_over_classes};
pub use compare::comparison::Comparison;
pub use compare::{CompareSettings, Compared, ComparedRow};
pub use curve::{CurvePoint, CurveRow, CurveSettings, LearningCurve};
pub use error::{Error, Result};
pub use overlap::confusion::Confusion;
pub use overlap::lesion_wise::{LesionScores, STRATA_ML, lesion_scores};
pub use overlap::mask::{Extent, Mask};
pub use overlap::pair_scan::PairScan;
pub use overlap::taken_for::{TakenFor, added_up};
pub use presence::calibration::{Calibration, CalibrationBin, PresenceStatement};
pub use quantify::{
    ClassChange, ClassError, ClassVolume, DicomSr, Lung, LungChange, LungFacts, Progression,
    Quantification, QuantifyInput, QuantifySettings, RIM_MM, RegionCounts, RegionVolumes, SideRule,
    VolumeErrors, printed_progression, printed_quantification, write_progression,
    write_quantification,
};
pub use statistics::bootstrap::{Bootstrap, PATIENTS_FOR_A_CLAIM};
pub use statistics::paired::{Paired, paired, paired_over_classes};
pub use surface::border::BorderDistances;
pub use surface::distance_transform::DistanceTransform;
pub use surface::surfel::{Directed, SurfelDistances};
pub use surface::surfel_area::surfel_areas_mm2;
pub use tables::metric::{Better, METRICS, Metric, metric};
pub use tables::output::{NamedChart, charts, may_write_evaluation, write_evaluation};
pub use tables::parity::write_parity;
pub use tables::printed::printed;
pub use tables::summary::summary;
pub use whole::case::{WholeCase, WholeClass, WholeSlice};
pub use whole::healthy::{HealthyCase, HealthySystem};
pub use whole::numbers::{WholeClassNumbers, WholeNumbers};
pub use whole::{WholeCt, WholeSystem};
