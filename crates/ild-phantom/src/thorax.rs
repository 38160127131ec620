//! Shape of the chest: where lung is, and how far from its surfaces.
//!
//! Reference frame, mm: x to the patient's left, y to the back, z to the head; x = 0 is the
//! midline, y = 0 the middle of the rib cage, z = 0 the lowest lung. A patient is the reference
//! thorax scaled and gently warped, so that no outline is a textbook curve.

use crate::noise::{step, through, value};
use crate::patient::{HEIGHT_MM, Patient};
use crate::solid::{ellipse, ellipsoid, join, meet, squircle};

/// Rounding where two surfaces of the lung meet.
const EDGE_MM: f32 = 7.0;
/// Beyond this a surface changes nothing.
const NEAR_MM: f32 = 20.0;
/// Wavelength and height of the warp.
pub(crate) const WARP_MM: [f32; 2] = [62.0, 7.0];

/// The reference thorax at one height: everything that depends on z alone.
pub(crate) struct Level {
    /// Height above the lowest lung.
    pub z: f32,
    /// Half-axes of the inner surface of the rib cage.
    pub cavity: [f32; 2],
    /// Half-axes of the muscle under the fat.
    pub muscle: [f32; 2],
    /// Half-axes of the middle of the mediastinum, and its centre along y.
    column: [f32; 3],
    /// Centre of the body along y.
    pub body_y: f32,
}

/// Signed distances at a point, negative inside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Distances {
    /// To the surface of the lung of this side.
    pub lung: f32,
    /// To the chest wall: the pleura along which fibrosis creeps.
    pub costal: f32,
    /// To the inner surface of the rib cage.
    pub cavity: f32,
    /// To the heart.
    pub heart: f32,
    /// To the dome below: liver on the right, stomach and spleen on the left.
    pub dome: f32,
}

impl Distances {
    /// Far from everything.
    pub(crate) const OUTSIDE: Self =
        Self { lung: 1e3, costal: 1e3, cavity: 1e3, heart: 1e3, dome: 1e3 };
}

impl Level {
    pub(crate) fn at(z: f32) -> Self {
        let narrowing =
            through(&[(-40.0, 0.96), (60.0, 1.0), (170.0, 1.0), (220.0, 0.88), (270.0, 0.66)], z);
        Self {
            z,
            cavity: [131.0 * narrowing, 88.0 * narrowing.sqrt()],
            muscle: [
                through(&[(0.0, 150.0), (120.0, 153.0), (200.0, 166.0), (270.0, 178.0)], z),
                through(&[(0.0, 112.0), (150.0, 110.0), (270.0, 98.0)], z),
            ],
            column: [
                through(
                    &[
                        (0.0, 20.0),
                        (90.0, 25.0),
                        (132.0, 40.0),
                        (150.0, 42.0),
                        (185.0, 36.0),
                        (230.0, 30.0),
                        (270.0, 42.0),
                    ],
                    z,
                ),
                through(
                    &[(0.0, 26.0), (90.0, 34.0), (140.0, 52.0), (185.0, 52.0), (270.0, 44.0)],
                    z,
                ),
                through(&[(0.0, 48.0), (90.0, 38.0), (140.0, 8.0), (270.0, 12.0)], z),
            ],
            body_y: 7.0,
        }
    }
}

impl Patient {
    /// Warp at a point of the patient frame; the same field for every question about this patient.
    pub(crate) fn warp(&self, p_mm: [f32; 3]) -> [f32; 2] {
        let [wavelength, height] = WARP_MM;
        let q = p_mm.map(|c| c / wavelength);
        [0, 1].map(|axis| height * Self::warp_share(p_mm[0]) * value(self.warp_seed(axis), q))
    }

    /// Quiet at the midline, where spine and great vessels are.
    pub(crate) fn warp_share(x_mm: f32) -> f32 {
        step(0.0, 70.0, x_mm.abs())
    }

    pub(crate) fn warp_seed(&self, axis: u32) -> u32 {
        self.seed ^ (0x1111 * axis)
    }

    /// Patient frame to reference frame.
    pub(crate) fn reference(&self, p_mm: [f32; 3], warp: [f32; 2]) -> [f32; 3] {
        [
            p_mm[0] / self.scale[0] + warp[0],
            p_mm[1] / self.scale[1] + warp[1],
            p_mm[2] / self.scale[2],
        ]
    }

