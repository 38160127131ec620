//! Everything that is measured on one case.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;
use serde::Serialize;

use crate::overlap::lesion_wise::{LesionScores, lesion_scores};
use crate::overlap::taken_for::TakenFor;
use crate::statistics::mean;
use crate::{Aligned, BorderDistances, Confusion, Mask, PairScan, SurfelDistances};

/// Scores of one class in one case. Surface scores are `None` when either side lacks the class.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ClassScores {
    /// Voxels on annotated slices.
    pub confusion: Confusion,
    /// Voxels on annotated slices, true negatives included.
    pub voxels: u64,
    /// Volume of a voxel, mL.
    pub voxel_ml: f64,
    /// DSC of each annotated slice where the class is in ground truth or prediction.
    pub slice_dice: Vec<f64>,
    /// Surfaces as `surface-distance` defines them.
    pub surfel: Option<SurfelScores>,
    /// Surfaces as MedPy defines them.
    pub border: Option<BorderScores>,
    /// Lesions.
    pub lesions: LesionScores,
    /// Predicted voxels on slices that were not annotated.
    pub predicted_elsewhere: u64,
}

/// Surface scores by surface elements.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SurfelScores {
    /// Normalised surface Dice at the run's tolerance.
    pub nsd: f64,
    /// 95th percentile, mm.
    pub hd95_mm: f64,
    /// Mean distance from ground truth to prediction, mm.
    pub asd_reference_to_predicted_mm: f64,
    /// Mean distance from prediction to ground truth, mm.
    pub asd_predicted_to_reference_mm: f64,
}

/// Surface scores by border voxels.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct BorderScores {
    /// 95th percentile of the pooled distances, mm.
    pub hd95_mm: f64,
    /// Mean of the pooled distances, mm.
    pub assd_mm: f64,
}

impl ClassScores {
    /// Mean of the slices' DSC.
    #[must_use]
    pub fn mean_slice_dice(&self) -> Option<f64> {
        mean(&self.slice_dice)
    }

    /// Volume in the ground truth, mL.
    #[must_use]
    pub fn reference_ml(&self) -> f64 {
        self.confusion.reference() as f64 * self.voxel_ml
    }

    /// Volume in the prediction on annotated slices, mL.
    #[must_use]
    pub fn predicted_ml(&self) -> f64 {
        self.confusion.predicted() as f64 * self.voxel_ml
    }
}

/// What of the settings changes a number.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ScoreSettings {
    /// Tolerance of the NSD, mm.
    pub nsd_tolerance_mm: f64,
    /// Share of a lesion that has to be covered.
    pub lesion_overlap: f64,
}

/// Scores of one case.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CaseScores {
    /// By class; a class that is in neither map has a [`ClassScores`] without values.
    pub classes: BTreeMap<u8, ClassScores>,
    /// Voxels on annotated slices, all classes taken for one: whether disease was found, whatever
    /// it was called.
    pub any_class: Confusion,
    /// Which class was taken for which.
    pub taken_for: Vec<TakenFor>,
    /// Counts of each annotated slice, by its index in the CT.
    pub slices: BTreeMap<usize, BTreeMap<u8, Confusion>>,
    /// Slices of the CT that were not annotated and that the prediction covers.
    pub slices_elsewhere: usize,
}

impl CaseScores {
    /// Scores the classes `wanted` and every other class that is in either map.
    #[must_use]
    pub fn new(pair: &Aligned, wanted: &BTreeSet<u8>, settings: ScoreSettings) -> Self {
        let scans = scans(pair, wanted);
        let lesions = lesions(pair, &scans, settings.lesion_overlap);
        let ids: Vec<u8> = scans.keys().copied().collect();
        let scored: Vec<ClassScores> =
            ids.par_iter().map(|&id| class_scores(pair, id, &scans[&id], settings)).collect();
        let mut classes: BTreeMap<u8, ClassScores> = ids.iter().copied().zip(scored).collect();
        for (id, class) in &mut classes {
            class.lesions = lesions.get(id).copied().unwrap_or_default();
        }
        let slices = (0..pair.annotated.len()).filter(|&z| pair.annotated[z]).map(|z| {
            let counts =
                ids.iter().filter_map(|id| Some((*id, *scans[id].slices[z].get(id)?))).collect();
            (pair.first_slice + z, counts)
        });
        Self {
            any_class: any_class(pair, &scans),
            taken_for: taken_for(pair, &scans),
            slices: slices.collect(),
            slices_elsewhere: pair.slices_elsewhere,
            classes,
        }
    }
}

/// Nothing but the volume DSC of each class, of those `wanted` and any other in either map: `None`
/// where a class is in neither.
#[must_use]
pub fn volume_dice(pair: &Aligned, wanted: &BTreeSet<u8>) -> BTreeMap<u8, Option<f64>> {
    let scans = scans(pair, wanted);
    scans.iter().map(|(&id, scan)| (id, scan.total(id).dice())).collect()
}

