//! NPY and NPZ: any bytes are read or refused, and what is read is described.
//!
//! Bytes that are no archive are also put into one, with a right checksum, as `imgs` and `gts`: a
//! mutation of a finished archive seldom gets past its checksum.
#![no_main]

use std::io::Write;

use libfuzzer_sys::fuzz_target;
use zip::write::SimpleFileOptions;

mod scratch;

fuzz_target!(|bytes: &[u8]| {
    let path = scratch::file(bytes);
    let _ = ild_io::read_npy(&path);
    let _ = ild_io::info::describe(&path);
    if !bytes.starts_with(b"PK") {
        scratch::file(&archive(bytes));
        let _ = ild_io::info::describe(&path);
    }
    let _ = ild_io::read_npz(&path);
});

fn archive(bytes: &[u8]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for name in ["imgs.npy", "gts.npy"] {
        archive.start_file(name, SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored)).expect("a new name");
        archive.write_all(bytes).expect("memory takes it");
    }
    archive.finish().expect("memory takes it").into_inner()
}
