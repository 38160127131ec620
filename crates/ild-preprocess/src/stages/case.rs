//! One patient: label file and CT in, stack of windowed slices out.

use std::collections::{BTreeMap, BTreeSet};

use ild_io::cohort::LabelNames;
use ild_io::{
    Geometry, HeaderNote, Images, LabelMap, LabelTable, Placement, SliceStack, Volume, Voxels,
    hounsfield_doubt, order_note, read_label_map, read_label_map_as_stored, read_volume,
    read_volume_as_stored, same_grid,
};
use ndarray::Array3;
use serde::{Deserialize, Serialize};

use crate::cohort::pairs::Pair;
use crate::labels::dust::{DustLimits, remove_dust};
use crate::labels::healthy::Healthy;
use crate::labels::instances::{reference_first_id, split_instances};
use crate::picture::flattened::Flattened;
use crate::picture::grey_level::Scaling;
use crate::picture::window::Windowing;
use crate::picture::{spread_mr, window_ct};
use crate::{Error, LabelRuns, Result};

/// What made the scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[clap(rename_all = "UPPER")]
#[serde(rename_all = "UPPERCASE")]
pub enum Modality {
    /// Computed tomography: values are Hounsfield units, a window makes them grey.
    #[value(alias = "ct")]
    Ct,
    /// Magnetic resonance: values have no unit, percentiles make them grey.
    #[value(alias = "mr")]
    Mr,
}

impl Modality {
    /// `CT`, `MR`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ct => "CT",
            Self::Mr => "MR",
        }
    }
}

/// Everything that decides what the NPZ of a case holds.
#[derive(Clone, Debug, Serialize)]
pub struct CaseSettings {
    /// CT or MR.
    pub modality: Modality,
    /// How a CT becomes grey.
    pub windowing: Windowing,
    /// Over which range.
    pub scaling: Scaling,
    /// Label ids to drop.
    pub removed_ids: Vec<u8>,
    /// Label to split into instances.
    pub tumor_id: Option<u8>,
    /// Accept a label on another grid of the same shape, with a note, as the older scripts did
    /// without one.
    pub any_grid: bool,
    /// Cut along the file's own third axis, whatever it is in the patient, as the older scripts did.
    pub as_stored: bool,
    /// Number instances as the older scripts do, two above the largest other id of the case.
    pub reference_instance_ids: bool,
    /// What is too small.
    pub limits: DustLimits,
    /// Names of the ids.
    pub label_table: LabelTable,
    /// What was declared free of disease.
    #[serde(skip_serializing_if = "Healthy::is_empty")]
    pub healthy: Healthy,
    /// Also write image and labels as NIfTI.
    pub save_nii: bool,
}

/// What the summary tells of a case.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CaseFacts {
    /// Slices with a label, the ones in the NPZ.
    pub slices: usize,
    /// Slices of the scan.
    pub scan_slices: usize,
    /// Places where two neighbouring slices of the NPZ are no neighbours in the scan.
    pub gaps: usize,
    /// Voxels per label id.
    pub voxels: BTreeMap<u8, u64>,
    /// What the window did to the lung; `None` for MR.
    pub flattened: Option<Flattened>,
    /// Ids of the mask as it was read, dropped ones too.
    #[serde(default)]
    pub met: Option<BTreeSet<u8>>,
    /// What is odd.
    pub notes: Vec<String>,
    /// What is odd about the headers of CT and label; the readers log it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub header_notes: Vec<HeaderNote>,
}

/// The cleaned labels of a case.
#[derive(Clone, Debug)]
pub struct CaseLabels {
    /// Where they are.
    pub runs: LabelRuns,
    /// Where nobody annotated; no dust is taken away there.
    pub ignored: Option<LabelRuns>,
    /// Ids of the mask as it was read, dropped ones too.
    pub met: BTreeSet<u8>,
    /// Grid of the label file.
    pub geometry: Geometry,
}

/// A window that flattens more than this share of the lung is warned about.
const FLATTENED_WARNING: f64 = 0.5;

/// Reads the labels of a case, drops ids, splits instances, removes dust.
///
/// # Errors
/// When the label file is refused, or has more tumours than ids are left for.
pub fn clean_labels(pair: &Pair, settings: &CaseSettings) -> Result<CaseLabels> {
    clean(settings.read_labels(pair)?, pair, settings)
}

