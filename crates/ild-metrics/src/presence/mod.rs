//! What a prediction says about the presence of each class, and whether that can be believed.

pub(crate) mod calibration;
pub(crate) mod stated;

use crate::{Cohort, PresenceStatement, WholeCt};
use stated::stated_presence;

/// For each system that states the presence of classes: its statements beside the truth, which is
/// the full one where it is known, else the annotated slices.
pub(crate) fn presence_statements(
    cohort: &Cohort,
    whole: Option<&WholeCt>,
) -> Vec<(String, Vec<PresenceStatement>)> {
    let mut all = Vec::new();
    for system in &cohort.systems {
        let whole = whole.and_then(|w| w.systems.iter().find(|known| known.name == system.name));
        let mut statements = Vec::new();
        for (index, case) in system.cases.iter().enumerate() {
            let Some(path) = &case.prediction_file else { continue };
            let truth = whole.and_then(|known| known.cases[index].as_ref());
            let annotated = |class: u8| {
                case.scores.classes.get(&class).is_some_and(|c| c.confusion.reference() > 0)
            };
            let stated = stated_presence(path, &case.case, &cohort.table).into_iter();
            statements.extend(stated.map(|(class, presence)| PresenceStatement {
                case: case.case.clone(),
                index,
                class,
                presence,
                present: truth.map_or_else(|| annotated(class), |truth| truth.holds(class)),
            }));
        }
        if !statements.is_empty() {
            all.push((system.name.clone(), statements));
        }
    }
    all
}
