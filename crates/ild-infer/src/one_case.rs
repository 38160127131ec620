//! One case from file to prediction.

use std::path::Path;
use std::time::Instant;

use ild_io::lung::{LungMask, LungQuality};
use indicatif::ProgressBar;
use ndarray::{Array3, Axis};
use serde::{Deserialize, Serialize};

use crate::encoder_cache::{Features, Plan, with_features};
use crate::journey::{Rules, Track};
use crate::merge::Merger;
use crate::prompt::auto::{self, Candidate};
use crate::prompt::{PromptSource, boxes, ground_truth, mask};
use crate::sweep::{sweep, visits};
use crate::{
    Baseline, CaseFile, Engine, Error, Prediction, Prompt, Result, Sam2Segmenter, Scan, Settings,
    SliceSegmenter, encode, fill_boxes, window_choice,
};

/// What the summary tells of a case.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CaseFacts {
    /// Names of the labels in the result.
    pub labels: Vec<String>,
    /// Slices of the stack.
    pub slices: usize,
    /// Slices encoded by the model.
    pub encoded: usize,
    /// Wall time.
    pub seconds: f64,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// Where the prompts of a case came from: written into its outputs.
#[derive(Clone, Debug, Serialize)]
pub struct Provenance {
    /// `gt`, `auto`, or the file.
    pub source: String,
    /// In words.
    pub stamp: String,
    /// Start of each journey.
    pub journeys: Vec<JourneyStart>,
    /// The lung mask behind `auto`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lung: Option<LungQuality>,
    /// The mask itself, written beside the result.
    #[serde(skip)]
    pub lung_mask: Option<Array3<bool>>,
    /// What `auto` found, and which of it the model dropped.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<JudgedCandidate>,
}

/// The start of a journey, in slices of the CT and pixels.
#[derive(Clone, Debug, Serialize)]
pub struct JourneyStart {
    label: u8,
    slice: usize,
    span: [usize; 2],
    #[serde(skip_serializing_if = "Option::is_none")]
    r#box: Option<[f64; 4]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    points: Option<Vec<([f64; 2], bool)>>,
}

impl JourneyStart {
    fn new(track: &Track, scan: &Scan) -> Self {
        let (corners, points) = match &track.prompt {
            Prompt::Box(corners) => (Some(*corners), None),
            Prompt::Points(points) => (None, Some(points.clone())),
        };
        let slice = |i: usize| scan.z_index()[i];
        Self {
            label: track.label,
            slice: slice(track.start),
            span: track.span.map(slice),
            r#box: corners,
            points,
        }
    }
}

/// A candidate of `auto` and the model's verdict.
#[derive(Clone, Debug, Serialize)]
pub struct JudgedCandidate {
    #[serde(flatten)]
    candidate: Candidate,
    predicted_iou: f32,
    object_score: f32,
    stability: f32,
    kept: bool,
}

/// A segmented case, not yet written.
pub struct Segmented {
    /// The case.
    pub scan: Scan,
    /// Its labels.
    pub merger: Merger,
    /// Its prompts.
    pub provenance: Provenance,
    /// Slices encoded.
    pub encoded: usize,
}

/// What all cases of a run share.
pub struct Context<'a> {
    /// The flags.
    pub settings: &'a Settings,
    /// The model; `None` with a baseline.
    pub engine: Option<&'a Engine>,
    /// Names of the labels, when the user gave them.
    pub labels: Option<&'a ild_io::LabelTable>,
}

