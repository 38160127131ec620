//! Segments of a `.seg.nrrd`, as 3D Slicer writes them: what each is called, and in which layer and
//! under which value its voxels are
//! (slicer.readthedocs.io/en/latest/developer_guide/modules/segmentations.html).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use ild_cli::Refusal;
use ndarray::{Array3, Array4, Axis, Zip};

use super::Fields;
use crate::files::label_file::Names;
use crate::{Geometry, LabelTable, Result};

/// One structure that somebody drew.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Segment {
    pub name: String,
    /// sRGB, where the file says it.
    color: Option<[u8; 3]>,
    /// Which of the file's layers its voxels are in.
    layer: usize,
    /// Their value there; two layers may use the same.
    value: u8,
    /// Its id in the label map that the layers are merged into.
    pub id: u8,
}

/// Segments with their voxels.
#[derive(Clone, Debug)]
pub(crate) struct Segmentation {
    pub segments: Vec<Segment>,
    /// `[z, y, x, layer]`; a value is a segment's in its layer only.
    pub layers: Array4<u8>,
    pub geometry: Geometry,
}

impl Fields<'_> {
    /// The segments that the header describes, none in a plain NRRD. Where all values differ, ids
    /// are values; where layers share values, segments are numbered from 1 in their order.
    pub(super) fn segments(&self) -> Result<Vec<Segment>> {
        let numbers: BTreeSet<usize> =
            self.notes.keys().filter_map(|key| segment_number(key)).collect();
        let mut segments = Vec::new();
        for (order, &number) in numbers.iter().enumerate() {
            segments.push(self.segment(order, number)?);
        }
        let places: BTreeSet<_> = segments.iter().map(|s| (s.layer, s.value)).collect();
        if places.len() < segments.len() {
            return Err(self.wrong_segments(
                "segments with a value of their own in each layer",
                "two with the same",
            ));
        }
        let values: BTreeSet<u8> = segments.iter().map(|segment| segment.value).collect();
        if values.len() < segments.len() {
            for (order, segment) in segments.iter_mut().enumerate() {
                segment.id = u8::try_from(order + 1)
                    .map_err(|_| self.wrong_segments("at most 255 segments", "more"))?;
            }
        }
        Ok(segments)
    }

    fn segment(&self, order: usize, number: usize) -> Result<Segment> {
        let note = |field: &str| self.notes.get(&format!("Segment{number}_{field}"));
        let whole = |field: &str, missing: usize| match note(field) {
            None => Ok(missing),
            Some(text) => text.trim().parse().map_err(|_| {
                let expected = format!("a whole number as Segment{number}_{field}");
                self.wrong_segments(&expected, text)
            }),
        };
        // Files of Slicer 4.10 and older have neither: a layer for each segment, value 1.
        let layer = whole("Layer", if self.layers() > 1 { order } else { 0 })?;
        let value = u8::try_from(whole("LabelValue", 1)?).ok().filter(|value| *value > 0);
        let value = value.ok_or_else(|| {
            let found = note("LabelValue").map_or("", String::as_str);
            self.wrong_segments(&format!("a Segment{number}_LabelValue of 1 to 255"), found)
        })?;
        if layer >= self.layers() {
            let expected = format!("a Segment{number}_Layer below {}", self.layers());
            return Err(self.wrong_segments(&expected, &layer.to_string()));
        }
        let name = note("Name").or_else(|| note("ID")).map(|name| name.trim().to_owned());
        let name = name.ok_or_else(|| {
            self.wrong_segments(&format!("the name of segment {number} (Segment{number}_Name)"), "")
        })?;
        Ok(Segment { name, color: note("Color").and_then(|t| rgb(t)), layer, value, id: value })
    }

    fn wrong_segments(&self, expected: &str, found: &str) -> crate::Error {
        let found = if found.is_empty() { "none".to_owned() } else { format!("`{found}`") };
        Refusal::of(self.path).expected(expected).found(found).next(IN_SLICER).into()
    }
}

const IN_SLICER: &str = "save the segmentation again in 3D Slicer, or export it as a label map";

/// `Segment3_Name` → 3.
fn segment_number(key: &str) -> Option<usize> {
    let (number, field) = key.strip_prefix("Segment")?.split_once('_')?;
    ["ID", "Name", "LabelValue", "Layer"].contains(&field).then(|| number.parse().ok())?
}

/// Three numbers from 0 to 1.
fn rgb(text: &str) -> Option<[u8; 3]> {
    let parts: Vec<f64> = text.split_whitespace().filter_map(|n| n.parse().ok()).collect();
    let parts: [f64; 3] = parts.try_into().ok()?;
    Some(parts.map(|part| (part.clamp(0.0, 1.0) * 255.0).round() as u8))
}

/// What the segments are called, under the ids of the merged label map.
pub(super) fn names(segments: &[Segment], path: &Path) -> Result<LabelTable> {
    let mut names = Names::new(path, "segments with names of their own");
    for segment in segments {
        names.add(segment.id, &segment.name, segment.color, None)?;
    }
    Ok(names.table())
}

impl Segmentation {
    /// One id for each voxel.
    ///
    /// # Errors
    /// When a voxel is in two segments, or has a value that is none's.
    pub fn merged(&self, path: &Path) -> Result<Array3<u8>> {
        let (z, y, x, _) = self.layers.dim();
        let mut merged = Array3::zeros((z, y, x));
        let (mut unknown, mut shared) = (0u64, BTreeMap::<(u8, u8), u64>::new());
        for (layer, voxels) in self.layers.axis_iter(Axis(3)).enumerate() {
            let ids = self.ids_of(layer);
            Zip::from(&mut merged).and(voxels).for_each(|merged, &value| {
                match ids[value as usize] {
                    _ if value == 0 => {}
                    None => unknown += 1,
                    Some(id) if *merged == 0 => *merged = id,
                    Some(id) => *shared.entry((*merged, id)).or_default() += 1,
                }
            });
        }
        if unknown > 0 {
            return Err(Refusal::of(path)
                .expected("voxels of the segments that the header describes")
                .found(format!("{unknown} with a value of none of them"))
                .next(IN_SLICER)
                .into());
        }
        match shared.iter().max_by_key(|(_, voxels)| **voxels) {
            None => Ok(merged),
            Some((&(a, b), voxels)) => Err(Refusal::of(path)
                .expected("segments that do not overlap: a voxel has one label")
                .found(format!("{voxels} voxels in `{}` and in `{}`", self.name(a), self.name(b)))
                .next(
                    "in 3D Slicer, take the one from the other (Segment Editor, Logical \
                     operators, Subtract), or save them as two files",
                )
                .into()),
        }
    }

    /// Voxels of each segment, by id.
    pub fn voxels(&self) -> BTreeMap<u8, u64> {
        let mut voxels: BTreeMap<u8, u64> = BTreeMap::new();
        for (layer, values) in self.layers.axis_iter(Axis(3)).enumerate() {
            let ids = self.ids_of(layer);
            for id in values.iter().filter_map(|&value| ids[usize::from(value)]) {
                *voxels.entry(id).or_default() += 1;
            }
        }
        voxels
    }

    /// The id of each value in a layer.
    fn ids_of(&self, layer: usize) -> [Option<u8>; 256] {
        let mut ids = [None; 256];
        for segment in self.segments.iter().filter(|segment| segment.layer == layer) {
            ids[usize::from(segment.value)] = Some(segment.id);
        }
        ids
    }

    fn name(&self, id: u8) -> &str {
        self.segments.iter().find(|s| s.id == id).map_or("", |segment| &segment.name)
    }
}
