//! From cases to a cohort: means with their number and their uncertainty.

pub(crate) mod aligned;
pub(crate) mod annotated_case;
pub(crate) mod case_scores;
pub(crate) mod evaluate;
pub(crate) mod pairing;
pub(crate) mod prediction;
pub(crate) mod provenance;
pub(crate) mod settings;

use std::collections::BTreeSet;
use std::path::PathBuf;

use ild_io::LabelTable;
use serde::Serialize;

use crate::statistics::{mean, median, percentile, standard_deviation};
use crate::{Bootstrap, CaseScores, LesionScores, Metric};

/// What became of a prediction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "outcome", content = "reason")]
pub enum Outcome {
    /// Read and scored.
    Scored,
    /// There is no file; scored as an empty prediction.
    Missing,
    /// There is a file that was refused, and why; scored as an empty prediction.
    Refused(String),
}

impl Outcome {
    /// Whether there was a prediction that could be read.
    #[must_use]
    pub fn is_scored(&self) -> bool {
        *self == Self::Scored
    }

    /// The word in tables.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Scored => "scored",
            Self::Missing => "missing",
            Self::Refused(_) => "refused",
        }
    }
}

/// A case with its scores.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoredCase {
    /// Name.
    pub case: String,
    /// Whose case it is.
    pub patient: String,
    /// Ground truth.
    pub reference_file: PathBuf,
    /// Prediction, if there is one.
    pub prediction_file: Option<PathBuf>,
    /// Whether the prediction could be used.
    pub outcome: Outcome,
    /// The numbers.
    pub scores: CaseScores,
}

/// What a set of predictions is in the evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// What `--pred` names: the first headline.
    Evaluated,
    /// Made without any prompt: the second headline.
    Automatic,
    /// Each lesion was prompted with the box of another one.
    OtherBox,
    /// Each lesion was prompted with a box that holds nothing.
    EmptyBox,
    /// Anything to compare with.
    Baseline,
}

/// One set of predictions for all cases.
#[derive(Clone, Debug, PartialEq)]
pub struct System {
    /// What it is called.
    pub name: String,
    /// What it is.
    pub role: Role,
    /// Where it came from.
    pub folder: PathBuf,
    /// One entry per case, in the same order for every system.
    pub cases: Vec<ScoredCase>,
}

/// Everything that was scored.
#[derive(Clone, Debug)]
pub struct Cohort {
    /// The evaluated predictions first, then the baselines.
    pub systems: Vec<System>,
    /// The classes, ascending.
    pub classes: Vec<u8>,
    /// Their names and colours.
    pub table: LabelTable,
    /// Redraws of the patients, the same for all systems.
    pub bootstrap: Bootstrap,
}

/// Values of a metric over cases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// Cases that have a value.
    pub n: usize,
    /// Patients they are of.
    pub patients: usize,
    /// Their mean.
    pub mean: Option<f64>,
    /// Its 95 % bootstrap interval.
    pub interval: Option<[f64; 2]>,
    /// Sample standard deviation.
    pub sd: Option<f64>,
    /// Median.
    pub median: Option<f64>,
    /// First and third quartile.
    pub quartiles: Option<[f64; 2]>,
    /// Smallest and largest.
    pub range: Option<[f64; 2]>,
}

/// The one number of a system: mean over the classes of the mean over cases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Headline {
    /// The number.
    pub mean: Option<f64>,
    /// Its 95 % bootstrap interval.
    pub interval: Option<[f64; 2]>,
    /// Classes that have a value.
    pub classes: usize,
    /// Cases in the cohort.
    pub cases: usize,
    /// Patients with a value.
    pub patients: usize,
    /// Values (case and class) behind the number.
    pub values: usize,
}

impl Cohort {
    /// Values of a metric for a class in a system, by case.
    #[must_use]
    pub fn values(&self, system: &System, class: u8, metric: &Metric) -> Vec<Option<f64>> {
        system
            .cases
            .iter()
            .map(|case| case.scores.classes.get(&class).and_then(metric.value))
            .collect()
    }

    /// Summary of a metric for a class in a system.
    #[must_use]
    pub fn summary(&self, system: &System, class: u8, metric: &Metric) -> Summary {
        self.summary_of(&self.values(system, class, metric))
    }

