//! The evaluated predictions beside each baseline.

use serde::Serialize;

use crate::cohort::{Cohort, System};
use crate::statistics::paired::{Paired, paired, paired_over_classes};
use crate::{METRICS, Metric, metric};

/// Paired differences of one metric between two systems, first minus second.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// First system.
    pub system: String,
    /// Second system.
    pub baseline: String,
    /// Column name of the metric.
    pub metric: &'static str,
    /// Mean over the classes.
    pub over_classes: Paired,
    /// Name of each class and its difference.
    pub by_class: Vec<(String, Paired)>,
}

impl Comparison {
    /// Compares two systems of a cohort by one metric.
    #[must_use]
    pub fn new(
        cohort: &Cohort,
        system: &System,
        baseline: &System,
        metric: &'static Metric,
    ) -> Self {
        let values = |system: &System| {
            cohort
                .classes
                .iter()
                .map(|&class| cohort.values(system, class, metric))
                .collect::<Vec<_>>()
        };
        let (a, b) = (values(system), values(baseline));
        let one = |(i, &class): (usize, &u8)| {
            (cohort.table.name(class), paired(&a[i], &b[i], &cohort.bootstrap))
        };
        Self {
            system: system.name.clone(),
            baseline: baseline.name.clone(),
            metric: metric.key,
            over_classes: paired_over_classes(&a, &b, &cohort.bootstrap),
            by_class: cohort.classes.iter().enumerate().map(one).collect(),
        }
    }

    /// The first system of the cohort against each other one, by volume DSC; the experiments with
    /// wrong boxes are no rivals.
    #[must_use]
    pub fn with_baselines(cohort: &Cohort) -> Vec<Self> {
        let Some((first, baselines)) = cohort.systems.split_first() else { return Vec::new() };
        let dice = metric("dice").unwrap_or(&METRICS[0]);
        let rivals = baselines.iter().filter(|system| !system.role.is_wrong_box());
        rivals.map(|baseline| Self::new(cohort, first, baseline, dice)).collect()
    }
}
