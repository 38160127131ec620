//! From one format to another: `ild-io convert`.

use std::io;
use std::path::{Path, PathBuf};

use flate2::write::GzEncoder;
use ndarray::{ArrayView3, Axis};

use crate::files::input::Input;
use crate::files::nifti::{VOLUME_LEVEL, is_gzip_name, read_unchecked};
use crate::{
    Error, Format, Images, LabelMap, Result, SliceStack, Volume, Voxels, files::nrrd,
    read_dicom_series, read_npz, write_label_map, write_volume,
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
/// - DICOM: one volume in HU. NRRD: one volume.
/// - NIfTI: the same bytes, compressed or not; `.hdr`/`.img` pairs and NIfTI-2 become one NIfTI-1
///   file.
/// - NPZ of a case: the windowed slices at their places in the CT's own grid (absent slices are 0),
///   and beside it `<output>_gts.nii.gz` with the labels. Three-window images become
///   `<output>_0000` to `_0002`.
///
/// # Errors
/// When `input` is refused by its reader, when an output exists and `force` is false, or cannot be
/// written.
pub fn convert(input: &Path, output: &Path, force: bool) -> Result<Converted> {
    is_gzip_name(output)?;
    let refuse_existing = |paths: &[PathBuf]| match paths.iter().find(|path| path.exists()) {
        Some(path) if !force => Err(Error::rejected(
            path,
            "a new file",
            "an existing one",
            "name another output, or overwrite it with --force",
        )),
        _ => Ok(()),
    };
    match Format::of(input)? {
        Format::Nifti => {
            refuse_existing(&[output.to_owned()])?;
            nifti(input, output)
        }
        Format::Nrrd => {
            refuse_existing(&[output.to_owned()])?;
            write_volume(output, &nrrd::read_unchecked(input)?)?;
            Ok(Converted { outputs: vec![output.to_owned()], notes: Vec::new() })
        }
        Format::Dicom => {
            refuse_existing(&[output.to_owned()])?;
            let (volume, facts) = read_dicom_series(input)?;
            write_volume(output, &volume)?;
            Ok(Converted { outputs: vec![output.to_owned()], notes: facts.notes })
        }
        Format::Npz => {
            let stack = read_npz(input)?;
            let plan = parts(&stack, output);
            refuse_existing(&plan.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>())?;
            npz(&stack, plan)
        }
        Format::Npy => Err(Error::rejected(
            input,
            "NIfTI, NRRD, DICOM or NPZ",
            "a single NPY array",
            "arrays of the slice level have no place in a CT; convert the case's NPZ",
        )),
    }
}

/// One file to one file keeps every byte of header and voxels; anything else is written anew.
fn nifti(input: &Path, output: &Path) -> Result<Converted> {
    let (volume, header) = read_unchecked(input)?;
    let notes = volume.geometry.notes.iter().map(ToString::to_string).collect();
    if header.paired || header.version != 1 {
        write_volume(output, &volume)?;
    } else {
        drop(volume);
        copy_bytes(input, output)?;
    }
    Ok(Converted { outputs: vec![output.to_owned()], notes })
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

fn npz(stack: &SliceStack, parts: Vec<(PathBuf, Part)>) -> Result<Converted> {
    let mut notes: Vec<String> = stack.placement.note().map(str::to_owned).into_iter().collect();
    if matches!(stack.images, Images::Rgb(_)) {
        notes.push("the three windows are three files".to_owned());
    }
    let mut outputs = Vec::new();
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
        outputs.push(path);
    }
    Ok(Converted { outputs, notes })
}
