//! The patient-level NPZ: the windowed slices of a case that hold a label, and how they lie in the
//! CT.

use std::path::Path;

use ndarray::{Array1, Array3, Array4, ArrayD, Axis};

use crate::files::npz::{NpzFile, write_npz_with};
use crate::files::placement;
use crate::{Error, LabelTable, NpyArray, Placement, Result, Voxels};

/// Windowed 8-bit slices.
#[derive(Clone, Debug, PartialEq)]
pub enum Images {
    /// `[n, y, x]`.
    Grey(Array3<u8>),
    /// `[n, y, x, 3]`: three windows.
    Rgb(Array4<u8>),
}

impl Images {
    /// Number of slices, rows, columns.
    #[must_use]
    pub fn shape_zyx(&self) -> [usize; 3] {
        match self {
            Self::Grey(a) => [a.dim().0, a.dim().1, a.dim().2],
            Self::Rgb(a) => [a.dim().0, a.dim().1, a.dim().2],
        }
    }
}

/// The HU range that 0..255 stands for.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Window {
    /// Centre, HU.
    pub level_hu: f64,
    /// Extent, HU.
    pub width_hu: f64,
}

/// Contents of `<case>.npz`. Files written by the older scripts have no `z_index`, `affine`,
/// `shape_zyx`, `window` and label table.
#[derive(Clone, Debug, PartialEq)]
pub struct SliceStack {
    /// Key `imgs`.
    pub images: Images,
    /// Key `gts`, `[n, y, x]`.
    pub labels: Option<Array3<u8>>,
    /// Keys `spacing`, `z_index`, `affine` and `shape`, and `stored` and `nifti` where the CT's file
    /// has its voxels in another order or was a NIfTI file.
    pub placement: Placement,
    /// Key `window`; `None` for MR and files of the older scripts.
    pub window: Option<Window>,
    /// Key `label_table`.
    pub label_table: Option<LabelTable>,
    /// Whether the file held one 2-D image without an axis for slices; the arrays here have that
    /// axis all the same.
    pub is_2d: bool,
}

/// Reads an NPZ of ours, of numpy or of the older scripts.
///
/// # Errors
/// When the file is not a readable NPZ, lacks `imgs` or `spacing`, or holds arrays of another type,
/// rank or size.
pub fn read_npz(path: &Path) -> Result<SliceStack> {
    let mut npz = NpzFile::open(path)?;
    let (images, is_2d) = images(npz.require("imgs")?, path)?;
    let labels = npz.get("gts")?.map(|array| labels(array, &images, path)).transpose()?;
    let placement = placement::read(&mut npz, images.shape_zyx(), path)?;
    let window = npz.get("window")?.map(|array| window(&array, path)).transpose()?;
    let label_table = npz.get("label_table")?.map(|array| label_table(&array, path)).transpose()?;
    Ok(SliceStack { images, labels, placement, window, label_table, is_2d })
}

/// What the labels of an NPZ are called, when it says so; nothing else of it is read.
///
/// # Errors
/// When the file is no NPZ, or its table none of labels.
pub(crate) fn read_label_table(path: &Path) -> Result<Option<LabelTable>> {
    let array = NpzFile::open(path)?.get("label_table")?;
    array.map(|array| label_table(&array, path)).transpose()
}

/// Writes an NPZ that `numpy.load` reads, arrays byte for byte as numpy writes them.
///
/// # Errors
/// When the file cannot be written.
pub fn write_npz(path: &Path, stack: &SliceStack) -> Result<()> {
    // The axis that a 2-D file does not have.
    let slices = |array: ndarray::ArrayViewD<'_, u8>| {
        if stack.is_2d { array.index_axis_move(Axis(0), 0).to_owned() } else { array.to_owned() }
    };
    write_npz_with(path, |npz| {
        match &stack.images {
            Images::Grey(array) if !stack.is_2d => npz.add("imgs", &array.view().into_dyn())?,
            Images::Rgb(array) if !stack.is_2d => npz.add("imgs", &array.view().into_dyn())?,
            Images::Grey(array) => npz.add("imgs", &slices(array.view().into_dyn()).view())?,
            Images::Rgb(array) => npz.add("imgs", &slices(array.view().into_dyn()).view())?,
        }
        match &stack.labels {
            Some(array) if !stack.is_2d => npz.add("gts", &array.view().into_dyn())?,
            Some(array) => npz.add("gts", &slices(array.view().into_dyn()).view())?,
            None => {}
        }
        placement::write(npz, &stack.placement)?;
        if let Some(window) = stack.window {
            npz.add(
                "window",
                &Array1::from(vec![window.level_hu, window.width_hu]).view().into_dyn(),
            )?;
        }
        if let Some(table) = &stack.label_table {
            npz.add("label_table", &Array1::from(serde_json::to_vec(table)?).view().into_dyn())?;
        }
        Ok(())
    })
}

