//! `ild-metrics quantify`: how much of the lung each lesion class takes, and where. No ground truth
//! is needed.
//!
//! For research: a description of a mask, not a finding.

mod aligned;
mod dicom_sr;
mod error_of_volume;
mod output;
mod progression;
mod progression_output;
mod regions;
mod settings;

use std::collections::BTreeMap;

use ild_io::cohort::LabelNames;
use ild_io::lung::LungMask;
use ild_io::{HeaderNote, LabelMap, LabelTable, Volume, read_label_map, same_grid};
use ndarray::Array3;
use serde::Serialize;

pub use dicom_sr::DicomSr;
pub use error_of_volume::{ClassError, VolumeErrors};
pub use output::{printed_quantification, write_quantification};
pub use progression::{ClassChange, LungChange, Progression};
pub use progression_output::{printed_progression, write_progression};
pub use regions::{RIM_MM, RegionCounts, SideRule};
pub use settings::QuantifySettings;

use crate::{Error, Result};
use regions::Regions;

/// What is written on everything that leaves here.
pub(crate) const INTENDED_USE: &str =
    "For research use: a description of a mask, not a finding; not a medical device.";

/// How much of each class there is, and where.
#[derive(Clone, Debug, Serialize)]
pub struct Quantification {
    /// What this is for, and what not.
    pub intended_use: &'static str,
    /// The mask's case.
    pub case: String,
    /// Volume of a voxel, mL.
    pub voxel_ml: f64,
    /// What deserves a word about the mask's header: which of two lengths was used, for instance.
    pub header_notes: Vec<HeaderNote>,
    /// The lung, when one is known.
    pub lung: Option<LungFacts>,
    /// Each class of the mask.
    pub classes: Vec<ClassVolume>,
    /// All classes together.
    pub total: ClassVolume,
}

/// The lung that volumes are related to.
#[derive(Clone, Debug, Serialize)]
pub struct LungFacts {
    /// Where the mask came from.
    pub source: String,
    /// Its volume and parts.
    pub regions: RegionVolumes,
    /// How left and right were told apart.
    pub sides_by: SideRule,
    /// What speaks against an automatic mask.
    pub problems: Vec<String>,
}

/// One class.
#[derive(Clone, Debug, Serialize)]
pub struct ClassVolume {
    /// Label id; 0 for all classes together.
    pub label: u8,
    /// Name.
    pub name: String,
    /// Volume in the whole mask, mL.
    pub volume_ml: f64,
    /// Of that, outside the lung mask, mL.
    pub outside_lung_ml: Option<f64>,
    /// Inside the lung, by region.
    pub regions: Option<RegionVolumes>,
    /// The same as shares of the lung in that region, percent.
    pub percent_of_lung: Option<RegionVolumes>,
}

/// A number for the lung and for each part of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct RegionVolumes {
    /// Both lungs.
    pub whole: f64,
    /// Upper third of the lungs' height.
    pub upper_third: f64,
    /// Middle third.
    pub middle_third: f64,
    /// Lower third.
    pub lower_third: f64,
    /// The patient's left lung.
    pub left: f64,
    /// The patient's right lung.
    pub right: f64,
    /// Within [`RIM_MM`] of the lung's edge.
    pub rim: f64,
    /// The rest.
    pub core: f64,
}

impl RegionVolumes {
    fn of(counts: &RegionCounts, voxel_ml: f64) -> Self {
        let ml = |voxels: u64| voxels as f64 * voxel_ml;
        Self {
            whole: ml(counts.total()),
            upper_third: ml(counts.third(0)),
            middle_third: ml(counts.third(1)),
            lower_third: ml(counts.third(2)),
            left: ml(counts.side(0)),
            right: ml(counts.side(1)),
            rim: ml(counts.depth(0)),
            core: ml(counts.depth(1)),
        }
    }

    /// Later − earlier, part by part.
    fn difference(later: &Self, earlier: &Self) -> Self {
        Self {
            whole: later.whole - earlier.whole,
            upper_third: later.upper_third - earlier.upper_third,
            middle_third: later.middle_third - earlier.middle_third,
            lower_third: later.lower_third - earlier.lower_third,
            left: later.left - earlier.left,
            right: later.right - earlier.right,
            rim: later.rim - earlier.rim,
            core: later.core - earlier.core,
        }
    }

    fn percent_of(&self, lung: &Self) -> Self {
        let share = |part: f64, of: f64| if of > 0.0 { 100.0 * part / of } else { 0.0 };
        Self {
            whole: share(self.whole, lung.whole),
            upper_third: share(self.upper_third, lung.upper_third),
            middle_third: share(self.middle_third, lung.middle_third),
            lower_third: share(self.lower_third, lung.lower_third),
            left: share(self.left, lung.left),
            right: share(self.right, lung.right),
            rim: share(self.rim, lung.rim),
            core: share(self.core, lung.core),
        }
    }
}

/// A lung mask and where it came from.
#[derive(Clone, Debug)]
pub struct Lung {
    /// `[z, y, x]`, on the lesion mask's grid.
    pub mask: Array3<bool>,
    /// In words.
    pub source: String,
    /// What speaks against it.
    pub problems: Vec<String>,
}

