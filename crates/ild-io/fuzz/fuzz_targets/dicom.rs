//! DICOM slices with all their compressions.
#![no_main]

use libfuzzer_sys::fuzz_target;

mod scratch;

fuzz_target!(|bytes: &[u8]| {
    let _ = ild_io::read_dicom_series(&scratch::file(bytes));
});