pub(super) fn refuse<T>(
    path: &Path,
    key: &str,
    expected: &str,
    found: impl std::fmt::Display,
) -> Result<T> {
    Err(Error::refused(
        path,
        format!("`{key}` to be {expected}"),
        found.to_string(),
        "make the file again with `ild-preprocess nii-to-npz`",
    ))
}

pub(super) fn what(array: &NpyArray) -> String {
    format!("{} of shape {:?}", array.type_name(), array.shape())
}

/// Grey or colour slices, and whether the axis of slices was added here.
fn images(array: NpyArray, path: &Path) -> Result<(Images, bool)> {
    let wanted = "uint8 of shape (slices, rows, columns) or (slices, rows, columns, 3)";
    let found = what(&array);
    let NpyArray::U8(array) = array else { return refuse(path, "imgs", wanted, found) };
    if array.is_empty() {
        return refuse(path, "imgs", wanted, found);
    }
    let shape = array.shape().to_vec();
    match shape[..] {
        [_, _] => Ok((Images::Grey(fixed(array.insert_axis(Axis(0)))), true)),
        // (rows, columns, 3) is one colour image: no CT slice is three pixels wide.
        [_, _, 3] => Ok((Images::Rgb(fixed(array.insert_axis(Axis(0)))), true)),
        [_, _, _] => Ok((Images::Grey(fixed(array)), false)),
        [_, _, _, 3] => Ok((Images::Rgb(fixed(array)), false)),
        _ => refuse(path, "imgs", wanted, found),
    }
}

/// An array whose number of axes was just looked at.
fn fixed<D: ndarray::Dimension>(array: ArrayD<u8>) -> ndarray::Array<u8, D> {
    array.into_dimensionality().unwrap_or_else(|_| unreachable!("the caller matched the shape"))
}

fn labels(array: NpyArray, images: &Images, path: &Path) -> Result<Array3<u8>> {
    let [n, height, width] = images.shape_zyx();
    let found = what(&array);
    let fits = array.shape() == [n, height, width] || (n == 1 && array.shape() == [height, width]);
    if !fits {
        return refuse(
            path,
            "gts",
            &format!("of the images' shape ({n}, {height}, {width})"),
            found,
        );
    }
    macro_rules! voxels {
        ($($variant:ident)*) => {
            match array {
                NpyArray::Bool(a) => Voxels::U8(shaped(a.mapv(u8::from), [n, height, width])),
                $(NpyArray::$variant(a) => Voxels::$variant(shaped(a, [n, height, width])),)*
            }
        };
    }
    crate::volume::label_map::whole_labels(voxels!(U8 I8 U16 I16 U32 I32 U64 I64 F32 F64), path)
}

fn shaped<T: Clone>(array: ArrayD<T>, shape: [usize; 3]) -> Array3<T> {
    array
        .into_shape_with_order(shape)
        .unwrap_or_else(|_| unreachable!("the caller compared the shapes"))
}

/// The first few values, for a message.
pub(super) fn first(array: &NpyArray) -> Vec<f64> {
    array.to_f64().into_iter().take(4).collect()
}

fn window(array: &NpyArray, path: &Path) -> Result<Window> {
    match array.to_f64()[..] {
        [level_hu, width_hu] if level_hu.is_finite() && width_hu.is_finite() && width_hu > 0.0 => {
            Ok(Window { level_hu, width_hu })
        }
        _ => refuse(
            path,
            "window",
            "level and width in HU",
            format!("{}: {:?}", what(array), first(array)),
        ),
    }
}

fn label_table(array: &NpyArray, path: &Path) -> Result<LabelTable> {
    let NpyArray::U8(bytes) = array else {
        return refuse(path, "label_table", "JSON as uint8 bytes", what(array));
    };
    let bytes: Vec<u8> = bytes.iter().copied().collect();
    serde_json::from_slice(&bytes).or_else(|error| {
        refuse(path, "label_table", "JSON of label ids with name and colour", error)
    })
}
