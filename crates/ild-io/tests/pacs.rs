//! `pull` and `push` with an archive that is not ours: Orthanc with its DICOMweb plug-in, on this machine.

mod common;

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::dicom::Series;
use dicom_object::{InMemDicomObject, open_file};
use ild_io::cohort::read_mask;
use ild_io::{
    DicomOptions, Label, LabelMap, LabelTable, MeasuredGroup, Measurement, Quantity, SegAlgorithm,
    SegMaker, SegReference, SourceSeries, SrReport, SrSite, read_dicom_ct, write_dicom_sr,
    write_label_map,
};
use ild_test_support::{program, skipped};
use ndarray::{Array3, s};
use tempfile::TempDir;

const PLUGIN: &str = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so";
/// How long Orthanc may take to answer on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// An empty archive that one password opens.
struct Orthanc {
    process: Child,
    work: TempDir,
    address: String,
}

impl Orthanc {
    fn start() -> Option<Self> {
        let orthanc = program("Orthanc")?;
        if !Path::new(PLUGIN).exists() {
            skipped(format_args!("{PLUGIN} is not there"));
            return None;
        }
        let work = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let store = work.path().join("store");
        let config = serde_json::json!({
            "StorageDirectory": store, "IndexDirectory": store, "Plugins": [PLUGIN],
            "HttpPort": port, "RemoteAccessAllowed": false, "DicomServerEnabled": false,
            "AuthenticationEnabled": true, "RegisteredUsers": {"ild": "s3cret"},
            "DicomWeb": {"Enable": true, "Root": "/dicom-web/"},
        });
        std::fs::write(work.path().join("orthanc.json"), config.to_string()).unwrap();
        std::fs::write(work.path().join("token"), "ild:s3cret\n").unwrap();
        let mut command = Command::new(orthanc);
        command.arg(work.path().join("orthanc.json")).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().unwrap();
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(started.elapsed() < PATIENCE, "Orthanc does not answer");
            std::thread::sleep(Duration::from_millis(100));
        }
        Some(Self { process, work, address: format!("http://127.0.0.1:{port}/dicom-web") })
    }

    /// Puts a proxy in front that encrypts, with a certificate for this machine that nobody else vouches
    /// for: `archive.pem`. (Debian's Orthanc 1.10 breaks down on the first encrypted connection.)
    fn encrypted(mut self) -> Option<(Self, Proxy)> {
        let socat = program("socat")?;
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(self.at("archive.pem"), made.cert.pem()).unwrap();
        let both = made.cert.pem() + &made.signing_key.serialize_pem();
        std::fs::write(self.at("both.pem"), both).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let front = format!(
            "OPENSSL-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork,verify=0,cert={}",
            self.at("both.pem").display()
        );
        let behind = self.address.trim_start_matches("http://").split('/').next().unwrap();
        let mut command = Command::new(socat);
        command.args([front, format!("TCP:{behind}")]).stderr(Stdio::null());
        let proxy = Proxy(command.spawn().unwrap());
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(started.elapsed() < PATIENCE, "the proxy does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        self.address = format!("https://localhost:{port}/dicom-web");
        Some((self, proxy))
    }

    fn at(&self, name: &str) -> PathBuf {
        self.work.path().join(name)
    }

    fn ild_io(&self, args: &[&str]) -> (Option<i32>, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ild-io"));
        let output = command.current_dir(self.work.path()).args(args).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code(), said + &String::from_utf8_lossy(&output.stderr))
    }

    /// `pull` or `push` with the archive's address and password.
    fn talk(&self, command: &str, args: &[&str]) -> (Option<i32>, String) {
        let with = [command, "--pacs", &self.address, "--token-file", "token"];
        self.ild_io(&[&with[..], args].concat())
    }

    fn did(&self, command: &str, args: &[&str]) -> String {
        let (code, said) = self.talk(command, args);
        assert_eq!(code, Some(0), "{command}: {said}");
        said
    }
}

