//! From what is known of a pixel to its HU, before the scanner's blur and noise.

use crate::noise::{RoughPlane, mix, step};
use crate::render::Anatomy;
use crate::solid::coverage;
use crate::surfaces::Surface;
use crate::thorax::Level;
use crate::tissue::AIR_HU;
use crate::tubes::{Covered, SliceGrid};

/// Sizes of the two kinds of unevenness of healthy lung, mm: lobules with more or less air, and
/// vessels too small to follow.
const LOBULE_MM: f32 = 20.0;
const SPECKLE_MM: f32 = 3.4;
const LUMEN_HU: f32 = -985.0;

/// What is known of a pixel.
pub(crate) struct Seen {
    pub surface: Surface,
    /// Label id of the disease here, or beside here; 0 for none.
    pub class: u8,
    /// Share of disease after softening of the outline.
    pub share: f32,
}

/// Paints the pixels of one slice.
pub(crate) struct Painter<'a> {
    anatomy: &'a Anatomy,
    level: &'a Level,
    grid: &'a SliceGrid,
    covered: Covered,
    lobules: RoughPlane,
    speckle: RoughPlane,
}

impl<'a> Painter<'a> {
    pub(crate) fn new(anatomy: &'a Anatomy, level: &'a Level, grid: &'a SliceGrid) -> Self {
        let covered = Covered::by(&anatomy.tubes, grid);
        let (low, high) = (grid.position(0, 0), grid.position(grid.shape[0], grid.shape[1]));
        let plane = |salt: u32, size: f32| {
            RoughPlane::new(anatomy.patient.seed ^ salt, size, low, high, grid.z)
        };
        Self {
            anatomy,
            level,
            grid,
            covered,
            lobules: plane(0x1416, LOBULE_MM),
            speckle: plane(0x1417, SPECKLE_MM),
        }
    }

    pub(crate) fn hu(&self, at: [usize; 2], seen: &Seen) -> f32 {
        let patient = &self.anatomy.patient;
        let pixel = self.grid.pixel;
        let surface = &seen.surface;
        let body = coverage(surface.skin, pixel);
        let outside = if body < 1.0 {
            patient.outside_hu(self.grid.position(at[0], at[1]), pixel)
        } else {
            AIR_HU
        };
        if body <= 0.0 {
            return outside;
        }
        let inside_cage = surface.cavity < 0.0;
        let lung = coverage(surface.lung, pixel);
        let mut hu = 0.0;
        if lung < 1.0 {
            let blood = 46.0 + patient.contrast_hu;
            let soft = patient.soft_hu(self.level, surface, pixel);
            hu = mix(soft, blood, if inside_cage { self.covered.great[at] } else { 0.0 });
        }
        if lung > 0.0 {
            hu = mix(hu, self.lung_hu(at, seen), lung);
        }
        if inside_cage {
            hu = mix(hu, 20.0, 0.8 * self.covered.wall[at]);
            hu = mix(hu, LUMEN_HU, self.covered.lumen[at]);
        }
        mix(outside, hu, body)
    }

    fn lung_hu(&self, at: [usize; 2], seen: &Seen) -> f32 {
        let patient = &self.anatomy.patient;
        let [x, y] = self.grid.position(at[0], at[1]);
        let speckle = self.speckle.at(x, y);
        let uneven =
            34.0 * self.lobules.at(x, y) + 30.0 * speckle + 150.0 * step(0.3, 0.8, speckle);
        let healthy = patient.lung_hu + patient.gravity_hu * seen.surface.xy[1] / 100.0 + uneven;
        let mut hu = mix(healthy, -600.0, self.fissure(seen.surface.xy));
        if seen.share > 0.0 {
            hu = mix(
                hu,
                self.anatomy.texture.hu(seen.class, [x, y, self.grid.z], healthy),
                seen.share,
            );
        }
        hu = mix(hu, 35.0 + patient.contrast_hu, self.covered.vessel[at]);
        // Small bronchi show as dark branches where the lung around them is solid.
        let bronchogram =
            if seen.class == 4 { self.covered.bronchiole[at] * seen.share } else { 0.0 };
        mix(hu, LUMEN_HU, bronchogram)
    }

    /// Share of a thin curved sheet that runs from high at the back to low at the front.
    fn fissure(&self, [x, y]: [f32; 2]) -> f32 {
        if !self.anatomy.patient.fissures {
            return 0.0;
        }
        let height = 118.0 + 1.15 * y + 0.004 * (x.abs() - 60.0) * (x.abs() - 60.0);
        // Across the sheet, which is tilted by about 49 degrees, not along z.
        coverage((self.level.z - height).abs() * 0.66 - 0.45, 1.2)
    }
}
