//! `quantify --save-dicom-sr`: the numbers as a DICOM Structured Report, as programs read it that are
//! not ours.

mod made;

use std::path::Path;
use std::process::Command;

use ild_io::{
    DicomOptions, LabelMap, LabelTable, SegAlgorithm, SegFrames, SegMaker, SegSettings, SegType,
    SourceSeries, write_dicom_seg, write_label_map,
};
use ild_test_support::dicom::Series;
use ild_test_support::{program, python_with};
use made::run;
use ndarray::{Array3, s};
use serde_json::Value;

/// Two lungs of air in a body, 20 slices of 64 × 64 pixels of 2 mm.
fn body([x, y, z]: [f64; 3]) -> f64 {
    let lung = |centre: f64| {
        ((x - centre) / 24.0).powi(2) + (y / 34.0).powi(2) + ((z - 50.0) / 40.0).powi(2) < 1.0
    };
    let trunk = (x / 62.0).powi(2) + (y / 50.0).powi(2) < 1.0;
    match () {
        () if lung(-30.0) || lung(30.0) => -820.0,
        () if trunk => 40.0,
        () => -1000.0,
    }
}

fn series(study: &'static str) -> Series {
    Series {
        slices: 20,
        rows: 64,
        columns: 64,
        pixel_mm: [2.0, 2.0],
        step_mm: 5.0,
        position: [-64.0, -64.0, 0.0],
        hu: body,
        patient: ["Müller^Jörg", "ID-77", study],
        ..Series::default()
    }
}

/// Label 2 in the right lung's upper third, label 5 in the left lung.
fn lesions() -> Array3<u8> {
    let mut labels = Array3::zeros((20, 64, 64));
    labels.slice_mut(s![13..16, 30..36, 14..20]).fill(2);
    labels.slice_mut(s![6..9, 28..32, 44..50]).fill(5);
    labels
}

/// A series in `ct`, its mask as NIfTI and as a Segmentation.
fn study(folder: &Path) {
    series("1.2.840.1").save(&folder.join("ct"));
    let source = SourceSeries::read(&folder.join("ct"), DicomOptions::default()).unwrap();
    let map = LabelMap { labels: lesions(), geometry: source.geometry.clone() };
    write_label_map(&folder.join("mask.nii.gz"), &map).unwrap();
    made::name_labels(folder);
    let maker = SegMaker::unknown(SegAlgorithm::Manual);
    let settings = SegSettings {
        kind: SegType::Binary,
        frames: SegFrames::Held,
        table: &LabelTable::default(),
        maker: &maker,
        writer: ["test", "0"],
    };
    write_dicom_seg(&folder.join("seg.dcm"), map, Path::new("mask"), &source, settings).unwrap();
}

fn quantify(folder: &Path, mask: &str, output: &str) -> (Option<i32>, String) {
    run(folder, &["quantify", mask, "--ct", "ct", "--output", output, "--save-dicom-sr"])
}

/// All numbers of a report, as highdicom reads its content.
const HIGHDICOM: &str = r#"
import json, sys
import highdicom as hd
report = hd.sr.srread(sys.argv[1])
content = report.content
groups = []
for of in (content.get_volumetric_roi_measurement_groups, content.get_image_measurement_groups):
    for group in of():
        segment = None
        if hasattr(group, "referenced_segmentation_frame") or hasattr(group, "roi"):
            roi = getattr(group, "roi", None)
            segment = getattr(roi, "referenced_segment_number", None)
        numbers = []
        for m in group.get_measurements():
            site = [s for s in m.finding_sites]
            where = "mask"
            if site:
                where = (site[0].laterality or site[0].topographical_modifier or site[0].value).meaning
            numbers.append([m.name.meaning, m.unit.value, where, float(m.value)])
        groups.append([group.tracking_identifier, group.finding_type.meaning, numbers])
print(json.dumps({"class": report.__class__.__name__, "patient": str(report.PatientName), "groups": groups}))
"#;

#[test]
fn highdicom_reads_the_numbers_that_quantify_found() {
    let Some(python) = python_with("highdicom") else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    study(at);
    for mask in ["mask.nii.gz", "seg.dcm"] {
        let (code, text) = quantify(at, mask, "out");
        assert_eq!(code, Some(0), "{text}");
        let output = Command::new(&python)
            .args(["-c", HIGHDICOM])
            .arg(at.join("out/measurements.dcm"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        let read: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(
            (read["class"].as_str(), read["patient"].as_str()),
            (Some("Comprehensive3DSR"), Some("Müller^Jörg"))
        );
        let found: Value =
            serde_json::from_slice(&std::fs::read(at.join("out/quantification.json")).unwrap())
                .unwrap();
        let number = |group: &str, name: &str, site: &str| {
            let groups = read["groups"].as_array().unwrap();
            let group = groups
                .iter()
                .find(|g| g[0] == group)
                .unwrap_or_else(|| panic!("{group} in {read}"));
            let numbers = group[2].as_array().unwrap();
            let found = numbers.iter().find(|n| n[0] == name && n[2] == site);
            found.unwrap_or_else(|| panic!("{name} at {site} in {group}"))[3].as_f64().unwrap()
        };
        let share = "Share of the lung's volume";
        for class in found["classes"].as_array().unwrap().iter().filter(|c| c["volume_ml"] != 0.0) {
            let name = class["name"].as_str().unwrap();
            let near =
                |a: f64, b: &Value| assert!((a - b.as_f64().unwrap()).abs() < 1e-9, "{a} {b}");
            near(number(name, "Volume", "mask"), &class["volume_ml"]);
            near(
                number(name, "Volume", "Upper third of the lungs' height"),
                &class["regions"]["upper_third"],
            );
            near(number(name, share, "Lung"), &class["percent_of_lung"]["whole"]);
            near(number(name, share, "Right"), &class["percent_of_lung"]["right"]);
        }
        let lung = found["lung"]["regions"]["whole"].as_f64().unwrap();
        assert!(lung > 100.0 && (number("Lung", "Volume", "Lung") - lung).abs() < 1e-9);
    }
}

#[test]
fn validators_find_no_error_in_a_report() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    study(at);
    let (code, text) = quantify(at, "seg.dcm", "out");
    assert_eq!(code, Some(0), "{text}");
    let file = at.join("out/measurements.dcm");
    if let Some(dciodvfy) = program("dciodvfy") {
        let output = Command::new(dciodvfy).arg(&file).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("Error")).collect();
        assert!(errors.is_empty() && said.contains("Comprehensive3DSR"), "{said}");
    }
    if let Some(dsrdump) = program("dsrdump") {
        let output = Command::new(dsrdump).args(["+Pc"]).arg(&file).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let bad = String::from_utf8_lossy(&output.stderr).into_owned();
        // It knows no UTF-8 and says so.
        let odd = bad.lines().filter(|line| !line.contains("Specific Character Set: ISO_IR 192"));
        let odd: Vec<&str> = odd.filter(|line| !line.trim().is_empty()).collect();
        assert!(output.status.success() && odd.is_empty(), "{bad}");
        assert!(
            said.contains("Imaging Measurements") && said.contains("Reticular pattern"),
            "{said}"
        );
    }
}

