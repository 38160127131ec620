//! A synthetic cohort of interstitial lung disease: chest CTs with lesions, for trying, teaching
//! and testing the whole pipeline.
//!
//! No patient is behind it. Anatomy is drawn from solids and warped by smooth noise, lungs hold
//! trees of vessels and bronchi, disease has the five patterns of the default label table, and
//! labels are as sparse as a radiologist's. Everything follows from the seed: the same seed gives
//! the same voxels, on any machine and with any number of threads.
//!
//! From the whole to the detail: [`generate`] → `member` and `cohort` (who has what) → `patient`, `thorax` and
//! `surfaces` (shapes) → `disease` and `extent` (where) → `render` and `paint` (a slice) →
//! `tissue`, `tubes`, `texture` (HU) → `scanner` (blur and noise) → `annotation` (what was
//! outlined).

mod annotation;
mod cohort;
mod dataset;
mod disease;
mod draws;
mod extent;
mod grid;
mod member;
mod noise;
mod paint;
mod patient;
mod render;
mod scanner;
mod skeleton;
mod solid;
mod summary;
mod surfaces;
mod texture;
mod thorax;
mod tissue;
mod tree;
mod tubes;

use ndarray::{Array3, Axis, s};
use rayon::prelude::*;

use annotation::Areas;
pub use dataset::{Again, Settings, write_cohort};
use disease::zones;
use draws::Draws;
use extent::Extent;
use grid::Grid;
use ild_io::{LabelMap, Volume, Voxels};
use member::{Member, Scanned};
use patient::Patient;
use render::{Anatomy, Slice};
pub use summary::{CaseSummary, ClassSummary, Cohort};
use texture::Texture;

/// One synthetic patient.
#[derive(Clone, Debug)]
pub struct Phantom {
    /// The scan, `i16` HU.
    pub ct: Volume,
    /// The outlined lesions: all disease on some slices, nothing on the others.
    pub label: LabelMap,
    /// All disease on every slice: what nobody outlines in a real scan.
    pub truth: LabelMap,
    /// Classes of this patient's disease, label ids.
    pub classes: Vec<u8>,
}

/// Makes patient `index` of the cohort with this seed, on `[z, y, x]` voxels.
#[must_use]
pub fn generate(seed: u64, index: usize, shape_zyx: [usize; 3]) -> Phantom {
    make(&Member::Ill(index), seed, shape_zyx)
}

/// Makes healthy patient `index` of the cohort with this seed: lungs without disease. Healthy
/// patients have their own draws, so that the ill ones stay who they are.
#[must_use]
pub fn generate_healthy(seed: u64, index: usize, shape_zyx: [usize; 3]) -> Phantom {
    make(&Member::Healthy(index), seed, shape_zyx)
}

fn make(member: &Member, seed: u64, shape_zyx: [usize; 3]) -> Phantom {
    let Scanned { patient, grid, mut draws } = member.scanned(seed, shape_zyx);
    let classes = member.classes(seed);
    let mut anatomy = anatomy(patient, &classes, &mut draws);
    anatomy.texture.pixel = grid.slice(0).pixel;
    let slices: Vec<Slice> =
        (0..shape_zyx[0]).into_par_iter().map(|k| anatomy.slice(k, &grid.slice(k))).collect();
    let areas: Vec<Areas> = slices.iter().map(areas).collect();
    let outlined = annotation::outlined(&areas, &mut draws);
    stored(slices, &outlined, &grid, classes)
}

fn areas(slice: &Slice) -> Areas {
    let mut areas = Areas::default();
    slice
        .disease
        .iter()
        .filter(|&&label| label != 0)
        .for_each(|&label| areas[usize::from(label) - 1] += 1);
    areas
}

fn anatomy(patient: Patient, classes: &[u8], draws: &mut Draws) -> Anatomy {
    let mut tubes = tubes::great_tubes(&patient, draws);
    tubes.extend(tree::lung_tubes(&patient, draws));
    let extents = zones(classes, draws).iter().map(|zone| Extent::of(zone, &patient)).collect();
    let texture = Texture { seed: draws.seed(), haze_hu: draws.uniform(230.0, 330.0), pixel: 0.0 };
    Anatomy { patient, tubes, extents, texture }
}

/// Puts the slices together in the order and direction in which the scan is stored.
fn stored(slices: Vec<Slice>, outlined: &[bool], grid: &Grid, classes: Vec<u8>) -> Phantom {
    let geometry = grid.geometry();
    let [z, y, x] = geometry.shape_zyx;
    let mut hu = Array3::<i16>::zeros((z, y, x));
    let mut truth = Array3::<u8>::zeros((z, y, x));
    let mut label = Array3::<u8>::zeros((z, y, x));
    for (k, slice) in slices.into_iter().enumerate() {
        let at = grid.stored_slice(k);
        let columns = if grid.flips()[0] { s![.., ..;-1] } else { s![.., ..;1] };
        let disease = slice.disease.slice(columns);
        hu.index_axis_mut(Axis(0), at).assign(&slice.hu.slice(columns));
        truth.index_axis_mut(Axis(0), at).assign(&disease);
        if outlined[k] {
            label.index_axis_mut(Axis(0), at).assign(&disease);
        }
    }
    let ct = Volume { voxels: Voxels::I16(hu), geometry: geometry.clone() };
    let on_grid = |labels| LabelMap { labels, geometry: geometry.clone() };
    Phantom { ct, label: on_grid(label), truth: on_grid(truth), classes }
}
