//! One case over the whole CT.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::cohort::case_scores::{any_class, lesions, scans};
use crate::{Aligned, Confusion, LesionScores, ScoreSettings};

/// One class over a whole CT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct WholeClass {
    /// Voxels on slices that were annotated.
    pub annotated: Confusion,
    /// Voxels on the others.
    pub elsewhere: Confusion,
    /// Predicted voxels on slices that show no disease at all.
    pub on_free_slices: u64,
    /// Lesions of the whole CT.
    pub lesions: LesionScores,
}

impl WholeClass {
    /// Voxels on all slices.
    #[must_use]
    pub fn whole(&self) -> Confusion {
        self.annotated + self.elsewhere
    }
}

/// Disease of any class on one slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct WholeSlice {
    /// Voxels of disease.
    pub reference: u64,
    /// Predicted voxels.
    pub predicted: u64,
}

/// Counts of one case over the whole CT.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WholeCase {
    /// By class; a class in neither map is left out.
    pub classes: BTreeMap<u8, WholeClass>,
    /// All classes taken for one.
    pub any_class: Confusion,
    /// Every slice of the CT.
    pub slices: Vec<WholeSlice>,
    /// Volume of a voxel, mL.
    pub voxel_ml: f64,
}

impl WholeCase {
    /// Counts a pair that holds every slice of the CT; `annotated` are the slices people outlined.
    #[must_use]
    pub fn new(pair: &Aligned, annotated: &BTreeSet<usize>, settings: &ScoreSettings) -> Self {
        let scans = scans(pair, &BTreeSet::new());
        let of_slice = |z: usize| {
            scans.iter().filter_map(move |(&id, scan)| Some((id, *scan.slices[z].get(&id)?)))
        };
        let slices: Vec<WholeSlice> = (0..pair.annotated.len())
            .map(|z| {
                let counts: Confusion = of_slice(z).map(|(_, counts)| counts).sum();
                WholeSlice { reference: counts.reference(), predicted: counts.predicted() }
            })
            .collect();
        let mut classes: BTreeMap<u8, WholeClass> = BTreeMap::new();
        for (z, slice) in slices.iter().enumerate() {
            for (id, counts) in of_slice(z) {
                let class = classes.entry(id).or_default();
                if annotated.contains(&(pair.first_slice + z)) {
                    class.annotated += counts;
                } else {
                    class.elsewhere += counts;
                }
                if slice.reference == 0 {
                    class.on_free_slices += counts.predicted();
                }
            }
        }
        for (id, found) in lesions(pair, &scans, settings.lesion_overlap) {
            classes.entry(id).or_default().lesions = found;
        }
        Self { any_class: any_class(pair, &scans), classes, slices, voxel_ml: pair.voxel_ml }
    }

    /// Whether the class is in the truth.
    #[must_use]
    pub fn holds(&self, class: u8) -> bool {
        self.classes.get(&class).is_some_and(|counts| counts.whole().reference() > 0)
    }

    /// Whether the class is in the prediction.
    #[must_use]
    pub fn reports(&self, class: u8) -> bool {
        self.classes.get(&class).is_some_and(|counts| counts.whole().predicted() > 0)
    }
}
