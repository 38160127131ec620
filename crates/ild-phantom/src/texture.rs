//! What diseased lung looks like: the five classes of the default label table.

use crate::noise::{cells, mix, rough, step, value};

/// Spacing of reticular lines and of honeycomb cysts, mm.
const MESH_MM: f32 = 5.6;
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
    /// HU of diseased lung of `class` at `p` (patient frame, mm), where healthy lung would have
    /// `lung_hu`.
    pub(crate) fn hu(&self, class: u8, p: [f32; 3], lung_hu: f32) -> f32 {
        match class {
            1 => lung_hu + self.haze(p),
            2 => self.mesh(p, lung_hu + 30.0, -380.0),
            3 => self.mesh(p, lung_hu + 0.85 * self.haze(p), -240.0),
            4 => self.consolidation(p),
            _ => self.honeycomb(p),
        }
    }

    /// Smooth, a little uneven from lobule to lobule.
    fn haze(&self, p: [f32; 3]) -> f32 {
        self.haze_hu + 45.0 * rough(self.seed ^ 0x6600, p.map(|c| c / 16.0))
    }

    /// Thickened septa: the walls of cells, lines of `line_hu` on `ground`.
    fn mesh(&self, p: [f32; 3], ground: f32, line_hu: f32) -> f32 {
        let size = MESH_MM.max(4.2 * self.pixel);
        // Shifted to and fro, so that the lines are not the straight edges of cells.
        let shift = |salt: u32| 0.3 * value(self.seed ^ salt, p.map(|c| c / (1.3 * size)));
        let [nearest, second] =
            cells(self.seed ^ 0x4E7, [p[0] / size + shift(1), p[1] / size + shift(2), p[2] / size]);
        let half_line = (0.09f32).max(0.32 * self.pixel / size);
        let line = 1.0 - step(half_line, 2.4 * half_line, second - nearest);
        let strength = 0.72 + 0.28 * value(self.seed ^ 0x57, p.map(|c| c / 9.0));
        mix(ground, line_hu, line * strength)
    }

    fn consolidation(&self, p: [f32; 3]) -> f32 {
        let mottle = rough(self.seed ^ 0xC0, p.map(|c| c / 8.5));
        // Islands that still hold some air.
        4.0 + 30.0 * mottle - 480.0 * step(0.2, 0.62, mottle)
    }

    /// Cysts of air in layers with thick walls.
    fn honeycomb(&self, p: [f32; 3]) -> f32 {
        // Cysts of 3 to 12 mm, larger ones together.
        let size = CYST_MM.max(5.0 * self.pixel)
            * (1.0 + 0.12 * value(self.seed ^ 0x512E, p.map(|c| c / 40.0)));
        let [nearest, second] = cells(self.seed ^ 0x40E7, p.map(|c| c / size));
        let half_wall = (0.15f32).max(0.6 * self.pixel / size);
        let air = step(half_wall, 1.9 * half_wall, second - nearest);
        mix(-110.0, -955.0, air)
    }
}
