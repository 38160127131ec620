//! What a block of lung looks like.

use ild_io::LabelTable;
use serde::Serialize;

/// Denser than normal lung and not yet soft tissue, HU. In 25 labelled patches of normal lung at
/// most 7 % of the voxels are in this band; partial volume around vessels fills more of a block in
/// thick slices, so the limit is far above that.
const BAND_HU: [i16; 2] = [-700, -200];
const BAND_SHARE: f32 = 0.35;
/// Vessels, airway walls and the chest wall at the closed border reach soft-tissue density.
const SOFT_HU: i16 = -100;
/// Standard deviation of a block above which density is lines rather than haze, and above which
/// lines enclose air.
const LINES_HU: f64 = 100.0;
const CYSTS_HU: f64 = 170.0;

/// What a region looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Texture {
    /// Denser than lung and even.
    GroundGlass,
    /// Lines.
    Reticulation,
    /// Cysts with walls.
    Honeycombing,
}

impl Texture {
    /// The label of `table` whose name speaks of this texture; else the lowest id.
    #[must_use]
    pub fn label(self, table: &LabelTable) -> u8 {
        let words: &[&str] = match self {
            Self::GroundGlass => &["ground", "ggo"],
            Self::Reticulation => &["reticul"],
            Self::Honeycombing => &["honeycomb"],
        };
        let named = |word: &str| {
            table
                .classes
                .iter()
                .find(|(_, label)| label.name.to_lowercase().contains(word))
                .map(|(&id, _)| id)
        };
        words
            .iter()
            .find_map(|word| named(word))
            .or_else(|| table.classes.keys().next().copied())
            .unwrap_or(1)
    }
}

/// What a block holds.
#[derive(Default)]
pub(super) struct Statistics {
    pub(super) voxels: f32,
    sum: f64,
    squares: f64,
    band: f32,
    soft: f32,
}

impl Statistics {
    pub(super) fn add(&mut self, hu: i16) {
        let value = f64::from(hu);
        self.voxels += 1.0;
        self.sum += value;
        self.squares += value * value;
        self.band += f32::from(u8::from((BAND_HU[0]..BAND_HU[1]).contains(&hu)));
        self.soft += f32::from(u8::from(hu >= SOFT_HU));
    }

    pub(super) fn texture(&self) -> Option<Texture> {
        if self.band < BAND_SHARE * self.voxels || self.soft >= self.band {
            return None;
        }
        let n = f64::from(self.voxels);
        let deviation = (self.squares / n - (self.sum / n).powi(2)).max(0.0).sqrt();
        Some(match deviation {
            d if d >= CYSTS_HU => Texture::Honeycombing,
            d if d >= LINES_HU => Texture::Reticulation,
            _ => Texture::GroundGlass,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn textures_find_their_label_by_name() {
        let table = LabelTable::default();
        assert_eq!(Texture::Honeycombing.label(&table), 5);
        assert_eq!(Texture::Reticulation.label(&table), 2);
        assert_eq!(Texture::GroundGlass.label(&table), 3);
        assert_eq!(Texture::GroundGlass.label(&LabelTable::new(BTreeMap::new())), 1);
    }
}
