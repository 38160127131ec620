//! Where in the lungs a patient's disease sits: one zone of the height for each class.

use crate::draws::Draws;
use crate::noise::{rough, step};
use crate::solid::norm;
use crate::thorax::{Distances, Level};

/// One class in one part of the lungs.
#[derive(Clone, Debug)]
pub(crate) struct Zone {
    /// Label id.
    pub class: u8,
    /// Lower and upper end, mm of the reference thorax.
    pub heights: [f32; 2],
    /// Strength on the right and on the left: 0 spares that lung.
    pub sides: [f32; 2],
    pub shape: Shape,
    pub seed: u32,
}

/// How the disease lies in a lung. Positions on the pleura run from 0 at the spine over 0.5 at the
/// side to 1 at the sternum.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    /// A crescent that follows the pleura, from `centre − half` to `centre + half`.
    Crescent { thickness_mm: f32, centre: f32, half: f32 },
    /// Patches, more of them towards the pleura.
    Patches { size_mm: f32, threshold: f32 },
    /// One solid mass on the pleura of each lung, at another place on the left than on the right.
    Masses { radius_mm: f32, centres: [f32; 2] },
}

/// The zones of a patient with these classes, the first one lowest.
pub(crate) fn zones(classes: &[u8], draws: &mut Draws) -> Vec<Zone> {
    let [bottom, top] = [draws.uniform(14.0, 30.0), draws.uniform(205.0, 232.0)];
    // One class alone does not reach through the whole lung.
    let extent = if classes.len() == 1 { draws.uniform(0.6, 0.85) } else { 1.0 };
    let start = bottom + (top - bottom) * (1.0 - extent) * draws.uniform(0.0, 0.6);
    let share = (top - bottom) * extent / classes.len() as f32;
    let zone = |(index, &class): (usize, &u8)| {
        let low = start + share * index as f32;
        // Neighbours share a few slices: about one outlined slice in twelve holds two classes.
        let overlap = if index == 0 { 0.0 } else { draws.uniform(10.0, 48.0) };
        let mut shape = Shape::draw(class, draws);
        let sides = sides(&mut shape, draws);
        Zone { class, heights: [low - overlap, low + share], sides, shape, seed: draws.seed() }
    };
    classes.iter().enumerate().map(zone).collect()
}

/// Mostly both lungs. A crescent can spare one; it then is long and thin, so that its box is far
/// from filled.
fn sides(shape: &mut Shape, draws: &mut Draws) -> [f32; 2] {
    match shape {
        Shape::Crescent { thickness_mm, half, .. } if draws.chance(0.2) => {
            *thickness_mm = thickness_mm.min(22.0);
            *half = half.max(0.34);
            if draws.chance(0.5) { [1.0, 0.0] } else { [0.0, 1.0] }
        }
        _ => [draws.uniform(0.85, 1.1), draws.uniform(0.85, 1.1)],
    }
}

impl Shape {
    fn draw(class: u8, draws: &mut Draws) -> Self {
        // Reticulation and honeycombing creep along the pleura; haze and consolidation also come in
        // patches and masses.
        let [patches, masses] = match class {
            1 => [0.45, 0.10],
            3 => [0.30, 0.0],
            4 => [0.25, 0.45],
            _ => [0.10, 0.0],
        };
        let drawn = draws.uniform(0.0, 1.0);
        if drawn < patches {
            Self::Patches {
                size_mm: draws.uniform(40.0, 52.0),
                threshold: draws.uniform(0.16, 0.26),
            }
        } else if drawn < patches + masses {
            let right = draws.uniform(0.12, 0.3);
            let centres = [right, right + draws.uniform(0.15, 0.35)];
            Self::Masses {
                radius_mm: draws.uniform(30.0, 38.0),
                centres: if draws.chance(0.5) { centres } else { [centres[1], centres[0]] },
            }
        } else {
            Self::Crescent {
                thickness_mm: draws.uniform(21.0, 28.0),
                centre: draws.uniform(0.16, 0.42),
                half: draws.uniform(0.24, 0.36),
            }
        }
    }
}

impl Zone {
    /// Positive inside the disease, about in mm from its edge, at `xy` of the reference frame and
    /// `p_mm` of the patient frame. Goes on outside the lung, so that smoothing does not draw the
    /// disease back from the pleura.
    pub(crate) fn depth(&self, level: &Level, xy: [f32; 2], p_mm: [f32; 3], d: &Distances) -> f32 {
        let strength = self.sides[usize::from(xy[0] > 0.0)];
        let [low, high] = self.heights;
        let within = (level.z - low).min(high - level.z);
        if strength <= 0.0 || within <= 0.0 || d.costal > 20.0 {
            return -20.0;
        }
        let side_seed = self.seed ^ if xy[0] > 0.0 { 0x1EF7 } else { 0 };
        // Long along z: what is seen in one slice is still there in the next annotated one.
        let wave = |mm: f32, salt: u32| {
            rough(side_seed ^ salt, [p_mm[0] / mm, p_mm[1] / mm, p_mm[2] / (1.8 * mm)])
        };
        let fade = step(0.0, 14.0, within);
        let inward = -d.costal;
        let around = around_pleura(level, xy) + 0.09 * wave(48.0, 0x77) + 0.03 * wave(17.0, 0x78);
        let ragged = 3.0 * wave(15.0, 0x79);
        match self.shape {
            Shape::Crescent { thickness_mm, centre, half } => {
                let ends =
                    110.0 * (half * strength * (0.55 + 0.45 * fade) - (around - centre).abs());
                let thickness = thickness_mm * strength * (1.0 + 0.32 * wave(38.0, 0));
                (thickness + ragged - inward).min(ends)
            }
            Shape::Patches { size_mm, threshold } => {
                let rim = 0.22 * (1.0 - (inward / 45.0).min(1.0));
                let threshold = threshold + 0.5 * (1.0 - fade) + 0.3 * (1.0 - strength).max(0.0);
                0.5 * size_mm * (wave(size_mm, 0) + rim - threshold) + ragged
            }
            Shape::Masses { radius_mm, centres } => {
                let along = 105.0 * (around_pleura(level, xy) - centres[usize::from(xy[0] > 0.0)]);
                let above = 0.45 * (level.z - 0.5 * (low + high));
                radius_mm * (1.0 + 0.25 * wave(26.0, 0x33)) + ragged
                    - norm([along, 1.15 * (inward - 12.0), above])
            }
        }
    }
}

/// 0 at the spine, 0.5 at the side, 1 at the sternum.
fn around_pleura(level: &Level, xy: [f32; 2]) -> f32 {
    let (u, v) = (xy[0] / level.cavity[0], xy[1] / level.cavity[1]);
    let length = (u * u + v * v).sqrt();
    if length > 0.0 { 0.5 - 0.5 * v / length } else { 0.5 }
}