impl Quantification {
    /// Measures a mask; with a lung also where its lesions lie.
    #[must_use]
    pub fn new(case: &str, map: &LabelMap, table: &LabelTable, lung: Option<&Lung>) -> Self {
        let voxel_ml = map.geometry.voxel_volume_ml();
        let mut voxels: BTreeMap<u8, u64> = table.classes.keys().map(|id| (*id, 0)).collect();
        for id in map.labels.iter().filter(|id| **id != 0) {
            *voxels.entry(*id).or_default() += 1;
        }
        let regions = lung.map(|lung| Regions::new(&map.labels, &lung.mask, &map.geometry));
        let lung_volumes =
            regions.as_ref().map(|regions| RegionVolumes::of(&regions.lung, voxel_ml));
        let class = |label: u8, name: String, voxels: u64, counts: Option<RegionCounts>| {
            let inside = counts.map(|counts| RegionVolumes::of(&counts, voxel_ml));
            let volume_ml = voxels as f64 * voxel_ml;
            ClassVolume {
                label,
                name,
                volume_ml,
                outside_lung_ml: counts.map(|counts| (voxels - counts.total()) as f64 * voxel_ml),
                regions: inside,
                percent_of_lung: inside
                    .zip(lung_volumes)
                    .map(|(inside, lung)| inside.percent_of(&lung)),
            }
        };
        let counts_of = |id: u8| {
            regions.as_ref().map(|regions| regions.classes.get(&id).copied().unwrap_or_default())
        };
        let all = regions.as_ref().map(|regions| regions.classes.values().copied().sum());
        Self {
            intended_use: INTENDED_USE,
            case: case.to_owned(),
            voxel_ml,
            header_notes: map.geometry.notes.clone(),
            classes: voxels
                .iter()
                .map(|(&id, &n)| class(id, table.name(id), n, counts_of(id)))
                .collect(),
            total: class(0, "all classes".into(), voxels.values().sum(), all),
            lung: lung.zip(lung_volumes).zip(regions.as_ref()).map(|((lung, volumes), regions)| {
                LungFacts {
                    source: lung.source.clone(),
                    regions: volumes,
                    sides_by: regions.sides_by,
                    problems: lung.problems.clone(),
                }
            }),
        }
    }
}

/// What `quantify` reads.
pub struct QuantifyInput {
    /// Name of the mask without ending.
    pub case: String,
    /// The lesions.
    pub map: LabelMap,
    /// The lung, if one was given or could be found.
    pub lung: Option<Lung>,
    /// The CT, if given.
    pub ct: Option<Volume>,
    /// Names of the labels.
    pub table: LabelTable,
}

impl QuantifyInput {
    /// Reads mask, lung and CT; without `--lung` the lung is found in the CT.
    ///
    /// # Errors
    /// When a file is refused, cannot be read, or lies on another grid than the mask.
    pub fn read(settings: &QuantifySettings) -> Result<Self> {
        Self::read_under(settings, Self::table(settings)?)
    }

    /// Both dates, their labels under the same ids: names decide, as they do everywhere.
    ///
    /// # Errors
    /// As [`QuantifyInput::read`]; when only one date names its labels, and when one gives a name to an id that has another at the
    /// other date.
    pub fn read_both(
        baseline: &QuantifySettings,
        followup: &QuantifySettings,
    ) -> Result<[Self; 2]> {
        let [before, after] = [Self::table(baseline)?, Self::table(followup)?];
        // A number without a name may be anything at the other date.
        let unnamed = match (before.is_empty(), after.is_empty()) {
            (true, false) => Some([baseline, followup]),
            (false, true) => Some([followup, baseline]),
            _ => None,
        };
        if let Some([one, other]) = unnamed {
            return Err(Error::refused(
                &one.mask,
                format!("a mask whose labels have names, as {} has", other.mask.display()),
                "label ids alone",
                "name them with --labels, or by a labels.json beside the mask",
            ));
        }
        let mut table = before;
        table.extend(&after);
        Ok([Self::read_under(baseline, table.clone())?, Self::read_under(followup, table)?])
    }

    fn table(settings: &QuantifySettings) -> Result<LabelTable> {
        Ok(LabelNames::of_mask(settings.labels.as_deref(), &settings.mask)?.or_numbers())
    }

    fn read_under(settings: &QuantifySettings, table: LabelTable) -> Result<Self> {
        let mut map = read_label_map(&settings.mask)?;
        let ct = settings.read_ct()?;
        if let Some(ct) = ct.as_ref().filter(|_| map.geometry.stored.part) {
            map = map.on_grid_of(&settings.mask, "mask", "CT", &ct.geometry)?;
        }
        if let (Some(path), Some(ct)) = (&settings.ct, &ct) {
            same_grid(path, "CT", &ct.geometry, "mask", &map.geometry)?;
        }
        let lung = match (&settings.lung, &ct) {
            (Some(path), _) => {
                let lung = read_label_map(path)?;
                if map.geometry.stored.part {
                    map = map.on_grid_of(&settings.mask, "mask", "lung mask", &lung.geometry)?;
                }
                let lung = lung.on_grid_of(path, "lung mask", "mask", &map.geometry)?;
                if lung.labels.iter().all(|id| *id == 0) {
                    return Err(Error::refused(
                        path,
                        "a lung mask",
                        "an empty one",
                        "leave --lung out and give --ct to find the lung automatically",
                    ));
                }
                Some(Lung {
                    mask: lung.labels.mapv(|id| id != 0),
                    source: format!("given: {}", settings.shown(path)),
                    problems: Vec::new(),
                })
            }
            (None, Some(ct)) => {
                let lung = LungMask::of(ct);
                Some(Lung {
                    problems: lung.quality.problems(),
                    mask: lung.mask,
                    source: "automatic: found in the CT by threshold and morphology".into(),
                })
            }
            (None, None) => None,
        };
        let case = settings.case()?;
        let mut own = LabelNames::own(&settings.mask)?;
        if own.table.is_none() {
            own.table = Some(Self::table(settings)?).filter(|table| !table.is_empty());
        }
        let map = LabelMap { labels: own.under(&table, map.labels, &settings.mask)?, ..map };
        let map = LabelMap { labels: table.only_classes(map.labels), ..map };
        Ok(Self { case, map, lung, ct, table })
    }
}