impl Context<'_> {
    /// Reads and segments `case`; `progress` advances slice by slice.
    ///
    /// # Errors
    /// What reading, prompting and the model refuse.
    pub fn segment(&self, case: &CaseFile, progress: &ProgressBar) -> Result<Segmented> {
        let scan = self.read(case)?;
        let settings = self.settings;
        let file = settings.prompt.file_for(&case.id)?;
        if let Some(Baseline::BoxFill) = settings.baseline {
            let truth = truth_of(&scan, case)?;
            let merger = fill_boxes(
                &scan,
                truth.view(),
                &ground_truth::ids(truth.view()),
                settings.save_probabilities,
            )?;
            let provenance = self.provenance(file.as_deref(), &[], &scan);
            return Ok(Segmented { merger, provenance, encoded: 0, scan });
        }
        let engine = self.engine.ok_or_else(|| anyhow::anyhow!("no model was loaded"))?;
        if settings.prompt == PromptSource::Auto {
            return self.segment_auto(case, scan, engine, progress);
        }
        let tracks = self.tracks(case, &scan, file.as_deref())?;
        let provenance = self.provenance(file.as_deref(), &tracks, &scan);
        let (merger, encoded) = self.travel(&scan, &tracks, engine, None, progress)?;
        Ok(Segmented { merger, provenance, encoded, scan })
    }

    fn read(&self, case: &CaseFile) -> Result<Scan> {
        let (settings, path) = (self.settings, case.path.as_path());
        let trained = self.engine.and_then(|engine| engine.window);
        if case.is_npz() {
            let scan = Scan::from_npz(&case.id, path, self.labels)?;
            if self.engine.is_some() {
                window_choice::check_npz(path, scan.windowing, settings.typed_window(), trained)?;
            }
            return Ok(scan);
        }
        let windowing = if self.engine.is_some() {
            window_choice::for_ct(path, settings.typed_window(), trained)?
        } else {
            settings.typed_window().unwrap_or_default()
        };
        let table = self
            .labels
            .cloned()
            .or_else(|| self.engine.and_then(|e| e.label_table.clone()))
            .unwrap_or_default();
        Scan::from_nifti(&case.id, path, self.truth_file(case)?.as_deref(), windowing, &table)
    }

    /// The label file of a CT; only `--prompt gt` insists on it.
    fn truth_file(&self, case: &CaseFile) -> Result<Option<std::path::PathBuf>> {
        let needed = self.settings.prompt == PromptSource::GroundTruth;
        let Some(place) = &self.settings.gt_path else {
            let next = "add --gt-path, or prompt with boxes, a mask or auto";
            return if needed {
                Err(Error::refused(
                    &case.path,
                    "ground truth for --prompt gt",
                    "none beside a CT",
                    next,
                ))
            } else {
                Ok(None)
            };
        };
        let file = if place.is_dir() {
            place.join(format!("{}{}", case.id, self.settings.gt_name_suffix))
        } else {
            place.clone()
        };
        match file.is_file() {
            true => Ok(Some(file)),
            false if !needed => Ok(None),
            false => Err(Error::refused(
                file,
                format!("the label file of {}", case.id),
                "nothing at this path",
                "check --gt-path and --gt-name-suffix",
            )),
        }
    }

    fn tracks(&self, case: &CaseFile, scan: &Scan, file: Option<&Path>) -> Result<Vec<Track>> {
        let settings = self.settings;
        let Some(file) = file else {
            let truth = truth_of(scan, case)?;
            let ids = if settings.parity {
                ground_truth::reference_ids(truth.view())
            } else {
                ground_truth::ids(truth.view())
            };
            return Ok(ground_truth::tracks(truth.view(), &ids, settings.bbox_shift));
        };
        if file.extension().is_some_and(|end| end == "json") {
            boxes::tracks(file, scan)
        } else {
            mask::tracks(file, scan, settings.bbox_shift)
        }
    }

    fn provenance(&self, file: Option<&Path>, tracks: &[Track], scan: &Scan) -> Provenance {
        let source = match (&self.settings.prompt, file) {
            (_, Some(file)) => file.display().to_string(),
            (PromptSource::Auto, None) => "auto".to_owned(),
            (_, None) => "gt".to_owned(),
        };
        let mut stamp = self.settings.prompt.stamp().to_owned();
        if self.settings.baseline.is_some() {
            stamp = format!("box-fill baseline, {stamp}");
        }
        let journeys = tracks.iter().map(|track| JourneyStart::new(track, scan)).collect();
        Provenance { source, stamp, journeys, lung: None, lung_mask: None, candidates: Vec::new() }
    }

    fn rules(&self, scan: &Scan, engine: &Engine) -> Rules {
        let [_, height, width] = scan.stack_shape();
        Rules {
            side: engine.side(),
            bbox_shift: self.settings.bbox_shift,
            stop_after: self.settings.stops_after(),
            restarts: self
                .settings
                .gap_rule()
                .restarts(scan.z_index(), scan.grid().spacing_xyz_mm[2]),
            slice_size: [height, width],
        }
    }

    /// All journeys of a case; predictions stay within `within`, if given. Returns the result and
    /// the number of encodings.
    fn travel(
        &self,
        scan: &Scan,
        tracks: &[Track],
        engine: &Engine,
        within: Option<&Array3<bool>>,
        progress: &ProgressBar,
    ) -> Result<(Merger, usize)> {
        let rules = self.rules(scan, engine);
        let order: Vec<usize> = visits(tracks).iter().map(|visit| visit.z).collect();
        progress.inc_length(order.len() as u64);
        let plan = Plan::new(&order, engine.capacity(self.settings.feature_memory));
        let mut merger = Merger::new(scan.stack_shape(), self.settings.save_probabilities);
        let encoded = self.with_model(scan, engine, &plan, |segmenter| {
            let mut segmenter = Watched { inner: segmenter, within, progress };
            sweep(tracks, &rules, &mut segmenter, |i, z, prediction| {
                merger.add(tracks[i].label, z, &prediction);
                Ok(())
            })
        })?;
        Ok((merger, encoded))
    }

    fn with_model(
        &self,
        scan: &Scan,
        engine: &Engine,
        plan: &Plan,
        work: impl FnOnce(Sam2Segmenter) -> Result<()>,
    ) -> Result<usize> {
        let [_, height, width] = scan.stack_shape();
        with_features(
            plan,
            engine.batch,
            |slices| encode(&engine.model, scan, slices),
            |features: &mut Features<_>| {
                work(Sam2Segmenter {
                    model: &engine.model,
                    features: &mut *features,
                    slice_size: [height, width],
                })?;
                Ok(features.encoded())
            },
        )
    }

    /// Lung, candidates, the model's verdict on each, and the journeys of those that are kept.
    fn segment_auto(
        &self,
        case: &CaseFile,
        mut scan: Scan,
        engine: &Engine,
        progress: &ProgressBar,
    ) -> Result<Segmented> {
        let Some(ct) = scan.ct() else {
            let next = "give the CT itself (.nii.gz)";
            return Err(Error::refused(
                &case.path,
                "a CT in Hounsfield units for --prompt auto",
                "windowed slices without the rest of the lung",
                next,
            ));
        };
        let lung = LungMask::of(ct);
        let candidates = auto::candidates(ct, &lung);
        let problems = lung.quality.problems();
        scan.notes
            .extend(problems.iter().map(|problem| format!("lung mask is doubtful: {problem}")));
        if !engine.scores_are_trained {
            scan.notes.push("these weights began at random, so their predicted IoU and object score say nothing: candidates were judged by stability alone".to_owned());
        }
        let judged = self.judge(&scan, candidates, engine, progress)?;
        let tracks: Vec<Track> = judged
            .iter()
            .filter(|j| j.kept)
            .map(|j| j.candidate.track(&scan.label_table))
            .collect();
        if tracks.is_empty() {
            scan.notes.push(nothing_kept(&judged, self.settings.auto_min_stability));
        }
        let (merger, encoded) = self.travel(&scan, &tracks, engine, Some(&lung.mask), progress)?;
        let mut provenance = self.provenance(None, &tracks, &scan);
        provenance.lung = Some(lung.quality);
        provenance.lung_mask = Some(lung.mask);
        let encoded = encoded + judged.len();
        provenance.candidates = judged;
        Ok(Segmented { merger, provenance, encoded, scan })
    }

    /// Asks the model about each candidate on its start slice.
    fn judge(
        &self,
        scan: &Scan,
        mut candidates: Vec<Candidate>,
        engine: &Engine,
        progress: &ProgressBar,
    ) -> Result<Vec<JudgedCandidate>> {
        candidates.sort_by_key(|candidate| candidate.start);
        let rules = self.rules(scan, engine);
        let order: Vec<usize> = candidates.iter().map(|candidate| candidate.start).collect();
        progress.inc_length(order.len() as u64);
        let scores = [self.settings.auto_min_iou, self.settings.auto_min_object_score];
        let limits = auto::Limits {
            stability: self.settings.auto_min_stability,
            scores: engine.scores_are_trained.then_some(scores),
        };
        let mut judged = Vec::with_capacity(candidates.len());
        self.with_model(scan, engine, &Plan::new(&order, 2 * engine.batch), |mut segmenter| {
            for candidate in candidates {
                ild_cli::stop_if_interrupted()?;
                let [height, width] = rules.slice_size;
                let prompt = Prompt::Box(candidate.start_box).to_input(height, width, rules.side);
                for answer in segmenter.segment(candidate.start, std::slice::from_ref(&prompt))? {
                    judged.push(JudgedCandidate {
                        candidate: candidate.clone(),
                        predicted_iou: answer.iou,
                        object_score: answer.object_score,
                        stability: auto::stability(answer.probability.view()),
                        kept: limits.keep(&answer),
                    });
                }
                progress.inc(1);
            }
            Ok(())
        })?;
        Ok(judged)
    }
}

