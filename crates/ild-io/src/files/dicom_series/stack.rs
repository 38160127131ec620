//! Slices in space: one series, one orientation, even steps; and the change from LPS to RAS.

use std::path::Path;

use super::SliceHeader;
use super::identity::{one_series, one_stack};
use super::upright::Tilt;
use crate::{Affine, Error, Geometry, Result};

/// Direction cosines are written with at least three decimals, which turns a direction by this much.
const SAME_DIRECTION: f64 = 1e-3;
/// Directions shorter or longer than this, or farther from perpendicular, are no rounded ones.
const DIRECTION_RELATIVE: f64 = 1e-2;
/// Pixel spacings are written with at least four digits.
const SAME_SPACING_RELATIVE: f64 = 1e-3;
/// Steps between slices may differ by this share of a step: positions are rounded, tables stop a
/// little early or late.
const EVEN_STEP_RELATIVE: f64 = 0.05;
/// Or by this much, mm: positions rounded to a tenth move a step by up to a tenth (and a little, in
/// binary). Then no slice may lie farther than that from its place on the even grid.
const ROUNDED_STEP_MM: f64 = 0.1001;
/// No rounding is half a step: that is a missing slice.
const ROUNDED_STEP_RELATIVE: f64 = 0.45;
/// Steps that each pass may together move a slice this far from its place on the even grid, mm.
const DRIFT_MM: f64 = 0.5;
/// Two slices closer than this are at the same place.
const SAME_PLACE_MM: f64 = 1e-3;
/// A slice may lie this far beside the line through the others, mm.
const BESIDE_MM: f64 = 0.1;

/// Slices in order, and where their volume lies.
pub(super) struct Stack {
    pub slices: Vec<SliceHeader>,
    /// Right-angled; of a tilted gantry the one that its slices are shifted to.
    pub geometry: Geometry,
    /// How the slices are shifted, where the gantry was tilted.
    pub tilt: Option<Tilt>,
    pub notes: Vec<String>,
}

/// Sorts the slices along their normal and checks that they make one volume.
///
/// Slices of a tilted gantry do only when they may be shifted (`upright`).
pub(super) fn order(path: &Path, mut slices: Vec<SliceHeader>, upright: bool) -> Result<Stack> {
    one_series(path, &slices)?;
    let first = slices[0].clone();
    for slice in &slices[1..] {
        same_plane(path, &first, slice)?;
    }
    let axes = Axes::of(&first.path, first.orientation)?;
    let along = |slice: &SliceHeader| axes.along(slice.position);
    slices.sort_by(|a, b| along(a).total_cmp(&along(b)));
    let depths: Vec<f64> = slices.iter().map(along).collect();
    one_stack(path, &slices, &depths)?;
    even_steps(path, &slices, &depths)?;
    no_drift(path, &slices, &depths)?;
    let sideways = straight(path, &slices, &depths, axes.normal, upright)?;
    let (step, mut notes) = step_mm(&slices, &depths);
    let (lowest, n) = (&slices[0], slices.len());
    let mut shape = [n, lowest.rows, lowest.columns];
    let mut origin = lowest.position;
    let tilt = sideways.map(|sideways| {
        let along =
            [axes.row, axes.column].map(|axis| sideways.iter().map(|s| dot(*s, axis)).collect());
        let tilt = Tilt::new(along, lowest.pixel_spacing_mm, depths[n - 1] - depths[0]);
        let first_mm = tilt.first_mm();
        origin = std::array::from_fn(|i| {
            origin[i] + first_mm[0] * axes.row[i] + first_mm[1] * axes.column[i]
        });
        shape = tilt.shape(shape);
        notes.push(tilt.note());
        tilt
    });
    let geometry = grid(&axes, origin, lowest.pixel_spacing_mm, step, shape);
    Ok(Stack { slices, geometry, tilt, notes })
}

