//! Where a scan lies in the patient is never lost: CT and label → NPZ → label map on the CT's grid,
//! in the CT's storage order, and the slices are axial whatever that order is.

mod common;

use std::path::Path;

use common::{Cohort, SHAPE, expect, lesions};
use ild_io::{
    Affine, Geometry, LabelMap, SliceStack, Volume, Voxels, read_label_map_as_stored, read_npz,
    read_volume_as_stored, same_grid, write_label_map, write_volume,
};
use ndarray::Array3;

const SPACING_MM: [f64; 3] = [0.7, 0.8, 2.5];
const ORIGIN_MM: [f64; 3] = [-100.0, 50.5, 7.25];
/// Turning a grid and turning it back rounds `f64` coordinates.
const ROUNDING_MM: f64 = 1e-4;

/// The same patient stored in all 48 orders: his voxels along `(x, y, z)` are those of an LPS array
/// of [`SHAPE`].
fn store_in_48_orders(cohort: &Cohort) -> Vec<String> {
    let hu = |z: usize, y: usize, x: usize| ((z * 37 + y * 11 + x * 5) % 1400) as i16 - 1000;
    let (lesions, mut names) = (lesions(), Vec::new());
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        for bits in 0..8 {
            let flipped = |axis: usize| bits >> axis & 1 == 1;
            // Stored axis `to` is the patient's axis `order[to]`, perhaps backwards.
            let size = |axis: usize| SHAPE[2 - axis];
            let mut rows = [[0.0; 4]; 4];
            for (to, &axis) in order.iter().enumerate() {
                let sign = if axis == 2 { 1.0 } else { -1.0 };
                let step = sign * SPACING_MM[axis];
                rows[axis][to] = if flipped(axis) { -step } else { step };
                let start = if flipped(axis) { step * (size(axis) - 1) as f64 } else { 0.0 };
                rows[axis][3] = ORIGIN_MM[axis] + start;
            }
            rows[3][3] = 1.0;
            let shape = [size(order[2]), size(order[1]), size(order[0])];
            let geometry = Geometry::new(shape, Affine(rows));
            let lps = |(c, b, a): (usize, usize, usize)| {
                let mut at = [0; 3];
                for (to, &axis) in order.iter().enumerate() {
                    let i = [a, b, c][to];
                    at[axis] = if flipped(axis) { size(axis) - 1 - i } else { i };
                }
                at
            };
            let voxels = Voxels::I16(Array3::from_shape_fn(shape, |at| {
                let [x, y, z] = lps(at);
                hu(z, y, x)
            }));
            let labels = Array3::from_shape_fn(shape, |at| {
                let [x, y, z] = lps(at);
                lesions[[z, y, x]]
            });
            let name = geometry.affine.axis_codes();
            write_volume(&cohort.image(&name), &Volume { voxels, geometry: geometry.clone() })
                .unwrap();
            write_label_map(&cohort.label(&name), &LabelMap { labels, geometry }).unwrap();
            names.push(name);
        }
    }
    names
}

fn npz(cohort: &Cohort, case: &str) -> SliceStack {
    read_npz(&cohort.path("npz/npz_train/CT_ILD").join(format!("{case}.npz"))).unwrap()
}

/// Writes the labels of an NPZ as a prediction would be, and compares it with the CT's own label
/// file as it lies on disk.
fn assert_back_in_the_cts_order(cohort: &Cohort, case: &str, prediction: &Path) {
    let stack = npz(cohort, case);
    let labels = stack.placement.in_ct(stack.labels.unwrap());
    let geometry = stack.placement.geometry().clone();
    write_label_map(prediction, &LabelMap { labels, geometry }).unwrap();
    let ct = read_volume_as_stored(&cohort.image(case)).unwrap();
    let back = read_label_map_as_stored(prediction).unwrap();
    same_grid(prediction, "prediction", &back.geometry, "CT", &ct.geometry).unwrap();
    assert_eq!(back.geometry.stored.nifti, ct.geometry.stored.nifti, "{case}: the CT's header");
    assert_eq!(
        back.labels,
        read_label_map_as_stored(&cohort.label(case)).unwrap().labels,
        "{case}"
    );
}

#[test]
fn all_48_storage_orders_give_the_same_axial_slices_and_go_back_to_their_own() {
    let cohort = Cohort::new();
    let names = store_in_48_orders(&cohort);
    let (table, _) = expect(cohort.nii_to_npz("npz").args(["--ratios", "1,0,0"]), 0);
    assert!(table.contains("48 written"), "{table}");
    let wanted = npz(&cohort, "LPS");
    assert_eq!(wanted.placement.z_index(), [2, 3, 4, 6]);
    for case in &names {
        let stack = npz(&cohort, case);
        assert_eq!(stack.images, wanted.images, "{case}");
        assert_eq!(stack.labels, wanted.labels, "{case}");
        assert_eq!(stack.placement.z_index(), wanted.placement.z_index(), "{case}");
        let (grid, lps) = (stack.placement.geometry(), wanted.placement.geometry());
        assert!(grid.corner_distance_mm(lps) < ROUNDING_MM, "{case}");
        assert_eq!(grid.stored_codes(), *case);
        assert_back_in_the_cts_order(&cohort, case, &cohort.path("prediction.nii.gz"));
    }
}

#[test]
fn an_oblique_scan_comes_back_too() {
    let cohort = Cohort::of(1);
    expect(cohort.nii_to_npz("npz").args(["--ratios", "1,0,0"]), 0);
    assert_back_in_the_cts_order(&cohort, "case00", &cohort.path("prediction.nii.gz"));
}

#[test]
fn parity_cuts_along_the_files_third_axis_as_the_older_scripts_did() {
    let cohort = Cohort::new();
    let names = store_in_48_orders(&cohort);
    expect(cohort.nii_to_npz("npz").args(["--ratios", "1,0,0", "--parity"]), 0);
    for case in names.iter().filter(|name| name.as_str() != "LPS") {
        let (stack, file) = (npz(&cohort, case), read_label_map_as_stored(&cohort.label(case)));
        assert_eq!(
            stack.labels.unwrap(),
            stack.placement.of_ct(file.unwrap().labels.view()),
            "{case}"
        );
    }
}
