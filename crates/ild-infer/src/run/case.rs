//! One case from file to label map: prompt, journeys, one map, islands.

use ild_io::lung::LungMask;
use indicatif::ProgressBar;
use ndarray::Array3;

use super::read::truth_of;
use super::start_answers::Starts;
use crate::merge::islands::drop_islands;
use crate::merge::{Dropped, Merger};
use crate::pieces::{Piece, Pieces};
use crate::prompt::heuristic::candidates;
use crate::prompt::heuristic::judge::{JudgedCandidate, Limits, judge};
use crate::prompt::mask::Division;
use crate::prompt::source::CasePrompt;
use crate::prompt::truth::{by_class, by_piece, ids, misplaced, reference_ids};
use crate::prompt::{PromptKind, Track, drawn, mask};
use crate::provenance::{HeuristicSearch, Provenance, Search};
use crate::settings::{Method, Resolved};
use crate::{CaseFile, Engine, Error, Result, Scan, Session, Stop, fill_boxes};

/// A segmented case, not yet written.
pub struct Segmented {
    /// The case.
    pub scan: Scan,
    /// Its labels.
    pub merger: Merger,
    /// Islands that are no longer in them.
    pub dropped: Vec<Dropped>,
    /// Its prompts.
    pub provenance: Provenance,
    /// The lung that was searched.
    pub lung: Option<Array3<bool>>,
    /// Slices encoded.
    pub encoded: usize,
}

/// What all cases of a run share.
pub struct Context<'a> {
    /// The decisions of the run.
    pub settings: &'a Resolved,
    /// The model; `None` with a baseline.
    pub engine: Option<&'a Engine>,
    /// Names of the labels, when the user gave them.
    pub labels: Option<&'a ild_io::LabelTable>,
    /// Gives a case up.
    pub stop: Stop,
}

