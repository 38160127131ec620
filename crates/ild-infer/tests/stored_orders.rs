//! The result lies on the CT's own grid, whatever order the CT is stored in.

mod bench;

use std::path::Path;
use std::process::Command;

use bench::{Bench, SHAPE, hu, labels, oblique, ok};
use ild_io::{
    Affine, Geometry, LabelMap, StorageOrder, Volume, Voxels, read_label_map,
    read_label_map_as_stored, read_volume_as_stored, write_label_map, write_volume,
};

/// Stored as sagittal slices: the first axis runs backwards, the second up, the third to the left.
fn sagittal() -> Affine {
    Affine([
        [0.0, 0.0, -2.5, 40.0],
        [-0.7, 0.0, 0.0, 9.5],
        [0.0, 0.69, 0.0, -300.25],
        [0.0, 0.0, 0.0, 1.0],
    ])
}

#[test]
fn simpleitk_and_nibabel_see_the_label_map_on_the_cts_grid() {
    let Some(python) = ild_test_support::python_with("SimpleITK, nibabel") else { return };
    let bench = Bench::new();
    let script =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/infer/same_geometry.py");
    std::fs::write(
        bench.path("boxes.json"),
        r#"{"prompts": [{"label": 5, "box": [28, 18, 5, 50, 40, 9]}]}"#,
    )
    .unwrap();
    for affine in [oblique(), sagittal()] {
        let ct = Volume { voxels: Voxels::I16(hu()), geometry: Geometry::new(SHAPE, affine) };
        write_volume(&bench.path("turned/t_0000.nii.gz"), &ct).unwrap();
        ok(&bench.run("turned", "boxes.json", &["--force", "--save-nii", "--save-probabilities"]));
        for (file, kind) in [
            ("t.nii.gz", "labels"),
            ("labels/t_Honeycombing.nii.gz", "labels"),
            ("probabilities/t_Honeycombing.nii.gz", "values"),
        ] {
            let seen = Command::new(&python)
                .arg(&script)
                .arg(bench.path("turned/t_0000.nii.gz"))
                .arg(bench.out(file))
                .arg(kind)
                .output()
                .unwrap();
            assert!(seen.status.success(), "{file}: {}", String::from_utf8_lossy(&seen.stderr));
            assert_eq!(
                String::from_utf8_lossy(&seen.stdout).trim(),
                "ild: prompt from a file of boxes or points"
            );
        }
    }
}

#[test]
fn whatever_order_a_ct_is_stored_in_its_axial_slices_are_segmented_and_the_result_has_its_order() {
    let bench = Bench::new();
    let mut affine = Affine::from_spacing_xyz_mm([0.75, 0.75, 2.5]);
    (affine.0[0][0], affine.0[1][1]) = (-0.75, -0.75);
    let orders = ["LPS", "RAS", "LPI", "SPL", "LSP", "AIR"];
    for codes in orders {
        let mut geometry = Geometry::new(SHAPE, affine);
        geometry.stored.order = StorageOrder::from_codes(codes, &affine).unwrap();
        write_volume(
            &bench.path(&format!("stored/{codes}_0000.nii.gz")),
            &Volume { voxels: Voxels::I16(hu()), geometry: geometry.clone() },
        )
        .unwrap();
        let map = LabelMap { labels: labels(), geometry };
        write_label_map(&bench.path(&format!("truth/{codes}.nii.gz")), &map).unwrap();
    }
    let truth = bench.path("truth");
    ok(&bench.run("stored", "gt", &["--gt-path", truth.to_str().unwrap()]));
    let found = |codes: &str| read_label_map(&bench.out(&format!("{codes}.nii.gz"))).unwrap();
    let wanted = found("LPS");
    assert!(wanted.labels.iter().any(|&id| id != 0), "the model segments something");
    for codes in orders {
        assert_eq!(found(codes).labels, wanted.labels, "{codes}");
        let file = bench.out(&format!("{codes}.nii.gz"));
        let stored = read_label_map_as_stored(&file).unwrap().geometry;
        assert_eq!(stored.affine.axis_codes(), codes);
        let ct = bench.path(&format!("stored/{codes}_0000.nii.gz"));
        assert_eq!(stored, read_volume_as_stored(&ct).unwrap().geometry, "{codes}: the CT's grid");
        assert_eq!(bench.json(&format!("{codes}.json"))["grid"]["stored"], codes);
    }
}
