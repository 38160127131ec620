//! HU of everything that is not lung: chest wall, mediastinum, what lies under the diaphragm, and the table.

use super::noise::{mix, rough, step, value};
use super::patient::Patient;
use super::solid::{coverage, ellipsoid, squircle};
use super::thorax::{Distances, Level};

/// Air around the patient.
pub(crate) const AIR_HU: f32 = -1000.0;
const FAT_HU: f32 = -104.0;
const MUSCLE_HU: f32 = 54.0;
const SKIN_MM: f32 = 2.2;

impl Patient {
    /// Signed distance to the skin, and to the muscle under the fat, at a point of the reference frame.
    pub(crate) fn skin(&self, level: &Level, xy: [f32; 2]) -> [f32; 2] {
        let muscle = squircle(xy, [0.0, level.body_y], level.muscle, 0.32);
        let fat = self.fat_mm * (0.75 + 0.5 * (xy[0] / 160.0).abs().min(1.0));
        let mut skin = muscle - fat;
        if self.breast_mm > 0.0 && xy[1] < 0.0 {
            let (reach, front) = (self.breast_mm, level.body_y - level.muscle[1]);
            let breast = ellipsoid([xy[0].abs(), xy[1], level.z], [78.0, front + 8.0, 120.0], [58.0, reach + self.fat_mm, 62.0]);
            skin = skin.min(breast);
        }
        [skin, muscle]
    }

    /// HU at a point of the reference frame that is outside both lungs and inside the skin. `pixel` is the width of a pixel, mm.
    pub(crate) fn soft_hu(&self, level: &Level, xy: [f32; 2], d: &Distances, skin: [f32; 2], pixel: f32) -> f32 {
        let p = [xy[0], xy[1], level.z];
        let soft = if d.cavity > 0.0 { self.wall_hu(p, d.cavity, skin, pixel) } else { self.inner_hu(p, d, pixel) };
        let bone = self.bone(level, xy, d.cavity);
        mix(soft, bone.hu, coverage(bone.distance, pixel))
    }

    fn wall_hu(&self, p: [f32; 3], cavity: f32, [skin, muscle]: [f32; 2], pixel: f32) -> f32 {
        let grain = value(self.seed ^ 0xFA7, p.map(|c| c / 9.0));
        let mut fat = FAT_HU + 12.0 * grain;
        if self.breast_mm > 0.0 && p[1] < -60.0 && p[0].abs() > 30.0 && muscle > 4.0 {
            let gland = rough(self.seed ^ 0x61A2D, [p[0] / 16.0, p[1] / 16.0, p[2] / 24.0]);
            fat = mix(fat, 25.0, step(0.25, 0.45, gland) * step(3.0, 12.0, -skin));
        }
        // Sheets of fat between the muscles.
        let sheet = value(self.seed ^ 0x5EE7, [p[0] / 26.0, p[1] / 17.0, p[2] / 60.0]).abs();
        let flesh = mix(FAT_HU + 30.0, MUSCLE_HU + 9.0 * grain, step(0.015, 0.075, sheet));
        let wall = mix(fat, flesh, coverage(muscle, pixel));
        // The thin layer of fat between pleura and ribs.
        let lining = mix(-78.0, wall, step(1.0, 3.2, cavity));
        mix(lining, 12.0, coverage(-SKIN_MM - skin, pixel))
    }

    fn inner_hu(&self, p: [f32; 3], d: &Distances, pixel: f32) -> f32 {
        let strands = rough(self.seed ^ 0x3ED1, p.map(|c| c / 7.0));
        let fat = mix(FAT_HU + 8.0, 20.0, step(0.42, 0.62, strands));
        let heart = self.heart_hu(p, d.heart);
        let organs = self.organ_hu(p, d.dome, pixel);
        let chest = mix(fat, heart, coverage(d.heart + 3.0, pixel));
        mix(chest, organs, coverage(d.dome, pixel))
    }

    /// Chambers brighter than the wall with contrast; a coat of fat in the grooves.
    fn heart_hu(&self, p: [f32; 3], heart: f32) -> f32 {
        let chambers = rough(self.seed ^ 0x4EA7, [p[0] / 34.0, p[1] / 34.0, p[2] / 40.0]);
        let muscle = 48.0 + 0.35 * self.contrast_hu;
        let blood = 44.0 + self.contrast_hu;
        let inside = mix(muscle, blood, step(-0.15, 0.0, chambers) * step(4.0, 8.0, -heart));
        let coat = step(0.05, 0.3, chambers) * (1.0 - step(3.0, 7.0, -heart));
        mix(inside, -70.0, coat)
    }

    /// Liver on the right; stomach, spleen and fat on the left.
    fn organ_hu(&self, p: [f32; 3], dome: f32, pixel: f32) -> f32 {
        let grain = 6.0 * value(self.seed ^ 0x11E5, p.map(|c| c / 12.0));
        if p[0] < 8.0 || dome > -3.5 {
            return 57.0 + 0.3 * self.contrast_hu + grain;
        }
        let centre = self.dome_mm[1] - 48.0;
        let stomach = ellipsoid(p, [50.0, -24.0, centre], [38.0, 44.0, 42.0]);
        let gas = self.stomach_gas && p[1] < -22.0;
        let content = if stomach > -3.0 {
            42.0
        } else if gas {
            -960.0
        } else {
            18.0
        };
        let spleen = ellipsoid(p, [82.0, 34.0, centre - 8.0], [38.0, 42.0, 46.0]);
        let around = mix(FAT_HU + 6.0, 50.0 + 0.4 * self.contrast_hu + grain, coverage(spleen, pixel));
        mix(around, content, coverage(stomach, pixel))
    }

    /// HU of air and of the table at a point of the patient frame outside the skin.
    pub(crate) fn outside_hu(&self, p_mm: [f32; 2], pixel: f32) -> f32 {
        let back = (7.0 + 112.0 + self.fat_mm * 0.75) * self.scale[1] + self.scanner.table_gap_mm;
        let top = back - p_mm[0] * p_mm[0] / 1500.0;
        let shell = |depth: f32| coverage((p_mm[1] - top - depth).abs() - 1.1, pixel);
        let foam = coverage(-(p_mm[1] - top), pixel) * coverage(p_mm[1] - top - 26.0, pixel);
        let wide = coverage(p_mm[0].abs() - 215.0, pixel);
        AIR_HU + wide * (45.0 * foam + (shell(1.0) + shell(26.0)) * 560.0)
    }
}