fn nothing_kept(judged: &[JudgedCandidate], min_stability: f32) -> String {
    let firmest = judged.iter().map(|j| j.stability).fold(0.0, f32::max);
    match judged.len() {
        0 => "nothing segmented: no suspicious region in the lung".to_owned(),
        n => format!(
            "nothing segmented: {n} candidates in the lung, none kept by the model \
             (stability up to {firmest:.2}, --auto-min-stability is {min_stability})"
        ),
    }
}

fn truth_of<'a>(scan: &'a Scan, case: &CaseFile) -> Result<&'a Array3<u8>> {
    let next = "prompt with boxes, a mask or auto";
    let truth = scan.truth.as_ref().ok_or_else(|| {
        Error::refused(&case.path, "labels (`gts`) for --prompt gt", "an NPZ without them", next)
    })?;
    if truth.iter().all(|&id| id == 0) {
        return Err(Error::refused(
            &case.path,
            "labels for --prompt gt",
            "an empty label map",
            next,
        ));
    }
    Ok(truth)
}

/// A segmenter that counts slices for the progress bar and may be confined to a region.
struct Watched<'a, S> {
    inner: S,
    within: Option<&'a Array3<bool>>,
    progress: &'a ProgressBar,
}

impl<S: SliceSegmenter> SliceSegmenter for Watched<'_, S> {
    fn segment(&mut self, z: usize, prompts: &[Prompt]) -> Result<Vec<Prediction>> {
        let mut predictions = self.inner.segment(z, prompts)?;
        if let Some(region) = self.within {
            let region = region.index_axis(Axis(0), z);
            for prediction in &mut predictions {
                prediction
                    .probability
                    .zip_mut_with(&region, |p, &inside| *p = if inside { *p } else { 0.0 });
            }
        }
        self.progress.inc(1);
        Ok(predictions)
    }

    fn skip(&mut self, z: usize) {
        self.inner.skip(z);
        self.progress.inc(1);
    }
}

/// Seconds since `start`.
pub(crate) fn seconds(start: Instant) -> f64 {
    start.elapsed().as_secs_f64()
}
