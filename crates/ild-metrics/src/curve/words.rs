//! What a learning curve says, and what it does not.

use super::CurveRow;
use crate::PATIENTS_FOR_A_CLAIM;

/// What a reader must not take from it.
const DOES_NOT_SAY: &str = "What it does not say: each point is one training of one draw of patients, another draw or seed gives another curve; the intervals redraw the measured patients and know nothing of that. Beyond the last point it is silent.";

/// For each system the step from the last number of patients but one to the last, and what all of it
/// does not say.
pub(super) fn says(rows: &[CurveRow]) -> Vec<String> {
    let mut lines = Vec::new();
    for of_one in rows.chunk_by(|a, b| a.system == b.system) {
        let [.., before, last] = of_one else { continue };
        let (Some(was), Some(is)) = (before.dsc_by_class, last.dsc_by_class) else { continue };
        lines.push(format!(
            "{}: from {} to {} training patients the DSC by class goes from {was:.3} to {is:.3}; {}",
            last.system,
            before.training_patients,
            last.training_patients,
            verdict(before, last)
        ));
    }
    lines.push(DOES_NOT_SAY.to_owned());
    lines
}

fn verdict(before: &CurveRow, last: &CurveRow) -> String {
    let few = last.measured_patients < PATIENTS_FOR_A_CLAIM;
    let (Some([_, high]), Some([low, _])) = (before.interval, last.interval) else {
        return "without intervals nothing follows from that".to_owned();
    };
    if few {
        return format!("{} measured patients are too few to tell", last.measured_patients);
    }
    if low > high {
        "more patients still helped, and more than these may help further".to_owned()
    } else {
        "the intervals overlap, so it is not shown that more patients would help (ild-metrics compare pairs the two evaluations patient by patient)".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::row;
    use super::*;

    #[test]
    fn overlapping_intervals_show_no_gain_and_separate_ones_do() {
        let [flat, steep] = [[0.60, 0.80], [0.45, 0.55]]
            .map(|interval| says(&[row(5, 0.5, interval), row(20, 0.8, [0.7, 0.9])]).join(" "));
        assert!(flat.contains("not shown") && flat.contains("0.500 to 0.800"), "{flat}");
        assert!(steep.contains("still helped") && steep.contains("does not say"), "{steep}");
    }

    #[test]
    fn a_single_point_says_nothing_about_more() {
        assert_eq!(says(&[row(5, 0.5, [0.4, 0.6])]), [DOES_NOT_SAY]);
    }
}