/// Directions of length 1, perpendicular to each other, LPS. Headers round them.
pub(in crate::files) struct Axes {
    row: [f64; 3],
    column: [f64; 3],
    normal: [f64; 3],
}

impl Axes {
    /// Those of an ImageOrientationPatient.
    pub(in crate::files) fn of(path: &Path, orientation: [f64; 6]) -> Result<Self> {
        let [row, column] = [0, 3].map(|at| std::array::from_fn(|i| orientation[at + i]));
        let lengths = [row, column].map(length);
        let oblique = dot(row, column) / (lengths[0] * lengths[1]);
        let rounded = lengths.iter().all(|length| (length - 1.0).abs() <= DIRECTION_RELATIVE)
            && oblique.abs() <= DIRECTION_RELATIVE;
        if !rounded {
            return Err(Error::refused(
                path,
                "two perpendicular directions of length 1",
                format!("{orientation:?}"),
                "the header is damaged",
            ));
        }
        let row = scaled(row, 1.0 / lengths[0]);
        let normal = cross(row, column);
        let normal = scaled(normal, 1.0 / length(normal));
        Ok(Self { row, column: cross(normal, row), normal })
    }

    /// How far along the normal a place is, mm.
    pub(in crate::files) fn along(&self, place: [f64; 3]) -> f64 {
        dot(place, self.normal)
    }

    /// How far beside the normal through `origin` a place is, mm.
    pub(in crate::files) fn beside(&self, origin: [f64; 3], place: [f64; 3]) -> f64 {
        let from: [f64; 3] = std::array::from_fn(|i| place[i] - origin[i]);
        let depth = dot(from, self.normal);
        length(std::array::from_fn(|i| from[i] - depth * self.normal[i]))
    }
}

impl SliceHeader {
    pub(super) fn name(&self) -> String {
        let file = self.path.file_name().unwrap_or(self.path.as_os_str()).to_string_lossy();
        self.frame.map_or(file.to_string(), |frame| format!("frame {} of {file}", frame + 1))
    }
}

