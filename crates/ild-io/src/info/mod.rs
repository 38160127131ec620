//! What is in a file: `ild-io info`.

mod arrays;
mod checks;
mod values;

use std::path::{Path, PathBuf};

use ndarray::Array3;
use serde::Serialize;

use crate::cohort::LabelNames;
use crate::files::dicom_series::SeriesFacts;
use crate::files::nifti::read_unchecked;
use crate::files::{dicom_seg, dicom_study, nrrd};
use crate::{Affine, DicomOptions, Format, Result, Volume, Voxels, Window};

pub use values::{LabelCount, ValueRange};

/// Everything that `ild-io info` says about a file. Lengths in mm, volumes in mL.
#[derive(Clone, Debug, Default, Serialize)]
pub struct FileInfo {
    /// The file.
    pub path: PathBuf,
    /// Its format in words.
    pub format: String,
    /// numpy's name of the voxel type.
    #[serde(rename = "type")]
    pub voxel_type: String,
    /// Voxels along `z, y, x`, or the array's shape.
    pub shape: Vec<usize>,
    /// Distance between voxels along `x, y, z`.
    pub spacing_xyz_mm: Option<[f64; 3]>,
    /// Where the axes `x, y, z` point, nibabel's letters.
    pub orientation: Option<String>,
    /// Voxel `(x, y, z)` to RAS+ mm.
    pub affine: Option<[[f64; 4]; 4]>,
    /// Smallest, largest and mean value, and how much looks like air and lung.
    pub values: Option<ValueRange>,
    /// Label ids, when the values look like such.
    pub labels: Vec<LabelCount>,
    /// The file that names the labels, when one does.
    pub names_from: Option<PathBuf>,
    /// Arrays of an NPZ.
    pub arrays: Vec<ArrayInfo>,
    /// Slices of the CT that an NPZ holds.
    pub z_index: Option<Vec<usize>>,
    /// Window of an NPZ.
    pub window: Option<Window>,
    /// Facts of a DICOM series.
    pub series: Option<SeriesFacts>,
    /// What is odd, one sentence each.
    pub warnings: Vec<String>,
}

/// One array of an NPZ.
#[derive(Clone, Debug, Serialize)]
pub struct ArrayInfo {
    /// Its key.
    pub key: String,
    /// numpy's name of the type.
    #[serde(rename = "type")]
    pub element_type: String,
    /// Sizes of the axes.
    pub shape: Vec<usize>,
}

/// Reads the whole file and describes it. Values that the other readers refuse (NaN, label ids
/// above 255) are only warned about.
///
/// # Errors
/// When the file cannot be read at all.
pub fn describe(path: &Path) -> Result<FileInfo> {
    let mut info = match Format::of(path)? {
        Format::Nifti => nifti(path)?,
        Format::Nrrd => of_nrrd(path)?,
        Format::Dicom => dicom(path)?,
        Format::DicomSeg => of_seg(path)?,
        Format::Npz => arrays::npz(path)?,
        Format::Npy => arrays::npy(path)?,
    };
    path.clone_into(&mut info.path);
    info.name_labels();
    Ok(info)
}

fn nifti(path: &Path) -> Result<FileInfo> {
    let (volume, header) = read_unchecked(path)?;
    let mut info = of_volume(&volume);
    info.format = format!(
        "NIfTI-{}{}{}",
        header.version,
        if header.paired { ", .hdr and .img" } else { "" },
        if header.big_endian { ", big-endian" } else { "" }
    );
    info.warnings.splice(0..0, volume.geometry.notes.iter().map(ToString::to_string));
    Ok(info)
}

/// A plain NRRD, or the segments of a `.seg.nrrd` with the layers put together.
fn of_nrrd(path: &Path) -> Result<FileInfo> {
    let Some(segmentation) = nrrd::read_segmentation(path)? else {
        let volume = nrrd::read_unchecked(path)?;
        let mut info = FileInfo { format: "NRRD".to_owned(), ..of_volume(&volume) };
        info.warnings.splice(0..0, volume.geometry.notes.iter().map(ToString::to_string));
        return Ok(info);
    };
    let geometry = segmentation.geometry.clone();
    let notes = geometry.notes.iter().map(ToString::to_string).collect::<Vec<_>>();
    let voxel_ml = geometry.voxel_volume_ml();
    let (voxels, overlap) = match segmentation.merged(path) {
        Ok(merged) => (merged, None),
        Err(overlap) => (Array3::zeros(geometry.shape_zyx), Some(overlap.to_string())),
    };
    let mut info = of_volume(&Volume { voxels: Voxels::U8(voxels), geometry });
    info.format = "NRRD, a segmentation of 3D Slicer".to_owned();
    let voxels = segmentation.voxels().into_iter().map(|(id, n)| (usize::from(id), n));
    info.labels = values::label_counts(voxels, Some(voxel_ml));
    info.values = if overlap.is_some() { None } else { info.values };
    info.warnings.splice(0..0, notes.into_iter().chain(overlap));
    Ok(info)
}

fn dicom(path: &Path) -> Result<FileInfo> {
    let (volume, facts) =
        dicom_study::read_as_stored(path, DicomOptions { upright: true, series: None })?;
    let mut info = of_volume(&volume);
    info.format = format!("DICOM {} series", facts.modality);
    info.warnings.splice(0..0, facts.notes.iter().cloned());
    info.series = Some(facts);
    Ok(info)
}

/// A DICOM Segmentation on the slices that it spans.
fn of_seg(path: &Path) -> Result<FileInfo> {
    let map = dicom_seg::read_segmentation(path)?;
    let mut info = of_volume(&Volume { voxels: Voxels::U8(map.labels), geometry: map.geometry });
    info.format = "DICOM Segmentation, on the slices that it spans".to_owned();
    Ok(info)
}

fn of_volume(volume: &Volume) -> FileInfo {
    let (range, labels) = values::of_voxels(&volume.voxels, volume.geometry.voxel_volume_ml());
    let mut info = FileInfo {
        voxel_type: volume.voxels.type_name().to_owned(),
        shape: volume.geometry.shape_zyx.to_vec(),
        warnings: checks::of_geometry(&volume.geometry),
        ..FileInfo::default()
    };
    info.place(&volume.geometry.affine, volume.geometry.spacing_xyz_mm);
    info.warnings.extend(match labels {
        Some(_) => checks::of_labels(&range),
        None => checks::of_image(&volume.voxels, &range),
    });
    info.labels = labels.unwrap_or_default();
    info.values = Some(range);
    info
}

impl FileInfo {
    /// Names the labels as every program does ([`LabelNames::of_mask`]).
    fn name_labels(&mut self) {
        if self.labels.is_empty() {
            return;
        }
        let (table, from) = match LabelNames::of_mask(None, &self.path) {
            Ok(LabelNames { table: Some(table), from: Some(from) }) => (table, from),
            Ok(_) => return,
            Err(error) => return self.warnings.push(error.to_string()),
        };
        for label in &mut self.labels {
            let mut names = table.names();
            let own = names.find(|(id, _)| usize::from(*id) == label.id);
            label.name = own.map(|(_, name)| name.to_owned());
        }
        let unknown = self.labels.iter().filter(|label| label.name.is_none()).count();
        if unknown > 0 {
            self.warnings.push(format!("{unknown} label ids have no name in {}", from.display()));
        }
        self.names_from = Some(from);
    }

    fn place(&mut self, affine: &Affine, spacing_xyz_mm: [f64; 3]) {
        self.spacing_xyz_mm = Some(spacing_xyz_mm);
        self.orientation = Some(affine.axis_codes());
        self.affine = Some(affine.0);
    }
}
