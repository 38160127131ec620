//! Lesions without a prompt: `ild-infer --prompt auto` on one case.

use ild_infer::Stop;
use ild_io::{LabelMap, LabelTable};
use indicatif::ProgressBar;
use serde_json::Value;

use super::Models;
use crate::error::{Answer, Problem};
use crate::studies::Study;

/// What was found.
#[derive(Clone, Debug)]
pub struct Automatic {
    /// On the CT's own grid, under the ids of the server's labels.
    pub map: LabelMap,
    /// Where it came from, as `ild-infer` writes it.
    pub provenance: Value,
    /// How unsure the weights are of it, 0 to 1; nothing where nothing was found.
    pub uncertainty: Option<f64>,
    /// What a person should know.
    pub notes: Vec<String>,
}

impl Models {
    /// Finds lesions in the CT of `study`, as `ild-infer` does; `progress` advances slice by slice,
    /// `stop` gives it up.
    ///
    /// # Errors
    /// What the readers and the model refuse.
    pub async fn automatic(
        &self,
        study: &Study,
        progress: ProgressBar,
        stop: Stop,
    ) -> Answer<Automatic> {
        let (mut context, case) = (self.context(stop), study.case.clone());
        // The weights' own names: what they find is renumbered by name below.
        context.labels = if self.finds() { None } else { Some(self.table) };
        let table = self.table;
        let done = self.long.ask(move || {
            let done = context.segment(&case, &progress)?;
            let scan = done.scan;
            let labels = scan.placement.in_ct(done.merger.labels);
            let labels = under(table, labels, &scan.label_table, &case.path)?;
            let provenance = serde_json::to_value(&done.provenance)
                .map_err(|error| Problem::failed(error.to_string()))?;
            Ok::<_, Problem>(Automatic {
                map: LabelMap { labels, geometry: scan.grid().clone() },
                uncertainty: uncertainty(&provenance),
                provenance,
                notes: scan.notes,
            })
        });
        done.await?
    }
}

fn under(
    table: &LabelTable,
    labels: ndarray::Array3<u8>,
    own: &LabelTable,
    path: &std::path::Path,
) -> Answer<ndarray::Array3<u8>> {
    if own == table { Ok(labels) } else { Ok(table.renumbered(labels, own, path)?) }
}

/// The mean over the lesions, by volume, of one minus their probability: that they are disease, and
/// of their class.
fn uncertainty(provenance: &Value) -> Option<f64> {
    let (mut sum, mut volume) = (0.0, 0.0);
    for lesion in provenance["lesions"].as_array()? {
        let number = |key: &str| lesion[key].as_f64();
        let (ml, sure) = (number("volume_ml")?, number("confidence")? * number("lesion")?);
        sum += ml * (1.0 - sure);
        volume += ml;
    }
    (volume > 0.0).then(|| sum / volume)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn large_doubtful_lesions_make_a_case_uncertain() {
        let of = |rows: &[[f64; 3]]| {
            let row = |[ml, confidence, lesion]: &[f64; 3]| json!({ "volume_ml": ml, "confidence": confidence, "lesion": lesion });
            uncertainty(&json!({ "lesions": rows.iter().map(row).collect::<Vec<_>>() }))
        };
        assert_eq!(of(&[[10.0, 1.0, 1.0]]), Some(0.0));
        assert_eq!(of(&[[30.0, 0.5, 1.0], [10.0, 1.0, 1.0]]), Some(0.375));
        assert_eq!(of(&[]), None);
        assert_eq!(uncertainty(&json!({})), None);
    }
}
