//! [`Placement`] as arrays of an NPZ: `spacing`, `z_index`, `affine`, `shape`, `stored`, `nifti`.

use std::io;
use std::path::Path;

use ndarray::{Array1, Array2};

use crate::files::npz::{NpzFile, NpzWriter};
use crate::files::slice_stack::{first, refuse, what};
use crate::volume::geometry::SAME_LENGTH_RELATIVE;
use crate::{Affine, Geometry, NiftiOrientation, NpyArray, Placement, Result, StorageOrder};

/// Reads what the file says; a file of the older scripts knows its spacing alone.
pub(super) fn read(npz: &mut NpzFile, stack_zyx: [usize; 3], path: &Path) -> Result<Placement> {
    let spacing_xyz_mm = spacing(&npz.require("spacing")?, path)?;
    let shape = npz.get("shape")?.map(|array| whole_shape(&array, path)).transpose()?;
    let affine = npz.get("affine")?.map(|array| affine(&array, path)).transpose()?;
    let z_index = npz.get("z_index")?.map(|array| whole_numbers(&array, path)).transpose()?;
    let [n, height, width] = stack_zyx;
    let z_index = match z_index {
        Some(z_index) if z_index.len() == n => z_index,
        Some(z_index) => {
            return refuse(path, "z_index", &format!("{n} slice numbers"), z_index.len());
        }
        // A stack as large as the CT is all of it.
        None if shape == Some(stack_zyx) && affine.is_some() => (0..n).collect(),
        None => return Ok(Placement::unknown(stack_zyx, spacing_xyz_mm)),
    };
    let depth = z_index.last().map_or(n, |last| last + 1);
    let shape_zyx = shape.unwrap_or([depth, height, width]);
    if shape_zyx[1..] != [height, width] {
        let expected = format!("slices of {height} × {width}, as the images");
        return refuse(path, "shape", &expected, format!("{shape_zyx:?} (z, y, x)"));
    }
    let mut geometry = Geometry::new(
        shape_zyx,
        affine.unwrap_or_else(|| Affine::from_spacing_xyz_mm(spacing_xyz_mm)),
    );
    let one = |(a, b): (&f64, f64)| (a - b).abs() <= SAME_LENGTH_RELATIVE * b;
    if !geometry.spacing_xyz_mm.iter().zip(spacing_xyz_mm).all(one) {
        let expected = format!("as long as the affine's axes, {:?} mm", geometry.spacing_xyz_mm);
        return refuse(path, "spacing", &expected, format!("{spacing_xyz_mm:?}"));
    }
    geometry.spacing_xyz_mm = spacing_xyz_mm;
    geometry.check_lengths(path)?;
    if let Some(array) = npz.get("stored")? {
        geometry.stored.order = order(&array, &geometry.affine, path)?;
    }
    if let Some(array) = npz.get("nifti")? {
        let Some(nifti) = NiftiOrientation::from_numbers(&array.to_f64()) else {
            return refuse(path, "nifti", "the 24 numbers of a header's orientation", what(&array));
        };
        geometry.stored.nifti = Some(nifti);
    }
    let known = affine.is_some();
    match Placement::new(geometry, z_index) {
        Ok(placement) if known => Ok(placement),
        Ok(placement) => Ok(placement.without_place()),
        Err(wrong) => refuse(path, "z_index", &wrong.expected, wrong.found),
    }
}

/// Writes what is known.
pub(super) fn write(npz: &mut NpzWriter, placement: &Placement) -> io::Result<()> {
    let geometry = placement.geometry();
    let mut numbers =
        |key: &str, values: Vec<f64>| npz.add(key, &Array1::from(values).view().into_dyn());
    numbers("spacing", geometry.spacing_xyz_mm.to_vec())?;
    if placement.knows_place()
        && let Some(nifti) = geometry.stored.nifti
    {
        numbers("nifti", nifti.to_numbers())?;
    }
    let mut whole = |key: &str, values: &[usize]| {
        let values: Vec<i64> = values.iter().map(|&n| n as i64).collect();
        npz.add(key, &Array1::from(values).view().into_dyn())
    };
    if placement.knows_slices() {
        whole("z_index", placement.z_index())?;
        whole("shape", &geometry.shape_zyx)?;
    }
    if placement.knows_place() {
        npz.add("affine", &Array2::from(geometry.affine.0.to_vec()).view().into_dyn())?;
        if !geometry.stored.order.is_files() {
            let codes = geometry.stored_codes().into_bytes();
            npz.add("stored", &Array1::from(codes).view().into_dyn())?;
        }
    }
    Ok(())
}

fn order(array: &NpyArray, affine: &Affine, path: &Path) -> Result<StorageOrder> {
    let order = match array {
        NpyArray::U8(codes) => String::from_utf8(codes.iter().copied().collect()).ok(),
        _ => None,
    }
    .and_then(|codes| StorageOrder::from_codes(&codes, affine));
    match order {
        Some(order) => Ok(order),
        None => refuse(path, "stored", "three axis codes like SPL as uint8 bytes", what(array)),
    }
}

fn spacing(array: &NpyArray, path: &Path) -> Result<[f64; 3]> {
    match array.to_f64()[..] {
        [x, y, z] if [x, y, z].iter().all(|v| v.is_finite() && *v > 0.0) => Ok([x, y, z]),
        _ => refuse(
            path,
            "spacing",
            "three lengths above zero (x, y, z) in mm",
            format!("{}: {:?}", what(array), first(array)),
        ),
    }
}

fn whole_shape(array: &NpyArray, path: &Path) -> Result<[usize; 3]> {
    match array.to_f64()[..] {
        [z, y, x] if [z, y, x].iter().all(|v| v.fract() == 0.0 && (1.0..=65535.0).contains(v)) => {
            Ok([z as usize, y as usize, x as usize])
        }
        _ => refuse(
            path,
            "shape",
            "the CT's three sizes (z, y, x)",
            format!("{}: {:?}", what(array), first(array)),
        ),
    }
}

fn whole_numbers(array: &NpyArray, path: &Path) -> Result<Vec<usize>> {
    let values = array.to_f64();
    if values.iter().all(|v| v.fract() == 0.0 && (0.0..65536.0).contains(v)) {
        return Ok(values.into_iter().map(|v| v as usize).collect());
    }
    refuse(path, "z_index", "slice numbers", format!("{}: {:?}…", what(array), first(array)))
}

fn affine(array: &NpyArray, path: &Path) -> Result<Affine> {
    let values = array.to_f64();
    let affine = Affine(std::array::from_fn(|row| {
        std::array::from_fn(|col| values.get(4 * row + col).copied().unwrap_or(f64::NAN))
    }));
    if array.shape() == [4, 4]
        && values.iter().all(|v| v.is_finite())
        && affine.determinant() != 0.0
    {
        return Ok(affine);
    }
    refuse(path, "affine", "a 4 × 4 matrix that spans a volume", what(array))
}