/// The pass over both maps that tells about each class; one pass for all when the prediction is one
/// map.
pub(crate) fn scans(
    pair: &Aligned,
    wanted: &BTreeSet<u8>,
) -> BTreeMap<u8, std::sync::Arc<PairScan>> {
    let empty = ndarray::Array3::zeros(pair.reference.dim());
    let mut scans = BTreeMap::new();
    let mut add = |predicted, only: Option<u8>| {
        let scan = std::sync::Arc::new(PairScan::new(pair.reference.view(), predicted));
        let seen = scan
            .extents
            .keys()
            .copied()
            .chain(wanted.iter().copied())
            .filter(|id| only.is_none_or(|only| only == *id));
        let seen: Vec<u8> = seen.collect();
        scans.extend(seen.into_iter().map(|id| (id, scan.clone())));
    };
    match &pair.predicted {
        crate::Labels::One(map) => add(map.view(), None),
        crate::Labels::PerClass(maps) => {
            add(empty.view(), None);
            maps.iter().for_each(|(id, map)| add(map.view(), Some(*id)));
        }
    }
    scans
}

pub(crate) fn lesions(
    pair: &Aligned,
    scans: &BTreeMap<u8, std::sync::Arc<PairScan>>,
    overlap: f64,
) -> BTreeMap<u8, LesionScores> {
    let voxel_ml = pair.voxel_ml;
    let reference = pair.reference.view();
    match &pair.predicted {
        crate::Labels::One(map) => lesion_scores(reference, map.view(), voxel_ml, overlap),
        crate::Labels::PerClass(maps) => {
            let empty = ndarray::Array3::zeros(reference.dim());
            let of = |id: &u8| {
                let map = maps.get(id).map_or(empty.view(), |map| map.view());
                lesion_scores(reference, map, voxel_ml, overlap)
                    .get(id)
                    .map(|scores| (*id, *scores))
            };
            scans.keys().filter_map(of).collect()
        }
    }
}

/// Which class was taken for which. Where the masks of several classes overlap, a voxel counts once
/// for each of them.
fn taken_for(pair: &Aligned, scans: &BTreeMap<u8, std::sync::Arc<PairScan>>) -> Vec<TakenFor> {
    let mut voxels: BTreeMap<(u8, u8), u64> = BTreeMap::new();
    match &pair.predicted {
        crate::Labels::One(_) => {
            voxels.extend(scans.values().next().iter().flat_map(|scan| scan.taken_for.clone()));
        }
        crate::Labels::PerClass(maps) => {
            for scan in maps.keys().filter_map(|id| scans.get(id)) {
                voxels.extend(scan.taken_for.iter().filter(|((_, p), _)| *p != 0));
            }
            let any = PairScan::new(pair.reference.view(), any_mask(pair, maps).view());
            voxels.extend(any.taken_for.into_iter().filter(|((_, p), _)| *p == 0));
        }
    }
    let in_ml = |((reference, predicted), voxels)| TakenFor {
        reference,
        predicted,
        ml: voxels as f64 * pair.voxel_ml,
    };
    voxels.into_iter().map(in_ml).collect()
}

/// Where any class is predicted.
fn any_mask(pair: &Aligned, maps: &BTreeMap<u8, ndarray::Array3<u8>>) -> ndarray::Array3<u8> {
    let mut any = ndarray::Array3::<u8>::zeros(pair.reference.dim());
    maps.values().for_each(|map| any.zip_mut_with(map, |any, &id| *any |= id));
    any
}

/// Ground truth against prediction with every class above 0 taken for the same.
pub(crate) fn any_class(
    pair: &Aligned,
    scans: &BTreeMap<u8, std::sync::Arc<PairScan>>,
) -> Confusion {
    match &pair.predicted {
        crate::Labels::One(_) => {
            scans.values().next().map_or(Confusion::default(), |scan| scan.any_class)
        }
        crate::Labels::PerClass(maps) => {
            PairScan::new(pair.reference.view(), any_mask(pair, maps).view()).any_class
        }
    }
}

fn class_scores(pair: &Aligned, id: u8, scan: &PairScan, settings: ScoreSettings) -> ClassScores {
    let confusion = scan.total(id);
    let slice_dice = scan.slices.iter().filter_map(|slice| slice.get(&id)?.dice()).collect();
    let [_, height, width]: [usize; 3] = pair.reference.dim().into();
    let voxels =
        (pair.annotated.iter().filter(|a| **a).count() * height * width) as u64 - pair.left_out;
    let elsewhere = pair.predicted_elsewhere.get(&id).copied().unwrap_or(0);
    let mut scores = ClassScores {
        confusion,
        voxels,
        voxel_ml: pair.voxel_ml,
        slice_dice,
        predicted_elsewhere: elsewhere,
        ..ClassScores::default()
    };
    let (Some(extent), Some(predicted)) = (scan.extents.get(&id), pair.predicted.of(id)) else {
        return scores;
    };
    if confusion.reference() == 0 || confusion.predicted() == 0 {
        return scores;
    }
    let reference = Mask { labels: pair.reference.view(), id };
    let predicted = Mask { labels: predicted, id };
    scores.surfel =
        SurfelDistances::new(reference, predicted, *extent, pair.spacing_zyx_mm).map(|surfel| {
            let [there, back] = surfel.average_mm();
            SurfelScores {
                nsd: surfel.nsd(settings.nsd_tolerance_mm),
                hd95_mm: surfel.hausdorff_mm(95.0),
                asd_reference_to_predicted_mm: there,
                asd_predicted_to_reference_mm: back,
            }
        });
    scores.border = BorderDistances::new(reference, predicted, *extent, pair.spacing_zyx_mm)
        .and_then(|border| {
            Some(BorderScores { hd95_mm: border.hd95_mm()?, assd_mm: border.assd_mm()? })
        });
    scores
}
