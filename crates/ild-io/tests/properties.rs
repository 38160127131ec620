//! What must hold for any array and any bytes.

use std::fs;

use ild_io::{
    NpyArray, read_label_map, read_npy, read_npz, read_npz_u8, read_volume, write_npy, write_npz_u8,
};
use ndarray::{ArrayD, IxDyn};
use proptest::prelude::*;
use proptest::test_runner::Config;

fn array() -> impl Strategy<Value = ArrayD<u8>> {
    prop::collection::vec(0usize..6, 0..5).prop_flat_map(|shape| {
        let n = shape.iter().product::<usize>();
        prop::collection::vec(any::<u8>(), n)
            .prop_map(move |values| ArrayD::from_shape_vec(IxDyn(&shape), values).unwrap())
    })
}

/// Few cases for machines that are busy; `PROPTEST_CASES` asks for more.
fn config() -> Config {
    Config {
        cases: std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(96),
        failure_persistence: None,
        ..Config::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_array_comes_back_from_npy_and_npz(array in array(), swap in any::<bool>()) {
        let folder = tempfile::tempdir().unwrap();
        // Reversed axes make the memory layout Fortran's.
        let view = if swap { array.view().reversed_axes() } else { array.view() };
        let path = folder.path().join("a.npy");
        write_npy(&path, view.clone()).unwrap();
        prop_assert_eq!(read_npy(&path).unwrap(), NpyArray::U8(view.to_owned()));
        let path = folder.path().join("a.npz");
        write_npz_u8(&path, [("key", view.clone())]).unwrap();
        prop_assert_eq!(read_npz_u8(&path, "key").unwrap(), view.to_owned());
    }

    #[test]
    fn floats_keep_every_bit(values in prop::collection::vec(any::<u64>(), 0..40)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        let array = ndarray::Array1::from_iter(values.iter().map(|&bits| f64::from_bits(bits))).into_dyn();
        write_npy(&path, array.view()).unwrap();
        let NpyArray::F64(back) = read_npy(&path).unwrap() else { panic!("float64 expected") };
        prop_assert_eq!(back.iter().map(|v| v.to_bits()).collect::<Vec<_>>(), values);
    }

    #[test]
    fn no_bytes_make_a_reader_panic(head in 0usize..4, bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("any");
        let magic: &[u8] = [&b""[..], b"\x93NUMPY\x01\x00", b"PK\x03\x04", b"\x5c\x01\x00\x00"][head];
        fs::write(&path, [magic, &bytes].concat()).unwrap();
        let _ = (read_volume(&path), read_label_map(&path), read_npy(&path), read_npz(&path), ild_io::info::describe(&path));
    }

    #[test]
    fn a_changed_npz_is_refused_or_read_but_never_panics(at in any::<prop::sample::Index>(), value in any::<u8>()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npz");
        let array = ArrayD::from_elem(vec![2, 3, 4], 7u8);
        write_npz_u8(&path, [("imgs", array.view()), ("gts", array.view())]).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = value;
        fs::write(&path, bytes).unwrap();
        if let Ok(read) = read_npz_u8(&path, "imgs") {
            prop_assert_eq!(read, array);
        }
        let _ = ild_io::info::describe(&path);
    }
}
