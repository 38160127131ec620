//! DICOM slices with all their compressions, and segmentations.
#![no_main]

use libfuzzer_sys::fuzz_target;

mod scratch;

fuzz_target!(|bytes: &[u8]| {
    let path = scratch::file(bytes);
    let _ = ild_io::read_dicom_series(&path);
    let _ = ild_io::read_label_map(&path);
});
