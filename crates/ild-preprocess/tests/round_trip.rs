//! Where a scan lies in the patient is never lost: CT and label → NPZ → label map on the CT's grid.

mod common;

use common::{Cohort, SHAPE, expect, lesions};
use ild_io::{
    Affine, Geometry, LabelMap, read_label_map, read_npz, read_volume, same_grid, write_label_map,
};
use ndarray::{Array3, Axis};

const SPACING_MM: [f64; 3] = [0.7, 0.8, 2.5];
const ORIGIN_MM: [f64; 3] = [-100.0, 50.5, 7.25];

/// Every way to map voxel axes to ±x, ±y, ±z of the patient, and one that is oblique.
fn orientations() -> Vec<Affine> {
    let mut out = vec![common::geometry(SHAPE).affine];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        for signs in 0..8 {
            let mut rows = [[0.0; 4]; 4];
            for (column, row) in order.into_iter().enumerate() {
                rows[row][column] =
                    if signs >> column & 1 == 1 { -SPACING_MM[column] } else { SPACING_MM[column] };
                rows[column][3] = ORIGIN_MM[column];
            }
            rows[3][3] = 1.0;
            out.push(Affine(rows));
        }
    }
    out
}

#[test]
fn all_48_orientations_and_an_oblique_one_come_through_the_npz_to_the_grid_of_the_ct() {
    let (cohort, affines) = (Cohort::new(), orientations());
    for (i, affine) in affines.iter().enumerate() {
        let hu = Array3::from_shape_fn(SHAPE, |(z, y, x)| {
            ((z * 37 + y * 11 + x * 5) % 1400) as i16 - 1000
        });
        cohort.add_on(&format!("case{i:02}"), &lesions(), hu, Geometry::new(SHAPE, *affine));
    }
    let (table, _) = expect(cohort.nii_to_npz("npz").args(["--ratios", "1,0,0"]), 0);
    assert!(table.contains("49 written"), "{table}");
    for i in 0..affines.len() {
        let case = format!("case{i:02}");
        let stack =
            read_npz(&cohort.path("npz/npz_train/CT_ILD").join(format!("{case}.npz"))).unwrap();
        let mut labels = Array3::zeros(stack.shape_zyx.unwrap());
        for (slice, z) in stack.labels.unwrap().outer_iter().zip(stack.z_index.unwrap()) {
            labels.index_axis_mut(Axis(0), z as usize).assign(&slice);
        }
        let prediction = cohort.path(&format!("{case}.nii.gz"));
        let geometry = Geometry::new(stack.shape_zyx.unwrap(), stack.affine.unwrap());
        write_label_map(&prediction, &LabelMap { labels, geometry }).unwrap();

        let (ct, back) =
            (read_volume(&cohort.image(&case)).unwrap(), read_label_map(&prediction).unwrap());
        same_grid(&prediction, "prediction", &back.geometry, "CT", &ct.geometry).unwrap();
        assert_eq!(
            back.labels,
            read_label_map(&cohort.label(&case)).unwrap().labels,
            "orientation {i}"
        );
        assert_eq!(stack.spacing_xyz_mm, ct.geometry.spacing_xyz_mm, "orientation {i}");
    }
}
