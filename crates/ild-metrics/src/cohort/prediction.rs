//! A prediction as it lies on disk.

use std::collections::BTreeMap;
use std::path::Path;

use ild_io::cohort::{LabelNames, alike};
use ild_io::{Geometry, LabelTable, NpyArray, NpzFile, read_label_map};
use ndarray::{Array3, ArrayView3, Axis, Ix3};

use crate::{Error, Result};

/// Arrays of an NPZ that are no masks.
const NO_MASKS: [&str; 8] =
    ["imgs", "gts", "spacing", "z_index", "affine", "shape", "window", "label_table"];

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
    /// Which slices of the CT an NPZ holds, when it says so.
    pub z_index: Option<Vec<usize>>,
}

impl Prediction {
    /// Reads a prediction under the ids of `table`: a label map, or an NPZ with a label
    /// map `segs` or one mask per label name (as the older scripts write).
    ///
    /// # Errors
    /// When the file is refused or cannot be read, or it, or a table beside it, names a label that
    /// `table` does not know.
    pub fn read(path: &Path, table: &LabelTable) -> Result<Self> {
        if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("npz")) {
            return Self::from_npz(path, table);
        }
        let map = read_label_map(path)?;
        let labels = LabelNames::beside(path)?.under(table, map.labels, path)?;
        Ok(Self {
            shape_zyx: map.geometry.shape_zyx,
            geometry: Some(map.geometry),
            labels: Labels::One(labels),
            z_index: None,
        })
    }

    fn from_npz(path: &Path, table: &LabelTable) -> Result<Self> {
        let mut npz = NpzFile::open(path)?;
        let z_index = npz.get("z_index")?.map(|array| slices(&array, path)).transpose()?;
        if let Some(array) = npz.get("segs")? {
            let map = volume(array, "segs", path)?;
            let map = LabelNames::beside(path)?.under(table, map, path)?;
            let (shape_zyx, labels) = (shape(&map), Labels::One(map));
            return Ok(Self { shape_zyx, geometry: None, labels, z_index });
        }
        let mut maps = BTreeMap::new();
        let keys: Vec<String> =
            npz.keys().into_iter().filter(|key| !NO_MASKS.contains(&key.as_str())).collect();
        for key in &keys {
            let Some(id) = table.id(key) else { return Err(no_label(key, table, path)) };
            let Some(array) = npz.get(key)? else { continue };
            let map = volume(array, key, path)?;
            maps.insert(id, map.mapv_into(|inside| if inside == 0 { 0 } else { id }));
        }
        let shapes: Vec<[usize; 3]> = maps.values().map(shape).collect();
        match shapes.first() {
            Some(&shape_zyx) if shapes.iter().all(|s| *s == shape_zyx) => {
                Ok(Self { labels: Labels::PerClass(maps), geometry: None, shape_zyx, z_index })
            }
            Some(_) => Err(Error::refused(path, "masks of one shape", format!("{shapes:?}"), "")),
            None => Err(Error::refused(
                path,
                format!("an array `segs`, or one per label name ({})", names(table).join(", ")),
                format!("{keys:?}"),
                "name the labels with --labels",
            )),
        }
    }
}

fn names(table: &LabelTable) -> Vec<&str> {
    table.classes.values().map(|label| label.name.as_str()).collect()
}

/// A mask under a name that is no label's would be a class that nobody predicted, in silence.
fn no_label(key: &str, table: &LabelTable, path: &Path) -> Error {
    let names = names(table);
    let near = names.iter().copied().find(|name| alike(key, name));
    let next = near.map_or_else(
        || "name the labels with --labels, or leave the array out".to_owned(),
        |near| format!("did you mean `{near}`? the name counts to the letter"),
    );
    Error::refused(
        path,
        format!("arrays called like labels ({})", names.join(", ")),
        format!("one called `{key}`"),
        next,
    )
}

/// Slice numbers of a stack.
fn slices(array: &NpyArray, path: &Path) -> Result<Vec<usize>> {
    let values = array.to_f64();
    let whole = |v: &f64| v.fract() == 0.0 && (0.0..65536.0).contains(v);
    if values.iter().all(whole) {
        return Ok(values.into_iter().map(|v| v as usize).collect());
    }
    Err(Error::refused(path, "`z_index` of slice numbers", format!("{values:?}"), ""))
}

fn shape(map: &Array3<u8>) -> [usize; 3] {
    let (z, y, x) = map.dim();
    [z, y, x]
}

/// A stack of slices; a single slice gets its axis.
fn volume(array: NpyArray, key: &str, path: &Path) -> Result<Array3<u8>> {
    let refuse = |found: String| {
        Error::refused(
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
