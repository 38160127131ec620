//! From evidence to lesions: 3-D pieces of one class each, with what was dropped and why.

use ild_model::SliceSize;
use ndarray::{Array2, Array3, ArrayViewMut2, Axis, Zip};
use serde::{Deserialize, Serialize};

use super::evidence::Evidence;
use super::found::{Found, FoundLesion, Rejected};
use super::naming::Votes;
use crate::coordinates::StackIndex;
use crate::pieces::{Piece, Pieces};

/// The rules by which evidence becomes lesions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FindSettings {
    /// A lesion needs one voxel above this (`S·p`).
    pub high: f32,
    /// It is all that hangs together above this.
    pub low: f32,
    /// Smaller lesions are dropped, mL.
    pub smallest_ml: f64,
    /// Smaller parts of another class than what they touch take its class, mL.
    pub part_ml: f64,
    /// Classes of which less is found in all are dropped, mL: diffuse disease is never this small.
    pub class_ml: f64,
    /// Classes whose presence is below this on every slice give no lesion its name.
    pub presence: f32,
}

impl Default for FindSettings {
    fn default() -> Self {
        Self { high: 0.6, low: 0.4, smallest_ml: 0.3, part_ml: 8.0, class_ml: 10.0, presence: 0.5 }
    }
}

/// Where lesions are looked for.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The lung and its surroundings, `[n, y, x]`. A lesion must touch it.
    pub lung: &'a Array3<bool>,
    /// See [`Pieces::of`].
    pub breaks: &'a [bool],
    /// Of a voxel, mL.
    pub voxel_ml: f64,
}

/// A lesion needs this share of its voxels in the lung or around it: consolidation thicker than the
/// lung mask's closing is mostly outside the mask, what is elsewhere has no part in it.
const LUNG_SHARE: f64 = 0.1;

/// The lesions in `evidence`.
#[must_use]
pub fn find(evidence: &Evidence, place: &Place, settings: &FindSettings) -> Found {
    let candidates = candidates(evidence, settings.presence);
    let mut search = Search { evidence, place, settings, candidates, rejected: Vec::new() };
    let mut channels = search.channels(); // 1 + class channel, 0 elsewhere
    search.keep_sure_ones_in_the_lung(&mut channels);
    search.absorb_small_parts(&mut channels);
    let pieces = Pieces::of(channels.view(), place.breaks);
    search.lesions(pieces, channels)
}

struct Search<'a> {
    evidence: &'a Evidence,
    place: &'a Place<'a>,
    settings: &'a FindSettings,
    /// Class channels that may give a lesion its name.
    candidates: Vec<usize>,
    rejected: Vec<Rejected>,
}

/// The class channels that are present anywhere; all of them where none is.
fn candidates(evidence: &Evidence, least: f32) -> Vec<usize> {
    let presence = evidence.presence();
    let all = 0..presence.len();
    let there: Vec<usize> = all.clone().filter(|&c| presence[c] >= least).collect();
    if there.is_empty() { all.collect() } else { there }
}