    /// Summary of the DSC with all classes taken for one: a lesion that was found and misnamed
    /// counts as found.
    #[must_use]
    pub fn any_class_dice(&self, system: &System) -> Summary {
        self.summary_of(
            &system.cases.iter().map(|case| case.scores.any_class.dice()).collect::<Vec<_>>(),
        )
    }

    /// Summary of one value by case.
    pub(crate) fn summary_of(&self, values: &[Option<f64>]) -> Summary {
        let mut present: Vec<f64> = values.iter().copied().flatten().collect();
        present.sort_unstable_by(f64::total_cmp);
        let at = |q| percentile(&present, q);
        let interval = if present.len() < 2 {
            None
        } else {
            self.bootstrap.interval(|cases| mean_of(values, cases))
        };
        Summary {
            n: present.len(),
            patients: self.bootstrap.patients(|case| values[case].is_some()),
            mean: mean(&present),
            interval,
            sd: standard_deviation(&present),
            median: median(&present),
            quartiles: at(25.0).zip(at(75.0)).map(|(a, b)| [a, b]),
            range: at(0.0).zip(at(100.0)).map(|(a, b)| [a, b]),
        }
    }

    /// Mean over the classes of the mean over cases, with an interval that redraws the patients for
    /// all classes at once.
    #[must_use]
    pub fn headline(&self, system: &System, metric: &Metric) -> Headline {
        let by_class: Vec<Vec<Option<f64>>> =
            self.classes.iter().map(|&class| self.values(system, class, metric)).collect();
        let all: Vec<usize> = (0..system.cases.len()).collect();
        Headline {
            mean: mean_over_classes(&by_class, &all),
            interval: self.bootstrap.interval(|cases| mean_over_classes(&by_class, cases)),
            classes: by_class.iter().filter(|values| values.iter().any(Option::is_some)).count(),
            cases: all.len(),
            patients: self
                .bootstrap
                .patients(|case| by_class.iter().any(|values| values[case].is_some())),
            values: by_class.iter().flatten().flatten().count(),
        }
    }

    /// The system with this role; the first of several.
    #[must_use]
    pub fn with_role(&self, role: Role) -> Option<&System> {
        self.systems.iter().find(|system| system.role == role)
    }

    /// Lesions of a class, or of all, in all cases together.
    #[must_use]
    pub fn lesions(&self, system: &System, class: Option<u8>) -> LesionScores {
        let of_case = |case: &ScoredCase| {
            let wanted = case.scores.classes.iter();
            wanted
                .filter(|(id, _)| class.is_none_or(|class| class == **id))
                .fold(LesionScores::default(), |sum, (_, scores)| sum.plus(&scores.lesions))
        };
        system.cases.iter().map(of_case).fold(LesionScores::default(), |sum, one| sum.plus(&one))
    }

    /// Slices (of all cases) where a class is in ground truth or prediction, and the mean of their
    /// DSC: the older scripts' number.
    #[must_use]
    pub fn pooled_slice_dice(&self, system: &System, class: u8) -> (usize, Option<f64>) {
        let slices: Vec<f64> = system
            .cases
            .iter()
            .filter_map(|case| case.scores.classes.get(&class))
            .flat_map(|c| c.slice_dice.clone())
            .collect();
        (slices.len(), mean(&slices))
    }
}

/// Classes that occur in the table or in any case.
#[must_use]
pub fn classes_of(systems: &[System], table: &LabelTable) -> Vec<u8> {
    let seen = systems
        .iter()
        .flat_map(|system| &system.cases)
        .flat_map(|case| case.scores.classes.keys().copied());
    seen.chain(table.classes.keys().copied()).collect::<BTreeSet<u8>>().into_iter().collect()
}

/// Mean of the values of the drawn cases.
pub(crate) fn mean_of(values: &[Option<f64>], cases: &[usize]) -> Option<f64> {
    mean(&cases.iter().filter_map(|&case| values[case]).collect::<Vec<_>>())
}

/// Mean over classes of the mean over the drawn cases; `None` without any value.
#[must_use]
pub fn mean_over_classes(by_class: &[Vec<Option<f64>>], cases: &[usize]) -> Option<f64> {
    mean(&by_class.iter().filter_map(|values| mean_of(values, cases)).collect::<Vec<_>>())
}
