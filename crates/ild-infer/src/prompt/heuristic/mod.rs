//! Prompts without a reader and without training: suspicious regions inside an automatic lung mask.
//!
//! The lung is cut into [`blocks`] of some millimetres; blocks with too much dense tissue for normal
//! lung are joined to regions, each with the [`texture`] that most of its blocks have. The model
//! then decides what to keep ([`judge`]).
//!
//! Limits, to be read with every result: the thresholds come from HU ranges, 50 labelled patches
//! and synthetic lesions, not from training on real lesions; vessels in thick slices, motion and
//! atelectasis are found too; consolidation is as dense as vessels and is not found.

pub mod blocks;
pub mod judge;
pub mod texture;

use ild_io::lung::{LungMask, hounsfield};
use ild_io::{LabelTable, Volume};
use ild_model::SliceBox;
use serde::{Serialize, Serializer};

use self::blocks::{Blocks, regions, without_rims};
use self::texture::Texture;
use crate::coordinates::{Span, StackIndex};
use crate::prompt::{SlicePrompt, Track};

/// Smaller regions are vessels and noise.
const SMALLEST_ML: f64 = 5.0;
/// Only the largest regions are prompted.
const MOST_REGIONS: usize = 24;

/// A suspicious region of a CT, whose stack is all its slices.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Candidate {
    /// What most of it looks like.
    pub texture: Texture,
    /// Lung in it, mL.
    pub volume_ml: f64,
    /// Its slices.
    pub span: Span<StackIndex>,
    /// Slice with the most of it.
    pub start: StackIndex,
    /// Box on that slice.
    #[serde(serialize_with = "as_corners")]
    pub start_box: SliceBox,
}

fn as_corners<S: Serializer>(b: &SliceBox, serializer: S) -> Result<S::Ok, S::Error> {
    b.corners().serialize(serializer)
}

impl Candidate {
    /// Its journey.
    #[must_use]
    pub fn track(&self, table: &LabelTable) -> Track {
        Track {
            label: self.texture.label(table),
            start: self.start,
            span: self.span,
            prompt: SlicePrompt::Box(self.start_box),
        }
    }
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

#[cfg(test)]
mod tests {
    use ild_io::{Affine, Geometry, Voxels};
    use ndarray::Array3;

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
            assert!(candidate.span.first.0 <= 11 && candidate.span.last.0 >= 28, "{candidate:?}");
            assert!(
                (17..=22).contains(&candidate.start.0),
                "within a block of the middle of equally wide slices: {candidate:?}"
            );
            let [x0, y0, x1, y1] = candidate.start_box.corners();
            assert!(x0 <= 14.0 && (34.0..=41.0).contains(&x1) && y1 - y0 >= 19.0, "{candidate:?}");
        }
    }
}
