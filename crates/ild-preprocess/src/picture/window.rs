//! What part of the Hounsfield scale the 256 grey levels stand for.

use std::str::FromStr;

use ild_io::Window;
use serde::{Deserialize, Serialize};

/// Names that `--window` knows, with what they mean.
pub const PRESETS: [(&str, &str); 5] = [
    (
        "soft",
        "level 40, width 400: soft tissue, the reference's default; aerated lung becomes black",
    ),
    ("lung", "level -600, width 1500: radiology's lung window"),
    ("lung-wide", "-1000..500 HU (level -250, width 1500)"),
    ("medsam-lung", "level -160, width 1500: the lung window of the MedSAM paper"),
    ("rgb", "three windows on the three channels: lung, level -450 width 700 (ground glass), soft"),
];

const SOFT: Window = Window { level_hu: 40.0, width_hu: 400.0 };
const LUNG: Window = Window { level_hu: -600.0, width_hu: 1500.0 };
const LUNG_WIDE: Window = Window { level_hu: -250.0, width_hu: 1500.0 };
const MEDSAM_LUNG: Window = Window { level_hu: -160.0, width_hu: 1500.0 };
const GROUND_GLASS: Window = Window { level_hu: -450.0, width_hu: 700.0 };

/// How a CT becomes a picture: one window for grey, or one for each colour channel.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Windowing {
    /// One channel.
    Grey(Window),
    /// Red, green, blue.
    Rgb([Window; 3]),
}

impl Default for Windowing {
    /// The reference's: 40/400.
    fn default() -> Self {
        Self::Grey(SOFT)
    }
}

impl Windowing {
    /// Lung, ground glass and soft tissue on red, green and blue.
    pub const RGB: Self = Self::Rgb([LUNG, GROUND_GLASS, SOFT]);

    /// The windows, one per channel.
    #[must_use]
    pub fn windows(&self) -> &[Window] {
        match self {
            Self::Grey(window) => std::slice::from_ref(window),
            Self::Rgb(windows) => windows,
        }
    }

    /// The window, when it is one.
    #[must_use]
    pub fn single(&self) -> Option<Window> {
        match self {
            Self::Grey(window) => Some(*window),
            Self::Rgb(_) => None,
        }
    }
}

impl FromStr for Windowing {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "soft" => Ok(Self::Grey(SOFT)),
            "lung" => Ok(Self::Grey(LUNG)),
            "lung-wide" => Ok(Self::Grey(LUNG_WIDE)),
            "medsam-lung" => Ok(Self::Grey(MEDSAM_LUNG)),
            "rgb" => Ok(Self::RGB),
            _ => {
                let names = PRESETS.map(|(name, _)| name);
                let hint = ild_cli::closest(name, names)
                    .map_or(String::new(), |near| format!("; did you mean `{near}`?"));
                Err(format!("expected one of {}{hint}", names.join(", ")))
            }
        }
    }
}

impl std::fmt::Display for Windowing {
    /// `-600/1500`, level and width in HU; channels separated by commas.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, window) in self.windows().iter().enumerate() {
            let separator = if i == 0 { "" } else { ", " };
            write!(f, "{separator}{}/{}", window.level_hu, window.width_hu)?;
        }
        Ok(())
    }
}

/// Lowest and highest HU that `window` tells apart.
#[must_use]
pub fn bounds_hu(window: Window) -> [f64; 2] {
    [window.level_hu - window.width_hu / 2.0, window.level_hu + window.width_hu / 2.0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_have_the_bounds_their_users_expect() {
        let bounds = |name: &str| bounds_hu(name.parse::<Windowing>().unwrap().single().unwrap());
        assert_eq!(bounds("soft"), [-160.0, 240.0]);
        assert_eq!(bounds("lung"), [-1350.0, 150.0]);
        assert_eq!(bounds("lung-wide"), [-1000.0, 500.0]);
        assert_eq!(bounds("medsam-lung"), [-910.0, 590.0]);
        assert_eq!(Windowing::RGB.to_string(), "-600/1500, -450/700, 40/400");
    }

    #[test]
    fn every_listed_preset_parses_and_a_slip_is_answered_with_its_neighbour() {
        for (name, _) in PRESETS {
            assert!(name.parse::<Windowing>().is_ok(), "{name}");
        }
        assert!("lungs".parse::<Windowing>().unwrap_err().contains("did you mean `lung`?"));
    }
}
