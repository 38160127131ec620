//! MONAI Label's own client, from PyPI, walks through a server.

mod bench;

use std::process::Command;

use bench::{Bench, SHAPE, ct, oblique};
use ild_io::{LabelMap, write_label_map, write_volume};
use ild_test_support::python_with;
use ndarray::{Array3, s};

#[test]
fn monai_labels_own_client_walks_from_info_to_training() {
    let Some(python) = python_with("cgi, requests, monailabel.client.client") else { return };
    let bench = Bench::new();
    let script = bench.path("train.sh");
    std::fs::write(&script, "echo epoch 1\nsleep 3\n").unwrap();
    let server = bench.serve(&["--train-command", &format!("sh {}", script.display())]);
    let mut labels = Array3::zeros(SHAPE);
    labels.slice_mut(s![2..5, 3..9, 4..20]).fill(2);
    let (label, image) = (bench.path("label.nii.gz"), bench.path("sent.nii.gz"));
    write_label_map(&label, &LabelMap { labels, geometry: oblique() }).unwrap();
    write_volume(&image, &ct()).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/walk.py");
    let output =
        Command::new(python).arg(script).arg(server.url()).args([&label, &image]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("walked"),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
