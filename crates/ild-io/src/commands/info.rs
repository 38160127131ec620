//! `ild-io info`.

use std::path::PathBuf;

use ild_cli::{Common, RunReport, table};
use ild_io::info::{FileInfo, describe};

/// Say what is in files: shape, spacing, orientation, type, range, labels, and what is odd.
///
/// Takes NIfTI (.nii, .nii.gz, .hdr/.img), NRRD, NPZ, NPY, DICOM slices and folders of them;
/// recognised by content.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  ild-io info imagesTr/case01_0000.nii.gz labelsTr/case01.nii.gz
  ild-io info dicom/series-3 --json")]
pub struct Args {
    /// Files, or folders of one DICOM series each.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// A JSON list on stdout instead of tables.
    #[arg(long)]
    json: bool,
}

/// Describes every file; the ones that cannot be read are told at the end and decide the exit code.
pub fn run(args: &Args, common: &Common) -> anyhow::Result<()> {
    let mut report = RunReport::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    let mut described = Vec::new();
    let mut failures: Vec<ild_io::Error> = Vec::new();
    for file in &args.files {
        ild_cli::stop_if_interrupted()?;
        match describe(file) {
            Ok(info) => {
                if common.report.is_some() && file.is_file() {
                    report.input(file)?;
                }
                if !args.json {
                    print(&info)?;
                }
                described.push(info);
            }
            Err(error) => failures.push(error),
        }
    }
    if args.json {
        ild_cli::say(serde_json::to_string_pretty(&described)?)?;
    }
    report.set("files", &described);
    report.write(common.report.as_deref())?;
    match failures.pop() {
        None => Ok(()),
        Some(last) => {
            for error in failures {
                ild_cli::complain(format_args!("error: {error}"));
            }
            Err(last.into())
        }
    }
}

fn print(info: &FileInfo) -> anyhow::Result<()> {
    ild_cli::say(info.path.display())?;
    for (what, value) in lines(info) {
        ild_cli::say(format_args!(
            "  {what:<15} {}",
            value.replace('\n', &format!("\n{:18}", ""))
        ))?;
    }
    if !info.labels.is_empty() {
        let mut labels = table(["label", "name", "voxels", "mL"]);
        for label in &info.labels {
            let ml = label.volume_ml.map_or(String::new(), |ml| format!("{ml:.2}"));
            labels.add_row([
                label.id.to_string(),
                label.name.clone().unwrap_or_default(),
                label.voxels.to_string(),
                ml,
            ]);
        }
        ild_cli::say(labels)?;
    }
    for warning in &info.warnings {
        ild_cli::say(format_args!("warning: {warning}"))?;
    }
    ild_cli::say("")?;
    Ok(())
}

fn lines(info: &FileInfo) -> Vec<(&'static str, String)> {
    let mut out = vec![("format", info.format.clone())];
    let times = |n: &[usize]| n.iter().map(usize::to_string).collect::<Vec<_>>().join(" × ");
    if !info.shape.is_empty() {
        let axes = if info.spacing_xyz_mm.is_some() { " (z, y, x)" } else { "" };
        out.push(("shape", format!("{}{axes}, {}", times(&info.shape), info.voxel_type)));
    }
    if let Some([x, y, z]) = info.spacing_xyz_mm {
        out.push(("spacing", format!("{x} × {y} × {z} mm (x, y, z)")));
    }
    if let Some(codes) = &info.orientation {
        out.push(("orientation", codes.clone()));
    }
    if let Some(a) = info.affine {
        out.push((
            "affine",
            a[..3]
                .iter()
                .map(|row| row.map(|v| format!("{v:10.4}")).join(" "))
                .collect::<Vec<_>>()
                .join("\n"),
        ));
    }
    if let Some(v) = &info.values {
        out.push(("values", format!("{} to {}, mean {:.2}", v.min, v.max, v.mean)));
        if v.min < 0.0 && info.labels.is_empty() {
            out.push((
                "HU",
                format!(
                    "air {:.1} %, lung {:.1} % of the voxels",
                    100.0 * v.air_share,
                    100.0 * v.lung_share
                ),
            ));
        }
    }
    if let Some(window) = &info.window {
        out.push(("window", format!("level {} HU, width {} HU", window.level_hu, window.width_hu)));
    }
    if let Some([first, .., last]) = info.z_index.as_deref() {
        out.push(("slices", format!("{} of the CT's, z {first} to {last}", info.shape[0])));
    }
    if let Some(s) = &info.series {
        let thickness = s.thickness_mm.map_or(String::new(), |mm| format!(", thickness {mm} mm"));
        out.push((
            "series",
            format!("`{}`, {} slices, kernel {}{thickness}", s.description, s.slices, s.kernel),
        ));
        out.push(("transfer syntax", s.transfer_syntax.clone()));
    }
    if let Some(from) = info.names_from.as_ref().filter(|from| **from != info.path) {
        out.push(("names from", from.display().to_string()));
    }
    for array in &info.arrays {
        out.push((
            "array",
            format!("{}: {} {}", array.key, array.element_type, times(&array.shape)),
        ));
    }
    out
}