impl CaseSettings {
    fn read_labels(&self, pair: &Pair) -> Result<LabelMap> {
        let read = if self.as_stored { read_label_map_as_stored } else { read_label_map };
        let LabelMap { labels, geometry } = read(&pair.label)?;
        let own = LabelNames::own(&pair.label)?;
        Ok(LabelMap { labels: own.under(&self.label_table, labels, &pair.label)?, geometry })
    }

    /// The id named `ignore`, nnU-Net's word for voxels that teach nothing.
    #[must_use]
    pub fn ignored(&self) -> Option<u8> {
        self.label_table.ignored()
    }

    /// Slices to show: those with a lesion, and those declared free of disease.
    fn shown(&self, pair: &Pair, runs: &LabelRuns, ct: &Geometry) -> Result<Vec<usize>> {
        let ignored = self.ignored();
        let lesions = runs.filtered(|i| Some(runs.all()[i].label) != ignored).labelled_slices();
        let mut shown: BTreeSet<usize> = lesions.iter().copied().collect();
        let refuse = |found: String| {
            let expected = format!("what --healthy declares of case {}", pair.case);
            Error::refused(&pair.label, expected, found, "correct the file, or the label")
        };
        let healthy = self.healthy.slices_of(&pair.case, ct).map_err(refuse)?;
        if let Some(&z) = healthy.iter().find(|z| !runs.slice(**z).is_empty()) {
            let z = ct.file_xyz([0.0, 0.0, z as f64]).map(|at| at as usize)[2];
            return Err(refuse(format!("a label on slice {z}")));
        }
        shown.extend(healthy);
        Ok(shown.into_iter().collect())
    }

    fn read_image(&self, pair: &Pair) -> Result<Volume> {
        let read = if self.as_stored { read_volume_as_stored } else { read_volume };
        Ok(read(&pair.image)?)
    }
}

fn clean(map: LabelMap, pair: &Pair, settings: &CaseSettings) -> Result<CaseLabels> {
    let met = map.ids().into_iter().collect();
    let no_class = settings.label_table.ignored();
    let removed: Vec<u8> = settings.removed_ids.iter().copied().chain(no_class).collect();
    let mut runs = LabelRuns::new(map.labels.view(), &removed);
    let ignored = no_class.map(|no_class| {
        let others: Vec<u8> = (1..=255).filter(|id| *id != no_class).collect();
        LabelRuns::new(map.labels.view(), &others)
    });
    if let Some(tumor_id) = settings.tumor_id {
        let known = settings.label_table.classes.keys().copied().chain(no_class);
        let table_max = known.max().unwrap_or(0);
        let case_max = runs.all().iter().map(|run| run.label).max().unwrap_or(0);
        let first_id = if settings.reference_instance_ids {
            reference_first_id(&runs, tumor_id)
        } else {
            1 + usize::from(table_max.max(case_max))
        };
        split_instances(&mut runs, tumor_id, first_id).map_err(|too_many| {
            Error::refused(
                &pair.label,
                format!("at most {} instances of label {tumor_id}", 256 - too_many.first_id),
                format!("{}", too_many.instances),
                "label ids are 8-bit; leave --tumor-id out, or remove specks from the label first",
            )
        })?;
    }
    let runs = remove_dust(&runs, settings.limits);
    Ok(CaseLabels { runs, ignored, met, geometry: map.geometry })
}

