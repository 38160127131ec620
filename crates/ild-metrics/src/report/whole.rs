//! The tables of the whole CT and of healthy patients.

use super::page::{Cell, Table};
use crate::tables::printed::{interval, score};
use crate::{Cohort, Evaluation, HealthySystem, Provenance, Summary, WholeNumbers};

/// The systems over whole CTs that were not told by ground truth where to look.
pub(crate) fn unprompted(evaluation: &Evaluation, provenance: &Provenance) -> Vec<WholeNumbers> {
    let Some(whole) = &evaluation.whole else { return Vec::new() };
    whole
        .systems
        .iter()
        .filter(|system| !provenance.prompted_with_ground_truth(&system.name))
        .map(|system| WholeNumbers::new(&evaluation.cohort, system))
        .collect()
}

/// All tables of this file.
pub(super) fn tables(evaluation: &Evaluation, provenance: &Provenance) -> Vec<Table> {
    let cohort = &evaluation.cohort;
    let systems = unprompted(evaluation, provenance);
    let mut tables: Vec<Table> = systems.iter().map(|numbers| by_class(cohort, numbers)).collect();
    if !systems.is_empty() {
        tables.insert(0, at_a_glance(&systems));
    }
    if !evaluation.healthy.is_empty() {
        tables.push(healthy(cohort, &evaluation.healthy));
    }
    tables
}

fn summary(summary: &Summary, digits: usize) -> Cell {
    let number = |v: f64| format!("{v:.digits$}");
    let spread = summary
        .interval
        .map_or(String::new(), |[low, high]| format!("{} to {} · ", number(low), number(high)));
    Cell::new(summary.mean.map_or("–".to_owned(), number))
        .with_note(format!("{spread}n {}", summary.n))
}

fn share(part: usize, of: usize) -> Cell {
    let percent = if of == 0 {
        "–".to_owned()
    } else {
        format!("{:.1} %", 100.0 * part as f64 / of as f64)
    };
    Cell::new(percent).with_note(format!("{part} of {of}"))
}

fn at_a_glance(systems: &[WholeNumbers]) -> Table {
    let heads = [
        "Predictions",
        "DSC by class ↑",
        "of classes that are there ↑",
        "DSC, all classes as one ↑",
        "lesion F1 ↑",
        "invented on free slices, mL a patient ↓",
        "free slices marked ↓",
        "absent class reported ↓",
        "slice AUROC ↑",
    ];
    let row = |n: &WholeNumbers| {
        vec![
            Cell::new(n.name.clone()).with_note(format!("n {} cases", n.cases)),
            Cell::new(score(n.mean_dice)).with_note(interval(n.interval)),
            Cell::new(score(n.mean_dice_where_present)),
            summary(&n.any_class, 3),
            Cell::new(score(n.lesions.f1())).with_note(format!(
                "{} of {} found, {} invented",
                n.lesions.found,
                n.lesions.reference,
                n.lesions.predicted - n.lesions.true_predicted
            )),
            summary(&n.free_slices_ml, 1),
            share(n.marked_free_slices, n.free_slices),
            share(n.absent_pairs[0], n.absent_pairs[1]),
            Cell::new(score(n.slice_auroc)).with_note(interval(n.slice_auroc_interval)),
        ]
    };
    Table {
        title: "The whole CT: also where nobody annotated".into(),
        note: "Here the truth of every slice is known, because the patients are synthetic. DSC by class is the mean over the classes of the mean over \
               cases; a class that is predicted and not there counts as 0, and “of classes that are there” leaves such pairs out. Free slices show no disease \
               of any class. An absent class is one that a patient does not have anywhere. The slice AUROC says how well the predicted area of a slice \
               ranks diseased slices above free ones. Systems that ground truth told where to look are left out: they were not asked here."
            .into(),
        heads: heads.map(str::to_owned).to_vec(),
        rows: systems.iter().map(row).collect(),
    }
}

fn by_class(cohort: &Cohort, numbers: &WholeNumbers) -> Table {
    let heads = [
        "Class",
        "DSC, whole CT ↑",
        "annotated slices ↑",
        "other slices ↑",
        "where it is there ↑",
        "invented on free slices, mL a patient ↓",
        "reported though absent ↓",
        "lesion F1 ↑",
    ];
    let rows = numbers.classes.iter().map(|class| {
        vec![
            Cell::new(cohort.table.name(class.class)).with_color(cohort.table.color(class.class)),
            summary(&class.dice, 3),
            summary(&class.dice_annotated, 3),
            summary(&class.dice_elsewhere, 3),
            summary(&class.dice_where_present, 3),
            Cell::new(class.free_slices_ml.map_or("–".to_owned(), |ml| format!("{ml:.1}"))),
            share(class.reported_absent, class.absent),
            Cell::new(score(class.lesions.f1()))
                .with_note(format!("{} of {}", class.lesions.found, class.lesions.reference)),
        ]
    });
    Table {
        title: format!("The whole CT by class, {}", numbers.name),
        note: "Mean over cases, 95 % interval and n. Annotated slices are those that the evaluation above is about; other slices are those that nobody \
               outlined."
            .into(),
        heads: heads.map(str::to_owned).to_vec(),
        rows: rows.collect(),
    }
}

fn healthy(cohort: &Cohort, systems: &[HealthySystem]) -> Table {
    let mut heads = vec!["Predictions".to_owned(), "all classes, mL a patient ↓".to_owned()];
    heads.extend(cohort.classes.iter().map(|&class| cohort.table.name(class)));
    heads.extend(["worst patient, mL".to_owned(), "patients with anything ↓".to_owned()]);
    let row = |system: &HealthySystem| {
        let number = |ml: Option<f64>| ml.map_or("–".to_owned(), |ml| format!("{ml:.1}"));
        let worst = system.cases.iter().max_by(|a, b| a.total_ml().total_cmp(&b.total_ml()));
        let with_any = system.cases.iter().filter(|case| case.total_ml() > 0.0).count();
        let mut cells = vec![
            Cell::new(system.name.clone()).with_note(format!("n {} patients", system.cases.len())),
            Cell::new(number(system.mean_total_ml())),
        ];
        cells.extend(cohort.classes.iter().map(|&class| Cell::new(number(system.mean_ml(class)))));
        cells.push(
            Cell::new(number(worst.map(crate::HealthyCase::total_ml)))
                .with_note(worst.map_or(String::new(), |case| case.case.clone())),
        );
        cells.push(share(with_any, system.cases.len()));
        cells
    };
    Table {
        title: "Healthy patients".into(),
        note: "What was found in patients who are known to have no disease, mL a patient: all of it is invented.".into(),
        heads,
        rows: systems.iter().map(row).collect(),
    }
}