#[test]
fn a_report_of_another_study_or_without_dicom_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    study(at);
    std::fs::remove_dir_all(at.join("ct")).unwrap();
    series("1.2.840.9").save(&at.join("ct"));
    let (code, text) = quantify(at, "seg.dcm", "out");
    assert!(code == Some(3) && text.contains("another study"), "{text}");
    let args =
        ["quantify", "mask.nii.gz", "--ct", "mask.nii.gz", "--output", "out", "--save-dicom-sr"];
    let (code, text) = run(at, &args);
    assert!(code == Some(3) && text.contains("as a DICOM series (--ct)"), "{text}");
}

#[test]
fn a_pseudonym_stands_wherever_the_patient_would() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    study(at);
    // A folder that is called like the patient, as exports are.
    std::fs::rename(at.join("ct"), at.join("Mueller-ID-77")).unwrap();
    std::fs::rename(at.join("seg.dcm"), at.join("Mueller-ID-77.dcm")).unwrap();
    let args = ["quantify", "Mueller-ID-77.dcm", "--ct", "Mueller-ID-77", "--output", "out"];
    let flags = ["--save-dicom-sr", "--anonymous", "--report", "out/run.json"];
    let (code, text) = run(at, &[&args[..], &flags].concat());
    assert_eq!(code, Some(0), "{text}");
    let mut all = text.into_bytes();
    for entry in std::fs::read_dir(at.join("out")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        all.extend(name.bytes());
        all.extend(std::fs::read(path).unwrap());
    }
    let all = String::from_utf8_lossy(&all);
    for secret in ["Müller", "Mueller", "Jörg", "ID-77", "20200102"] {
        assert!(
            !all.contains(secret),
            "{secret}: {}",
            &all[all.find(secret).unwrap().saturating_sub(200)..][..300]
        );
    }
    assert!(all.matches("anon-").count() >= 3);
}

#[test]
fn a_tilted_ct_is_measured_on_request_with_the_mask_that_lies_on_it() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let (sin, cos) = 12f64.to_radians().sin_cos();
    let upright = Series {
        orientation: [1.0, 0.0, 0.0, 0.0, cos, sin],
        step_mm: 5.0 * cos,
        lean_mm: [0.0, 5.0 * sin * cos, 5.0 * sin * sin],
        ..series("1.2.840.1")
    };
    upright.save(&at.join("ct"));
    let options = DicomOptions { upright: true, series: None };
    let source = SourceSeries::read(&at.join("ct"), options).unwrap();
    let [z, y, x] = source.geometry.shape_zyx;
    let mut labels = Array3::zeros((z, y, x));
    labels.slice_mut(s![9..12, y / 2 - 3..y / 2 + 3, 14..20]).fill(2);
    let map = LabelMap { labels, geometry: source.geometry };
    write_label_map(&at.join("mask.nii.gz"), &map).unwrap();
    made::name_labels(at);
    let args = ["quantify", "mask.nii.gz", "--ct", "ct", "--output", "out", "--save-dicom-sr"];
    let (code, text) = run(at, &args);
    assert!(code == Some(3) && text.contains("`ild-metrics quantify`"), "{text}");
    let (code, text) = run(at, &[&args[..], &["--upright"]].concat());
    assert!(code == Some(0) && text.contains("tilted by 12.0°"), "{text}");
    assert!(at.join("out/measurements.dcm").is_file());
    let found = std::fs::read(at.join("out/quantification.json")).unwrap();
    let found: Value = serde_json::from_slice(&found).unwrap();
    let ml = found["total"]["volume_ml"].as_f64().unwrap();
    // 3 slices of 6 × 6 pixels of 2 mm, their planes 5·cos 12° apart.
    assert!((ml - 108.0 * 4.0 * 5.0 * cos / 1000.0).abs() < 1e-6, "{ml}");
    let lung = found["lung"]["regions"]["whole"].as_f64().unwrap();
    assert!(lung > 100.0, "{lung}");
    let (code, text) = run(at, &["quantify", "mask.nii.gz", "--ct", "mask.nii.gz", "--upright"]);
    assert!(code == Some(3) && text.contains("leave these flags out"), "{text}");
}
