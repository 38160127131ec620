//! `whole_ct.csv` and `healthy.csv`.

use polars::prelude::DataFrame;

use crate::tables::columns::{counts, frame, numbers, text};
use crate::whole::case::WholeCase;
use crate::{Cohort, Confusion, HealthySystem, Result, WholeCt};

/// One row per system, case and class that is in truth or prediction.
///
/// # Errors
/// None that are known.
pub fn whole_ct(cohort: &Cohort, whole: &WholeCt) -> Result<DataFrame> {
    let names: Vec<&str> = cohort.systems[0].cases.iter().map(|case| case.case.as_str()).collect();
    let mut rows: Vec<(&str, &str, &WholeCase, u8)> = Vec::new();
    for system in &whole.systems {
        for (&name, case) in names.iter().zip(&system.cases) {
            if let Some(case) = case {
                let classes = case.classes.keys();
                rows.extend(classes.map(|&class| (system.name.as_str(), name, case, class)));
            }
        }
    }
    let part = |part: fn(&Confusion) -> u64, annotated: bool| {
        rows.iter()
            .map(|(.., case, class)| {
                let counts = &case.classes[class];
                part(if annotated { &counts.annotated } else { &counts.elsewhere })
            })
            .collect::<Vec<_>>()
    };
    let number = |value: fn(&WholeCase, u8) -> Option<f64>| {
        rows.iter().map(|(.., case, class)| value(case, *class)).collect::<Vec<_>>()
    };
    frame(vec![
        text("system", rows.iter().map(|row| row.0)),
        text("case", rows.iter().map(|row| row.1)),
        text("class", rows.iter().map(|row| cohort.table.name(row.3))),
        numbers("dice", number(|case, class| case.classes[&class].whole().dice())),
        numbers("dice_annotated", number(|case, class| case.classes[&class].annotated.dice())),
        numbers("dice_elsewhere", number(|case, class| case.classes[&class].elsewhere.dice())),
        numbers(
            "free_slices_ml",
            number(|case, class| Some(case.classes[&class].on_free_slices as f64 * case.voxel_ml)),
        ),
        numbers("lesion_f1", number(|case, class| case.classes[&class].lesions.f1())),
        counts("annotated_tp", part(|c| c.tp, true)),
        counts("annotated_fp", part(|c| c.fp, true)),
        counts("annotated_fn", part(|c| c.fn_, true)),
        counts("elsewhere_tp", part(|c| c.tp, false)),
        counts("elsewhere_fp", part(|c| c.fp, false)),
        counts("elsewhere_fn", part(|c| c.fn_, false)),
        numbers("voxel_ml", number(|case, _| Some(case.voxel_ml))),
    ])
}

/// One row per system, healthy patient and class of the table: what was invented, mL.
///
/// # Errors
/// None that are known.
pub fn healthy(cohort: &Cohort, systems: &[HealthySystem]) -> Result<DataFrame> {
    let mut rows = Vec::new();
    for system in systems {
        for case in &system.cases {
            rows.extend(cohort.classes.iter().map(|&class| {
                let ml = case.found_ml.get(&class).copied().unwrap_or(0.0);
                (system.name.as_str(), case.case.as_str(), class, ml)
            }));
        }
    }
    frame(vec![
        text("system", rows.iter().map(|row| row.0)),
        text("case", rows.iter().map(|row| row.1)),
        text("class", rows.iter().map(|row| cohort.table.name(row.2))),
        numbers("invented_ml", rows.iter().map(|row| Some(row.3))),
    ])
}