impl Context<'_> {
    /// Reads and segments `case`; `progress` advances slice by slice.
    ///
    /// # Errors
    /// What reading, prompting and the model refuse.
    pub fn segment(&self, case: &CaseFile, progress: &ProgressBar) -> Result<Segmented> {
        let prompt = self.settings.flags.prompt.of_case(&case.id)?;
        let scan = self.read(case)?;
        if let Method::Baseline(_) = self.settings.method {
            return self.baseline(case, &prompt, scan);
        }
        let engine = self.engine.ok_or_else(|| {
            Error::refused(&case.path, "a model (--checkpoint)", "none", "name the weights")
        })?;
        let session = Session::open(engine, scan)
            .with_feature_memory(self.settings.flags.feature_memory)
            .with_progress(progress.clone())
            .with_stop(self.stop.clone());
        let mut done = match prompt.kind {
            PromptKind::Automatic => self.automatic(case, &prompt, session)?,
            PromptKind::Heuristic => self.heuristic(case, &prompt, session)?,
            _ => self.prompted(case, &prompt, session)?,
        };
        self.drop_islands(&mut done);
        Ok(done)
    }

    fn baseline(&self, case: &CaseFile, prompt: &CasePrompt, scan: Scan) -> Result<Segmented> {
        let truth = truth_of(&scan, case)?;
        let keep = self.settings.flags.save_probabilities;
        let merger = fill_boxes(&scan, truth.view(), &ids(truth.view()), keep)?;
        let provenance = Provenance::new(prompt, self.settings.method, &[], &scan);
        Ok(Segmented { scan, merger, dropped: vec![], provenance, lung: None, encoded: 0 })
    }

    /// Tracks from the prompt, journeys along them.
    fn prompted(
        &self,
        case: &CaseFile,
        prompt: &CasePrompt,
        session: Session,
    ) -> Result<Segmented> {
        let (tracks, mut notes) = self.tracks(case, prompt, session.scan())?;
        let mut starts = Starts::default();
        let mut merger = self.merger(session.scan());
        let way = session.propagator(self.settings.flags.propagate, self.settings.journey)?;
        session.segment(way.as_ref(), &tracks, &mut merger, None, |answer| {
            starts.look(&tracks[answer.track], answer);
        })?;
        // A box that holds nothing is there to be answered with nothing.
        if prompt.kind != PromptKind::EmptyBox {
            notes.extend(starts.notes(session.scan()));
        }
        let provenance = Provenance::new(prompt, self.settings.method, &tracks, session.scan());
        let encoded = session.encoded();
        let mut scan = session.into_scan();
        scan.notes.extend(notes);
        Ok(Segmented { scan, merger, dropped: vec![], provenance, lung: None, encoded })
    }

    fn merger(&self, scan: &Scan) -> Merger {
        Merger::new(scan.stack_shape(), self.settings.flags.save_probabilities)
    }

    /// The journeys that `prompt` asks for, and what the user should know about them.
    fn tracks(
        &self,
        case: &CaseFile,
        prompt: &CasePrompt,
        scan: &Scan,
    ) -> Result<(Vec<Track>, Vec<String>)> {
        let (parity, shift) = (self.settings.flags.parity, self.settings.journey.bbox_shift);
        let breaks = scan.breaks(self.settings.journey.gap);
        match (&prompt.file, prompt.kind) {
            (Some(file), PromptKind::Mask) => {
                let division = if parity { Division::ByClass } else { Division::ByPiece(&breaks) };
                Ok((mask::tracks(file, scan, shift, division)?, vec![]))
            }
            (Some(file), _) => Ok((drawn::tracks(file, scan)?, vec![])),
            (None, PromptKind::GroundTruth) if parity => {
                let truth = truth_of(scan, case)?.view();
                Ok((by_class::tracks(truth, &reference_ids(truth), shift), vec![]))
            }
            (None, kind) => {
                let truth = truth_of(scan, case)?.view();
                let pieces = Pieces::of(truth, &breaks).all;
                let (pieces, mut notes) = self.worth_prompting(pieces, scan);
                if pieces.is_empty() {
                    notes.push("the ground truth holds no lesion: nothing was prompted".to_owned());
                }
                Ok(match kind {
                    PromptKind::AnotherLesion => of_another(&pieces, shift, scan, notes),
                    PromptKind::EmptyBox => (misplaced::without_lesion(truth, &pieces), notes),
                    _ => (by_piece::tracks(&pieces, shift, scan.slice_size()), notes),
                })
            }
        }
    }

    /// The pieces that are no islands; a note says how many are.
    fn worth_prompting(&self, mut pieces: Vec<Piece>, scan: &Scan) -> (Vec<Piece>, Vec<String>) {
        let voxel_ml = scan.grid().voxel_volume_ml();
        let smallest_ml = self.settings.smallest_ml;
        let before = pieces.len();
        let worth = |voxels: u64| voxels as f64 * voxel_ml >= smallest_ml;
        // Islands are all there is: then they are what is asked for.
        if pieces.iter().any(|piece| worth(piece.voxels)) {
            pieces.retain(|piece| worth(piece.voxels));
        }
        let left_out = before - pieces.len();
        let note = (left_out > 0).then(|| {
            format!("{left_out} of {before} labelled pieces are below {smallest_ml} mL and were not prompted (--smallest-ml)")
        });
        (pieces, note.into_iter().collect())
    }

    /// Lung, candidates, the model's verdict on each, and the journeys of those that are kept.
    fn heuristic(
        &self,
        case: &CaseFile,
        prompt: &CasePrompt,
        session: Session,
    ) -> Result<Segmented> {
        let lung = lung_of(case, session.scan())?;
        let found = session.scan().ct().map(|ct| candidates(ct, &lung)).unwrap_or_default();
        let limits = self.limits(session.engine());
        let judged = judge(&session, found, &limits)?;
        let tracks: Vec<Track> = judged
            .iter()
            .filter(|j| j.kept)
            .map(|j| j.candidate.track(&session.scan().label_table))
            .collect();
        let mut notes = doubts(&lung);
        if limits.scores.is_none() {
            notes.push("these weights began at random, so their predicted IoU and object score say nothing: candidates were judged by stability alone".to_owned());
        }
        if tracks.is_empty() {
            notes.push(nothing_kept(&judged, limits.stability));
        }
        let mut merger = self.merger(session.scan());
        let way = session.propagator(self.settings.flags.propagate, self.settings.journey)?;
        session.segment(way.as_ref(), &tracks, &mut merger, Some(&lung.mask), |_| ())?;
        let mut provenance = Provenance::new(prompt, self.settings.method, &tracks, session.scan());
        provenance.search =
            Some(Search::Heuristic(HeuristicSearch { lung: lung.quality, candidates: judged }));
        let encoded = session.encoded();
        let mut scan = session.into_scan();
        scan.notes.extend(notes);
        Ok(Segmented { scan, merger, dropped: vec![], provenance, lung: Some(lung.mask), encoded })
    }

    fn limits(&self, engine: &Engine) -> Limits {
        let flags = &self.settings.flags;
        let scores = [flags.heuristic_min_iou, flags.heuristic_min_object_score];
        Limits {
            stability: flags.heuristic_min_stability,
            scores: engine.scores_are_trained.then_some(scores),
        }
    }

    fn drop_islands(&self, done: &mut Segmented) {
        let breaks = done.scan.breaks(self.settings.journey.gap);
        let voxel_ml = done.scan.grid().voxel_volume_ml();
        done.dropped =
            drop_islands(&mut done.merger.labels, &breaks, self.settings.smallest_ml, voxel_ml);
    }
}

fn of_another(
    pieces: &[Piece],
    shift: usize,
    scan: &Scan,
    mut notes: Vec<String>,
) -> (Vec<Track>, Vec<String>) {
    let tracks = misplaced::of_another_lesion(pieces, shift, scan.slice_size());
    if tracks.is_empty() {
        notes.push("there is one class of lesion only, so no other one's box: nothing was asked of the model".to_owned());
    }
    (tracks, notes)
}

pub(super) fn lung_of(case: &CaseFile, scan: &Scan) -> Result<LungMask> {
    let ct = scan.ct().ok_or_else(|| {
        Error::refused(
            &case.path,
            "a CT in Hounsfield units for a search without prompts",
            "windowed slices without the rest of the lung",
            "give the CT itself (.nii.gz)",
        )
    })?;
    Ok(LungMask::of(ct))
}

pub(super) fn doubts(lung: &LungMask) -> Vec<String> {
    let problems = lung.quality.problems();
    problems.iter().map(|problem| format!("lung mask is doubtful: {problem}")).collect()
}

fn nothing_kept(judged: &[JudgedCandidate], min_stability: f32) -> String {
    let firmest = judged.iter().map(|j| j.stability).fold(0.0, f32::max);
    match judged.len() {
        0 => "nothing segmented: no suspicious region in the lung".to_owned(),
        n => format!(
            "nothing segmented: {n} candidates in the lung, none kept by the model \
             (stability up to {firmest:.2}, --heuristic-min-stability is {min_stability})"
        ),
    }
}
