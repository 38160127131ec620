//! A hospital's series in, a DICOM Segmentation of it out.

use std::path::PathBuf;
use std::process::Command;

use ild_io::cohort::read_mask;
use ild_io::{
    DicomOptions, LabelMap, LabelTable, SourceSeries, read_dicom_ct, read_label_map,
    write_label_map, write_volume,
};
use ild_test_support::dicom::{Series, zip};
use tempfile::TempDir;

/// A series in `ct/case`, and ground truth on its grid in `gt`; the work goes to `out`.
struct Work(TempDir);

impl Work {
    fn of(series: &Series) -> Self {
        let work = Self(tempfile::tempdir().unwrap());
        series.save(&work.at("ct/case"));
        let options = DicomOptions { upright: true, series: None };
        let grid = SourceSeries::read(&work.at("ct/case"), options).unwrap().geometry;
        let [z, y, x] = grid.shape_zyx;
        let mut labels = ndarray::Array3::zeros((z, y, x));
        labels.slice_mut(ndarray::s![1..3, y / 3..y / 2, x / 4..x / 3]).fill(2);
        labels.slice_mut(ndarray::s![2..4, y / 2..y / 2 + 6, x / 2..x / 2 + 9]).fill(5);
        std::fs::create_dir(work.at("gt")).unwrap();
        write_label_map(&work.at("gt/case.nii.gz"), &LabelMap { labels, geometry: grid }).unwrap();
        work
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Fills the boxes of the ground truth and saves them as a Segmentation.
    fn run(&self, input: &str, more: &[&str]) -> (Option<i32>, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ild-infer"));
        command.current_dir(self.0.path()).args(["--input", input, "--output", "out"]);
        command.args(["--prompt", "gt", "--gt-path", "gt", "--baseline", "box-fill"]);
        let output = command.arg("--save-dicom-seg").args(more).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code(), said + &String::from_utf8_lossy(&output.stderr))
    }

    fn seg(&self) -> PathBuf {
        self.at("out/dicom-seg/case.dcm")
    }

    /// The label map and the Segmentation hold the same voxels of labels 2 and 5.
    fn check(&self) {
        let nifti = read_label_map(&self.at("out/case.nii.gz")).unwrap();
        assert_eq!(nifti.ids(), [2, 5]);
        let back = read_mask(&self.seg(), &LabelTable::default()).unwrap();
        let back = back.on_grid_of(&self.seg(), "segmentation", "CT", &nifti.geometry).unwrap();
        assert_eq!(back.labels, nifti.labels);
    }
}

fn chest() -> Series {
    let hu = |[x, y, z]: [f64; 3]| -900.0 + (3.0 * x + 5.0 * y + 7.0 * z).rem_euclid(900.0);
    Series { slices: 6, rows: 48, columns: 40, hu, ..Series::default() }
}

#[test]
fn a_series_becomes_a_segmentation_of_itself() {
    let work = Work::of(&chest());
    let (code, said) = work.run("ct/case", &[]);
    assert_eq!(code, Some(0), "{said}");
    work.check();
    let (code, said) = work.run("ct/case", &[]);
    assert!(code == Some(0) && said.contains("finished before"), "{said}");
}

#[test]
fn a_zipped_series_is_segmented_where_it_lies() {
    let work = Work::of(&chest());
    zip(&work.at("ct"), &work.at("case.zip"), true);
    let before: Vec<_> =
        std::fs::read_dir(work.0.path()).unwrap().map(|e| e.unwrap().path()).collect();
    let (code, said) = work.run("case.zip", &[]);
    assert_eq!(code, Some(0), "{said}");
    work.check();
    let after = std::fs::read_dir(work.0.path()).unwrap().count();
    assert_eq!(after, before.len() + 1, "nothing but `out` was made");
    let (code, said) = work.run("case.zip", &[]);
    assert!(code == Some(0) && said.contains("finished before"), "{said}");
}

