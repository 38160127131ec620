//! Reads files that PyTorch wrote (`tests/golden/checkpoint/export.py`) and files that somebody
//! bent.

use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use candle_core::{DType, Tensor};
use ild_model::checkpoint::TorchFile;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/checkpoint").join(name)
}

fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// The exporter's `ramp`: i / 8 - 1.
fn ramp(n: usize) -> Vec<f64> {
    (0..n).map(|i| i as f64 / 8.0 - 1.0).collect()
}

fn refusal(name: &str) -> String {
    TorchFile::open(&golden(name)).and_then(|file| file.state_dict()).unwrap_err().to_string()
}

#[test]
fn every_way_of_saving_a_state_dict_gives_the_same_tensors() {
    for name in [
        "bare.pt",
        "model.pt",
        "finetuned.pth",
        "parameters.pt",
        "legacy.pt",
        "protocol4.pt",
        "other_objects.pt",
    ] {
        let tensors = TorchFile::open(&golden(name)).unwrap().state_dict().unwrap();
        assert_eq!(tensors.keys().collect::<Vec<_>>(), ["bias", "weight"], "{name}");
        assert_eq!(tensors["weight"].dims(), [3, 4], "{name}");
        assert_eq!(values(&tensors["weight"]), ramp(12), "{name}");
        assert_eq!(values(&tensors["bias"]), ramp(5), "{name}");
    }
}

#[test]
fn every_element_type_is_read() {
    let tensors = TorchFile::open(&golden("types.pt")).unwrap().state_dict().unwrap();
    assert_eq!(tensors.len(), 10);
    for (name, tensor) in &tensors {
        let expected: Vec<f64> = match name.as_str() {
            "float16" | "bfloat16" | "float32" | "float64" => ramp(6),
            "bool" => vec![0., 1., 0., 1., 0., 1.],
            "uint8" => (0..6).map(f64::from).collect(),
            _ => (0..6).map(|i| f64::from(i) - 2.0).collect(),
        };
        assert_eq!(values(tensor), expected, "{name}");
    }
    assert_eq!(tensors["bfloat16"].dtype(), DType::BF16);
}

#[test]
fn views_are_gathered_through_their_strides() {
    let tensors = TorchFile::open(&golden("views.pt")).unwrap().state_dict().unwrap();
    let r = |i: usize| i as f64 / 8.0 - 1.0;
    let grid = |rows: usize, columns: usize, at: &dyn Fn(usize, usize) -> usize| -> Vec<f64> {
        (0..rows)
            .flat_map(|y| (0..columns).map(move |x| (y, x)))
            .map(|(y, x)| r(at(y, x)))
            .collect()
    };
    assert_eq!(values(&tensors["row"]), grid(1, 6, &|_, x| 6 + x));
    assert_eq!(values(&tensors["columns"]), grid(4, 2, &|y, x| y * 6 + 2 + x));
    assert_eq!(values(&tensors["transposed"]), grid(6, 4, &|y, x| x * 6 + y));
    assert_eq!(values(&tensors["every_second"]), grid(2, 6, &|y, x| y * 12 + x));
    assert_eq!(values(&tensors["expanded"]), grid(3, 4, &|y, _| y));
    assert_eq!(values(&tensors["permuted"]), grid(4, 6, &|a, bc| bc * 4 + a));
    assert_eq!(values(&tensors["channels_last"]), ramp(24));
    assert_eq!((tensors["scalar"].dims(), values(&tensors["scalar"])), (&[][..], vec![0.5]));
    assert_eq!(tensors["empty"].dims(), [0, 3]);
}

#[test]
fn optimizer_state_can_be_looked_into() {
    let file = TorchFile::open(&golden("finetuned.pth")).unwrap();
    assert_eq!(file.root().key("epoch").unwrap().as_i64(), Some(7));
    let optimizer = file.root().key("optimizer").unwrap();
    let group = optimizer.key("param_groups").unwrap().items().next().unwrap();
    assert_eq!(group.key("lr").unwrap().as_f64(), Some(6e-5));
    let (index, moments) = optimizer.key("state").unwrap().entries().next().unwrap();
    assert_eq!(index.as_i64(), Some(0));
    let average = file.tensor(moments.key("exp_avg").unwrap(), "exp_avg").unwrap();
    assert_eq!(values(&average), ramp(12));
}

