//! Slices of a stack that are not neighbours in the CT.

/// What happens between two slices of the stack that are not neighbours in the CT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum GapRule {
    /// The box is carried over gaps of up to 15 mm; beyond, the far slice is prompted afresh, with
    /// the start prompt.
    Near,
    /// Every far slice is prompted afresh.
    Restart,
    /// The box is always carried over, as if the slices were neighbours (the older scripts' way).
    Carry,
}

/// Lesions of diffuse disease look alike over this distance; sparse labels are often drawn every 10
/// mm.
const NEAR_MM: f64 = 15.0;

impl GapRule {
    /// For each pair of successive slices of a stack (at `z_index` in a CT of this slice distance):
    /// whether the box is not carried over.
    #[must_use]
    pub fn restarts(self, z_index: &[usize], slice_mm: f64) -> Vec<bool> {
        let restarts = |step: usize| match self {
            Self::Near => step > 1 && step as f64 * slice_mm > NEAR_MM,
            Self::Restart => step > 1,
            Self::Carry => false,
        };
        z_index.windows(2).map(|pair| restarts(pair[1] - pair[0])).collect()
    }
}
