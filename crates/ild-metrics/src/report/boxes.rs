//! Whether the box matters: the same lesions prompted with the right box and with wrong ones.

use super::page::{Cell, Table};
use crate::cohort::{Cohort, Role, System};
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
               and then the first is no measure of prompting."
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
    let headline = cohort.headline(system, dice);
    let mut cells = vec![
        Cell::new(name),
        Cell::new(score(headline.mean)).with_note(format!(
            "{}\nn {} patients",
            interval(headline.interval),
            headline.patients
        )),
    ];
    cells.extend(cohort.classes.iter().map(|&class| super::cell(cohort, system, class, dice, 3)));
    let predicted: Vec<f64> = system
        .cases
        .iter()
        .map(|case| case.scores.classes.values().map(crate::ClassScores::predicted_ml).sum())
        .collect();
    let mean = crate::statistics::mean(&predicted);
    cells.push(Cell::new(mean.map_or("–".to_owned(), |ml| format!("{ml:.1}"))));
    cells
}