#[test]
fn what_cannot_be_read_is_named_and_not_left_out() {
    assert!(
        refusal("complex.pt").contains("found torch.ComplexFloatStorage"),
        "{}",
        refusal("complex.pt")
    );
    assert!(refusal("no_tensors.pt").contains("found a dict without tensors"));
    assert!(refusal("whole_module.pt").contains("an object of torch.nn.modules.linear.Linear"));
    assert!(refusal("export.py").contains("expected a PyTorch checkpoint"));
    assert!(refusal("absent.pt").contains("expected a readable file"));
    assert!(refusal("").contains("expected a regular file"));
}

#[test]
fn a_file_cut_anywhere_is_refused_without_panic() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["model.pt", "legacy.pt"] {
        let bytes = std::fs::read(golden(name)).unwrap();
        for keep in (0..bytes.len()).step_by(7) {
            let path = dir.path().join("cut.pt");
            std::fs::write(&path, &bytes[..keep]).unwrap();
            assert!(
                TorchFile::open(&path).and_then(|file| file.state_dict()).is_err(),
                "{name} cut at {keep}"
            );
        }
    }
}

#[test]
fn a_file_with_any_byte_flipped_never_panics() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["views.pt", "legacy.pt"] {
        let bytes = std::fs::read(golden(name)).unwrap();
        for at in 0..bytes.len() {
            let mut bent = bytes.clone();
            bent[at] ^= 0x55;
            let path = dir.path().join("bent.pt");
            std::fs::write(&path, &bent).unwrap();
            let _ = TorchFile::open(&path).and_then(|file| file.state_dict());
        }
    }
}

/// An archive with this program and one storage of four values.
fn archive(program: &[u8]) -> tempfile::NamedTempFile {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let stored =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, bytes) in [("a/data.pkl", program), ("a/data/0", &[0; 16])] {
        zip.start_file(name, stored).unwrap();
        zip.write_all(bytes).unwrap();
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), zip.finish().unwrap().into_inner()).unwrap();
    file
}

/// `{"w": tensor(offset, shape, stride)}` with the numbers as pickled INTs.
fn tensor_program(offset: &str, shape: &str, stride: &str) -> Vec<u8> {
    let ints = |text: &str| text.split_whitespace().map(|n| format!("I{n}\n")).collect::<String>();
    format!(
        "}}S'w'\nctorch._utils\n_rebuild_tensor_v2\n((S'storage'\nctorch\nFloatStorage\nS'0'\nS'cpu'\nI4\ntQI{offset}\n({}t({}ttRs.",
        ints(shape),
        ints(stride)
    )
    .into_bytes()
}

#[test]
fn tensors_outside_their_storage_are_refused() {
    let read = |program: &[u8]| {
        TorchFile::open(archive(program).path())
            .and_then(|file| file.state_dict())
            .map_err(|error| error.to_string())
    };
    assert_eq!(read(&tensor_program("0", "2 2", "2 1")).unwrap()["w"].dims(), [2, 2]);
    let bent = [
        ("1", "2 2", "2 1", "a storage of at least 5 values"),
        ("-1", "2", "1", "expected a size, found -1"),
        ("4611686018427387904", "2", "1", "a storage of at least"),
        ("0", "9223372036854775807 9223372036854775807", "1 1", "fits in memory"),
        ("0", "2 2", "1", "2 strides"),
        ("0", "1000000000", "0", "no larger than the file allows"),
        ("0", "2", "9223372036854775807", "a storage of at least"),
    ];
    for (offset, shape, stride, message) in bent {
        let found = read(&tensor_program(offset, shape, stride)).unwrap_err();
        assert!(found.contains(message), "{offset} {shape} {stride}: {found}");
    }
}

#[test]
fn a_program_that_would_run_code_gives_no_tensors_and_runs_nothing() {
    let marker = std::env::temp_dir().join(format!("ild-never-{}", std::process::id()));
    let program = format!("}}S'w'\ncposix\nsystem\n(S'touch {}'\ntRs.", marker.display());
    let error = TorchFile::open(archive(program.as_bytes()).path())
        .and_then(|file| file.state_dict())
        .unwrap_err()
        .to_string();
    assert!(error.contains("a dict without tensors"), "{error}");
    assert!(!marker.exists());
}

/// `d = {}; d["model"] = d`.
#[test]
fn a_dict_that_holds_itself_is_refused_and_does_not_hang() {
    let file = archive(b"\x80\x02}q\x00X\x05\x00\x00\x00modelh\x00s.");
    let message =
        TorchFile::open(file.path()).and_then(|file| file.state_dict()).unwrap_err().to_string();
    assert!(
        message.contains(
            "a dict of tensors, alone or under the key `model`, found a dict without tensors"
        ),
        "{message}"
    );
}
