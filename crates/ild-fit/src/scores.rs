//! The objective, and the scores behind it.

use std::collections::{BTreeMap, BTreeSet};

use ild_metrics::mean_over_classes;
use rayon::prelude::*;

use crate::case::FitCase;
use crate::error::Result;
use crate::grid::{Point, rules};

/// The objective in words.
pub const OBJECTIVE: &str = "mean over classes of the mean volume DSC over validation cases, on annotated slices, as ild-metrics evaluate has it";

/// DSC by class and case.
pub type ByClass = Vec<Vec<Option<f64>>>;

/// What has been tried so far.
pub struct Scores<'a> {
    cases: &'a [FitCase],
    classes: BTreeSet<u8>,
    tried: BTreeMap<Point, ByClass>,
}

impl<'a> Scores<'a> {
    /// Of these cases, nothing tried; a class without a value anywhere counts nowhere.
    pub fn new(cases: &'a [FitCase], classes: BTreeSet<u8>) -> Self {
        Self { cases, classes, tried: BTreeMap::new() }
    }

    /// Everybody's scores at `point`.
    pub fn at(&mut self, point: Point) -> Result<&ByClass> {
        if !self.tried.contains_key(&point) {
            ild_cli::stop_if_interrupted()?;
            let rules = rules(point).unwrap_or_default();
            let by_case = self.cases.par_iter().map(|case| case.dice(&rules, &self.classes));
            let by_case = by_case.collect::<Result<Vec<_>>>()?;
            let of = |class: &u8| {
                let values = by_case.iter().map(|dice| dice.get(class).copied().flatten());
                values.collect::<Vec<_>>()
            };
            let by_class = self.classes.iter().map(of).collect();
            self.tried.insert(point, by_class);
        }
        Ok(&self.tried[&point])
    }

    /// The objective over some of the cases.
    pub fn objective(&mut self, point: Point, cases: &[usize]) -> Result<Option<f64>> {
        Ok(mean_over_classes(self.at(point)?, cases))
    }

    /// Everything that was tried.
    pub fn tried(&self) -> &BTreeMap<Point, ByClass> {
        &self.tried
    }

    /// The classes, as in [`ByClass`].
    pub fn classes(&self) -> &BTreeSet<u8> {
        &self.classes
    }
}
