//! What diseased lung looks like: the five classes of the default label table.

use super::noise::{cells, mix, rough, step, value};

/// Spacing of reticular lines and of honeycomb cysts, mm.
const MESH_MM: f32 = 7.5;
const CYST_MM: f32 = 9.5;

/// The look of disease in one patient.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Texture {
    pub seed: u32,
    /// Haze of ground glass added to the lung, HU.
    pub haze_hu: f32,
    /// Width of a pixel, mm: meshes are never finer than the pixels can show.
    pub pixel: f32,
}

impl Texture {
    /// HU of diseased lung of `class` at `p` (patient frame, mm), where healthy lung would have `lung_hu`.
    pub(crate) fn hu(&self, class: u8, p: [f32; 3], lung_hu: f32) -> f32 {
        match class {
            1 => lung_hu + self.haze(p),
            2 => self.mesh(p, lung_hu + 55.0),
            3 => self.mesh(p, lung_hu + 0.85 * self.haze(p)),
            4 => self.consolidation(p),
            _ => self.honeycomb(p),
        }
    }

    /// Smooth, a little uneven from lobule to lobule.
    fn haze(&self, p: [f32; 3]) -> f32 {
        self.haze_hu + 45.0 * rough(self.seed ^ 0x6600, p.map(|c| c / 16.0))
    }

    /// Thickened septa: the walls of cells, on `ground`.
    fn mesh(&self, p: [f32; 3], ground: f32) -> f32 {
        let size = MESH_MM.max(4.6 * self.pixel);
        let [nearest, second] = cells(self.seed ^ 0x4E7, p.map(|c| c / size));
        let half_line = (0.12f32).max(0.55 * self.pixel / size);
        let line = 1.0 - step(half_line, 2.0 * half_line, second - nearest);
        let strength = 0.75 + 0.25 * value(self.seed ^ 0x57, p.map(|c| c / 12.0));
        mix(ground, -180.0, line * strength)
    }

    fn consolidation(&self, p: [f32; 3]) -> f32 {
        let mottle = rough(self.seed ^ 0xC0, p.map(|c| c / 8.0));
        // Islands that still hold some air.
        -30.0 + 45.0 * mottle - 330.0 * step(0.38, 0.75, mottle)
    }

    /// Cysts of air in layers with thick walls.
    fn honeycomb(&self, p: [f32; 3]) -> f32 {
        let size = CYST_MM.max(5.0 * self.pixel);
        let [nearest, second] = cells(self.seed ^ 0x40E7, p.map(|c| c / size));
        let half_wall = (0.15f32).max(0.6 * self.pixel / size);
        let air = step(half_wall, 1.9 * half_wall, second - nearest);
        mix(-110.0, -955.0, air)
    }
}
