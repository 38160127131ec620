//! `--prompt auto`: a case without any prompt, by the classes that the checkpoint has learned.

use ild_io::lung::LungMask;
use ndarray::{Array2, Axis, s};

use super::case::{Context, Segmented, doubts, lung_of};
use crate::coordinates::StackIndex;
use crate::find::refine::{OwnBoxes, agreeing};
use crate::find::{Evidence, Found, FoundLesion, Looked};
use crate::merge::Merger;
use crate::prompt::Track;
use crate::prompt::source::CasePrompt;
use crate::provenance::{AutomaticSearch, ClassPresence, LesionRow, Provenance, Search};
use crate::settings::AutoMask;
use crate::{CaseFile, Engine, Error, Result, Scan, Session};

impl Context<'_> {
    pub(super) fn automatic(
        &self,
        case: &CaseFile,
        prompt: &CasePrompt,
        session: Session,
    ) -> Result<Segmented> {
        let lung = lung_of(case, session.scan())?;
        // The decoder may be asked about lesions of which a slice itself has only a trace.
        let worth = self.settings.find.low / 2.0;
        let looked = Looked::at(&session, &lung, self.settings.journey.gap, worth)?
            .ok_or_else(|| no_classes(session.engine()))?;
        let evidence = &looked.evidence;
        let found = looked.find(&self.settings.find);
        let (mut merger, tracks) = self.draw(&session, evidence, &found)?;
        for slice in (0..evidence.gate.len()).map(StackIndex) {
            if let Some(range) = evidence.range_on(slice, session.scan().slice_size()) {
                merger.spread.note(slice, &range);
            }
        }

        let mut notes = doubts(&lung);
        notes.extend(nothing_found(&found, looked.nothing_to_see));
        let mut provenance = Provenance::new(prompt, self.settings.method, &tracks, session.scan());
        provenance.stamp += &self.settings.rules_in_words();
        provenance.search =
            Some(Search::Automatic(self.search(session.scan(), &lung, evidence, &found)));
        let encoded = session.encoded();
        let mut scan = session.into_scan();
        scan.notes.extend(notes);
        Ok(Segmented { scan, merger, dropped: vec![], provenance, lung: Some(lung.mask), encoded })
    }

    /// The masks of what was found, and the prompts that the decoder got for them.
    fn draw(
        &self,
        session: &Session,
        evidence: &Evidence,
        found: &Found,
    ) -> Result<(Merger, Vec<Track>)> {
        // Probabilities are the head's, whoever draws the masks.
        let mut merger = Merger::new(session.scan().stack_shape(), false);
        let by_head = Head { evidence, found, scan: session.scan() };
        if self.settings.flags.save_probabilities {
            by_head.probabilities(&mut merger);
        }
        let mode = self.settings.flags.auto_mask;
        if mode == AutoMask::Head {
            by_head.draw(&mut merger);
            return Ok((merger, vec![]));
        }
        let boxes =
            OwnBoxes::new(&found.lesions, session.scan().slice_size(), session.engine().side());
        let tracks = boxes.tracks(&found.lesions);
        session.propagate(&boxes, &tracks, |answer| {
            let lesion = &found.lesions[answer.track];
            let slice = answer.slice;
            let own = by_head.mask(lesion, slice);
            let decoders = match mode {
                AutoMask::Both => agreeing(answer.prediction, own.view()),
                _ => Some(answer.prediction),
            };
            match decoders {
                Some(prediction) => merger.add(lesion.label, slice, &prediction),
                None => by_head.claim(lesion.label, slice, own, &mut merger),
            }
            Ok(())
        })?;
        Ok((merger, tracks))
    }

    fn search(
        &self,
        scan: &Scan,
        lung: &LungMask,
        evidence: &Evidence,
        found: &Found,
    ) -> AutomaticSearch {
        let presence = evidence.classes.iter().zip(evidence.presence());
        AutomaticSearch {
            lung: lung.quality.clone(),
            mask: self.settings.flags.auto_mask,
            rules: self.settings.find,
            fitted: self.settings.fitted.clone().map(Box::new),
            presence: presence
                .map(|(&label, probability)| ClassPresence {
                    label,
                    name: scan.label_table.name(label),
                    probability,
                    found: found.lesions.iter().any(|lesion| lesion.label == label),
                })
                .collect(),
            lesions: found.lesions.iter().map(|lesion| LesionRow::new(lesion, scan)).collect(),
            dropped: found.rejected.clone(),
        }
    }
}

/// Masks and probabilities as the head has them.
struct Head<'a> {
    evidence: &'a Evidence,
    found: &'a Found,
    scan: &'a Scan,
}

impl Head<'_> {
    /// A lesion on one of its slices.
    fn mask(&self, lesion: &FoundLesion, slice: StackIndex) -> Array2<bool> {
        let mut mask =
            Array2::from_elem(self.found.labels.index_axis(Axis(0), slice.0).dim(), false);
        if let Some(extent) = lesion.piece.slices.get(&slice) {
            let b = extent.around;
            let here = s![b.y0..b.y1, b.x0..b.x1];
            let labels = self.found.labels.index_axis(Axis(0), slice.0);
            let mut inside = mask.slice_mut(here);
            inside.zip_mut_with(&labels.slice(here), |m, &id| *m = id == lesion.label);
        }
        mask
    }

    /// Claims `mask` with the head's probability of `label`.
    fn claim(&self, label: u8, slice: StackIndex, mask: Array2<bool>, merger: &mut Merger) {
        merger.claim(label, slice, mask, self.probability(label, slice).view());
    }

    /// `S·p·q` of `label` on a slice.
    fn probability(&self, label: u8, slice: StackIndex) -> Array2<f32> {
        let size = self.scan.slice_size();
        let mut p = self.evidence.lesion_on(slice, size);
        if let Some(c) = self.evidence.classes.iter().position(|&id| id == label) {
            p *= &self.evidence.class_on(c, slice, size);
        }
        p
    }

    /// Every lesion on every slice of it.
    fn draw(&self, merger: &mut Merger) {
        for lesion in &self.found.lesions {
            for &slice in lesion.piece.slices.keys() {
                self.claim(lesion.label, slice, self.mask(lesion, slice), merger);
            }
        }
    }

    /// The probabilities of all classes on all slices.
    fn probabilities(&self, merger: &mut Merger) {
        for &label in &self.evidence.classes {
            let slices = (0..self.evidence.gate.len()).map(StackIndex);
            let all = slices.map(|slice| (slice, self.probability(label, slice)));
            merger.per_label.entry(label).or_default().probabilities = all.collect();
        }
    }
}

fn nothing_found(found: &Found, no_lung: bool) -> Option<String> {
    if no_lung {
        return Some(
            "nothing segmented: there is no lung in this CT (no air-filled region inside a body)"
                .to_owned(),
        );
    }
    if !found.lesions.is_empty() {
        return None;
    }
    let dropped: Vec<String> = found
        .rejected
        .iter()
        .map(|row| format!("{} of {:.2} mL: {}", row.pieces, row.volume_ml, row.why))
        .collect();
    Some(if dropped.is_empty() {
        "nothing segmented: no lesion of the checkpoint's classes in this lung".to_owned()
    } else {
        format!("nothing segmented: pieces were found and dropped ({})", dropped.join("; "))
    })
}

fn no_classes(engine: &Engine) -> Error {
    Error::refused(
        &engine.origin.checkpoint,
        "weights that have learned to find and name lesions, for --prompt auto",
        "a checkpoint without classes of its own",
        "use --prompt heuristic (dense regions of the lung), boxes or a mask",
    )
}
