//! Whether the box matters: the same lesions prompted with the right box and with wrong ones.

use super::page::{Cell, Table};
use crate::cohort::{Cohort, Role, ScoredCase, Summary, System, mean_over_classes};
use crate::tables::printed::{interval, score};
use crate::{METRICS, metric};

/// One row per kind of box; `None` when no experiment with a wrong box was given.
pub(super) fn table(cohort: &Cohort) -> Option<Table> {
    let wrong: Vec<&System> =
        cohort.systems.iter().filter(|system| system.role.is_wrong_box()).collect();
    if wrong.is_empty() {
        return None;
    }
    let mut heads = vec!["Prompt".to_owned(), "mean over classes".to_owned()];
    heads.extend(cohort.classes.iter().map(|&class| cohort.table.name(class)));
    heads.push("predicted, mL a case".into());
    let right = cohort.with_role(Role::Evaluated).into_iter();
    Some(Table {
        title: "Does the box matter?".into(),
        note: "DSC with the class whose name the box carried, interval and n. With the lesion's own box it should be high. With the box of another \
               lesion, or one that holds nothing, it should be low: a model that outlines all disease whatever the box scores high in all three rows, \
               and then the first is no measure of prompting. Another lesion's box can only be given where a patient has two classes; others are left out \
               of that row."
            .into(),
        heads,
        rows: right.chain(wrong).map(|system| row(cohort, system)).collect(),
    })
}

fn row(cohort: &Cohort, system: &System) -> Vec<Cell> {
    let dice = metric("dice").unwrap_or(&METRICS[0]);
    let name = match system.role {
        Role::OtherBox => "another lesion's box",
        Role::EmptyBox => "a box that holds nothing",
        _ => "the lesion's own box",
    };
    let by_class: Vec<Vec<Option<f64>>> = cohort
        .classes
        .iter()
        .map(|&class| {
            let values = cohort.values(system, class, dice).into_iter().zip(&system.cases);
            values.map(|(value, case)| value.filter(|_| is_asked(system.role, case))).collect()
        })
        .collect();
    let everybody: Vec<usize> = (0..system.cases.len()).collect();
    let ends = cohort.bootstrap.interval(|drawn| mean_over_classes(&by_class, drawn));
    let patients = cohort.bootstrap.patients(|i| by_class.iter().any(|of| of[i].is_some()));
    let mut cells = vec![
        Cell::new(name),
        Cell::new(score(mean_over_classes(&by_class, &everybody)))
            .with_note(format!("{}\nn {patients} patients", interval(ends))),
    ];
    cells.extend(by_class.iter().map(|values| of_class(&cohort.summary_of(values))));
    let predicted: Vec<f64> = system
        .cases
        .iter()
        .map(|case| case.scores.classes.values().map(crate::ClassScores::predicted_ml).sum())
        .collect();
    let mean = crate::statistics::mean(&predicted);
    cells.push(Cell::new(mean.map_or("–".to_owned(), |ml| format!("{ml:.1}"))));
    cells
}

fn of_class(summary: &Summary) -> Cell {
    let ends =
        summary.interval.map_or(String::new(), |ends| format!("{} · ", interval(Some(ends))));
    Cell::new(score(summary.mean)).with_note(format!("{ends}n {}", summary.n))
}

/// Whether the experiment could be made on this case: another lesion's box takes a second class.
fn is_asked(role: Role, case: &ScoredCase) -> bool {
    let classes = case.scores.classes.values().filter(|class| class.confusion.reference() > 0);
    role != Role::OtherBox || classes.count() > 1
}
