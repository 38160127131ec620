//! Where a prompt came from: typed, so that no reader has to look for words.

use serde::Serialize;

/// Written into every output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PromptKind {
    /// Boxes around the case's own labels.
    GroundTruth,
    /// For each lesion the box of another one, as an experiment.
    AnotherLesion,
    /// Boxes in which there is no lesion, as an experiment.
    EmptyBox,
    /// Boxes or points that somebody drew.
    Drawn,
    /// A label map that somebody drew.
    Mask,
    /// Dense regions of the lung.
    Heuristic,
    /// What the checkpoint's own classes found.
    Automatic,
}

impl PromptKind {
    /// Whether the prompt was made from the labels that a result would be measured with.
    #[must_use]
    pub fn uses_ground_truth(self) -> bool {
        matches!(self, Self::GroundTruth | Self::AnotherLesion | Self::EmptyBox)
    }

    /// In words.
    #[must_use]
    pub fn stamp(self) -> &'static str {
        match self {
            Self::GroundTruth => "prompt from ground truth",
            Self::AnotherLesion => "prompt from ground truth, on purpose the box of another lesion",
            Self::EmptyBox => "prompt from ground truth, on purpose a box without any lesion",
            Self::Drawn => "prompt from a file of boxes or points",
            Self::Mask => "prompt from a mask",
            Self::Heuristic => "automatic prompt (heuristic: dense regions of the lung)",
            Self::Automatic => "automatic: lesions found and named by the checkpoint",
        }
    }
}
