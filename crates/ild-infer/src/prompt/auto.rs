//! Prompts without a reader: suspicious regions inside an automatic lung mask.
//!
//! The lung is cut into blocks of some millimetres; blocks with too much dense tissue for normal
//! lung are joined to regions, each with the texture that most of its blocks have. The model then
//! decides what to keep ([`Limits`]).
//!
//! Limits, to be read with every result: the thresholds come from HU ranges, 50 labelled patches
//! and synthetic lesions, not from training on real lesions; vessels in thick slices, motion and
//! atelectasis are found too; consolidation is as dense as vessels and is not found.

use std::collections::BTreeMap;

use ild_io::lung::{LungMask, hounsfield};
use ild_io::{LabelTable, Volume};
use ndarray::{Array3, ArrayView2, s};
use serde::Serialize;

use crate::journey::Track;
use crate::{Prediction, Prompt};

/// Edge of a block in the slice and along z, mm: a few secondary-lobule walls wide, so that texture
/// shows.
const BLOCK_MM: [f64; 2] = [6.0, 5.0];
/// A block counts when this share of it is lung.
const LUNG_SHARE: f32 = 0.5;
/// Denser than normal lung and not yet soft tissue, HU. In 25 labelled patches of normal lung at
/// most 7 % of the voxels are in this band; partial volume around vessels fills more of a block in
/// thick slices, so the limit is far above that.
const BAND_HU: [i16; 2] = [-700, -200];
const BAND_SHARE: f32 = 0.35;
/// Vessels, airway walls and the chest wall at the closed border reach soft-tissue density.
const SOFT_HU: i16 = -100;
/// Standard deviation of a block above which density is lines rather than haze, and above which
/// lines enclose air.
const LINES_HU: f64 = 100.0;
const CYSTS_HU: f64 = 170.0;
/// Smaller regions are vessels and noise.
const SMALLEST_ML: f64 = 5.0;
/// Only the largest regions are prompted.
const MOST_REGIONS: usize = 24;

/// What a region looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Texture {
    /// Denser than lung and even.
    GroundGlass,
    /// Lines.
    Reticulation,
    /// Cysts with walls.
    Honeycombing,
}

impl Texture {
    /// The label of `table` whose name speaks of this texture; else the lowest id.
    #[must_use]
    pub fn label(self, table: &LabelTable) -> u8 {
        let words: &[&str] = match self {
            Self::GroundGlass => &["ground", "ggo"],
            Self::Reticulation => &["reticul"],
            Self::Honeycombing => &["honeycomb"],
        };
        let named = |word: &str| {
            table
                .0
                .iter()
                .find(|(_, label)| label.name.to_lowercase().contains(word))
                .map(|(&id, _)| id)
        };
        words
            .iter()
            .find_map(|word| named(word))
            .or_else(|| table.0.keys().next().copied())
            .unwrap_or(1)
    }
}

/// A suspicious region.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Candidate {
    /// What most of it looks like.
    pub texture: Texture,
    /// Lung in it, mL.
    pub volume_ml: f64,
    /// First and last slice.
    pub span: [usize; 2],
    /// Slice with the most of it.
    pub start: usize,
    /// Box on that slice, px.
    pub start_box: [f64; 4],
}

impl Candidate {
    /// Its journey.
    #[must_use]
    pub fn track(&self, table: &LabelTable) -> Track {
        Track {
            label: self.texture.label(table),
            start: self.start,
            span: self.span,
            prompt: Prompt::Box(self.start_box),
        }
    }
}

/// What a candidate's answer must reach to be followed.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Share of the mask that is stable, see [`stability`].
    pub stability: f32,
    /// The model's estimate of its IoU and its object score; `None` when nothing has ever taught
    /// them.
    pub scores: Option<[f32; 2]>,
}

impl Limits {
    /// Whether the model believes in what it drew.
    #[must_use]
    pub fn keep(&self, answer: &Prediction) -> bool {
        let scored = self
            .scores
            .is_none_or(|[iou, object]| answer.iou >= iou && answer.object_score >= object);
        scored
            && stability(answer.probability.view()) >= self.stability
            && answer.mask().iter().any(|&inside| inside)
    }
}

