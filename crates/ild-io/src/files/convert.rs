//! From one format to another: `ild-io convert`.

use std::io;
use std::path::{Path, PathBuf};

use flate2::write::GzEncoder;
use ndarray::{ArrayView3, Axis};

use crate::cohort::{LabelNames, bare_case};
use crate::files::input::Input;
use crate::files::nifti::{VOLUME_LEVEL, is_gzip_name, read_unchecked};
use crate::files::{dicom_seg, dicom_study, nrrd};
use crate::{
    DicomOptions, Error, Format, Images, LabelMap, LabelTable, Result, SliceStack, Volume, Voxels,
    read_label_map_as_stored, read_npz, write_label_map, write_volume,
};

/// What was made, and what is worth knowing about it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Converted {
    /// Files, in the order written.
    pub outputs: Vec<PathBuf>,
    /// One sentence each.
    pub notes: Vec<String>,
}

/// Converts `input` to the NIfTI file `output` (`.nii` or `.nii.gz`).
///
/// - DICOM: one volume in HU (of several series the one that [`crate::read_dicom_ct`] reads with
///   these `options`), or the segments of a Segmentation on the slices that it
///   spans. NRRD: one volume, or the segments of a `.seg.nrrd` as one label map.
/// - NIfTI: the same bytes, compressed or not; `.hdr`/`.img` pairs and NIfTI-2 become one NIfTI-1
///   file.
/// - NPZ of a case: the windowed slices at their places in the CT's own grid (absent slices are 0),
///   and beside it `<output>_gts.nii.gz` with the labels. Three-window images become
///   `<output>_0000` to `_0002`.
///
/// Names of labels that the input carries go into the sidecar `<case>.json` of the label map, where
/// every program looks for them.
///
/// # Errors
/// When `input` is refused by its reader, when an output exists and `force` is false, or cannot be
/// written.
pub fn convert(
    input: &Path,
    output: &Path,
    options: DicomOptions,
    force: bool,
) -> Result<Converted> {
    is_gzip_name(output)?;
    let format = Format::of(input)?;
    let stack = if format == Format::Npz { Some(read_npz(input)?) } else { None };
    let plan = stack.as_ref().map(|stack| parts(stack, output)).unwrap_or_default();
    let names = match &stack {
        _ if format == Format::Dicom => None,
        Some(SliceStack { labels: None, .. }) => None,
        Some(_) => names_for(input, &with_suffix(output, "_gts"))?,
        None => names_for(input, output)?,
    };
    let volumes: Vec<PathBuf> = match &stack {
        Some(_) => plan.iter().map(|(path, _)| path.clone()).collect(),
        None => vec![output.to_owned()],
    };
    refuse_existing(volumes.iter().chain(names.iter().map(|(path, _)| path)), force)?;
    let notes = match (format, stack) {
        (_, Some(stack)) => npz(&stack, plan)?,
        (Format::Nrrd, _) => of_nrrd(input, output)?,
        (Format::Dicom, _) => {
            let (volume, facts) = dicom_study::read_as_stored(input, options)?;
            write_volume(output, &volume)?;
            facts.notes
        }
        (Format::DicomSeg, _) => dicom_seg::convert::to_nifti(input, output, None)?,
        (Format::Npy, _) => {
            return Err(Error::refused(
                input,
                "NIfTI, NRRD, DICOM or NPZ",
                "a single NPY array",
                "arrays of the slice level have no place in a CT; convert the case's NPZ",
            ));
        }
        _ => nifti(input, output)?,
    };
    let mut outputs = volumes;
    outputs.extend(names.map(write_names).transpose()?);
    Ok(Converted { outputs, notes })
}

pub(super) fn refuse_existing<'a>(
    outputs: impl IntoIterator<Item = &'a PathBuf>,
    force: bool,
) -> Result<()> {
    match outputs.into_iter().find(|path| path.exists()) {
        Some(path) if !force => Err(Error::refused(
            path,
            "a new file",
            "an existing one",
            "name another output, or overwrite it with --force (--overwrite-foreign, where it is not \
             of this program)",
        )),
        _ => Ok(()),
    }
}

/// Puts the names of labels where every program looks for them.
pub(super) fn write_names((path, table): (PathBuf, LabelTable)) -> Result<PathBuf> {
    ild_cli::write_json_atomic(&path, &serde_json::json!({ "label_table": table }))?;
    Ok(path)
}

