//! `measurements.dcm`: a quantification as a DICOM Structured Report.

use std::path::Path;

use ild_io::{
    Format, Label, LabelTable, MeasuredGroup, Measurement, Quantity, SegAlgorithm, SegMaker,
    SegReference, SourceSeries, SrReport, SrSite, write_dicom_sr,
};

use super::{ClassVolume, Quantification, QuantifySettings, RegionVolumes};
use crate::{Error, Result};

/// Where a number is taken, and which number that is.
type Site = (SrSite, fn(&RegionVolumes) -> f64);

const SITES: [Site; 8] = [
    (SrSite::Lungs, |r| r.whole),
    (SrSite::UpperThird, |r| r.upper_third),
    (SrSite::MiddleThird, |r| r.middle_third),
    (SrSite::LowerThird, |r| r.lower_third),
    (SrSite::Left, |r| r.left),
    (SrSite::Right, |r| r.right),
    (SrSite::Rim, |r| r.rim),
    (SrSite::Core, |r| r.core),
];

/// The report of what `settings` measured.
pub struct DicomSr {
    series: SourceSeries,
    mask: Option<SegReference>,
    maker: SegMaker,
}

impl DicomSr {
    /// Reads what the report refers to: the series of the CT, and the mask where it is a Segmentation.
    ///
    /// # Errors
    /// When the CT is no DICOM series that can be referred to, or the mask is of another study.
    pub fn read(settings: &QuantifySettings) -> Result<Self> {
        let series = settings.series()?;
        let seg = Format::of(&settings.mask)? == Format::DicomSeg;
        let mask = seg.then(|| SegReference::read(&settings.mask)).transpose()?;
        if mask.as_ref().is_some_and(|mask| mask.study != series.study()) {
            return Err(Error::refused(
                &settings.mask,
                "a Segmentation of the study of the CT",
                "one of another study (StudyInstanceUID)",
                "name the CT that was segmented",
            ));
        }
        let maker = SegMaker::beside(&settings.mask);
        let maker = maker.unwrap_or_else(|| SegMaker::unknown(SegAlgorithm::SemiAutomatic));
        Ok(Self { series, mask, maker })
    }

    /// Writes the report.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path, found: &Quantification, table: &LabelTable) -> Result<()> {
        let report = SrReport {
            series: &self.series,
            mask: self.mask.as_ref(),
            maker: &self.maker,
            notices: &found.notices(),
            groups: &groups(found, table),
            writer: [env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")],
        };
        Ok(write_dicom_sr(path, &report)?)
    }
}

/// The lung, each class that occurs, all of them together.
fn groups(found: &Quantification, table: &LabelTable) -> Vec<MeasuredGroup> {
    let lung = found.lung.iter().map(|lung| MeasuredGroup {
        label: Label { name: "Lung".to_owned(), color: [0; 3], code: None },
        measurements: at_sites(Quantity::VolumeMl, &lung.regions),
    });
    let label = |row: &ClassVolume| {
        let unknown = || Label { name: row.name.clone(), color: [0; 3], code: None };
        table.classes.get(&row.label).cloned().unwrap_or_else(unknown)
    };
    let class = |row: &ClassVolume| {
        let (quantity, site) = (Quantity::VolumeMl, SrSite::WholeMask);
        let mut measurements = vec![Measurement { quantity, site, value: row.volume_ml }];
        for (quantity, regions) in
            [(quantity, row.regions), (Quantity::PercentOfLung, row.percent_of_lung)]
        {
            measurements.extend(regions.iter().flat_map(|regions| at_sites(quantity, regions)));
        }
        MeasuredGroup { label: label(row), measurements }
    };
    let rows = found.classes.iter().filter(|row| row.volume_ml > 0.0).chain([&found.total]);
    lung.chain(rows.map(class)).collect()
}

fn at_sites(quantity: Quantity, regions: &RegionVolumes) -> Vec<Measurement> {
    let at = |(site, value): &Site| Measurement { quantity, site: *site, value: value(regions) };
    SITES.iter().map(at).collect()
}
