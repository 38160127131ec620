//! A prediction as it lies on disk.

use std::collections::BTreeMap;
use std::path::Path;

use ild_io::{Geometry, LabelTable, NpyArray, NpzFile, read_label_map};
use ndarray::{Array3, ArrayView3, Axis, Ix3};

use crate::{Error, Result};

/// Label ids `[z, y, x]`, in one map or in one map per class when classes overlap.
#[derive(Clone, Debug, PartialEq)]
pub enum Labels {
    /// Each voxel has one id.
    One(Array3<u8>),
    /// For each class a map that holds its id or 0.
    PerClass(BTreeMap<u8, Array3<u8>>),
}

impl Labels {
    /// The map in which to look for class `id`; `None` when there is none.
    #[must_use]
    pub fn of(&self, id: u8) -> Option<ArrayView3<'_, u8>> {
        match self {
            Self::One(map) => Some(map.view()),
            Self::PerClass(maps) => maps.get(&id).map(|map| map.view()),
        }
    }

    /// Applies `change` to every map.
    #[must_use]
    pub fn map(&self, change: impl Fn(ArrayView3<u8>) -> Array3<u8>) -> Self {
        match self {
            Self::One(map) => Self::One(change(map.view())),
            Self::PerClass(maps) => {
                Self::PerClass(maps.iter().map(|(id, map)| (*id, change(map.view()))).collect())
            }
        }
    }
}

/// A prediction before it is laid over the ground truth.
#[derive(Clone, Debug)]
pub struct Prediction {
    /// What was predicted.
    pub labels: Labels,
    /// The grid; `None` in an NPZ, whose slices are those of the ground truth's.
    pub geometry: Option<Geometry>,
    /// Number of slices, rows and columns.
    pub shape_zyx: [usize; 3],
}

impl Prediction {
    /// Reads a NIfTI label map, or an NPZ with a label map `segs` or one mask per label name (as
    /// the older scripts write).
    ///
    /// # Errors
    /// When the file is refused or cannot be read.
    pub fn read(path: &Path, table: &LabelTable) -> Result<Self> {
        if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("npz")) {
            return Self::from_npz(path, table);
        }
        let map = read_label_map(path)?;
        Ok(Self {
            shape_zyx: map.geometry.shape_zyx,
            geometry: Some(map.geometry),
            labels: Labels::One(map.labels),
        })
    }

    fn from_npz(path: &Path, table: &LabelTable) -> Result<Self> {
        let mut npz = NpzFile::open(path)?;
        if let Some(array) = npz.get("segs")? {
            let map = volume(array, "segs", path)?;
            return Ok(Self { shape_zyx: shape(&map), geometry: None, labels: Labels::One(map) });
        }
        let mut maps = BTreeMap::new();
        for (&id, label) in &table.0 {
            if let Some(array) = npz.get(&label.name)? {
                let map = volume(array, &label.name, path)?;
                maps.insert(id, map.mapv_into(|inside| if inside == 0 { 0 } else { id }));
            }
        }
        let keys = npz.keys();
        let unknown: Vec<&String> =
            keys.iter().filter(|key| !table.0.values().any(|label| label.name == **key)).collect();
        if !unknown.is_empty() {
            tracing::debug!(
                "{}: arrays that are no label of the table are left out: {unknown:?}",
                path.display()
            );
        }
        let shapes: Vec<[usize; 3]> = maps.values().map(shape).collect();
        match shapes.first() {
            Some(&shape_zyx) if shapes.iter().all(|s| *s == shape_zyx) => {
                Ok(Self { labels: Labels::PerClass(maps), geometry: None, shape_zyx })
            }
            Some(_) => Err(Error::rejected(path, "masks of one shape", format!("{shapes:?}"), "")),
            None => {
                let names: Vec<&str> = table.0.values().map(|label| label.name.as_str()).collect();
                let wanted =
                    format!("an array `segs`, or one per label name ({})", names.join(", "));
                Err(Error::rejected(
                    path,
                    wanted,
                    format!("{keys:?}"),
                    "name the labels with --labels",
                ))
            }
        }
    }
}

fn shape(map: &Array3<u8>) -> [usize; 3] {
    let (z, y, x) = map.dim();
    [z, y, x]
}

/// A stack of slices; a single slice gets its axis.
fn volume(array: NpyArray, key: &str, path: &Path) -> Result<Array3<u8>> {
    let refuse = |found: String| {
        Error::rejected(
            path,
            format!("`{key}` to be uint8 or bool of shape (slices, rows, columns)"),
            found,
            "",
        )
    };
    let found = format!("{} of shape {:?}", array.type_name(), array.shape());
    let array = match array {
        NpyArray::U8(array) => array,
        NpyArray::Bool(array) => array.mapv(u8::from),
        _ => return Err(refuse(found)),
    };
    let array = if array.ndim() == 2 { array.insert_axis(Axis(0)) } else { array };
    array.into_dimensionality::<Ix3>().map_err(|_| refuse(found))
}