/// Ends with the test.
struct Proxy(Child);

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Orthanc {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn chest() -> Series {
    let hu = |[x, y, z]: [f64; 3]| -900.0 + (3.0 * x + 5.0 * y + 7.0 * z).rem_euclid(900.0);
    Series { slices: 14, rows: 24, columns: 20, hu, ..Series::default() }
}

fn labels() -> Array3<u8> {
    let mut labels = Array3::zeros((14, 24, 20));
    labels.slice_mut(s![3..6, 5..15, 6..16]).fill(2);
    labels.slice_mut(s![9, 0..4, 0..4]).fill(5);
    labels
}

/// A report on the Segmentation at `seg` of the series in `ct`.
fn report(ct: &Path, seg: &Path, path: &Path) {
    let series = SourceSeries::read(ct, DicomOptions::default()).unwrap();
    let mask = SegReference::read(seg).unwrap();
    let label = Label { name: "Reticulation".to_owned(), color: [0; 3], code: None };
    let (quantity, site) = (Quantity::VolumeMl, SrSite::WholeMask);
    let measurements = vec![Measurement { quantity, site, value: 12.5 }];
    let report = SrReport {
        series: &series,
        mask: Some(&mask),
        maker: &SegMaker::unknown(SegAlgorithm::Manual),
        notices: &[],
        groups: &[MeasuredGroup { label, measurements }],
        writer: ["test", "0"],
    };
    write_dicom_sr(path, &report).unwrap();
}

/// Whether two objects hold the same, however long they say that their sequences are.
fn same(a: &InMemDicomObject, b: &InMemDicomObject) -> bool {
    let tags =
        |object: &InMemDicomObject| object.iter().map(|e| e.header().tag).collect::<Vec<_>>();
    tags(a) == tags(b)
        && a.iter().zip(b.iter()).all(|(x, y)| match (x.items(), y.items()) {
            (Some(x), Some(y)) => x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same(x, y)),
            (None, None) => x.to_bytes().ok() == y.to_bytes().ok(),
            _ => false,
        })
}

