//! Numbers a reviewer would accept: how well a segmentation agrees with ground truth, and how sure
//! that is.
//!
//! [`Evaluation::run`] reads two folders and gives a [`Cohort`] of scores; [`tables`], [`summary`]
//! and the report are views of it. Every definition stands in one file, named after it, and in
//! `docs/metrics.md`.

mod aligned;
mod annotated_case;
mod bootstrap;
mod border;
mod case_scores;
pub mod chart;
mod cohort;
mod column_blocks;
mod columns;
mod compare;
mod comparison;
mod confusion;
mod distance_transform;
mod envelope;
mod error;
mod evaluate;
mod lesion_wise;
mod mask;
mod metric;
mod output;
mod pair_scan;
mod paired;
mod pairing;
mod parity;
mod patients;
mod points;
mod prediction;
mod printed;
mod provenance;
mod quantify;
pub mod report;
mod settings;
pub mod statistics;
mod summary;
mod surfel;
mod surfel_area;
pub mod tables;

pub use aligned::Aligned;
pub use annotated_case::AnnotatedCase;
pub use bootstrap::{Bootstrap, PATIENTS_FOR_A_CLAIM};
pub use border::BorderDistances;
pub use case_scores::{BorderScores, CaseScores, ClassScores, ScoreSettings, SurfelScores};
pub use cohort::{Cohort, Headline, Outcome, ScoredCase, Summary, System};
pub use compare::{CompareSettings, Compared, ComparedRow};
pub use comparison::Comparison;
pub use confusion::Confusion;
pub use distance_transform::DistanceTransform;
pub use error::{Error, Result};
pub use evaluate::Evaluation;
pub use lesion_wise::{LesionScores, STRATA_ML, lesion_scores};
pub use mask::{Extent, Mask};
pub use metric::{Better, METRICS, Metric, metric};
pub use output::{NamedChart, charts, write_evaluation};
pub use pair_scan::PairScan;
pub use paired::{Paired, paired, paired_over_classes};
pub use pairing::{CaseFiles, case_files};
pub use parity::write_parity;
pub use patients::read_patients;
pub use prediction::{Labels, Prediction};
pub use printed::printed;
pub use provenance::Provenance;
pub use quantify::{
    ClassVolume, Lung, LungFacts, Quantification, QuantifyInput, QuantifySettings, RIM_MM,
    RegionCounts, RegionVolumes, SideRule, printed_quantification, write_quantification,
};
pub use settings::{Annotated, EvaluateSettings, NamedFolder};
pub use summary::summary;
pub use surfel::{Directed, SurfelDistances};
pub use surfel_area::surfel_areas_mm2;
