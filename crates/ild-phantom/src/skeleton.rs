//! Bones: ribs with their cartilage, spine, sternum, shoulder blades, collar bones.

use crate::noise::{floor, rough, step, through};
use crate::patient::Patient;
use crate::solid::{ellipse, rectangle, segment};
use crate::thorax::Level;

/// Distance between neighbouring ribs along z, and between neighbouring discs of the spine.
const RIB_PITCH_MM: f32 = 25.0;
/// How much lower the front end of a rib is than its head.
const RIB_DROP_MM: f32 = 88.0;
/// A bone further away than this does not colour a pixel.
const BONE_REACH_MM: f32 = 12.0;
/// Nothing within this distance.
const FAR_MM: f32 = 1e3;

/// What a bone is like at a point: signed distance to its surface and the HU of its inside there.
#[derive(Clone, Copy)]
pub(crate) struct Bone {
    pub distance: f32,
    pub hu: f32,
}

impl Patient {
    /// The nearest bone at a point of the reference frame; `cavity` is the distance to the inner
    /// surface of the rib cage.
    pub(crate) fn bone(&self, level: &Level, xy: [f32; 2], cavity: f32) -> Bone {
        let [x, y] = xy;
        let (side, cartilage) = self.rib(level, xy, cavity);
        let mut distance = side;
        if x.abs() < 56.0 && y > 40.0 {
            distance = distance.min(self.spine(level, [x.abs(), y]));
        }
        if x.abs() < 30.0 && y < 0.0 {
            distance = distance.min(sternum(level, xy));
        }
        if level.z > 115.0 {
            distance = distance.min(shoulder(level, [x.abs(), y]));
        }
        if distance > BONE_REACH_MM {
            return Bone { distance, hu: 0.0 };
        }
        let marrow = 190.0 + 90.0 * rough(self.seed ^ 0xB0E5, [x / 5.0, y / 5.0, level.z / 5.0]);
        let cortex = step(-3.2, -1.2, distance);
        let hu =
            if cartilage && distance == side { 105.0 } else { marrow + cortex * (720.0 - marrow) };
        Bone { distance, hu }
    }

    /// Ribs run round the cage and sink towards the front, so a slice cuts several of them
    /// obliquely.
    fn rib(&self, level: &Level, xy: [f32; 2], cavity: f32) -> (f32, bool) {
        if !(-2.0..16.0).contains(&cavity) || !(12.0..262.0).contains(&level.z) {
            return (FAR_MM, false);
        }
        let (u, v) = (xy[0] / level.cavity[0], xy[1] / level.cavity[1]);
        let forward = 0.5 - 0.5 * v / (u * u + v * v).sqrt();
        let phase = (level.z + RIB_DROP_MM * forward + self.rib_phase_mm) / RIB_PITCH_MM;
        let off = (phase - floor(phase) as f32 - 0.5) * RIB_PITCH_MM;
        // Ribs stop beside the sternum and the spine.
        let ends = 16.0 * (1.0 - step(10.0, 26.0, xy[0].abs()));
        (ellipse([off, cavity - 6.2], [0.0, 0.0], [6.3, 4.2]) + ends, forward > 0.87)
    }

    /// Vertebral body and arch with canal, spinous and transverse processes; `xy` with x made
    /// positive.
    fn spine(&self, level: &Level, xy: [f32; 2]) -> f32 {
        let phase = (level.z + self.rib_phase_mm + 9.0) / RIB_PITCH_MM;
        let height = (phase - floor(phase) as f32) * RIB_PITCH_MM;
        let waist = 1.5 * step(4.0, 12.0, (height - 0.5 * RIB_PITCH_MM).abs()) - 1.5;
        let disc = 3.0 - height.min(RIB_PITCH_MM - height);
        let body = (ellipse(xy, [0.0, 68.0], [19.0, 16.0]) - waist).max(disc);
        let canal = ellipse(xy, [0.0, 92.0], [9.5, 8.5]);
        let arch =
            (ellipse(xy, [0.0, 93.0], [15.0, 13.0])).max(-canal).max((height - 12.0).abs() - 8.5);
        let transverse = segment(xy, [13.0, 96.0], [40.0, 103.0]).0
            - through(&[(5.0, 0.0), (9.0, 4.5), (14.0, 4.5), (18.0, 0.0)], height);
        let spinous = segment(xy, [0.0, 105.0], [0.0, 118.0]).0 - 3.4;
        body.max(-canal).min(arch).min(transverse).min(spinous.max((height - 9.0).abs() - 9.0))
    }
}

fn sternum(level: &Level, xy: [f32; 2]) -> f32 {
    if !(75.0..238.0).contains(&level.z) {
        return FAR_MM;
    }
    let half = through(
        &[(75.0, 8.0), (100.0, 17.0), (180.0, 14.0), (215.0, 24.0), (238.0, 26.0)],
        level.z,
    );
    rectangle(xy, [0.0, -level.cavity[1] - 8.5], [half - 4.0, 1.8]) - 4.0
}

/// Shoulder blade and collar bone; `xy` with x made positive.
fn shoulder(level: &Level, xy: [f32; 2]) -> f32 {
    let rise = ((level.z - 120.0) / 120.0).clamp(0.0, 1.0);
    let lateral = [118.0 + 34.0 * rise, 74.0 - 34.0 * rise];
    let blade = segment(xy, [84.0, 102.0 - 8.0 * rise], lateral).0 - 2.6 - 2.5 * rise;
    let collar =
        segment([xy[0], xy[1], level.z], [24.0, -72.0, 236.0], [128.0, -24.0, 262.0]).0 - 6.0;
    blade.min(collar)
}
