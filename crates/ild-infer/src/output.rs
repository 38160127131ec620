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
//! lung/<case>.nii.gz                   --prompt auto: the lung mask that candidates were looked for in
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ild_io::{
    LabelMap, LabelTable, Volume, Voxels, write_label_map_described, write_npz_with,
    write_volume_described,
};
use ndarray::{Array3, Axis};
use serde_json::{Value, json};

use crate::one_case::Segmented;
use crate::{Engine, Result, Settings, picture};

/// How voxels that several labels claim are given away.
const OVERLAP_RULE: &str = "higher probability; of equal ones the lower id";

/// Writes everything of a case below `settings.output`; returns the paths relative to it. The label
/// map is moved out of `done`.
///
/// # Errors
/// When a file cannot be written; names it.
pub fn write_case(
    done: &mut Segmented,
    settings: &Settings,
    engine: Option<&Engine>,
) -> Result<Vec<PathBuf>> {
    let mut files = Files { root: &settings.output, written: Vec::new() };
    let labels = done.scan.placement.in_ct(std::mem::take(&mut done.merger.labels));
    let done = &*done;
    let id = &done.scan.id;
    let geometry = done.scan.grid();
    let stamp = format!("ild: {}", done.provenance.stamp);

    files.add(format!("npz/{id}.npz"), |path| write_npz(path, done))?;
    files.add(format!("pictures/{id}.png"), |path| Ok(picture::write(path, done)?))?;
    for (&label, prediction) in &done.merger.per_label {
        let name = file_name(&done.scan.label_table, label);
        if settings.save_nii {
            let labels = done.scan.placement.in_ct(prediction.volume(done.scan.stack_shape()));
            let map = LabelMap { labels, geometry: geometry.clone() };
            files.add(format!("labels/{id}_{name}.nii.gz"), |path| {
                Ok(write_label_map_described(path, &map, &stamp)?)
            })?;
        }
        if settings.save_probabilities {
            let mut stack = Array3::<f32>::zeros(done.scan.stack_shape());
            for (&z, probability) in &prediction.probabilities {
                stack.index_axis_mut(Axis(0), z).assign(probability);
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
    if let Some(mask) = &done.provenance.lung_mask {
        let map = LabelMap { labels: mask.mapv(u8::from), geometry: geometry.clone() };
        files.add(format!("lung/{id}.nii.gz"), |path| {
            Ok(write_label_map_described(path, &map, "ild: automatic lung mask")?)
        })?;
    }
    let table = shown_labels(done);
    files.add(format!("{id}.ctbl"), |path| {
        Ok(ild_cli::write_bytes_atomic(path, slicer_colors(&table).as_bytes())?)
    })?;
    files.add(format!("{id}.itksnap.txt"), |path| {
        Ok(ild_cli::write_bytes_atomic(path, itksnap_labels(&table).as_bytes())?)
    })?;
    let text = serde_json::to_string_pretty(&description(done, &labels, settings, engine))
        .map_err(anyhow::Error::new)?;
    files.add(format!("{id}.json"), |path| {
        Ok(ild_cli::write_bytes_atomic(path, text.as_bytes())?)
    })?;
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

/// One array per label name on the stack, as the older scripts write it; a name that occurs twice
/// gets its id.
fn write_npz(path: &Path, done: &Segmented) -> Result<()> {
    let shape = done.scan.stack_shape();
    let mut named: BTreeMap<String, u8> = BTreeMap::new();
    for &id in done.merger.per_label.keys() {
        let name = done.scan.label_table.name(id);
        let name = if named.contains_key(&name) { format!("{name} {id}") } else { name };
        named.insert(name, id);
    }
    // One label after the other: all of them at once would be many times the CT.
    Ok(write_npz_with(path, |npz| {
        named.iter().try_for_each(|(name, id)| {
            npz.add(name, &done.merger.per_label[id].volume(shape).view().into_dyn())
        })
    })?)
}

/// A label's name as part of a file name.
fn file_name(table: &LabelTable, id: u8) -> String {
    table
        .name(id)
        .chars()
        .map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' })
        .collect()
}

/// The table with every label of the result in it, known or not.
fn shown_labels(done: &Segmented) -> LabelTable {
    let mut table = done.scan.label_table.clone();
    for &id in done.merger.per_label.keys() {
        let label = ild_io::Label { name: table.name(id), color: table.color(id) };
        table.0.entry(id).or_insert(label);
    }
    table
}

/// 3D Slicer's colour table: `id name r g b a`, no spaces in names.
fn slicer_colors(table: &LabelTable) -> String {
    let mut text = "# Color table for 3D Slicer\n0 Background 0 0 0 0\n".to_owned();
    for (id, label) in &table.0 {
        let [r, g, b] = label.color;
        text += &format!("{id} {} {r} {g} {b} 255\n", label.name.replace(char::is_whitespace, "_"));
    }
    text
}

/// ITK-SNAP's label description: index, red, green, blue, opacity, shown in slices, shown as mesh,
/// name.
fn itksnap_labels(table: &LabelTable) -> String {
    let rule = "################################################\n";
    let mut text = format!(
        "{rule}# ITK-SnAP Label Description File\n# File format:\n# IDX   -R-  -G-  -B-  -A--  VIS MSH  LABEL\n{rule}"
    );
    text += "    0     0    0    0        0  0  0    \"Clear Label\"\n";
    for (id, label) in &table.0 {
        let [r, g, b] = label.color;
        text += &format!(
            "{id:5} {r:5} {g:4} {b:4}        1  1  1    \"{}\"\n",
            label.name.replace('"', "'")
        );
    }
    text
}

fn description(
    done: &Segmented,
    labels: &Array3<u8>,
    settings: &Settings,
    engine: Option<&Engine>,
) -> Value {
    let scan = &done.scan;
    let mut voxels = [0u64; 256];
    for &id in labels {
        voxels[usize::from(id)] += 1;
    }
    let rows: Vec<Value> = done
        .merger
        .per_label
        .iter()
        .map(|(&id, prediction)| {
            let slices: Vec<usize> = prediction
                .masks
                .iter()
                .filter(|(_, patch)| patch.is_some())
                .map(|(&z, _)| scan.z_index()[z])
                .collect();
            let [iou, object] =
                prediction.mean_scores().map_or([None, None], |scores| scores.map(Some));
            json!({
                "id": id,
                "name": scan.label_table.name(id),
                "color": scan.label_table.color(id),
                "voxels": voxels[usize::from(id)],
                "volume_ml": voxels[usize::from(id)] as f64 * scan.grid().voxel_volume_ml(),
                "slices": slices.first().zip(slices.last()).map(|(a, b)| [a, b]),
                "slices_visited": prediction.masks.len(),
                "mean_predicted_iou": iou,
                "mean_object_score": object,
            })
        })
        .collect();
    json!({
        "case": scan.id,
        "program": format!("ild-infer {}", env!("CARGO_PKG_VERSION")),
        "prompt": done.provenance,
        "model": engine.map(|engine| &engine.origin),
        "window": scan.windowing,
        "labels": rows,
        "label_table": scan.label_table,
        "overlap": { "rule": OVERLAP_RULE, "voxels": done.merger.overlapping() },
        "gaps": { "count": scan.placement.gaps(), "rule": settings.gap_rule() },
        "parity": settings.parity,
        "bbox_shift_px": settings.bbox_shift,
        "stop_after": settings.stops_after(),
        // Axial, as slices are numbered here; the files are stored as the CT is.
        "grid": {
            "shape_zyx": scan.grid().shape_zyx,
            "spacing_xyz_mm": scan.grid().spacing_xyz_mm,
            "affine_ras": scan.grid().affine.0,
            "stored": scan.grid().stored_codes(),
            "header_notes": scan.grid().notes,
        },
        "slices": scan.z_index().len(),
        "slices_encoded": done.encoded,
        "notes": scan.notes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn viewers_get_names_and_colours() {
        let table = LabelTable(
            [(7, ild_io::Label { name: "Ground \"glass\"".into(), color: [1, 2, 3] })].into(),
        );
        assert!(slicer_colors(&table).ends_with("7 Ground_\"glass\" 1 2 3 255\n"));
        assert!(
            itksnap_labels(&table)
                .ends_with("    7     1    2    3        1  1  1    \"Ground 'glass'\"\n")
        );
        assert_eq!(file_name(&table, 7), "Ground__glass_");
    }
}
