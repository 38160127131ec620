//! NIfTI and NRRD: any bytes are read or refused.
//!
//! `cargo +nightly fuzz run volume -- -max_len=4096`; `seeds.py` makes files to start from.
#![no_main]

use libfuzzer_sys::fuzz_target;

mod scratch;

fuzz_target!(|bytes: &[u8]| {
    let path = scratch::file(bytes);
    let _ = ild_io::read_volume(&path);
    let _ = ild_io::read_label_map(&path);
});