/// Where the names of the labels of `output` belong, and what they are; `None` when `input` does
/// not say any.
pub(super) fn names_for(input: &Path, output: &Path) -> Result<Option<(PathBuf, LabelTable)>> {
    let name = output.file_name().unwrap_or_default().to_string_lossy();
    let names = LabelNames::own(input)?;
    let path = output.with_file_name(format!("{}.json", bare_case(&name, &[])));
    Ok(names.table.filter(|_| names.from.as_ref() != Some(&path)).map(|table| (path, table)))
}

/// One volume, or the segments of 3D Slicer as one label map; what is odd about its header.
fn of_nrrd(input: &Path, output: &Path) -> Result<Vec<String>> {
    let geometry = if nrrd::label_names(input)?.is_some() {
        let map = read_label_map_as_stored(input)?;
        write_label_map(output, &map)?;
        map.geometry
    } else {
        let volume = nrrd::read_unchecked(input)?;
        write_volume(output, &volume)?;
        volume.geometry
    };
    Ok(geometry.notes.iter().map(ToString::to_string).collect())
}

/// One file to one file keeps every byte of header and voxels; anything else is written anew.
fn nifti(input: &Path, output: &Path) -> Result<Vec<String>> {
    let (volume, header) = read_unchecked(input)?;
    let notes = volume.geometry.notes.iter().map(ToString::to_string).collect();
    if header.paired || header.version != 1 {
        write_volume(output, &volume)?;
    } else {
        drop(volume);
        copy_bytes(input, output)?;
    }
    Ok(notes)
}

fn copy_bytes(input: &Path, output: &Path) -> Result<()> {
    let mut source = Input::open(input)?;
    let gzip = is_gzip_name(output)?;
    ild_cli::write_atomic(output, |file| -> io::Result<()> {
        if gzip {
            let mut encoder = GzEncoder::new(file, VOLUME_LEVEL);
            io::copy(&mut source, &mut encoder)?;
            encoder.finish().map(|_| ())
        } else {
            io::copy(&mut source, file).map(|_| ())
        }
    })?;
    Ok(())
}

/// What an output of an NPZ holds.
enum Part {
    Channel(usize),
    Labels,
}

/// Outputs of an NPZ and what is in each.
fn parts(stack: &SliceStack, output: &Path) -> Vec<(PathBuf, Part)> {
    let mut parts = match stack.images {
        Images::Grey(_) => vec![(output.to_owned(), Part::Channel(0))],
        Images::Rgb(_) => {
            (0..3).map(|i| (with_suffix(output, &format!("_{i:04}")), Part::Channel(i))).collect()
        }
    };
    if stack.labels.is_some() {
        parts.push((with_suffix(output, "_gts"), Part::Labels));
    }
    parts
}

/// `a/b.nii.gz` → `a/b<suffix>.nii.gz`.
fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let at = name.to_lowercase().rfind(".nii").unwrap_or(name.len());
    path.with_file_name(format!("{}{suffix}{}", &name[..at], &name[at..]))
}

fn npz(stack: &SliceStack, parts: Vec<(PathBuf, Part)>) -> Result<Vec<String>> {
    let mut notes: Vec<String> = stack.placement.note().map(str::to_owned).into_iter().collect();
    if matches!(stack.images, Images::Rgb(_)) {
        notes.push("the three windows are three files".to_owned());
    }
    for (path, part) in parts {
        let slices: ArrayView3<u8> = match (&part, &stack.images, &stack.labels) {
            (Part::Channel(i), Images::Rgb(array), _) => array.index_axis(Axis(3), *i),
            (Part::Channel(_), Images::Grey(array), _) => array.view(),
            (Part::Labels, _, Some(labels)) => labels.view(),
            (Part::Labels, _, None) => continue,
        };
        let voxels = stack.placement.in_ct(slices.to_owned());
        let geometry = stack.placement.geometry().clone();
        match part {
            Part::Labels => write_label_map(&path, &LabelMap { labels: voxels, geometry })?,
            Part::Channel(_) => {
                write_volume(&path, &Volume { voxels: Voxels::U8(voxels), geometry })?
            }
        }
    }
    Ok(notes)
}