#[test]
fn a_series_its_segmentation_and_its_report_come_back_as_they_were_sent() {
    let Some(orthanc) = Orthanc::start() else { return };
    chest().save(&orthanc.at("sent"));
    let said = orthanc.did("push", &["sent"]);
    assert!(said.contains("14 of 14 files stored"), "{said}");

    let said = orthanc.did("pull", &["--study", "1.2.840.1", "ct"]);
    assert!(said.contains("14 files of series 7 `Chest` (CT"), "{said}");
    let ct = |name: &str| read_dicom_ct(&orthanc.at(name), DicomOptions::default()).unwrap().0;
    assert_eq!(ct("ct"), ct("sent"));

    let map = LabelMap { labels: labels(), geometry: ct("ct").geometry };
    write_label_map(&orthanc.at("mask.nii.gz"), &map).unwrap();
    std::fs::write(orthanc.at("labels.json"), r#"{"2": "Reticulation", "5": "Honeycombing"}"#)
        .unwrap();
    let (code, said) = orthanc.ild_io(&["convert", "mask.nii.gz", "--like", "ct", "seg.dcm"]);
    assert_eq!(code, Some(0), "{said}");
    report(&orthanc.at("ct"), &orthanc.at("seg.dcm"), &orthanc.at("sr.dcm"));
    let said = orthanc.did("push", &["seg.dcm", "sr.dcm"]);
    assert_eq!(said.matches("stored as 2.25.").count(), 2, "{said}");

    for (series, sent) in [("107", "seg.dcm"), ("207", "sr.dcm")] {
        orthanc.did("pull", &["--study", "1.2.840.1", "--series", series, series]);
        let back = open_file(orthanc.at(series).join("IM0001.dcm")).unwrap();
        let sent = open_file(orthanc.at(sent)).unwrap();
        assert!(same(&back, &sent), "{series}");
    }
    let table = LabelTable::read(&orthanc.at("labels.json")).unwrap();
    let back = read_mask(&orthanc.at("107/IM0001.dcm"), &table).unwrap();
    let back = back.on_grid_of(Path::new("seg"), "segmentation", "CT", &map.geometry).unwrap();
    assert_eq!(back.labels, map.labels);
    // The study has one CT and two other series: the CT is still the one that is meant.
    orthanc.did("pull", &["--study", "1.2.840.1", "again"]);
    assert_eq!(ct("again"), ct("sent"));
}

#[test]
fn an_archive_with_a_certificate_of_its_own_is_believed_when_its_authority_is_named() {
    let Some((orthanc, _proxy)) = Orthanc::start().and_then(Orthanc::encrypted) else { return };
    chest().save(&orthanc.at("sent"));
    let (code, said) = orthanc.talk("push", &["sent"]);
    assert!(code == Some(1) && said.contains("--certificates"), "{said}");
    orthanc.did("push", &["sent", "--certificates", "archive.pem"]);
    orthanc.did("pull", &["--study", "1.2.840.1", "ct", "--certificates", "archive.pem"]);
    let ct = |name: &str| read_dicom_ct(&orthanc.at(name), DicomOptions::default()).unwrap().0;
    assert_eq!(ct("ct"), ct("sent"));
    let (code, said) =
        orthanc.talk("pull", &["--study", "1.2.840.1", "x", "--certificates", "token"]);
    assert!(code == Some(3) && said.contains("BEGIN CERTIFICATE"), "{said}");
}

#[test]
fn an_archive_that_says_no_is_told_with_what_to_do() {
    let Some(orthanc) = Orthanc::start() else { return };
    chest().save(&orthanc.at("sent"));
    let (code, said) = orthanc.ild_io(&["push", "--pacs", &orthanc.address, "sent/IM001.dcm"]);
    assert!(
        code == Some(1) && said.contains("HTTP 401") && said.contains("--token-file"),
        "{said}"
    );
    let (code, said) = orthanc.talk("pull", &["--study", "1.2.3", "none"]);
    assert!(code != Some(0) && said.contains("1.2.3"), "{said}");
    orthanc.did("push", &["sent"]);
    let other = Series { number: 8, ..chest() };
    other.save(&orthanc.at("other"));
    orthanc.did("push", &["other"]);
    let (code, said) = orthanc.talk("pull", &["--study", "1.2.840.1", "two"]);
    assert!(code == Some(3) && said.contains("series 8") && said.contains("--series"), "{said}");
    orthanc.did("pull", &["--study", "1.2.840.1", "--series", "8", "eight"]);
    assert_eq!(
        std::fs::read_dir(orthanc.at("eight"))
            .unwrap()
            .flatten()
            .filter(|e| !e.file_name().to_string_lossy().starts_with('.'))
            .count(),
        14
    );
}

#[test]
fn no_password_and_no_accession_number_stands_in_a_record() {
    let Some(orthanc) = Orthanc::start() else { return };
    chest().save(&orthanc.at("sent"));
    orthanc.did("push", &["sent", "--report", "push.json"]);
    let said = orthanc.talk("pull", &["--accession", "ACC-991", "x", "--report", "pull.json"]).1;
    let mut all = said + &std::fs::read_to_string(orthanc.at("push.json")).unwrap();
    all += &std::fs::read_to_string(orthanc.at("pull.json")).unwrap_or_default();
    for secret in ["s3cret", "ACC-991", "Müller", "ID-77"] {
        assert!(!all.contains(secret), "{secret} in {all}");
    }
}

#[test]
fn an_address_that_anybody_can_listen_to_is_refused_before_anything_is_sent() {
    let work = tempfile::tempdir().unwrap();
    chest().save(&work.path().join("ct"));
    let run = |pacs: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ild-io"));
        let output = command.current_dir(work.path()).args(["push", "--pacs", pacs, "ct"]).output();
        let output = output.unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = run("http://192.0.2.1/dicom-web");
    assert!(code == Some(3) && said.contains("--unencrypted"), "{said}");
    let (code, said) = run("https://me:s3cret@192.0.2.1/dicom-web");
    assert!(code == Some(3) && !said.contains("s3cret"), "{said}");
}
