//! What is written of a case: label map on the CT's own grid, the older scripts' NPZ, sidecars for
//! viewers.
//!
//! ```text
//! <case>.nii.gz                        label ids, u8, the CT's shape and affine
//! <case>.json                          labels, prompt, model, window, volumes: everything about this result
//! <case>.ctbl, <case>.itksnap.txt      names and colours for 3D Slicer and ITK-SNAP
//! npz/<case>.npz                       one array per label name, overlaps unresolved, as the older scripts write it
//! pictures/<case>.png                  three slices per label
//! labels/<case>_<label>.nii.gz         --save-nii: each label on its own, overlaps unresolved
//! probabilities/<case>_<label>.nii.gz  --save-probabilities
//! uncertainty/<case>.nii.gz            --save-uncertainty: how far apart several answers are
//! lung/<case>.nii.gz                   the lung mask, where one was searched
//! dicom-seg/<case>.dcm                 --save-dicom-seg: the labels as a DICOM Segmentation
//! ```

pub mod dicom_seg;
pub mod older_npz;
pub mod picture;
pub mod sidecar;
pub mod viewers;

use std::path::{Path, PathBuf};

use ild_io::{
    LabelMap, LabelTable, SourceSeries, Volume, Voxels, write_label_map_described,
    write_volume_described,
};
use ndarray::{Array3, Axis};

use crate::run::case::Segmented;
use crate::settings::Resolved;
use crate::{Engine, Result};

/// Writes everything of a case below `settings.output`; returns the paths relative to it. The label
/// map is moved out of `done`. `series` is what a DICOM Segmentation is written of.
///
/// # Errors
/// When a file cannot be written; names it.
pub fn write_case(
    done: &mut Segmented,
    settings: &Resolved,
    engine: Option<&Engine>,
    series: Option<&SourceSeries>,
) -> Result<Vec<PathBuf>> {
    let mut files = Files { root: &settings.flags.output, written: Vec::new() };
    let labels = done.scan.placement.in_ct(std::mem::take(&mut done.merger.labels));
    if let Some(series) = series {
        let name = format!("dicom-seg/{}.dcm", done.scan.id);
        dicom_seg::write(&mut files, name, done, &labels, settings, engine, series)?;
    }
    let done = &*done;
    let id = &done.scan.id;
    let geometry = done.scan.grid();
    let stamp = format!("ild: {}", done.provenance.stamp);

    files.add(format!("npz/{id}.npz"), |path| older_npz::write(path, done))?;
    files.add(format!("pictures/{id}.png"), |path| Ok(picture::write(path, done)?))?;
    for (&label, prediction) in &done.merger.per_label {
        let name = done.scan.label_table.file_name(label);
        if settings.flags.save_nii {
            let labels = done.scan.placement.in_ct(prediction.volume(done.scan.stack_shape()));
            let map = LabelMap { labels, geometry: geometry.clone() };
            files.add(format!("labels/{id}_{name}.nii.gz"), |path| {
                Ok(write_label_map_described(path, &map, &stamp)?)
            })?;
        }
        if settings.flags.save_probabilities {
            let mut stack = Array3::<f32>::zeros(done.scan.stack_shape());
            for (slice, probability) in &prediction.probabilities {
                stack.index_axis_mut(Axis(0), slice.0).assign(probability);
            }
            let volume = Volume {
                voxels: Voxels::F32(done.scan.placement.in_ct(stack)),
                geometry: geometry.clone(),
            };
            files.add(format!("probabilities/{id}_{name}.nii.gz"), |path| {
                Ok(write_volume_described(path, &volume, &stamp)?)
            })?;
        }
    }
    if settings.flags.save_uncertainty {
        let stack = done.merger.spread.volume(done.scan.stack_shape());
        let voxels = Voxels::F32(done.scan.placement.in_ct(stack));
        let volume = Volume { voxels, geometry: geometry.clone() };
        files.add(format!("uncertainty/{id}.nii.gz"), |path| {
            Ok(write_volume_described(path, &volume, &stamp)?)
        })?;
    }
    if let Some(mask) = &done.lung {
        let map = LabelMap { labels: mask.mapv(u8::from), geometry: geometry.clone() };
        files.add(format!("lung/{id}.nii.gz"), |path| {
            Ok(write_label_map_described(path, &map, "ild: automatic lung mask")?)
        })?;
    }
    let table = shown_labels(done);
    files.add(format!("{id}.ctbl"), |path| {
        Ok(ild_cli::write_bytes_atomic(path, viewers::slicer_colors(&table).as_bytes())?)
    })?;
    files.add(format!("{id}.itksnap.txt"), |path| {
        Ok(ild_cli::write_bytes_atomic(path, viewers::itksnap_labels(&table).as_bytes())?)
    })?;
    let sidecar = sidecar::of(done, &labels, settings, engine);
    files.add(format!("{id}.json"), |path| Ok(ild_cli::write_json_atomic(path, &sidecar)?))?;
    // Last: whoever sees the label map finds everything else beside it.
    let map = LabelMap { labels, geometry: geometry.clone() };
    files.add(format!("{id}.nii.gz"), |path| Ok(write_label_map_described(path, &map, &stamp)?))?;
    Ok(files.written)
}

struct Files<'a> {
    root: &'a Path,
    written: Vec<PathBuf>,
}

impl Files<'_> {
    fn add(&mut self, name: String, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        write(&self.root.join(&name))?;
        self.written.push(name.into());
        Ok(())
    }
}

/// The table with every label of the result in it, known or not.
fn shown_labels(done: &Segmented) -> LabelTable {
    let mut table = done.scan.label_table.clone();
    for &id in done.merger.per_label.keys() {
        let label = ild_io::Label { name: table.name(id), color: table.color(id), code: None };
        table.classes.entry(id).or_insert(label);
    }
    table
}
