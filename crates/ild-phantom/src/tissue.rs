//! HU of everything that is not lung: chest wall, mediastinum, what lies under the diaphragm, and
//! the table.

use crate::noise::{mix, rough, step, value};
use crate::patient::Patient;
use crate::solid::{coverage, ellipse, ellipsoid, join, squircle};
use crate::surfaces::Surface;
use crate::thorax::Level;

/// Air around the patient.
pub(crate) const AIR_HU: f32 = -1000.0;
const FAT_HU: f32 = -104.0;
const MUSCLE_HU: f32 = 54.0;
const SKIN_MM: f32 = 2.2;

impl Patient {
    /// Signed distance to the skin, and to the muscle under the fat, at a point of the reference
    /// frame.
    pub(crate) fn skin(&self, level: &Level, xy: [f32; 2]) -> [f32; 2] {
        let trunk = squircle(xy, [0.0, level.body_y], level.muscle, 0.30);
        if trunk > 120.0 {
            return [trunk, trunk];
        }
        // The strong muscles on both sides of the spine leave a groove along the back.
        let groove = |trunk: f32| {
            join(trunk, ellipse([xy[0].abs(), xy[1]], [38.0, 101.0], [36.0, 25.0]), 12.0)
        };
        let muscle = if xy[1] > 50.0 { groove(trunk) } else { trunk };
        let fat = self.fat_mm * (0.75 + 0.5 * (xy[0] / 160.0).abs().min(1.0));
        let mut skin = muscle - fat;
        if self.breast_mm > 0.0 && xy[1] < 0.0 {
            let (reach, front) = (self.breast_mm, level.body_y - level.muscle[1]);
            let breast = ellipsoid(
                [xy[0].abs(), xy[1], level.z],
                [78.0, front + 8.0, 120.0],
                [58.0, reach + self.fat_mm, 62.0],
            );
            skin = join(skin, breast, 16.0);
        }
        [skin, muscle]
    }

    /// HU at a point of the reference frame that is outside both lungs and inside the skin. `pixel`
    /// is the width of a pixel, mm.
    pub(crate) fn soft_hu(&self, level: &Level, surface: &Surface, pixel: f32) -> f32 {
        let p = [surface.xy[0], surface.xy[1], level.z];
        let soft = if surface.cavity > 0.0 {
            self.wall_hu(p, surface, pixel)
        } else {
            self.inner_hu(p, surface, pixel)
        };
        let bone = self.bone(level, surface.xy, surface.cavity);
        mix(soft, bone.hu, coverage(bone.distance, pixel))
    }

    fn wall_hu(&self, p: [f32; 3], surface: &Surface, pixel: f32) -> f32 {
        let &Surface { cavity, skin, muscle, .. } = surface;
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

    fn inner_hu(&self, p: [f32; 3], surface: &Surface, pixel: f32) -> f32 {
        let (heart, organs) = (coverage(surface.heart + 3.0, pixel), coverage(surface.dome, pixel));
        let mut hu = 0.0;
        if heart < 1.0 {
            // Nodes, thymus and small vessels in the fat between the lungs.
            let strands = rough(self.seed ^ 0x3ED1, p.map(|c| c / 8.0));
            hu = mix(FAT_HU + 8.0, 28.0, step(0.18, 0.42, strands));
        }
        if heart > 0.0 {
            hu = mix(hu, self.heart_hu(p, surface.heart), heart);
        }
        if organs > 0.0 {
            hu = mix(hu, self.organ_hu(p, surface.dome, pixel), organs);
        }
        hu
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
        let centre = self.dome_mm[1] - 44.0;
        let stomach = ellipsoid(p, [54.0, -22.0, centre], [47.0, 50.0, 42.0]);
        let gas = self.stomach_gas && p[1] < -34.0;
        let filling = if gas { -960.0 } else { 24.0 + 3.0 * grain };
        let content = mix(filling, 42.0, coverage(-3.0 - stomach, pixel));
        let spleen = ellipsoid(p, [84.0, 36.0, centre - 6.0], [44.0, 52.0, 48.0]);
        let around =
            mix(FAT_HU + 6.0, 50.0 + 0.4 * self.contrast_hu + grain, coverage(spleen, pixel));
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
