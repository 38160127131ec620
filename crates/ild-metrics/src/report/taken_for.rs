//! A picture of which class was taken for which.

use std::collections::BTreeMap;

use super::page::Figure;
use crate::chart::{Chart, Marks, Matrix};
use crate::cohort::{Cohort, Role, System};
use crate::overlap::taken_for::added_up;
use crate::{NamedChart, Result};

/// The picture of the evaluated predictions and of the automatic ones.
pub(super) fn figure(cohort: &Cohort) -> Result<Figure> {
    let svgs =
        charts(cohort).iter().map(|named| named.chart.inline_svg()).collect::<Result<_>>()?;
    Ok(Figure {
        title: "Which class was taken for which".into(),
        note: "Volume on the annotated slices in mL, all cases together. A row is a class of the ground truth and says what the prediction made of it; \
               “no lesion” as a row is what was invented, as a column what was missed. Percentages are of the row."
            .into(),
        svgs,
    })
}

/// One chart for each headline.
pub(crate) fn charts(cohort: &Cohort) -> Vec<NamedChart> {
    let headlines = [Role::Evaluated, Role::Automatic];
    let systems = headlines.into_iter().filter_map(|role| cohort.with_role(role));
    systems
        .enumerate()
        .map(|(i, system)| NamedChart {
            file: if i == 0 { "taken_for".into() } else { "taken_for_automatic".into() },
            chart: chart(cohort, system),
        })
        .collect()
}

fn chart(cohort: &Cohort, system: &System) -> Chart {
    let sums = added_up(system.cases.iter().flat_map(|case| &case.scores.taken_for));
    let ml: BTreeMap<(u8, u8), f64> =
        sums.into_iter().map(|t| ((t.reference, t.predicted), t.ml)).collect();
    // No lesion last, in both directions.
    let ids: Vec<u8> = cohort.classes.iter().copied().chain([0]).collect();
    let name = |&id: &u8| if id == 0 { "no lesion".to_owned() } else { cohort.table.name(id) };
    let cell = |row: u8, column: u8| {
        (row != 0 || column != 0).then(|| ml.get(&(row, column)).copied().unwrap_or(0.0))
    };
    let row = |&id: &u8| ids.iter().map(|&column| cell(id, column)).collect();
    Chart {
        title: format!("{}, mL", system.name),
        x_label: "was called …".into(),
        y_label: "what is …".into(),
        marks: Marks::Cells(Matrix {
            rows: ids.iter().map(name).collect(),
            columns: ids.iter().map(name).collect(),
            values: ids.iter().map(row).collect(),
        }),
    }
}