/// The logits between which SAM moves the threshold, as probabilities.
const BAND: [f32; 2] = [0.268_941_43, 0.731_058_6];

/// Pixels above a logit of +1 for each above −1 (the stability score of SAM's automatic masks); 0
/// for an empty mask.
#[must_use]
pub fn stability(probability: ArrayView2<f32>) -> f32 {
    let [above_low, above_high] =
        BAND.map(|limit| probability.iter().filter(|&&p| p > limit).count());
    if above_low == 0 { 0.0 } else { above_high as f32 / above_low as f32 }
}

/// Suspicious regions of `ct`, largest first.
#[must_use]
pub fn candidates(ct: &Volume, lung: &LungMask) -> Vec<Candidate> {
    let hu = hounsfield(ct);
    let blocks = Blocks::new(ct);
    let textures = without_rims(&blocks.textures(&hu, &lung.mask));
    let mut found: Vec<Candidate> = regions(&textures)
        .iter()
        .map(|region| blocks.candidate(region, &textures, &lung.mask, ct))
        .collect();
    found.retain(|candidate| candidate.volume_ml >= SMALLEST_ML);
    found.sort_by(|a, b| b.volume_ml.total_cmp(&a.volume_ml));
    found.truncate(MOST_REGIONS);
    found
}

/// The lung in coarse blocks.
struct Blocks {
    /// Voxels of a block along z, y, x.
    edge: [usize; 3],
    shape_zyx: [usize; 3],
}

impl Blocks {
    fn new(ct: &Volume) -> Self {
        let [dx, dy, dz] = ct.geometry.spacing_xyz_mm;
        let voxels = |mm: f64, spacing: f64| ((mm / spacing).round() as usize).max(1);
        Self {
            edge: [voxels(BLOCK_MM[1], dz), voxels(BLOCK_MM[0], dy), voxels(BLOCK_MM[0], dx)],
            shape_zyx: ct.geometry.shape_zyx,
        }
    }

    fn range(&self, axis: usize, i: usize) -> std::ops::Range<usize> {
        i * self.edge[axis]..((i + 1) * self.edge[axis]).min(self.shape_zyx[axis])
    }

    /// Texture of each block that is suspicious.
    fn textures(&self, hu: &Array3<i16>, lung: &Array3<bool>) -> Array3<Option<Texture>> {
        let shape: [usize; 3] =
            std::array::from_fn(|axis| self.shape_zyx[axis].div_ceil(self.edge[axis]));
        let mut textures = Array3::from_elem(shape, None);
        ndarray::Zip::indexed(&mut textures).par_for_each(|(z, y, x), out| {
            let window = s![self.range(0, z), self.range(1, y), self.range(2, x)];
            let lung = lung.slice(window);
            let mut statistics = Statistics::default();
            ndarray::Zip::from(hu.slice(window)).and(lung).for_each(|&v, &inside| {
                if inside {
                    statistics.add(v);
                }
            });
            *out = if statistics.voxels >= LUNG_SHARE * lung.len() as f32 {
                statistics.texture()
            } else {
                None
            };
        });
        textures
    }