#[test]
fn a_tilted_series_is_segmented_on_request() {
    let (sin, cos) = 12f64.to_radians().sin_cos();
    let work = Work::of(&Series {
        orientation: [1.0, 0.0, 0.0, 0.0, cos, sin],
        step_mm: 2.5 * cos,
        lean_mm: [0.0, 2.5 * sin * cos, 2.5 * sin * sin],
        ..chest()
    });
    let (code, said) = work.run("ct/case", &[]);
    assert!(code == Some(3) && said.contains("--upright"), "{said}");
    let (code, said) = work.run("ct/case", &["--upright"]);
    assert!(code == Some(0) && said.contains("tilted by 12.0°"), "{said}");
    assert!(work.seg().is_file());
}

#[test]
fn a_result_that_belongs_to_no_series_becomes_none() {
    let work = Work::of(&chest());
    let (volume, _) = read_dicom_ct(&work.at("ct/case"), DicomOptions::default()).unwrap();
    write_volume(&work.at("case_0000.nii.gz"), &volume).unwrap();
    let (code, said) = work.run("case_0000.nii.gz", &[]);
    assert!(code == Some(3) && said.contains("--like SERIES"), "{said}");
}

#[test]
fn a_series_that_is_not_there_is_refused_with_those_that_are() {
    let work = Work::of(&chest());
    let (code, said) = work.run("ct/case", &["--series", "777"]);
    assert!(code == Some(3) && said.contains("`777`") && said.contains("6 slices"), "{said}");
}

/// Everything that a run said, the names of its files, hidden ones too, and what is in those that are
/// no DICOM, which says whose it is by UIDs.
fn left_behind(work: &Work, said: &str) -> String {
    let (mut all, mut folders) = (said.as_bytes().to_vec(), vec![work.at("out")]);
    all.extend(std::fs::read(work.at("report.json")).unwrap());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            all.extend(path.file_name().unwrap().to_str().unwrap().bytes());
            match path.is_dir() {
                true => folders.push(path),
                false if path.extension() == Some("dcm".as_ref()) => {}
                false => all.extend(std::fs::read(path).unwrap()),
            }
        }
    }
    String::from_utf8_lossy(&all).into_owned()
}

#[test]
fn a_pseudonym_stands_wherever_the_patient_would() {
    let work = Work::of(&chest());
    let options = DicomOptions::default();
    let pseudonym = SourceSeries::read(&work.at("ct/case"), options).unwrap().pseudonym();
    // A folder and files that are called like the patient, as exports are.
    let ct = work.at("ct/Müller Jörg 19500102");
    std::fs::rename(work.at("ct/case"), &ct).unwrap();
    std::fs::rename(ct.join("IM001.dcm"), ct.join("Müller 1.dcm")).unwrap();
    std::fs::write(ct.join("Brief an Müller.txt"), "no slice").unwrap();
    std::fs::rename(work.at("gt/case.nii.gz"), work.at(&format!("gt/{pseudonym}.nii.gz"))).unwrap();
    let secrets =
        ["Müller", "M\\u", "Jörg", "19500102", "ID-77", "20200102", "1.2.840.1 ", "1.2.3."];
    let home = std::path::absolute(work.0.path()).unwrap();
    let secrets = secrets.into_iter().chain([home.to_str().unwrap()]);
    let input = "ct/Müller Jörg 19500102";
    let flags = ["--anonymous", "--report", "report.json"];
    for again in [false, true] {
        let (code, said) = work.run(input, &flags);
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(said.contains("finished before"), again, "{said}");
        let all = left_behind(&work, &said);
        for secret in secrets.clone() {
            let at =
                all.find(secret).map(|at| all[..at].chars().rev().take(80).collect::<String>());
            assert!(
                at.is_none(),
                "{secret} behind {:?}",
                at.map(|s| s.chars().rev().collect::<String>())
            );
        }
    }
    let seg = std::fs::read(work.at(&format!("out/dicom-seg/{pseudonym}.dcm"))).unwrap();
    let seg = String::from_utf8_lossy(&seg);
    assert!(!["Müller", "Jörg", "ID-77", "20200102"].iter().any(|secret| seg.contains(secret)));
    // A refusal, too: the slice in the middle is gone.
    std::fs::remove_file(ct.join("IM003.dcm")).unwrap();
    let (code, said) = work.run(input, &flags);
    assert!(code == Some(3) && said.contains("1 slice is missing between #"), "{said}");
    for secret in secrets {
        assert!(!said.contains(secret), "{secret}: {said}");
    }
}
