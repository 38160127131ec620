//! `ild-io push`.

use std::path::{Path, PathBuf};

use ild_cli::{Common, Refusal, RunReport, progress_bar};
use ild_dicomweb::Archive;
use ild_io::cohort::list;
use ild_io::instance_uid;

use super::archive::ArchiveArgs;

/// Send DICOM files to an archive (PACS) by DICOMweb: Segmentations, reports, images.
#[derive(clap::Args, serde::Serialize)]
#[command(after_help = "Examples:
  ild-io push --pacs https://pacs.example/dicom-web --token-file token.txt case.seg.dcm measurements.dcm")]
pub struct Args {
    #[command(flatten)]
    archive: ArchiveArgs,
    /// DICOM files, or folders of them.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Runs the sub-command; what was not stored is told at the end and decides the exit code.
pub fn run(args: &Args, common: &Common) -> anyhow::Result<()> {
    let mut report = RunReport::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    report.set("settings", args);
    let files = args.all_files()?;
    let archive = args.archive.open()?;
    let progress = progress_bar(files.len() as u64, "sent");
    let mut failures = Vec::new();
    for file in &files {
        ild_cli::stop_if_interrupted()?;
        match send(&archive, file) {
            Ok(uid) if files.len() > MANY => tracing::debug!("{}: stored as {uid}", file.display()),
            Ok(uid) => ild_cli::say(format_args!("{}: stored as {uid}", file.display()))?,
            Err(error) => failures.push((file, error)),
        }
        progress.inc(1);
    }
    progress.finish_and_clear();
    if files.len() > MANY {
        ild_cli::say(format_args!(
            "{} of {} files stored",
            files.len() - failures.len(),
            files.len()
        ))?;
    }
    report.set("stored", files.len() - failures.len());
    report.write(common.report.as_deref())?;
    match failures.pop() {
        None => Ok(()),
        Some((last, error)) => {
            for (file, error) in failures {
                ild_cli::complain(format_args!("error: {}: {error:#}", file.display()));
            }
            Err(error.context(last.display().to_string()))
        }
    }
}

/// More files than this are not named one by one.
const MANY: usize = 12;

fn send(archive: &Archive, file: &Path) -> anyhow::Result<String> {
    ild_cli::inputs::note(file);
    let bytes = std::fs::read(file)?;
    let uid = instance_uid(file, &bytes)?;
    if let Some(warning) = archive.store(&bytes)? {
        tracing::warn!("{}: {warning}", file.display());
    }
    Ok(uid)
}

impl Args {
    /// The files named, and those in the folders named.
    fn all_files(&self) -> anyhow::Result<Vec<PathBuf>> {
        let mut all = Vec::new();
        for path in &self.files {
            let here = if path.is_dir() { list(path)? } else { vec![path.clone()] };
            let before = all.len();
            all.extend(here.into_iter().filter(|file| ild_io::is_dicom_file(file)));
            if all.len() == before {
                return Err(Refusal::of(path)
                    .expected("a DICOM file, or a folder of them")
                    .found(if path.exists() { "none" } else { "nothing at this path" })
                    .next("convert it first: `ild-io convert MASK --like SERIES out.dcm`")
                    .into());
            }
        }
        Ok(all)
    }
}
