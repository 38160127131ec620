//! Slices in space: one series, one orientation, even steps; and the change from LPS to RAS.

use std::collections::BTreeMap;
use std::path::Path;

use super::SliceHeader;
use crate::{Affine, Error, Geometry, Result};

/// Direction cosines are written with at least four decimals.
const SAME_DIRECTION: f64 = 1e-3;
/// Pixel spacings are written with at least four digits.
const SAME_SPACING_RELATIVE: f64 = 1e-3;
/// Steps between slices may differ by this share of a step: positions are rounded, tables stop a
/// little early or late.
const EVEN_STEP_RELATIVE: f64 = 0.05;
/// Two slices closer than this are at the same place.
const SAME_PLACE_MM: f64 = 1e-3;
/// A slice may lie this far beside the line through the others.
const BESIDE_MM: f64 = 0.1;

/// Slices in order, and where their volume lies.
pub(super) struct Stack {
    pub slices: Vec<SliceHeader>,
    pub geometry: Geometry,
    pub notes: Vec<String>,
}

/// Sorts the slices along their normal and checks that they make one volume.
pub(super) fn order(path: &Path, mut slices: Vec<SliceHeader>) -> Result<Stack> {
    one_series(path, &slices)?;
    let first = slices[0].clone();
    for slice in &slices[1..] {
        same_plane(path, &first, slice)?;
    }
    let normal = cross(first.row(), first.column());
    if (dot(normal, normal) - 1.0).abs() > 10.0 * SAME_DIRECTION {
        return Err(Error::rejected(
            &first.path,
            "two perpendicular directions of length 1",
            format!("{:?}", first.orientation),
            "the header is damaged",
        ));
    }
    let along = |slice: &SliceHeader| dot(slice.position, normal);
    slices.sort_by(|a, b| along(a).total_cmp(&along(b)));
    let depths: Vec<f64> = slices.iter().map(along).collect();
    even_steps(path, &slices, &depths)?;
    straight(path, &slices, normal)?;
    let (step, notes) = step_mm(&slices, &depths);
    let geometry = geometry(&slices[0], normal, step, slices.len());
    Ok(Stack { slices, geometry, notes })
}

impl SliceHeader {
    fn row(&self) -> [f64; 3] {
        [self.orientation[0], self.orientation[1], self.orientation[2]]
    }

    fn column(&self) -> [f64; 3] {
        [self.orientation[3], self.orientation[4], self.orientation[5]]
    }

    fn name(&self) -> String {
        self.path.file_name().unwrap_or(self.path.as_os_str()).to_string_lossy().into_owned()
    }
}

fn one_series(path: &Path, slices: &[SliceHeader]) -> Result<()> {
    let mut series: BTreeMap<&str, (usize, &SliceHeader)> = BTreeMap::new();
    for slice in slices {
        series.entry(&slice.series_uid).or_insert((0, slice)).0 += 1;
    }
    if series.len() == 1 {
        return Ok(());
    }
    let shown: Vec<String> = series
        .values()
        .take(5)
        .map(|(n, s)| format!("`{}` ({}, {n} files, e.g. {})", s.description, s.modality, s.name()))
        .collect();
    Err(Error::rejected(
        path,
        "one series",
        format!("{} series: {}", series.len(), shown.join(", ")),
        "put each series into a folder of its own",
    ))
}

fn same_plane(path: &Path, a: &SliceHeader, b: &SliceHeader) -> Result<()> {
    let refuse = |expected: &str, of_a: String, of_b: String| {
        let found = format!("{of_a} in {} and {of_b} in {}", a.name(), b.name());
        Err(Error::rejected(
            path,
            expected,
            found,
            "put localizers and reformats into folders of their own",
        ))
    };
    if (a.rows, a.columns) != (b.rows, b.columns) {
        return refuse(
            "slices of one size",
            format!("{} × {}", a.rows, a.columns),
            format!("{} × {}", b.rows, b.columns),
        );
    }
    if a.orientation.iter().zip(&b.orientation).any(|(p, q)| (p - q).abs() > SAME_DIRECTION) {
        return refuse(
            "slices of one orientation",
            format!("{:?}", a.orientation),
            format!("{:?}", b.orientation),
        );
    }
    if a.pixel_spacing_mm
        .iter()
        .zip(&b.pixel_spacing_mm)
        .any(|(p, q)| (p - q).abs() > SAME_SPACING_RELATIVE * p)
    {
        return refuse(
            "slices of one pixel spacing",
            format!("{:?} mm", a.pixel_spacing_mm),
            format!("{:?} mm", b.pixel_spacing_mm),
        );
    }
    Ok(())
}

