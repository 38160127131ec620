//! Reads one CT on request, so that `tests/peers/dicom.py` can time it in alternation with other
//! programs.
//!
//! Each line on stdin is a path: a folder or zip archive of DICOM, a multi-frame object, a NIfTI file.
//! Each answer is one line of JSON with wall and CPU seconds, peak memory, and the sum of the voxels.

use std::path::Path;

use clap::Parser;
use ild_io::{Volume, Voxels, read_volume};

/// Times the readers on request.
#[derive(Parser)]
#[command(name = "dicom_engine")]
struct Cli {
    #[command(flatten)]
    common: ild_cli::Common,
}

fn sum(volume: &Volume) -> f64 {
    match &volume.voxels {
        Voxels::I16(voxels) => voxels.iter().map(|&v| i64::from(v)).sum::<i64>() as f64,
        _ => f64::NAN,
    }
}

fn main() -> std::process::ExitCode {
    ild_cli::main(
        |cli: &Cli| &cli.common,
        |_| ild_cli::serve_timings(|path| Ok(sum(&read_volume(Path::new(path))?))),
        ild_io::Error::rejects,
    )
}
