//! `ild-io convert`.

use std::path::PathBuf;

use ild_cli::{Common, RunReport};

/// Make a NIfTI file of a DICOM folder, an NRRD or an NPZ, or pack and unpack one.
///
/// DICOM slices are sorted by position and rescaled to Hounsfield units; incomplete or mixed series
/// are refused. The slices of an NPZ go to their places on the CT's own grid, its labels into
/// `<OUT>_gts` beside it.
#[derive(clap::Args, serde::Serialize)]
#[command(after_help = "Examples:
  ild-io convert dicom/series-3 imagesTr/case01_0000.nii.gz
  ild-io convert npz_test/CT_ILD/case01.npz look.nii.gz
  ild-io convert ct.nii ct.nii.gz")]
pub struct Args {
    /// DICOM folder, NIfTI (.nii, .nii.gz, .hdr), NRRD, or NPZ of a case.
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// NIfTI file to make, .nii or .nii.gz.
    #[arg(value_name = "OUT")]
    output: PathBuf,
}

/// Runs the sub-command.
pub fn run(args: &Args, common: &Common) -> anyhow::Result<()> {
    let mut report = RunReport::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    report.set("settings", args);
    let converted =
        ild_io::convert(&args.input, &args.output, common.force || common.overwrite_foreign)?;
    for note in &converted.notes {
        tracing::warn!("{}: {note}", args.input.display());
    }
    for output in &converted.outputs {
        ild_cli::say(output.display())?;
        report.output(output);
    }
    if common.report.is_some() && args.input.is_file() {
        report.input(&args.input)?;
    }
    Ok(report.write(common.report.as_deref())?)
}
