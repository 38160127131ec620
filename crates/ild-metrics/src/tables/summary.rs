//! `summary.json`: nnU-Net's shape for the evaluated predictions, and everything else under `ild`.
//!
//! nnU-Net writes NaN where a class is in neither map; JSON has no NaN, so it is `null` here. Means
//! leave such values out and `ild` gives the n of each.

use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::cohort::{Cohort, ScoredCase, System};
use crate::report::whole::unprompted;
use crate::statistics::mean;
use crate::{
    Calibration, ClassScores, Comparison, Evaluation, HealthySystem, METRICS, Provenance, added_up,
    metric,
};

type Column = (&'static str, fn(&ClassScores) -> Option<f64>);

/// nnU-Net's per-class numbers, in its order.
const NNUNET: [Column; 8] = [
    ("Dice", |c| c.confusion.dice()),
    ("FN", |c| Some(c.confusion.fn_ as f64)),
    ("FP", |c| Some(c.confusion.fp as f64)),
    ("IoU", |c| c.confusion.iou()),
    ("TN", |c| Some((c.voxels - c.confusion.tp - c.confusion.fp - c.confusion.fn_) as f64)),
    ("TP", |c| Some(c.confusion.tp as f64)),
    ("n_pred", |c| Some(c.confusion.predicted() as f64)),
    ("n_ref", |c| Some(c.confusion.reference() as f64)),
];

/// The whole summary.
#[must_use]
pub fn summary(evaluation: &Evaluation, provenance: &Provenance) -> Value {
    let cohort = &evaluation.cohort;
    let system = &cohort.systems[0];
    let per_class: Vec<(u8, [Option<f64>; 8])> =
        cohort.classes.iter().map(|&class| (class, class_means(system, class))).collect();
    let foreground: [Option<f64>; 8] = std::array::from_fn(|i| {
        mean(&per_class.iter().filter_map(|(_, m)| m[i]).collect::<Vec<_>>())
    });
    let by_class = per_class
        .iter()
        .map(|(class, means)| (class.to_string(), named(means)))
        .collect::<Map<_, _>>();
    json!({
        "foreground_mean": named(&foreground),
        "mean": by_class,
        "metric_per_case": system.cases.iter().map(|case| per_case(cohort, case)).collect::<Vec<_>>(),
        "ild": {
            "program": format!("ild-metrics {}", env!("CARGO_PKG_VERSION")),
            "labels": cohort.table,
            "mean_volume_dsc": "mean over the classes of the mean over cases of the DSC of the whole volume",
            "systems": cohort.systems.iter().map(|system| of_system(cohort, system)).collect::<Vec<_>>(),
            "comparisons": Comparison::with_baselines(cohort),
            "whole_ct": unprompted(evaluation, provenance),
            "without_full_truth": evaluation.whole.as_ref().map(|whole| &whole.without_truth),
            "healthy": evaluation.healthy.iter().map(of_healthy).collect::<Vec<_>>(),
            "presence": evaluation.presence.iter().map(|(system, statements)| json!({ "system": system, "calibration": Calibration::new(statements) })).collect::<Vec<_>>(),
            "refused_ground_truth": evaluation.refused_references.iter().map(|(path, why)| json!({ "path": shown(path), "reason": why })).collect::<Vec<_>>(),
            "header_notes": evaluation.header_notes,
            "predictions_without_ground_truth": evaluation.unmatched,
            "definitions": METRICS.iter().map(|m| (m.key.to_owned(), m.meaning.into())).collect::<Map<String, Value>>(),
            "provenance": provenance,
        },
    })
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn named(values: &[Option<f64>; 8]) -> Value {
    NNUNET
        .iter()
        .zip(values)
        .map(|((name, _), value)| ((*name).to_owned(), json!(value)))
        .collect::<Map<_, _>>()
        .into()
}

fn class_means(system: &System, class: u8) -> [Option<f64>; 8] {
    NNUNET.map(|(_, value)| {
        let values: Vec<f64> = system
            .cases
            .iter()
            .filter_map(|case| case.scores.classes.get(&class).and_then(value))
            .collect();
        mean(&values)
    })
}

fn per_case(cohort: &Cohort, case: &ScoredCase) -> Value {
    let metrics =
        cohort.classes.iter().filter_map(|class| Some((class, case.scores.classes.get(class)?)));
    let metrics: Map<String, Value> = metrics
        .map(|(class, scores)| (class.to_string(), named(&NNUNET.map(|(_, value)| value(scores)))))
        .collect();
    json!({
        "metrics": metrics,
        "prediction_file": case.prediction_file.as_deref().map(shown),
        "reference_file": shown(&case.reference_file),
    })
}

fn of_healthy(system: &HealthySystem) -> Value {
    json!({ "name": system.name, "mean_invented_ml": system.mean_total_ml(), "cases": system.cases })
}

fn of_system(cohort: &Cohort, system: &System) -> Value {
    #[derive(Serialize)]
    struct Failure<'a> {
        case: &'a str,
        #[serde(flatten)]
        outcome: &'a crate::Outcome,
    }
    let failures = system.cases.iter().filter(|case| case.outcome != crate::Outcome::Scored);
    let failures: Vec<Failure> =
        failures.map(|case| Failure { case: &case.case, outcome: &case.outcome }).collect();
    let classes: Map<String, Value> = cohort
        .classes
        .iter()
        .map(|&class| {
            let metrics = METRICS.iter().map(|m| (m.key.to_owned(), json!(cohort.summary(system, class, m)))).collect::<Map<_, _>>();
            let (n_slices, mean_slice_dsc) = cohort.pooled_slice_dice(system, class);
            let value =
                json!({ "name": cohort.table.name(class), "mean_slice_dsc": mean_slice_dsc, "n_slices": n_slices, "metrics": metrics });
            (class.to_string(), value)
        })
        .collect();
    json!({
        "name": system.name,
        "role": system.role,
        "folder": shown(&system.folder),
        "lesions": cohort.lesions(system, None),
        "lesion_f1": cohort.lesions(system, None).f1(),
        "taken_for": added_up(system.cases.iter().flat_map(|case| &case.scores.taken_for)),
        "mean_volume_dsc": metric("dice").map(|dice| cohort.headline(system, dice)),
        "all_classes_as_one_dsc": cohort.any_class_dice(system),
        "failures": failures,
        "classes": classes,
    })
}
