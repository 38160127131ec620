//! From whole cases to numbers of a cohort, each with its n.

use serde::Serialize;

use crate::cohort::{Summary, mean_over_classes};
use crate::statistics::auroc::auroc;
use crate::statistics::mean;
use crate::whole::case::{WholeCase, WholeClass};
use crate::{Cohort, Confusion, LesionScores, WholeSystem};

/// One class of a system over whole CTs.
#[derive(Clone, Debug, Serialize)]
pub struct WholeClassNumbers {
    /// Label id.
    pub class: u8,
    /// DSC over the whole CT, by case.
    pub dice: Summary,
    /// DSC over the slices that were annotated.
    pub dice_annotated: Summary,
    /// DSC over the others.
    pub dice_elsewhere: Summary,
    /// DSC over the whole CT of the cases that have the class.
    pub dice_where_present: Summary,
    /// Predicted on slices without any disease, mean over cases, mL.
    pub free_slices_ml: Option<f64>,
    /// Cases that lack the class.
    pub absent: usize,
    /// Of those, cases in which it was reported.
    pub reported_absent: usize,
    /// Lesions of all cases together.
    pub lesions: LesionScores,
}

/// A system over whole CTs.
#[derive(Clone, Debug, Serialize)]
pub struct WholeNumbers {
    /// What it is called.
    pub name: String,
    /// Cases that were measured.
    pub cases: usize,
    /// By class.
    pub classes: Vec<WholeClassNumbers>,
    /// Mean over the classes of the mean over cases of the DSC over the whole CT, and its interval.
    pub mean_dice: Option<f64>,
    /// 95 % interval of that.
    pub interval: Option<[f64; 2]>,
    /// The same over (case, class) where the case has the class.
    pub mean_dice_where_present: Option<f64>,
    /// DSC with all classes as one.
    pub any_class: Summary,
    /// Predicted on slices without any disease, all classes, mean over cases, mL.
    pub free_slices_ml: Summary,
    /// Slices without any disease, in all cases together.
    pub free_slices: usize,
    /// Of those, slices on which something was predicted.
    pub marked_free_slices: usize,
    /// How well the predicted area of a slice ranks diseased slices above others.
    pub slice_auroc: Option<f64>,
    /// 95 % interval of that.
    pub slice_auroc_interval: Option<[f64; 2]>,
    /// Share of (case, class) pairs that lack the class and report it all the same.
    pub reported_though_absent: Option<f64>,
    /// How many such pairs there are: reported, and all that lack the class.
    pub absent_pairs: [usize; 2],
    /// Lesions of all classes and cases together.
    pub lesions: LesionScores,
}

impl WholeNumbers {
    /// The numbers of `system`.
    #[must_use]
    pub fn new(cohort: &Cohort, system: &WholeSystem) -> Self {
        let cases = &system.cases;
        let classes: Vec<WholeClassNumbers> =
            cohort.classes.iter().map(|&class| of_class(cohort, system, class)).collect();
        let dice = |present_only: bool| {
            let of = |class: u8| values(cases, |case| dice_of(case, class, present_only));
            cohort.classes.iter().map(|&class| of(class)).collect::<Vec<_>>()
        };
        let (all_dice, present_dice) = (dice(false), dice(true));
        let everybody: Vec<usize> = (0..cases.len()).collect();
        let free_ml = |case: &WholeCase| {
            let voxels: u64 = case.classes.values().map(|class| class.on_free_slices).sum();
            Some(voxels as f64 * case.voxel_ml)
        };
        let free =
            || cases.iter().flatten().flat_map(|case| &case.slices).filter(|s| s.reference == 0);
        let absent_pairs = [
            classes.iter().map(|class| class.reported_absent).sum(),
            classes.iter().map(|class| class.absent).sum(),
        ];
        Self {
            name: system.name.clone(),
            cases: cases.iter().flatten().count(),
            mean_dice: mean_over_classes(&all_dice, &everybody),
            interval: cohort.bootstrap.interval(|drawn| mean_over_classes(&all_dice, drawn)),
            mean_dice_where_present: mean_over_classes(&present_dice, &everybody),
            any_class: cohort.summary_of(&values(cases, |case| case.any_class.dice())),
            free_slices_ml: cohort.summary_of(&values(cases, free_ml)),
            free_slices: free().count(),
            marked_free_slices: free().filter(|slice| slice.predicted > 0).count(),
            slice_auroc: slice_auroc(cases, &everybody),
            slice_auroc_interval: cohort.bootstrap.interval(|drawn| slice_auroc(cases, drawn)),
            reported_though_absent: (absent_pairs[1] > 0)
                .then(|| absent_pairs[0] as f64 / absent_pairs[1] as f64),
            absent_pairs,
            lesions: classes
                .iter()
                .fold(LesionScores::default(), |sum, class| sum.plus(&class.lesions)),
            classes,
        }
    }
}

fn of_class(cohort: &Cohort, system: &WholeSystem, class: u8) -> WholeClassNumbers {
    let cases = &system.cases;
    let summary = |part: fn(&WholeClass) -> Confusion| {
        cohort.summary_of(&values(cases, |case| part(case.classes.get(&class)?).dice()))
    };
    let measured = || cases.iter().flatten();
    let free_ml: Vec<f64> = measured()
        .map(|case| {
            let voxels = case.classes.get(&class).map_or(0, |counts| counts.on_free_slices);
            voxels as f64 * case.voxel_ml
        })
        .collect();
    let lesions = measured().filter_map(|case| case.classes.get(&class)).map(|c| c.lesions);
    WholeClassNumbers {
        class,
        dice: summary(WholeClass::whole),
        dice_annotated: summary(|counts| counts.annotated),
        dice_elsewhere: summary(|counts| counts.elsewhere),
        dice_where_present: cohort.summary_of(&values(cases, |case| dice_of(case, class, true))),
        free_slices_ml: mean(&free_ml),
        absent: measured().filter(|case| !case.holds(class)).count(),
        reported_absent: measured().filter(|c| !c.holds(class) && c.reports(class)).count(),
        lesions: lesions.fold(LesionScores::default(), |sum, one| sum.plus(&one)),
    }
}

fn dice_of(case: &WholeCase, class: u8, present_only: bool) -> Option<f64> {
    let counts = case.classes.get(&class)?.whole();
    (!present_only || counts.reference() > 0).then(|| counts.dice())?
}

fn values(
    cases: &[Option<WholeCase>],
    value: impl Fn(&WholeCase) -> Option<f64>,
) -> Vec<Option<f64>> {
    cases.iter().map(|case| value(case.as_ref()?)).collect()
}

fn slice_auroc(cases: &[Option<WholeCase>], drawn: &[usize]) -> Option<f64> {
    let slices = drawn.iter().filter_map(|&case| cases[case].as_ref()).flat_map(|c| &c.slices);
    let scored = slices.map(|slice| (slice.predicted as f64, slice.reference > 0));
    auroc(&scored.collect::<Vec<_>>())
}
