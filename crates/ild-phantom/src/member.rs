//! Who belongs to a cohort: patients with disease, and healthy ones.

use ild_io::LabelMap;
use ndarray::Axis;

use crate::cohort;
use crate::draws::Draws;
use crate::grid::Grid;
use crate::patient::Patient;

/// First stream of draws of the healthy; the ill use their own number.
const HEALTHY_STREAM: u64 = 1 << 40;
/// Lung is in slices between these heights of the reference thorax, mm: above the lower tips, below
/// the apex.
const LUNG_MM: std::ops::RangeInclusive<f32> = 15.0..=240.0;

/// One patient of a cohort, by their number from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Member {
    /// With one to three classes of disease.
    Ill(usize),
    /// With none.
    Healthy(usize),
}

/// A patient in the scanner, and the draws that follow.
pub(crate) struct Scanned {
    pub patient: Patient,
    pub grid: Grid,
    pub draws: Draws,
}

impl Member {
    /// Everybody: the ill first.
    pub(crate) fn all(ill: usize, healthy: usize) -> impl Iterator<Item = Self> {
        (0..ill).map(Self::Ill).chain((0..healthy).map(Self::Healthy))
    }

    /// Name of their case.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Ill(index) => format!("phantom_{:03}", index + 1),
            Self::Healthy(index) => format!("healthy_{:03}", index + 1),
        }
    }

    /// Label ids of their disease, lowest zone first.
    pub(crate) fn classes(&self, seed: u64) -> Vec<u8> {
        match self {
            Self::Ill(index) => cohort::classes(seed, *index),
            Self::Healthy(_) => Vec::new(),
        }
    }

    /// Draws patient, scanner and grid.
    pub(crate) fn scanned(&self, seed: u64, shape_zyx: [usize; 3]) -> Scanned {
        let (index, stream) = match *self {
            Self::Ill(index) => (index, index as u64),
            Self::Healthy(index) => (index, HEALTHY_STREAM + index as u64),
        };
        let mut draws = Draws::new(seed, stream);
        let patient = Patient::draw(&mut draws);
        let grid = Grid::draw(shape_zyx, index, &patient, &mut draws);
        Scanned { patient, grid, draws }
    }

    /// At most `wanted` slices, by their stored index, ascending, that pass through lung and show no
    /// disease in `truth`: what a reader would declare free of disease. Spread evenly over those
    /// that are.
    pub(crate) fn free_slices(&self, seed: u64, truth: &LabelMap, wanted: usize) -> Vec<usize> {
        let shape_zyx = truth.geometry.shape_zyx;
        let Scanned { patient, grid, .. } = self.scanned(seed, shape_zyx);
        let is_free = |&(k, at): &(usize, usize)| {
            LUNG_MM.contains(&(grid.slice(k).z / patient.scale[2]))
                && truth.labels.index_axis(Axis(0), at).iter().all(|&id| id == 0)
        };
        let free: Vec<usize> = (0..shape_zyx[0])
            .map(|k| (k, grid.stored_slice(k)))
            .filter(is_free)
            .map(|(_, at)| at)
            .collect();
        let count = wanted.min(free.len());
        let mut chosen: Vec<usize> =
            (0..count).map(|i| free[(2 * i + 1) * free.len() / (2 * count)]).collect();
        chosen.sort_unstable();
        chosen
    }
}
