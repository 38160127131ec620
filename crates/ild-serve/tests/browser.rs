//! Headless Chromium opens the page, draws a box, clicks, follows, accepts: the mask on the disk is
//! checked, and a picture of the page is left to look at.

mod bench;

use std::path::Path;
use std::process::Command;

use bench::{Bench, SHAPE};
use ild_io::read_label_map;
use ild_test_support::{program, skipped};
use ndarray::Axis;

/// Where the built page is, and the driver of the browser (`cargo xtask page`).
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/page");

#[test]
fn a_browser_marks_follows_and_accepts() {
    let page = Path::new(PAGE);
    if !page.join("dist/app.js").is_file() || !page.join("node_modules/playwright-core").is_dir() {
        return skipped("the page is not built (`cargo xtask page`)");
    }
    let (Some(node), Some(chromium)) = (program("node"), program("chromium")) else { return };
    let bench = Bench::new();
    let server = bench.serve(&[]);
    let picture = bench.path("page.png");
    let output = Command::new(node)
        .arg(page.join("test/walk.mjs"))
        .args([chromium.as_path(), Path::new(&server.url()), &picture])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if let Some(keep) = std::env::var_os("ILD_PAGE_PICTURE") {
        let _ = std::fs::copy(&picture, keep);
    }
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    println!("{said}");

    let map = read_label_map(&bench.path("data/labelsTr/a.nii.gz")).unwrap();
    assert_eq!(map.geometry.shape_zyx, SHAPE);
    // A model of random weights answers something; it is followed to other slices, and the stroke that
    // was painted by hand is where it was painted.
    let slices = map.labels.axis_iter(Axis(0)).filter(|s| s.iter().any(|&id| id == 1)).count();
    assert!(slices > 1, "{slices} slices hold the first class");
    let word = |name: &str| {
        said.split(name).nth(1).and_then(|text| text.split('"').nth(2)).map(str::to_owned)
    };
    let painted: Vec<usize> = word("painted")
        .unwrap_or_default()
        .split(',')
        .filter_map(|n| n.trim_matches(|c: char| !c.is_ascii_digit()).parse().ok())
        .collect();
    let &[i, j, k] = painted.as_slice() else { panic!("{said}") };
    assert_eq!(map.labels[[k, SHAPE[1] - 1 - j, SHAPE[2] - 1 - i]], 2, "{said}");
}