    fn candidate(
        &self,
        region: &[[usize; 3]],
        textures: &Array3<Option<Texture>>,
        lung: &Array3<bool>,
        ct: &Volume,
    ) -> Candidate {
        let mut votes: BTreeMap<Texture, usize> = BTreeMap::new();
        let mut layers: BTreeMap<usize, Vec<[usize; 3]>> = BTreeMap::new();
        let mut voxels = 0;
        for &block in region {
            if let Some(texture) = textures[block] {
                *votes.entry(texture).or_default() += 1;
            }
            layers.entry(block[0]).or_default().push(block);
            let [z, y, x] = block;
            voxels += lung
                .slice(s![self.range(0, z), self.range(1, y), self.range(2, x)])
                .iter()
                .filter(|&&inside| inside)
                .count();
        }
        let texture = votes
            .into_iter()
            .max_by_key(|&(_, n)| n)
            .map_or(Texture::GroundGlass, |(texture, _)| texture);
        let span = [
            self.range(0, region.iter().map(|b| b[0]).min().unwrap_or(0)).start,
            self.range(0, region.iter().map(|b| b[0]).max().unwrap_or(0)).end - 1,
        ];
        let blocks_of_widest = layers.values().map(Vec::len).max().unwrap_or(0);
        let widest: Vec<&Vec<[usize; 3]>> =
            layers.values().filter(|layer| layer.len() == blocks_of_widest).collect();
        let widest = widest.get(widest.len() / 2).map_or(region, |layer| layer.as_slice());
        let layer = self.range(0, widest[0][0]);
        let ends = |axis: usize| {
            let low = widest.iter().map(|b| self.range(axis, b[axis]).start).min().unwrap_or(0);
            let high = widest.iter().map(|b| self.range(axis, b[axis]).end).max().unwrap_or(0);
            [low as f64, high as f64]
        };
        let ([y0, y1], [x0, x1]) = (ends(1), ends(2));
        Candidate {
            texture,
            volume_ml: voxels as f64 * ct.geometry.voxel_volume_ml(),
            span,
            start: usize::midpoint(layer.start, layer.end - 1),
            start_box: [x0, y0, x1, y1],
        }
    }
}

/// What a block holds.
#[derive(Default)]
struct Statistics {
    voxels: f32,
    sum: f64,
    squares: f64,
    band: f32,
    soft: f32,
}

impl Statistics {
    fn add(&mut self, hu: i16) {
        let value = f64::from(hu);
        self.voxels += 1.0;
        self.sum += value;
        self.squares += value * value;
        self.band += f32::from(u8::from((BAND_HU[0]..BAND_HU[1]).contains(&hu)));
        self.soft += f32::from(u8::from(hu >= SOFT_HU));
    }

    fn texture(&self) -> Option<Texture> {
        if self.band < BAND_SHARE * self.voxels || self.soft >= self.band {
            return None;
        }
        let n = f64::from(self.voxels);
        let deviation = (self.squares / n - (self.sum / n).powi(2)).max(0.0).sqrt();
        Some(match deviation {
            d if d >= CYSTS_HU => Texture::Honeycombing,
            d if d >= LINES_HU => Texture::Reticulation,
            _ => Texture::GroundGlass,
        })
    }
}

/// Gives each suspicious block the texture of most suspicious blocks around it, itself included; of
/// equally many the evener one.
///
/// The edge of a lesion runs through the blocks of its rim and raises their deviation, never lowers
/// it: a rim looks coarser than what it belongs to, and would split off as a region of its own.
fn without_rims(textures: &Array3<Option<Texture>>) -> Array3<Option<Texture>> {
    let (depth, height, width) = textures.dim();
    let around = |i: usize, n: usize| i.saturating_sub(1)..(i + 2).min(n);
    let mut out = textures.clone();
    ndarray::Zip::indexed(&mut out).par_for_each(|(z, y, x), texture| {
        if texture.is_some() {
            let mut votes: BTreeMap<Texture, usize> = BTreeMap::new();
            for &neighbour in textures
                .slice(s![around(z, depth), around(y, height), around(x, width)])
                .iter()
                .flatten()
            {
                *votes.entry(neighbour).or_default() += 1;
            }
            *texture = votes
                .into_iter()
                .max_by_key(|&(texture, n)| (n, std::cmp::Reverse(texture)))
                .map(|(texture, _)| texture);
        }
    });
    out
}

/// Suspicious blocks that share a face and a texture.
fn regions(textures: &Array3<Option<Texture>>) -> Vec<Vec<[usize; 3]>> {
    let mut seen = Array3::from_elem(textures.dim(), false);
    let mut regions = Vec::new();
    for ((z, y, x), texture) in textures.indexed_iter() {
        if texture.is_none() || std::mem::replace(&mut seen[[z, y, x]], true) {
            continue;
        }
        let (mut region, mut next) = (vec![[z, y, x]], 0);
        while let Some(&[z, y, x]) = region.get(next) {
            next += 1;
            let neighbours = [
                [z.wrapping_sub(1), y, x],
                [z + 1, y, x],
                [z, y.wrapping_sub(1), x],
                [z, y + 1, x],
                [z, y, x.wrapping_sub(1)],
                [z, y, x + 1],
            ];
            for to in neighbours {
                if textures.get(to) == Some(texture) && !std::mem::replace(&mut seen[to], true) {
                    region.push(to);
                }
            }
        }
        regions.push(region);
    }
    regions
}