/// Reads the CT of a case and puts its labelled slices together.
///
/// # Errors
/// When the CT is refused, or the label is on another grid (a grid that only stores the same voxels
/// in another order is put right).
pub fn build_stack(
    pair: &Pair,
    labels: &CaseLabels,
    settings: &CaseSettings,
) -> Result<(SliceStack, CaseFacts)> {
    let volume = settings.read_image(pair)?;
    let other_grid = same_grid(&pair.label, "label", &labels.geometry, "CT", &volume.geometry);
    let same_shape = volume.geometry.shape_zyx == labels.geometry.shape_zyx;
    let (mut notes, mut moved) = (Vec::new(), None);
    match other_grid {
        Ok(()) => {
            let (label, ct) = (&labels.geometry, &volume.geometry);
            notes.extend(order_note("label", label, "CT", ct));
        }
        // Arrays of one shape can be put together, right or wrong; the older scripts never looked
        // further.
        Err(error) if settings.any_grid && same_shape => notes.push(error.to_string()),
        Err(error) if settings.any_grid => return Err(error.into()),
        Err(_) => {
            let map = settings.read_labels(pair)?.on_grid_of(
                &pair.label,
                "label",
                "CT",
                &volume.geometry,
            )?;
            moved = Some(clean(map, pair, settings)?);
        }
    }
    let mut header_notes = volume.geometry.notes.clone();
    header_notes.extend(labels.geometry.notes.iter().cloned());
    header_notes.dedup();
    let labels = moved.as_ref().unwrap_or(labels);
    let slices = settings.shown(pair, &labels.runs, &volume.geometry)?;
    let mut facts = label_facts(&labels.runs, &slices, settings);
    facts.notes.extend(notes);
    facts.header_notes = header_notes;
    facts.met = Some(labels.met.clone());
    let images = match settings.modality {
        Modality::Ct => {
            let windowed =
                window_ct(&volume.voxels, &slices, &settings.windowing, settings.scaling);
            facts.flattened = Some(windowed.flattened);
            facts.notes.extend(ct_notes(&volume.voxels, &windowed.flattened, settings));
            windowed.images
        }
        Modality::Mr => spread_mr(&volume.voxels, &slices).ok_or_else(|| {
            Error::refused(
                &pair.image,
                "an MR volume with values above 0",
                "none",
                "use --modality CT for Hounsfield units",
            )
        })?,
    };
    // The voxels are the largest thing in memory and not needed any more.
    let geometry = volume.geometry;
    drop(volume.voxels);
    let [_, height, width] = labels.runs.shape_zyx();
    let mut gts = Array3::zeros((slices.len(), height, width));
    for (mut slice, &z) in gts.outer_iter_mut().zip(&slices) {
        labels.runs.paint(z, slice.view_mut());
        if let Some(ignored) = &labels.ignored {
            ignored.paint(z, slice);
        }
    }
    let stack = SliceStack {
        images,
        labels: Some(gts),
        placement: Placement::new(geometry, slices).map_err(|error| {
            Error::refused(&pair.label, "slices of the CT", error.to_string(), "")
        })?,
        window: if settings.modality == Modality::Ct { settings.windowing.single() } else { None },
        label_table: Some(settings.label_table.clone()),
        is_2d: false,
    };
    Ok((stack, facts))
}

fn label_facts(runs: &LabelRuns, slices: &[usize], settings: &CaseSettings) -> CaseFacts {
    let voxels: BTreeMap<u8, u64> =
        (0..=255u8).zip(runs.voxels()).filter(|&(_, count)| count > 0).collect();
    // Instances have ids that no table can name.
    let unknown = voxels
        .keys()
        .filter(|id| settings.tumor_id.is_none() && !settings.label_table.classes.contains_key(id));
    let unknown: Vec<String> = unknown.map(u8::to_string).collect();
    let mut notes = Vec::new();
    if !unknown.is_empty() {
        notes.push(format!(
            "label ids without a name in the label table: {}; add --labels or --remove-label-ids",
            unknown.join(", ")
        ));
    }
    CaseFacts {
        slices: slices.len(),
        scan_slices: runs.shape_zyx()[0],
        gaps: slices.windows(2).filter(|pair| pair[1] > pair[0] + 1).count(),
        voxels,
        notes,
        ..CaseFacts::default()
    }
}

fn ct_notes(voxels: &Voxels, flattened: &Flattened, settings: &CaseSettings) -> Vec<String> {
    let mut notes: Vec<String> = hounsfield_doubt(voxels).into_iter().collect();
    if let Some(share) = flattened.share().filter(|&share| share > FLATTENED_WARNING) {
        notes.push(format!(
            "window {} turns {:.1} % of the lung-range voxels (-950..-200 HU) black or white; `--window lung` keeps them apart",
            settings.windowing,
            100.0 * share
        ));
    }
    notes
}

/// The grey slices of a stack; of colour slices the first channel.
#[must_use]
pub fn grey_images(images: &Images) -> Array3<u8> {
    match images {
        Images::Grey(grey) => grey.clone(),
        Images::Rgb(colour) => colour.index_axis(ndarray::Axis(3), 0).to_owned(),
    }
}
