//! What a model must beat: the ground truth's own box on each slice, filled.

use ild_io::BoundingBox;
use ndarray::{Array2, ArrayView3, s};

use crate::coordinates::StackIndex;
use crate::merge::Merger;
use crate::{Prediction, Result, Scan};

/// `--baseline`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Baseline {
    /// Each slice's tight box around the label, filled: no model, and more knowledge than the
    /// travelling box has.
    BoxFill,
}

/// Fills the tight box of each of `ids` on each slice of `labels`. Where boxes overlap the lower id
/// has the voxel.
///
/// # Errors
/// The interruption by the user.
pub fn fill_boxes(
    scan: &Scan,
    labels: ArrayView3<u8>,
    ids: &[u8],
    keep_probabilities: bool,
) -> Result<Merger> {
    let mut merger = Merger::new(scan.stack_shape(), keep_probabilities);
    for (z, slice) in labels.outer_iter().enumerate() {
        ild_cli::stop_if_interrupted()?;
        for &id in ids {
            let Some(b) = BoundingBox::around(slice, |v| v == id) else { continue };
            let mut probability = Array2::zeros(slice.dim());
            probability.slice_mut(s![b.y0..b.y1, b.x0..b.x1]).fill(1.0);
            merger.add(id, StackIndex(z), &Prediction { probability, scores: None, range: None });
        }
    }
    Ok(merger)
}
