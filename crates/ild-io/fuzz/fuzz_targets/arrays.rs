//! NPY and NPZ: any bytes are read or refused, and what is read is described.
#![no_main]

use libfuzzer_sys::fuzz_target;

mod scratch;

fuzz_target!(|bytes: &[u8]| {
    let path = scratch::file(bytes);
    let _ = ild_io::read_npy(&path);
    let _ = ild_io::read_npz(&path);
    let _ = ild_io::info::describe(&path);
});