    /// Distances at a point of the reference frame, whose height is the level's.
    pub(crate) fn distances(&self, level: &Level, xy: [f32; 2]) -> Distances {
        let [x, y] = xy;
        let p = [x, y, level.z];
        let cavity = squircle(xy, [0.0, 0.0], level.cavity, 0.35);
        let dome = if level.z > self.dome_mm[0].max(self.dome_mm[1]) + NEAR_MM {
            NEAR_MM
        } else {
            self.dome(p)
        };
        let heart = if (10.0..155.0).contains(&level.z) { self.heart(p) } else { NEAR_MM };
        let costal = meet(cavity, apex(p), EDGE_MM);
        let column = ellipse(xy, [2.0, level.column[2]], [level.column[0], level.column[1]]);
        let spine = ellipse(xy, [0.0, 80.0], [27.0, 33.0]);
        let floor = through(&[(-85.0, 26.0), (0.0, 8.0), (85.0, -14.0)], y) - level.z;
        // The lungs nearly touch behind the breastbone; the line between them wavers.
        let septum = if x.abs() > 20.0 { -20.0 } else { self.septum([x, y], level.z) };
        let mut lung = meet(costal, -dome, EDGE_MM);
        for other in [-heart, -column, -spine, septum, floor] {
            lung = meet(lung, other, EDGE_MM);
        }
        lung = lung.max(1.5 - x.abs());
        Distances { lung, costal, cavity, heart, dome }
    }

    /// [`Patient::distances`] at a point of the patient frame.
    pub(crate) fn distances_at(&self, level: &Level, p_mm: [f32; 3]) -> (Distances, [f32; 2]) {
        let [x, y, _] = self.reference(p_mm, self.warp(p_mm));
        (self.distances(level, [x, y]), [x, y])
    }

    fn septum(&self, [x, y]: [f32; 2], z: f32) -> f32 {
        let waver = 7.0 * value(self.seed ^ 0x5E9, [0.0, y / 28.0, z / 40.0]);
        2.5 + 2.5 * step(-20.0, -80.0, y) - (x - waver).abs()
    }

    fn heart(&self, p: [f32; 3]) -> f32 {
        let [x, y, z] = p;
        // The long axis points to the left, forward and down.
        let tilted = [x + 0.30 * (z - 85.0), y - 0.10 * (z - 85.0), z];
        let size = self.heart_size;
        let ventricles =
            ellipsoid(tilted, [self.heart_x_mm, -33.0, 82.0], [58.0 * size, 45.0 * size, 58.0]);
        let right_atrium = ellipsoid(p, [-20.0, -18.0, 98.0], [27.0 * size, 32.0 * size, 38.0]);
        let left_atrium = ellipsoid(p, [6.0, 14.0, 112.0], [34.0 * size, 22.0 * size, 24.0]);
        join(ventricles, join(right_atrium, left_atrium, 8.0), 10.0)
    }

    fn dome(&self, p: [f32; 3]) -> f32 {
        let left = usize::from(p[0] > 0.0);
        let side = if p[0] > 0.0 { 1.0 } else { -1.0 };
        let centre = self.dome_mm[left] - 95.0;
        ellipsoid(p, [side * 64.0, -4.0, centre], [76.0, 82.0, 95.0])
    }

    /// Height of the volume in the patient frame, mm.
    pub(crate) fn height_mm(&self) -> f32 {
        HEIGHT_MM * self.scale[2]
    }
}

/// The rounded tops of the lungs, one on each side.
fn apex(p: [f32; 3]) -> f32 {
    let side = if p[0] > 0.0 { 1.0 } else { -1.0 };
    if p[2] < 145.0 { -1e3 } else { ellipsoid(p, [side * 58.0, 6.0, 145.0], [78.0, 92.0, 116.0]) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draws::Draws;

    fn lung_ml(side: f32) -> f32 {
        let patient = Patient::draw(&mut Draws::new(1, 1));
        let step_mm = 4;
        let mut voxels = 0u32;
        for z in (-20..280).step_by(step_mm) {
            let level = Level::at(z as f32);
            for y in (-100..110).step_by(step_mm) {
                for x in (0..140).step_by(step_mm) {
                    voxels += u32::from(
                        patient.distances(&level, [side * x as f32, y as f32]).lung < 0.0,
                    );
                }
            }
        }
        voxels as f32 * (step_mm as f32 / 10.0).powi(3)
    }

    #[test]
    fn two_lungs_of_human_size_the_right_one_larger() {
        let (right, left) = (lung_ml(-1.0), lung_ml(1.0));
        // Adult lungs in inspiration at CT: 2 to 3.5 L on the right, 10 to 20 % less on the left.
        assert!((1800.0..3600.0).contains(&right), "{right}");
        assert!(left < right && left > 0.6 * right, "{left} {right}");
    }
}
