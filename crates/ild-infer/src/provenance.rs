//! What a result owes to whom: written into its sidecar.

use ild_io::lung::LungQuality;
use ild_model::SliceBox;
use serde::Serialize;

use crate::Scan;
use crate::coordinates::{CtSlice, Span};
use crate::find::FoundLesion;
use crate::find::{FindSettings, Fitted, Rejected};
use crate::prompt::heuristic::judge::JudgedCandidate;
use crate::prompt::source::CasePrompt;
use crate::prompt::{PromptKind, Track};
use crate::settings::{AutoMask, Method};

/// Where the prompts of a case came from.
#[derive(Clone, Debug, Serialize)]
pub struct Provenance {
    /// The word of `--prompt`, or the file.
    pub source: String,
    /// What that is.
    pub kind: PromptKind,
    /// Whether the result was made with the help of the labels that it would be measured with.
    pub ground_truth_used: bool,
    /// In words.
    pub stamp: String,
    /// Start of each journey.
    pub journeys: Vec<JourneyStart>,
    /// What was looked for without a prompt.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub search: Option<Search>,
}

/// What a search without a prompt found.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Search {
    /// `--prompt heuristic`.
    Heuristic(HeuristicSearch),
    /// `--prompt auto`.
    Automatic(AutomaticSearch),
}

/// Dense regions of the lung.
#[derive(Clone, Debug, Serialize)]
pub struct HeuristicSearch {
    /// The lung mask that was searched.
    pub lung: LungQuality,
    /// What was found, and which of it the model dropped.
    pub candidates: Vec<JudgedCandidate>,
}

/// Lesions of the classes that the checkpoint has learned.
#[derive(Clone, Debug, Serialize)]
pub struct AutomaticSearch {
    /// The lung mask whose surroundings were searched.
    pub lung: LungQuality,
    /// Where the masks come from.
    pub mask: AutoMask,
    /// By which rules.
    pub rules: FindSettings,
    /// What was fitted to the weights and is in force where no flag says otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fitted: Option<Box<Fitted>>,
    /// Each class of the checkpoint.
    pub presence: Vec<ClassPresence>,
    /// What was found.
    pub lesions: Vec<LesionRow>,
    /// What was found and dropped.
    pub dropped: Vec<Rejected>,
}

/// Whether a class is there.
#[derive(Clone, Debug, Serialize)]
pub struct ClassPresence {
    /// Its id.
    pub label: u8,
    /// Its name.
    pub name: String,
    /// The highest probability on any slice, by the checkpoint's own judgement of whole slices.
    pub probability: f32,
    /// Whether a lesion of it was found.
    pub found: bool,
}

/// A lesion that was found.
#[derive(Clone, Debug, Serialize)]
pub struct LesionRow {
    label: u8,
    name: String,
    /// Of the label among all classes.
    confidence: f64,
    /// Mean probability of its voxels to be diseased.
    lesion: f64,
    volume_ml: f64,
    slices: Span<CtSlice>,
    /// With the most of it.
    key_slice: CtSlice,
}

impl LesionRow {
    /// The row of `lesion`, found in `scan`.
    #[must_use]
    pub fn new(lesion: &FoundLesion, scan: &Scan) -> Self {
        let span = lesion.piece.span();
        Self {
            label: lesion.label,
            name: scan.label_table.name(lesion.label),
            confidence: lesion.confidence,
            lesion: lesion.lesion,
            volume_ml: lesion.piece.voxels as f64 * scan.grid().voxel_volume_ml(),
            slices: Span { first: scan.ct_slice(span.first), last: scan.ct_slice(span.last) },
            key_slice: scan.ct_slice(lesion.piece.key_slice().0),
        }
    }
}

impl Provenance {
    /// The record of a case segmented by `method` from `prompt`.
    #[must_use]
    pub fn new(prompt: &CasePrompt, method: Method, tracks: &[Track], scan: &Scan) -> Self {
        let stamp = match method {
            Method::Model => prompt.kind.stamp().to_owned(),
            Method::Baseline(_) => format!("box-fill baseline, {}", prompt.kind.stamp()),
        };
        Self {
            source: prompt.source(),
            kind: prompt.kind,
            ground_truth_used: prompt.kind.uses_ground_truth(),
            stamp,
            journeys: tracks.iter().map(|track| JourneyStart::new(track, scan)).collect(),
            search: None,
        }
    }
}

/// The start of a journey, in slices of the CT and pixels of the slice.
#[derive(Clone, Debug, Serialize)]
pub struct JourneyStart {
    label: u8,
    slice: CtSlice,
    span: Span<CtSlice>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#box: Option<[f64; 4]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    points: Option<Vec<([f64; 2], bool)>>,
}

impl JourneyStart {
    fn new(track: &Track, scan: &Scan) -> Self {
        let corners = track.prompt.around().map(SliceBox::corners);
        let points = track.prompt.points().iter();
        let points: Vec<_> = points.map(|&(at, inside)| ([at.x, at.y], inside)).collect();
        let points = (!points.is_empty()).then_some(points);
        Self {
            label: track.label,
            slice: scan.ct_slice(track.start),
            span: Span {
                first: scan.ct_slice(track.span.first),
                last: scan.ct_slice(track.span.last),
            },
            r#box: corners,
            points,
        }
    }
}