#[cfg(test)]
mod tests {
    use ild_io::{Affine, Geometry, Voxels};

    use super::*;

    /// Lung of −870 HU with a patch of ground glass, a patch of cysts and a bundle of vessels.
    fn scan() -> (Volume, LungMask) {
        let shape = [40, 100, 100];
        let hu = Array3::from_shape_fn(shape, |(z, y, x)| {
            let within = |a: std::ops::Range<usize>, b: std::ops::Range<usize>| {
                (10..30).contains(&z) && a.contains(&y) && b.contains(&x)
            };
            match () {
                () if within(12..36, 12..36) => -550,
                () if within(60..84, 12..36) => {
                    if (y / 2 + x / 2) % 2 == 0 {
                        -980
                    } else {
                        -300
                    }
                }
                () if within(40..60, 70..90) => {
                    if x % 4 == 0 {
                        40
                    } else {
                        -870
                    }
                }
                () => -870,
            }
        });
        let geometry = Geometry::new(shape, Affine::from_spacing_xyz_mm([1.0, 1.0, 2.0]));
        let ct = Volume { voxels: Voxels::I16(hu), geometry: geometry.clone() };
        let mut lung = LungMask::of(&ct);
        lung.mask.fill(true);
        (ct, lung)
    }

    #[test]
    fn ground_glass_and_cysts_are_found_and_vessels_are_not() {
        let (ct, lung) = scan();
        let found = candidates(&ct, &lung);
        let mut textures: Vec<Texture> = found.iter().map(|c| c.texture).collect();
        textures.sort();
        assert_eq!(textures, [Texture::GroundGlass, Texture::Honeycombing], "{found:?}");
        for candidate in &found {
            assert!(candidate.span[0] <= 11 && candidate.span[1] >= 28, "{candidate:?}");
            assert!(
                (17..=22).contains(&candidate.start),
                "within a block of the middle of equally wide slices: {candidate:?}"
            );
            let [x0, y0, x1, y1] = candidate.start_box;
            assert!(x0 <= 14.0 && (34.0..=42.0).contains(&x1) && y1 - y0 >= 20.0, "{candidate:?}");
        }
    }

    #[test]
    fn textures_find_their_label_by_name() {
        let table = LabelTable::default();
        assert_eq!(Texture::Honeycombing.label(&table), 5);
        assert_eq!(Texture::Reticulation.label(&table), 2);
        assert_eq!(Texture::GroundGlass.label(&table), 3);
        assert_eq!(Texture::GroundGlass.label(&LabelTable(BTreeMap::new())), 1);
    }

    #[test]
    fn an_answer_is_kept_only_when_both_scores_and_pixels_are_there() {
        let answer = |iou, object_score, p| Prediction {
            probability: ndarray::Array2::from_elem((1, 1), p),
            iou,
            object_score,
        };
        let limits = Limits { stability: 0.5, scores: Some([0.5, 0.0]) };
        assert!(limits.keep(&answer(0.8, 1.0, 0.9)));
        assert!(!limits.keep(&answer(0.4, 1.0, 0.9)));
        assert!(!limits.keep(&answer(0.8, -1.0, 0.9)));
        assert!(!limits.keep(&answer(0.8, 1.0, 0.1)), "nothing drawn");
        assert!(!limits.keep(&answer(0.8, 1.0, 0.6)), "drawn, but not firmly");
        assert!(
            Limits { scores: None, ..limits }.keep(&answer(0.4, -1.0, 0.9)),
            "scores that nothing has taught say nothing"
        );
    }

    #[test]
    fn stability_is_the_share_that_stays_when_the_threshold_moves() {
        let probability = ndarray::arr2(&[[0.1, 0.3, 0.5, 0.7], [0.74, 0.9, 0.2, 0.0]]);
        assert_eq!(stability(probability.view()), 2.0 / 5.0);
        assert_eq!(stability(ndarray::arr2(&[[0.1]]).view()), 0.0);
    }
}
