//! The summary on the terminal.

use std::fmt::Write;

use crate::cohort::{Cohort, Outcome, System};
use crate::report::whole::unprompted;
use crate::{
    Comparison, Evaluation, METRICS, PATIENTS_FOR_A_CLAIM, Provenance, WholeNumbers, metric,
};

/// Three decimals, or a dash where there is no value.
#[must_use]
pub(crate) fn score(value: Option<f64>) -> String {
    value.map_or("–".to_owned(), |value| format!("{value:.3}"))
}

/// `low–high`, or nothing.
#[must_use]
pub(crate) fn interval(bounds: Option<[f64; 2]>) -> String {
    bounds.map_or(String::new(), |[low, high]| format!("{low:.3} to {high:.3}"))
}

/// What so few patients cannot say.
#[must_use]
pub(crate) fn too_few(patients: usize) -> String {
    let who = if patients == 1 { "1 patient is" } else { &format!("{patients} patients are") };
    format!("{who} too few for an interval to mean anything beyond them")
}

/// The tables and sentences that end a run.
#[must_use]
pub fn printed(evaluation: &Evaluation, provenance: &Provenance) -> String {
    let cohort = &evaluation.cohort;
    let mut text = format!("{}\n\n{}\n", classes(cohort, &cohort.systems[0]), systems(cohort));
    for comparison in Comparison::with_baselines(cohort) {
        let paired = &comparison.over_classes;
        let p = paired.sign_test_p.map_or(String::new(), |p| format!(", sign test p = {p:.3}"));
        let difference = paired.difference.map_or("–".to_owned(), |d| format!("{d:+.3}"));
        let _ = writeln!(
            text,
            "{} − {}: {difference} DSC{}, better in {} of {} cases{p}",
            comparison.system,
            comparison.baseline,
            paired
                .interval
                .map_or(String::new(), |bounds| format!(" ({})", interval(Some(bounds)))),
            paired.larger,
            paired.n
        );
    }
    for numbers in unprompted(evaluation, provenance) {
        let _ = writeln!(text, "{}", whole_ct(&numbers));
    }
    if let Some(whole) = evaluation.whole.as_ref().filter(|w| !w.without_truth.is_empty()) {
        let cases = whole.without_truth.join(", ");
        let _ = writeln!(text, "without a full truth, in no number of the whole CT: {cases}");
    }
    for system in &evaluation.healthy {
        let with_any = system.cases.iter().filter(|case| case.total_ml() > 0.0).count();
        let _ = writeln!(
            text,
            "healthy patients, {}: {:.1} mL invented a patient, anything in {with_any} of {}",
            system.name,
            system.mean_total_ml().unwrap_or(0.0),
            system.cases.len()
        );
    }
    let patients =
        cohort.headline(&cohort.systems[0], metric("dice").unwrap_or(&METRICS[0])).patients;
    if patients < PATIENTS_FOR_A_CLAIM {
        let _ = writeln!(text, "{}", too_few(patients));
    }
    for (path, why) in &evaluation.refused_references {
        let _ = writeln!(text, "refused, in no number: {} ({why})", path.display());
    }
    for system in &cohort.systems {
        for case in system.cases.iter().filter(|case| case.outcome != Outcome::Scored) {
            let _ = writeln!(
                text,
                "counted as a failure: {} of {} ({})",
                case.case,
                system.name,
                case.outcome.word()
            );
        }
    }
    text.trim_end().to_owned()
}

fn whole_ct(n: &WholeNumbers) -> String {
    format!(
        "whole CT, {}: DSC by class {} ({} of classes that are there), all classes as one {}, lesion F1 {}; {:.1} mL a patient on slices without \
         disease, {} of {} absent classes reported, slice AUROC {}",
        n.name,
        score(n.mean_dice),
        score(n.mean_dice_where_present),
        score(n.any_class.mean),
        score(n.lesions.f1()),
        n.free_slices_ml.mean.unwrap_or(0.0),
        n.absent_pairs[0],
        n.absent_pairs[1],
        score(n.slice_auroc)
    )
}

fn classes(cohort: &Cohort, system: &System) -> impl std::fmt::Display {
    let mut table = ild_cli::table([
        "class",
        "volume DSC",
        "95 % interval",
        "n",
        "slice DSC",
        "n slices",
        "NSD",
        "HD95 mm",
        "volume error mL",
    ]);
    let mean_of =
        |class, key| metric(key).and_then(|metric| cohort.summary(system, class, metric).mean);
    for &class in &cohort.classes {
        let dice = cohort.summary(system, class, metric("dice").unwrap_or(&METRICS[0]));
        let (slices, slice_dice) = cohort.pooled_slice_dice(system, class);
        table.add_row([
            cohort.table.name(class),
            score(dice.mean),
            interval(dice.interval),
            dice.n.to_string(),
            score(slice_dice),
            slices.to_string(),
            score(mean_of(class, "nsd_surfel")),
            mean_of(class, "hd95_surfel_mm").map_or("–".to_owned(), |v| format!("{v:.1}")),
            mean_of(class, "volume_error_ml").map_or("–".to_owned(), |v| format!("{v:+.2}")),
        ]);
    }
    table
}

fn systems(cohort: &Cohort) -> impl std::fmt::Display {
    let mut table = ild_cli::table([
        "predictions",
        "mean volume DSC over classes",
        "95 % interval",
        "classes",
        "patients",
        "cases",
        "values",
        "DSC, all classes as one",
        "lesion F1",
    ]);
    for system in &cohort.systems {
        let headline = cohort.headline(system, metric("dice").unwrap_or(&METRICS[0]));
        table.add_row([
            system.name.clone(),
            score(headline.mean),
            interval(headline.interval),
            headline.classes.to_string(),
            headline.patients.to_string(),
            headline.cases.to_string(),
            headline.values.to_string(),
            score(cohort.any_class_dice(system).mean),
            score(cohort.lesions(system, None).f1()),
        ]);
    }
    table
}
