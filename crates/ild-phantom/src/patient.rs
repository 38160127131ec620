//! What differs from patient to patient and from scanner to scanner.

use crate::draws::Draws;

/// Height of the reference thorax from the lowest lung to above the apex, mm.
pub(crate) const HEIGHT_MM: f32 = 268.0;

/// One synthetic patient on one scanner. Lengths are those of the reference thorax unless they say
/// otherwise.
#[derive(Clone, Debug)]
pub(crate) struct Patient {
    /// Patient mm per reference mm along x (left), y (posterior), z (superior).
    pub scale: [f32; 3],
    /// Seed of every field of this patient.
    pub seed: u32,
    /// Thickness of the fat under the skin.
    pub fat_mm: f32,
    /// Height of the breasts above the chest wall; 0 for none.
    pub breast_mm: f32,
    /// Centre of the heart along x; the apex points to the left.
    pub heart_x_mm: f32,
    /// Size of the heart relative to the usual.
    pub heart_size: f32,
    /// Height of the two domes of the diaphragm, right and left.
    pub dome_mm: [f32; 2],
    /// What contrast medium adds to blood.
    pub contrast_hu: f32,
    /// Aerated lung without its vessels, at mid-height of a lying patient.
    pub lung_hu: f32,
    /// Lung is denser towards the back: HU per 100 mm.
    pub gravity_hu: f32,
    /// Share of the stomach that is gas.
    pub stomach_gas: bool,
    /// Fissures that show as lines.
    pub fissures: bool,
    /// Phase of ribs and vertebrae along z.
    pub rib_phase_mm: f32,
    /// Scanner.
    pub scanner: Scanner,
}

/// How the scan was taken.
#[derive(Clone, Debug)]
pub(crate) struct Scanner {
    /// Field of view of the shorter in-plane side, patient mm.
    pub field_mm: f32,
    /// Standard deviation of the noise in the middle of the body.
    pub noise_hu: f32,
    /// Share of low frequencies taken out of the noise: 0 smooth grain, towards 1 the fine grain of
    /// a sharp kernel.
    pub sharpness: f32,
    /// Corners outside the round field of view hold −1024 instead of air.
    pub round_field: bool,
    /// Height of the table below the back, patient mm.
    pub table_gap_mm: f32,
}

impl Patient {
    pub(crate) fn draw(draws: &mut Draws) -> Self {
        let size = draws.about(1.0, 0.06);
        let woman = draws.chance(0.45);
        Self {
            scale: [
                size * draws.about(1.0, 0.04),
                size * draws.about(1.0, 0.05),
                size * draws.about(1.0, 0.06),
            ],
            seed: draws.seed(),
            fat_mm: draws.uniform(6.0, 24.0),
            breast_mm: if woman { draws.uniform(18.0, 42.0) } else { 0.0 },
            heart_x_mm: draws.about(17.0, 6.0),
            heart_size: draws.about(1.0, 0.1),
            dome_mm: [draws.about(62.0, 8.0), draws.about(50.0, 8.0)],
            contrast_hu: if draws.chance(0.35) { draws.uniform(60.0, 200.0) } else { 0.0 },
            lung_hu: draws.about(-868.0, 22.0),
            gravity_hu: draws.uniform(35.0, 100.0),
            stomach_gas: draws.chance(0.6),
            fissures: draws.chance(0.7),
            rib_phase_mm: draws.uniform(0.0, 25.0),
            scanner: Scanner::draw(draws, size),
        }
    }
}

impl Scanner {
    fn draw(draws: &mut Draws, body_size: f32) -> Self {
        let sharp = draws.chance(0.4);
        Self {
            field_mm: body_size * draws.about(374.0, 18.0),
            noise_hu: if sharp { draws.uniform(24.0, 38.0) } else { draws.uniform(10.0, 19.0) },
            sharpness: if sharp { draws.uniform(0.5, 0.8) } else { draws.uniform(0.1, 0.4) },
            round_field: draws.chance(0.3),
            table_gap_mm: draws.uniform(3.0, 9.0),
        }
    }
}
