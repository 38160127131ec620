//! `ild-io convert`.

use std::path::{Path, PathBuf};

use ild_cli::{Common, RunReport, Usage, veil};
use ild_io::{
    Converted, DicomOptions, Format, SegAlgorithm, SegFrames, SegOutput, SegType, SourceSeries,
    convert, convert_from_seg, convert_to_seg,
};

/// Make a NIfTI file of a DICOM folder, an NRRD or an NPZ, pack and unpack one; make a DICOM
/// Segmentation of a mask, and a mask of a DICOM Segmentation.
///
/// DICOM slices are sorted by position and rescaled to Hounsfield units; incomplete or mixed series
/// are refused. The slices of an NPZ go to their places on the CT's own grid, its labels into
/// `<OUT>_gts` beside it. A mask becomes a DICOM Segmentation of the series that --like names, with
/// the patient and study of that series in it.
#[derive(clap::Args, serde::Serialize)]
#[command(after_help = "Examples:
  ild-io convert dicom/series-3 imagesTr/case01_0000.nii.gz
  ild-io convert npz_test/CT_ILD/case01.npz look.nii.gz
  ild-io convert ct.nii ct.nii.gz
  ild-io convert out/case01.nii.gz --like dicom/series-3 case01.seg.dcm
  ild-io convert case01.seg.dcm --like dicom/series-3 case01.nii.gz")]
pub struct Args {
    /// DICOM folder, zip archive of one, or Segmentation, NIfTI (.nii, .nii.gz, .hdr), NRRD, or NPZ of a case.
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// File to make: .nii or .nii.gz, or .dcm for a DICOM Segmentation.
    #[arg(value_name = "OUT")]
    output: PathBuf,
    /// The DICOM series that the mask belongs to: its folder.
    #[arg(long, value_name = "SERIES")]
    like: Option<PathBuf>,
    /// The series in the folder, by SeriesInstanceUID or SeriesNumber [default: the thinnest original
    /// axial CT, with a kernel of the lung before others].
    #[arg(long, value_name = "UID|NUMBER")]
    series: Option<String>,
    /// Shift the slices of a tilted gantry, each in its own plane, to a right-angled grid; the mask of
    /// such a CT goes back to the slices with the same flag.
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    upright: bool,
    /// How pixels of a Segmentation say what they are of: a bit for each segment, or a number for
    /// each voxel (smaller; recent viewers only).
    #[arg(long, value_enum, default_value = "binary", value_name = "TYPE")]
    seg_type: SegType,
    /// Which slices of a segment become frames: those that hold something of it, or all between its
    /// first and its last (for viewers that misplace segments with holes).
    #[arg(long, value_enum, default_value = "held", value_name = "WHICH")]
    seg_frames: SegFrames,
    /// A pseudonym instead of patient and study in the Segmentation, whose UIDs stay; log and records
    /// name no path that is typed and no UID.
    #[arg(long, requires = "like")]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    anonymous: bool,
    /// Names, colours and codes of the labels [default: the mask's own, or the table beside it].
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// How the mask was made [default: what `ild-infer` wrote beside it].
    #[arg(long, value_enum, value_name = "HOW")]
    made_by: Option<SegAlgorithm>,
}

/// Runs the sub-command.
pub fn run(args: &Args, common: &Common) -> anyhow::Result<()> {
    let mut report = RunReport::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    args.hide_what_is_typed();
    report.set("settings", args);
    let converted = args.convert(common.force || common.overwrite_foreign)?;
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

impl Args {
    /// With `--anonymous`: what is typed is called otherwise in all that is said and recorded.
    fn hide_what_is_typed(&self) {
        if self.anonymous {
            veil::hide(&self.input, "mask");
            self.like.iter().for_each(|series| veil::hide(series, "series"));
            veil::hide_folder(self.output.parent().unwrap_or(Path::new(".")), "output");
        }
    }

    fn convert(&self, force: bool) -> anyhow::Result<Converted> {
        let dicom = DicomOptions { series: self.series.as_deref(), upright: self.upright };
        let like = |path: &PathBuf| {
            let series = SourceSeries::read(path, dicom)?;
            Ok::<_, ild_io::Error>(if self.anonymous { series.anonymous() } else { series })
        };
        if is_dicom_name(&self.output) {
            let Some(series) = &self.like else {
                return Err(Usage(
                    "a DICOM Segmentation belongs to a series: name its folder with --like"
                        .to_owned(),
                )
                .into());
            };
            let wanted = self.segmentation();
            return Ok(convert_to_seg(&self.input, &like(series)?, &self.output, &wanted, force)?);
        }
        if let Some(series) = &self.like {
            if Format::of(&self.input)? != Format::DicomSeg {
                return Err(Usage(
                    "--like goes with a DICOM Segmentation as IN or OUT (.dcm)".to_owned(),
                )
                .into());
            }
            return Ok(convert_from_seg(&self.input, &like(series)?, &self.output, force)?);
        }
        Ok(convert(&self.input, &self.output, dicom, force)?)
    }

    fn segmentation(&self) -> SegOutput {
        SegOutput {
            kind: self.seg_type,
            frames: self.seg_frames,
            labels: self.labels.clone(),
            algorithm: self.made_by,
        }
    }
}

fn is_dicom_name(path: &Path) -> bool {
    path.extension().is_some_and(|end| end.eq_ignore_ascii_case("dcm"))
}
