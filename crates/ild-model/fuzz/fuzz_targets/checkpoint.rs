//! PyTorch files, zipped and legacy: any bytes are read or refused, none are run.
//!
//! Bytes that are no archive are also put into one, with a right checksum, as the program of a
//! checkpoint with one storage.
#![no_main]

use std::io::Write;

use ild_model::checkpoint::TorchFile;
use libfuzzer_sys::fuzz_target;
use zip::write::SimpleFileOptions;

#[path = "../../../ild-io/fuzz/fuzz_targets/scratch.rs"]
mod scratch;

const STORAGE: [u8; 64] = [0x3f; 64];

fuzz_target!(|bytes: &[u8]| {
    read(bytes);
    if !bytes.starts_with(b"PK") {
        read(&archive(bytes));
    }
});

fn read(bytes: &[u8]) {
    if let Ok(file) = TorchFile::open(&scratch::file(bytes)) {
        let _ = file.state_dict();
    }
}

fn archive(program: &[u8]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in [("a/data.pkl", program), ("a/data/0", &STORAGE)] {
        archive.start_file(name, SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored)).expect("a new name");
        archive.write_all(bytes).expect("memory takes it");
    }
    archive.finish().expect("memory takes it").into_inner()
}
