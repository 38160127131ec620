//! What deserves a word about a header that can be read: typed, so that it reaches every output.

use serde::{Deserialize, Serialize};

/// One oddity. `Display` says it in a sentence, JSON has its numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum HeaderNote {
    /// pixdim and the sform's axes have different lengths.
    LengthsDisagree {
        /// What pixdim says, `x, y, z`.
        pixdim_mm: [f64; 3],
        /// How long the sform's axes are.
        sform_mm: [f64; 3],
        /// Which of them lengths and places are taken from.
        used: LengthSource,
    },
    /// sform and qform put a corner voxel at two places.
    PlacesDisagree {
        /// How far apart, mm; the sform is used.
        apart_mm: f64,
    },
    /// Neither sform nor qform; an NRRD without a space.
    NoPlace,
    /// The sform's code says that there is one, but it spans no volume.
    UnusableSform,
    /// pixdim holds something that is no length.
    UnusablePixdim {
        /// What it holds.
        pixdim: [f64; 3],
        /// What was taken instead, mm.
        taken_mm: [f64; 3],
    },
    /// Lengths were given in metres or micrometres.
    UnitOfLength {
        /// Millimetres per unit; all lengths were multiplied by it.
        mm: f64,
    },
    /// Voxels of a size that no chest CT has.
    ImplausibleSpacing {
        /// Distance between voxel centres along `x, y, z`.
        spacing_mm: [f64; 3],
    },
    /// The axes are not quite perpendicular.
    NotRightAngled {
        /// By how much.
        degrees: f64,
    },
    /// The file's slices are not axial; the arrays are.
    NotAxial {
        /// nibabel's axis codes of the file.
        stored: String,
    },
    /// Slope and intercept that are no scaling, or half of one.
    Scaling {
        /// What was made of them, in words.
        taken: String,
    },
    /// The header's intent says that the values are not what they are read as.
    Intent {
        /// `intent_code`.
        code: i16,
        /// Its name.
        name: String,
    },
}

/// The field of a NIfTI header that lengths and places were taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LengthSource {
    /// The sform's matrix.
    Sform,
    /// The qform's rotation with pixdim's lengths.
    Qform,
}

impl std::fmt::Display for HeaderNote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::LengthsDisagree { pixdim_mm, sform_mm, used } => {
                let used = match used {
                    LengthSource::Sform => "the sform is used for lengths and places",
                    LengthSource::Qform => "pixdim and the qform are used for lengths and places",
                };
                write!(
                    f,
                    "pixdim says {} mm but the sform's axes are {} mm long: {used}",
                    lengths(pixdim_mm),
                    lengths(sform_mm)
                )
            }
            Self::PlacesDisagree { apart_mm } => {
                write!(f, "sform and qform disagree by up to {apart_mm:.2} mm; the sform is used")
            }
            Self::NoPlace => f.write_str(
                "neither sform nor qform (in an NRRD: no space): position and orientation in the \
                 patient are unknown",
            ),
            Self::UnusableSform => f.write_str("the sform is not a usable matrix and is ignored"),
            Self::UnusablePixdim { pixdim, taken_mm } => {
                write!(f, "pixdim {pixdim:?} is no spacing; taken as {taken_mm:?} mm")
            }
            Self::UnitOfLength { mm } => {
                write!(f, "lengths are not in mm; multiplied by {mm}")
            }
            Self::ImplausibleSpacing { spacing_mm } => write!(
                f,
                "a spacing of {} mm is implausible for a chest; volumes and distances follow it",
                spacing_mm.map(short).join(" × ")
            ),
            Self::NotRightAngled { degrees } => {
                write!(f, "axes are not perpendicular (off by {degrees:.2} degrees)")
            }
            Self::NotAxial { stored } => {
                write!(
                    f,
                    "stored {stored}: its slices are not axial, so it is cut anew along the patient's axis"
                )
            }
            Self::Scaling { taken } => f.write_str(taken),
            Self::Intent { code, name } => {
                write!(f, "the header's intent is {code} ({name}): are these the values you mean?")
            }
        }
    }
}

/// A number that a person wrote or that a slip made: 0.7, but 1e20.
fn short(mm: f64) -> String {
    if (1e-3..1e5).contains(&mm.abs()) { mm.to_string() } else { format!("{mm:e}") }
}

/// `0.7 × 0.7 × 5`, with four decimals at most.
fn lengths(mm: &[f64; 3]) -> String {
    mm.map(|mm| ((mm * 1e4).round() / 1e4).to_string()).join(" × ")
}