fn same_plane(path: &Path, a: &SliceHeader, b: &SliceHeader) -> Result<()> {
    let refuse = |expected: &str, of_a: String, of_b: String| {
        let found = format!("{of_a} in {} and {of_b} in {}", a.name(), b.name());
        Err(Error::refused(
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
        return Err(Error::refused(
            path,
            "one slice at each position",
            format!("{} and {} at the same one", slices[i].name(), slices[i + 1].name()),
            "the folder holds copies, or two reconstructions or time points: keep one",
        ));
    }
    let mut sorted = steps.clone();
    sorted.sort_by(f64::total_cmp);
    let Some(&usual) = sorted.get(sorted.len() / 2) else { return Ok(()) };
    let rounding = ROUNDED_STEP_MM.min(ROUNDED_STEP_RELATIVE * usual);
    let allowed = (EVEN_STEP_RELATIVE * usual).max(rounding);
    let uneven: Vec<usize> =
        (0..steps.len()).filter(|&i| (steps[i] - usual).abs() > allowed).collect();
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
    Err(Error::refused(
        path,
        "evenly spaced slices",
        found + &more,
        "export the series again, completely",
    ))
}

/// Refuses steps that each pass but together put slices beside their place.
fn no_drift(path: &Path, slices: &[SliceHeader], depths: &[f64]) -> Result<()> {
    let (step, _) = step_mm(slices, depths);
    let drift = |i: usize| (depths[i] - depths[0] - step * i as f64).abs();
    let Some(worst) = (0..depths.len()).max_by(|a, b| drift(*a).total_cmp(&drift(*b))) else {
        return Ok(());
    };
    let steps: Vec<f64> = depths.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let rounded = steps.iter().any(|mm| (mm - step).abs() > EVEN_STEP_RELATIVE * step);
    if drift(worst) <= if rounded { ROUNDED_STEP_MM } else { DRIFT_MM } {
        return Ok(());
    }
    let [least, most] = [f64::min as fn(f64, f64) -> f64, f64::max]
        .map(|of| steps.iter().copied().reduce(of).unwrap_or(step));
    Err(Error::refused(
        path,
        "evenly spaced slices",
        format!(
            "steps that drift from {least:.3} to {most:.3} mm: {} lies {:.2} mm from its place on an even grid",
            slices[worst].name(),
            drift(worst)
        ),
        "resample the series to even steps first",
    ))
}

/// Positions on one line along the normal; a tilted gantry moves each slice sideways, which no
/// right-angled grid can hold. How far each is moved, LPS mm, when that is so and `allowed`.
fn straight(
    path: &Path,
    slices: &[SliceHeader],
    depths: &[f64],
    normal: [f64; 3],
    allowed: bool,
) -> Result<Option<Vec<[f64; 3]>>> {
    let origin = slices[0].position;
    let sideways = |i: usize| -> [f64; 3] {
        let depth = depths[i] - depths[0];
        std::array::from_fn(|axis| slices[i].position[axis] - origin[axis] - depth * normal[axis])
    };
    let last = slices.len() - 1;
    let height = (depths[last] - depths[0]).abs();
    let tilt = sideways(last);
    // What the line through the first and the last slice does not explain.
    let beside = |i: usize| {
        let share = if height > 0.0 { (depths[i] - depths[0]) / height } else { 0.0 };
        let at = sideways(i);
        length(std::array::from_fn(|axis| at[axis] - share * tilt[axis]))
    };
    let worst = (0..slices.len()).max_by(|a, b| beside(*a).total_cmp(&beside(*b))).unwrap_or(0);
    let refuse = |slice: usize, mm: f64, why: &str, next: &str| {
        let found = format!("{} displaced sideways by {mm:.2} mm{why}", slices[slice].name());
        Err(Error::refused(path, "slices above each other", found, next))
    };
    let leaning = length(tilt) > BESIDE_MM.max(SAME_DIRECTION * height);
    if beside(worst) > BESIDE_MM {
        let next = "resample the series to a right-angled grid first";
        return refuse(worst, beside(worst), if leaning { ", and not evenly" } else { "" }, next);
    }
    if leaning && !allowed {
        let degrees = length(tilt).atan2(height).to_degrees();
        let why = format!(" (a tilted gantry?), {degrees:.1}° off the normal");
        let next = "--upright shifts each slice in its own plane to a right-angled grid (`ild-io \
                    convert`, `ild-infer`, `ild-metrics quantify`)";
        return refuse(last, length(tilt), &why, next);
    }
    Ok(leaning.then(|| (0..slices.len()).map(sideways).collect()))
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
pub(in crate::files) fn grid(
    axes: &Axes,
    position: [f64; 3],
    pixel_spacing_mm: [f64; 2],
    step: f64,
    shape_zyx: [usize; 3],
) -> Geometry {
    const LPS_TO_RAS: [f64; 3] = [-1.0, -1.0, 1.0];
    let [between_rows, between_columns] = pixel_spacing_mm;
    let mut affine = [[0.0, 0.0, 0.0, 1.0]; 4];
    for (i, sign) in LPS_TO_RAS.into_iter().enumerate() {
        let [x, y, z] =
            [axes.row[i] * between_columns, axes.column[i] * between_rows, axes.normal[i] * step];
        affine[i] = [x, y, z, position[i]].map(|v| if v == 0.0 { 0.0 } else { sign * v });
    }
    let spacing_xyz_mm = [between_columns, between_rows, step];
    Geometry { spacing_xyz_mm, ..Geometry::new(shape_zyx, Affine(affine)) }
}

fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn cross(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

fn length(a: [f64; 3]) -> f64 {
    dot(a, a).sqrt()
}

fn scaled(a: [f64; 3], by: f64) -> [f64; 3] {
    a.map(|v| v * by)
}
