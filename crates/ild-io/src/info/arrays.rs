//! Descriptions of NPZ and NPY files.

use std::path::Path;

use super::values::{Tally, label_counts};
use super::{ArrayInfo, FileInfo, checks};
use crate::files::npy::with_array;
use crate::{Images, NpyArray, NpzFile, Result, SliceStack, read_npy, read_npz};

/// An NPZ: a case of ours, or any named arrays.
pub(super) fn npz(path: &Path) -> Result<FileInfo> {
    let mut file = NpzFile::open(path)?;
    let mut arrays = Vec::new();
    for key in file.keys() {
        if let Some(array) = file.get(&key)? {
            arrays.push(ArrayInfo {
                element_type: array.type_name().to_owned(),
                shape: array.shape().to_vec(),
                key,
            });
        }
    }
    let mut info = if arrays.iter().any(|array| array.key == "imgs") {
        case(&read_npz(path)?)
    } else {
        FileInfo { format: "NPZ of named arrays".to_owned(), ..FileInfo::default() }
    };
    info.arrays = arrays;
    Ok(info)
}

fn case(stack: &SliceStack) -> FileInfo {
    let grid = stack.placement.geometry();
    let mut info = FileInfo {
        format: if stack.placement.knows_slices() {
            "NPZ of a case"
        } else {
            "NPZ of a case, by the older scripts"
        }
        .to_owned(),
        voxel_type: "uint8".to_owned(),
        shape: stack.images.shape_zyx().to_vec(),
        spacing_xyz_mm: Some(grid.spacing_xyz_mm),
        window: stack.window,
        z_index: stack.placement.knows_slices().then(|| stack.placement.z_index().to_vec()),
        ..FileInfo::default()
    };
    if stack.placement.knows_place() {
        info.place(&grid.affine, grid.spacing_xyz_mm);
        info.warnings.extend(checks::of_geometry(grid));
    }
    let range = match &stack.images {
        Images::Grey(a) => Tally::of(a.view()).range(),
        Images::Rgb(a) => Tally::of(a.view()).range(),
    };
    if range.min == range.max {
        info.warnings.push(format!("every pixel is {}", range.min));
    }
    info.values = Some(range);
    let [n, ..] = stack.images.shape_zyx();
    if n == 1 {
        info.warnings.push("a single slice".to_owned());
    }
    info.warnings.extend(stack.placement.note().map(str::to_owned));
    if stack.placement.knows_slices() {
        info.warnings.extend(checks::of_slices(stack.placement.z_index()));
    }
    if let Some(labels) = &stack.labels {
        let counts = Tally::of(labels.view()).labels().unwrap_or_default();
        info.labels = label_counts(counts, Some(grid.voxel_volume_ml()));
    }
    info
}

/// One array.
pub(super) fn npy(path: &Path) -> Result<FileInfo> {
    let array = read_npy(path)?;
    let tally = with_array!(&array, a => Tally::of(a.view()));
    let whole = !matches!(array, NpyArray::F32(_) | NpyArray::F64(_));
    Ok(FileInfo {
        format: "NPY".to_owned(),
        voxel_type: array.type_name().to_owned(),
        shape: array.shape().to_vec(),
        values: Some(tally.range()),
        labels: if whole {
            label_counts(tally.labels().unwrap_or_default(), None)
        } else {
            Vec::new()
        },
        ..FileInfo::default()
    })
}
