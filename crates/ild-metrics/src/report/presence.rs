//! Whether the stated presence of a class can be believed.

use super::page::Figure;
use crate::chart::{Chart, Marks, Series};
use crate::{Calibration, Evaluation, Result};

/// A reliability diagram of each system that states presence; `None` when none does.
pub(super) fn figure(evaluation: &Evaluation) -> Result<Option<Figure>> {
    let (mut svgs, mut sentences) = (Vec::new(), Vec::new());
    for (name, statements) in &evaluation.presence {
        if let Some(calibration) = Calibration::new(statements) {
            svgs.push(chart(name, &calibration).inline_svg()?);
            sentences.push(sentence(name, &calibration));
        }
    }
    if svgs.is_empty() {
        return Ok(None);
    }
    let truth = if evaluation.whole.is_some() {
        "the full truth of the CT"
    } else {
        "the annotated slices, so a class that is only on others counts as absent"
    };
    Ok(Some(Figure {
        title: "Can the stated presence be believed?".into(),
        note: format!(
            "Each prediction says with a number from 0 to 1 how sure it is that a class is in the scan. Points on the dotted diagonal are well calibrated: \
             of the scans with a presence of 0.8, eight in ten hold the class. What is there was taken from {truth}. {} With few scans each point moves a \
             lot from one cohort to the next.",
            sentences.join(" ")
        ),
        svgs,
    }))
}

fn sentence(name: &str, c: &Calibration) -> String {
    let ranked = c.auroc.map_or(String::new(), |auroc| format!(", AUROC {auroc:.3}"));
    let counts: Vec<String> = c.bins.iter().map(|bin| bin.n.to_string()).collect();
    format!(
        "{name}: {} statements about a class in a scan ({} points from {} of them), {} of the classes there; Brier score {:.3}, expected calibration \
         error {:.3}{ranked}.",
        c.n,
        c.bins.len(),
        counts.join(" + "),
        c.present,
        c.brier,
        c.expected_error
    )
}

fn chart(name: &str, calibration: &Calibration) -> Chart {
    let points = calibration.bins.iter().map(|bin| (bin.mean_presence, bin.share_present));
    Chart {
        title: format!("Presence, {name}"),
        x_label: "stated presence (mean of the bin)".into(),
        y_label: "share of scans that hold the class".into(),
        marks: Marks::Lines(vec![
            Series { name: "stated".into(), points: points.collect() },
            Series { name: "well calibrated".into(), points: vec![(0.0, 0.0), (1.0, 1.0)] },
        ]),
    }
}