impl Search<'_> {
    fn size(&self) -> SliceSize {
        let (_, height, width) = self.place.lung.dim();
        SliceSize { height, width }
    }

    /// Where `S·p` is above the low threshold, the channel of the most probable class plus one.
    fn channels(&self) -> Array3<u8> {
        let mut channels = Array3::zeros(self.place.lung.dim());
        Zip::indexed(channels.outer_iter_mut()).par_for_each(|z, out| {
            self.channels_on(StackIndex(z), out);
        });
        channels
    }

    fn channels_on(&self, slice: StackIndex, mut out: ArrayViewMut2<u8>) {
        let low = self.settings.low;
        if self.evidence.lesion.index_axis(Axis(0), slice.0).iter().all(|&p| p <= low) {
            return;
        }
        let lesion = self.evidence.lesion_on(slice, self.size());
        let mut best = Array2::<f32>::zeros(lesion.dim());
        for &c in &self.candidates {
            let class = self.evidence.class_on(c, slice, self.size());
            Zip::from(&mut out).and(&mut best).and(&class).and(&lesion).for_each(
                |out, best, &q, &p| {
                    if p > low && q > *best {
                        (*out, *best) = (c as u8 + 1, q);
                    }
                },
            );
        }
    }

    /// Erases what hangs together (of whatever class) without a voxel above the high threshold, or
    /// without enough of the lung.
    fn keep_sure_ones_in_the_lung(&mut self, channels: &mut Array3<u8>) {
        let any = channels.mapv(|channel| u8::from(channel != 0));
        let pieces = Pieces::of(any.view(), self.place.breaks);
        let mut sure = vec![false; pieces.all.len()];
        let mut in_lung = vec![0u64; pieces.all.len()];
        let mut here: Option<(StackIndex, Array2<f32>)> = None;
        pieces.for_each_run(|piece, _, slice, y, columns| {
            if here.as_ref().is_none_or(|(at, _)| *at != slice) {
                here = Some((slice, self.evidence.lesion_on(slice, self.size())));
            }
            let Some((_, lesion)) = &here else { return };
            sure[piece] |= columns.clone().any(|x| lesion[[y, x]] > self.settings.high);
            in_lung[piece] += columns.filter(|&x| self.place.lung[[slice.0, y, x]]).count() as u64;
        });
        let mut keep = Vec::with_capacity(pieces.all.len());
        for (i, piece) in pieces.all.iter().enumerate() {
            let enough = in_lung[i] as f64 >= LUNG_SHARE * piece.voxels as f64;
            keep.push(u8::from(sure[i] && enough));
            match (sure[i], enough) {
                (false, _) => self.reject("no voxel is probable enough", piece.voxels),
                (_, false) => self.reject("outside the lung", piece.voxels),
                _ => {}
            }
        }
        let mut kept = any;
        pieces.relabel(&mut kept, &keep);
        Zip::from(channels).and(&kept).for_each(|channel, &keep| *channel *= keep);
    }

    /// Gives parts smaller than `part_ml` the class that they touch most of.
    fn absorb_small_parts(&self, channels: &mut Array3<u8>) {
        let parts = Pieces::of(channels.view(), self.place.breaks);
        let small =
            |piece: &Piece| (piece.voxels as f64 * self.place.voxel_ml) < self.settings.part_ml;
        let mut touched = vec![[0u32; 256]; parts.all.len()];
        let view = channels.view();
        parts.for_each_run(|part, own, slice, y, columns| {
            if !small(&parts.all[part]) {
                return;
            }
            let mut look = |z: Option<usize>, y: Option<usize>, x: Option<usize>| {
                if let (Some(z), Some(y), Some(x)) = (z, y, x)
                    && let Some(&other) = view.get([z, y, x])
                    && other != 0
                    && other != own
                {
                    touched[part][usize::from(other)] += 1;
                }
            };
            let z = slice.0;
            look(Some(z), Some(y), columns.start.checked_sub(1));
            look(Some(z), Some(y), Some(columns.end));
            for x in columns {
                look(Some(z), y.checked_sub(1), Some(x));
                look(Some(z), Some(y + 1), Some(x));
                look(z.checked_sub(1), Some(y), Some(x));
                look(Some(z + 1), Some(y), Some(x));
            }
        });
        let new: Vec<u8> = parts
            .all
            .iter()
            .zip(&touched)
            .map(|(part, touched)| {
                let most = (1..=255u8).max_by_key(|&c| touched[usize::from(c)]).unwrap_or(0);
                if touched[usize::from(most)] > 0 { most } else { part.label }
            })
            .collect();
        parts.relabel(channels, &new);
    }

    /// Names the pieces, drops the small ones, and then classes of which there is too little.
    fn lesions(mut self, pieces: Pieces, mut channels: Array3<u8>) -> Found {
        let ml = |voxels: u64| voxels as f64 * self.place.voxel_ml;
        let names: Vec<Option<(usize, f64, f64)>> = self
            .votes(&pieces)
            .into_iter()
            .zip(&pieces.all)
            .map(|((votes, lesion), piece)| {
                let (candidate, confidence) = votes.winner();
                let large = ml(piece.voxels) >= self.settings.smallest_ml;
                large.then_some((candidate, confidence, lesion / piece.voxels as f64))
            })
            .collect();
        let mut of_class = vec![0u64; self.candidates.len()];
        for (name, piece) in names.iter().zip(&pieces.all) {
            if let Some((candidate, ..)) = name {
                of_class[*candidate] += piece.voxels;
            }
        }
        let enough: Vec<bool> = of_class.iter().map(|n| ml(*n) >= self.settings.class_ml).collect();
        let mut labels = vec![0; pieces.all.len()];
        let mut lesions = Vec::new();
        for (i, (name, piece)) in names.into_iter().zip(&pieces.all).enumerate() {
            match name {
                None => self.reject("smaller than the smallest lesion", piece.voxels),
                Some((candidate, ..)) if !enough[candidate] => {
                    self.reject("too little of its class in all", piece.voxels);
                }
                Some((candidate, confidence, lesion)) => {
                    let label = self.evidence.classes[self.candidates[candidate]];
                    labels[i] = label;
                    let piece = Piece { label, ..piece.clone() };
                    lesions.push(FoundLesion { label, piece, confidence, lesion });
                }
            }
        }
        pieces.relabel(&mut channels, &labels);
        Found { lesions, labels: channels, rejected: self.rejected }
    }

    /// Of each piece the votes for its class, and the sum of `S·p`.
    fn votes(&self, pieces: &Pieces) -> Vec<(Votes, f64)> {
        let k = self.candidates.len();
        let mut votes = vec![(Votes::new(k), 0.0); pieces.all.len()];
        let mut here: Option<(StackIndex, Array2<f32>, Vec<Array2<f32>>)> = None;
        pieces.for_each_run(|piece, _, slice, y, columns| {
            if here.as_ref().is_none_or(|(at, ..)| *at != slice) {
                let size = self.size();
                let of = |&c: &usize| self.evidence.class_on(c, slice, size);
                let class = self.candidates.iter().map(of).collect();
                here = Some((slice, self.evidence.lesion_on(slice, size), class));
            }
            let Some((_, lesion, class)) = &here else { return };
            let (votes, sum) = &mut votes[piece];
            for x in columns {
                let p = lesion[[y, x]];
                votes.add(p, class.iter().map(|q| q[[y, x]]));
                *sum += f64::from(p);
            }
        });
        votes
    }

    fn reject(&mut self, why: &'static str, voxels: u64) {
        let volume_ml = voxels as f64 * self.place.voxel_ml;
        match self.rejected.iter_mut().find(|row| row.why == why) {
            Some(row) => (row.pieces, row.volume_ml) = (row.pieces + 1, row.volume_ml + volume_ml),
            None => self.rejected.push(Rejected { why, pieces: 1, volume_ml }),
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array4, s};

    use super::*;

    const SETTINGS: FindSettings = FindSettings {
        high: 0.6,
        low: 0.4,
        smallest_ml: 0.3,
        part_ml: 0.2,
        class_ml: 0.0,
        presence: 0.5,
    };

    /// 6 slices of 30 × 40; two classes, labels 3 and 5; nothing found yet.
    fn nothing() -> Evidence {
        Evidence {
            classes: vec![3, 5],
            lesion: Array3::zeros((6, 30, 40)),
            class: Array4::from_elem((2, 6, 30, 40), 0.5),
            gate: vec![1.0; 6],
            present: vec![vec![0.9, 0.6]; 6],
            seen: vec![true; 6],
            range: vec![None; 6],
        }
    }

    fn lung() -> Array3<bool> {
        let mut lung = Array3::from_elem((6, 30, 40), false);
        lung.slice_mut(s![1..6, 2..28, 2..30]).fill(true);
        lung
    }

    fn found(evidence: &Evidence) -> Found {
        let place = Place { lung: &lung(), breaks: &[], voxel_ml: 0.01 };
        find(evidence, &place, &SETTINGS)
    }

    /// A block of 2 × 10 × 10 voxels (2 mL) with this `S·p` and this `q` of the first class.
    fn put(evidence: &mut Evidence, x: usize, p: f32, q: f32) {
        evidence.lesion.slice_mut(s![2..4, 10..20, x..x + 10]).fill(p);
        evidence.class.slice_mut(s![0, 2..4, 10..20, x..x + 10]).fill(q);
        evidence.class.slice_mut(s![1, 2..4, 10..20, x..x + 10]).fill(1.0 - q);
    }

    #[test]
    fn two_touching_lesions_of_different_texture_are_two_with_a_name_each() {
        let mut evidence = nothing();
        put(&mut evidence, 4, 0.9, 0.9);
        put(&mut evidence, 14, 0.8, 0.2);
        let found = found(&evidence);
        let labels: Vec<u8> = found.lesions.iter().map(|lesion| lesion.label).collect();
        assert_eq!(labels, [3, 5]);
        assert_eq!(found.lesions[0].piece.voxels, 200);
        assert!(found.lesions[0].confidence > 0.8);
        assert_eq!(found.labels.iter().filter(|&&id| id == 5).count(), 200);
    }

    #[test]
    fn grains_of_another_class_inside_a_lesion_are_the_lesions() {
        let mut evidence = nothing();
        put(&mut evidence, 4, 0.9, 0.9);
        evidence.class.slice_mut(s![0, 2, 13..15, 6..8]).fill(0.1);
        evidence.class.slice_mut(s![1, 2, 13..15, 6..8]).fill(0.9);
        let found = found(&evidence);
        assert_eq!(found.lesions.len(), 1);
        assert_eq!(found.lesions[0].piece.voxels, 200);
    }

    #[test]
    fn a_class_that_no_slice_holds_gives_no_lesion_its_name() {
        let mut evidence = nothing();
        put(&mut evidence, 4, 0.9, 0.4);
        assert_eq!(found(&evidence).lesions[0].label, 5);
        evidence.present = vec![vec![0.9, 0.3]; 6];
        assert_eq!(found(&evidence).lesions[0].label, 3);
    }

    #[test]
    fn a_class_of_which_there_is_too_little_in_all_is_dropped_with_all_its_lesions() {
        let mut evidence = nothing();
        put(&mut evidence, 4, 0.9, 0.9);
        put(&mut evidence, 20, 0.9, 0.1);
        evidence.lesion.slice_mut(s![2..4, 15..20, 20..30]).fill(0.0); // 1 mL is left
        evidence.lesion.slice_mut(s![2..4, 23..27, 20..30]).fill(0.9);
        evidence.class.slice_mut(s![0, 2..4, 23..27, 20..30]).fill(0.1);
        evidence.class.slice_mut(s![1, 2..4, 23..27, 20..30]).fill(0.9);
        let labels = |class_ml: f64| {
            let place = Place { lung: &lung(), breaks: &[], voxel_ml: 0.01 };
            let found = find(&evidence, &place, &FindSettings { class_ml, ..SETTINGS });
            let left: Vec<u8> = found.lesions.iter().map(|lesion| lesion.label).collect();
            (left, found.rejected)
        };
        assert_eq!(labels(1.7), (vec![3, 5, 5], vec![])); // 1 mL and 0.8 mL
        let (left, rejected) = labels(1.9);
        assert_eq!(left, [3]);
        assert_eq!((rejected[0].why, rejected[0].pieces), ("too little of its class in all", 2));
        assert!((rejected[0].volume_ml - 1.8).abs() < 1e-9);
    }

    #[test]
    fn doubtful_small_and_extrapulmonary_pieces_are_dropped_and_told() {
        let mut evidence = nothing();
        put(&mut evidence, 4, 0.5, 0.9);
        evidence.lesion.slice_mut(s![5, 3..5, 3..5]).fill(0.9);
        evidence.lesion.slice_mut(s![0..1, 5..15, 5..15]).fill(0.9);
        let found = found(&evidence);
        assert_eq!(found.lesions, []);
        assert!(found.labels.iter().all(|&id| id == 0));
        let why: Vec<(&str, usize)> =
            found.rejected.iter().map(|row| (row.why, row.pieces)).collect();
        assert_eq!(
            why,
            [
                ("outside the lung", 1),
                ("no voxel is probable enough", 1),
                ("smaller than the smallest lesion", 1)
            ]
        );
    }

    #[test]
    fn a_lesion_that_reaches_out_of_the_lung_mask_stays_whole() {
        let mut evidence = nothing();
        put(&mut evidence, 28, 0.9, 0.9); // 2 of 10 columns are lung
        assert_eq!(found(&evidence).lesions[0].piece.voxels, 200);
    }
}