fn even_steps(path: &Path, slices: &[SliceHeader], depths: &[f64]) -> Result<()> {
    let steps: Vec<f64> = depths.windows(2).map(|pair| pair[1] - pair[0]).collect();
    if let Some(i) = steps.iter().position(|step| *step < SAME_PLACE_MM) {
        return Err(Error::rejected(
            path,
            "one slice at each position",
            format!("{} and {} at the same one", slices[i].name(), slices[i + 1].name()),
            "the folder holds copies, or two reconstructions or time points: keep one",
        ));
    }
    let mut sorted = steps.clone();
    sorted.sort_by(f64::total_cmp);
    let Some(&usual) = sorted.get(sorted.len() / 2) else { return Ok(()) };
    let uneven: Vec<usize> = (0..steps.len())
        .filter(|&i| (steps[i] - usual).abs() > EVEN_STEP_RELATIVE * usual)
        .collect();
    let Some(&i) = uneven.first() else { return Ok(()) };
    let between = format!("between {} and {}", slices[i].name(), slices[i + 1].name());
    let times = steps[i] / usual;
    let whole =
        times >= 1.5 && (times - times.round()).abs() < 2.0 * EVEN_STEP_RELATIVE * times.round();
    let missing = (times.round() - 1.0).max(0.0);
    let found = if whole {
        let verb = if missing == 1.0 { "slice is" } else { "slices are" };
        format!(
            "a step of {:.3} mm where the others are {usual:.3} mm: {missing} {verb} missing {between}",
            steps[i]
        )
    } else {
        format!("a step of {:.3} mm {between} where the others are {usual:.3} mm", steps[i])
    };
    let more = if uneven.len() > 1 {
        format!("; {} more such places", uneven.len() - 1)
    } else {
        String::new()
    };
    Err(Error::rejected(
        path,
        "evenly spaced slices",
        found + &more,
        "export the series again, completely",
    ))
}

/// Positions on one line along the normal; a tilted gantry moves each slice sideways, which no
/// right-angled grid can hold.
fn straight(path: &Path, slices: &[SliceHeader], normal: [f64; 3]) -> Result<()> {
    let origin = slices[0].position;
    let beside = |slice: &SliceHeader| {
        let offset: [f64; 3] = std::array::from_fn(|i| slice.position[i] - origin[i]);
        let depth = dot(offset, normal);
        dot(offset, offset).mul_add(1.0, -depth * depth).max(0.0).sqrt()
    };
    let Some(worst) = slices.iter().max_by(|a, b| beside(a).total_cmp(&beside(b))) else {
        return Ok(());
    };
    if beside(worst) <= BESIDE_MM {
        return Ok(());
    }
    Err(Error::rejected(
        path,
        "slices above each other",
        format!(
            "{} displaced sideways by {:.2} mm (a tilted gantry?)",
            worst.name(),
            beside(worst)
        ),
        "resample the series to a right-angled grid first",
    ))
}

/// Distance between slices: of the positions, or for a single slice what the header says.
fn step_mm(slices: &[SliceHeader], depths: &[f64]) -> (f64, Vec<String>) {
    let n = depths.len();
    if n > 1 {
        return ((depths[n - 1] - depths[0]) / (n - 1) as f64, Vec::new());
    }
    let step = slices[0].between_slices_mm.or(slices[0].thickness_mm);
    match step {
        Some(mm) => {
            (mm, vec![format!("a single slice; its spacing along z is its thickness, {mm} mm")])
        }
        None => (1.0, vec!["a single slice without thickness; 1 mm is assumed".to_owned()]),
    }
}

/// PS3.3 C.7.6.2.1.1, equation C.7.6.2.1-1, with x and y turned from DICOM's left and posterior to
/// right and anterior.
fn geometry(first: &SliceHeader, normal: [f64; 3], step: f64, slices: usize) -> Geometry {
    const LPS_TO_RAS: [f64; 3] = [-1.0, -1.0, 1.0];
    let [between_rows, between_columns] = first.pixel_spacing_mm;
    let mut affine = [[0.0, 0.0, 0.0, 1.0]; 4];
    for (i, sign) in LPS_TO_RAS.into_iter().enumerate() {
        let [x, y, z] =
            [first.row()[i] * between_columns, first.column()[i] * between_rows, normal[i] * step];
        affine[i] = [x, y, z, first.position[i]].map(|v| if v == 0.0 { 0.0 } else { sign * v });
    }
    let spacing_xyz_mm = [between_columns, between_rows, step];
    Geometry {
        spacing_xyz_mm,
        ..Geometry::new([slices, first.rows, first.columns], Affine(affine))
    }
}

fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn cross(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}
