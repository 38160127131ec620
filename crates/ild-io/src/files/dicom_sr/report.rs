//! What is measured.

use crate::{Label, SegMaker, SegReference, SourceSeries};

/// Measurements of one CT.
#[derive(Clone, Debug)]
pub struct SrReport<'a> {
    /// The CT.
    pub series: &'a SourceSeries,
    /// The mask that was measured, where it is a Segmentation.
    pub mask: Option<&'a SegReference>,
    /// Who made the mask.
    pub maker: &'a SegMaker,
    /// What must not be overlooked, one sentence each.
    pub notices: &'a [String],
    /// What was measured.
    pub groups: &'a [MeasuredGroup],
    /// The program that writes the file, and its version.
    pub writer: [&'a str; 2],
}

/// What was measured of one class, or of the lung.
#[derive(Clone, Debug, PartialEq)]
pub struct MeasuredGroup {
    /// The class; its code says what was found.
    pub label: Label,
    /// The numbers.
    pub measurements: Vec<Measurement>,
}

/// One number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measurement {
    /// What it is of.
    pub quantity: Quantity,
    /// Where it was taken.
    pub site: SrSite,
    /// In the unit of the quantity.
    pub value: f64,
}

/// What a number says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// Volume, mL.
    VolumeMl,
    /// Share of the lung at that site, percent.
    PercentOfLung,
}

/// A part of the patient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SrSite {
    /// Wherever the mask is.
    WholeMask,
    /// Both lungs.
    Lungs,
    /// Upper third of the lungs' height.
    UpperThird,
    /// Middle third.
    MiddleThird,
    /// Lower third.
    LowerThird,
    /// The patient's left lung.
    Left,
    /// The patient's right lung.
    Right,
    /// Near the edge of the lung.
    Rim,
    /// The rest.
    Core,
}
