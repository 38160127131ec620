//! `ild-io pull`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ild_cli::{Common, FolderLock, Refusal, RunReport, progress_bar};
use ild_dicomweb::{Archive, Series, Wanted};
use ild_io::instance_uid;

use super::archive::ArchiveArgs;

/// Fetch a CT series from an archive (PACS) by DICOMweb, into a folder.
///
/// Of a study with several CT series one has to be named; they are listed. Files are called IM0001.dcm
/// and so on in the order of their UIDs, so that fetching again writes the same files.
#[derive(clap::Args, serde::Serialize)]
#[command(after_help = "Examples:
  ild-io pull --pacs https://pacs.example/dicom-web --token-file token.txt --study 1.2.840.1 ct
  ild-io pull --pacs http://127.0.0.1:8042/dicom-web --study 1.2.840.1 --series 4 ct")]
pub struct Args {
    #[command(flatten)]
    archive: ArchiveArgs,
    /// The study, by its StudyInstanceUID.
    #[arg(
        long,
        value_name = "UID",
        required_unless_present = "accession",
        conflicts_with = "accession"
    )]
    study: Option<String>,
    /// The study, by its AccessionNumber.
    #[arg(long, value_name = "NUMBER")]
    #[serde(skip)]
    accession: Option<String>,
    /// The series, by its SeriesInstanceUID or SeriesNumber; of any modality [default: the only CT].
    #[arg(long, value_name = "UID|NUMBER")]
    series: Option<String>,
    /// Folder to make.
    #[arg(value_name = "OUT")]
    output: PathBuf,
}

/// Runs the sub-command.
pub fn run(args: &Args, common: &Common) -> anyhow::Result<()> {
    let mut report = RunReport::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    report.set("settings", args);
    let archive = args.archive.open()?;
    let series = args.choose(archive.series(&args.wanted())?)?;
    tracing::info!("{} is fetched", series.words());
    let _held = FolderLock::hold(&args.output)?;
    let files = fetch(&archive, &series, &args.output)?;
    for file in &files {
        report.output(file);
    }
    ild_cli::say(format_args!("{} files of {}", files.len(), series.words()))?;
    ild_cli::say(args.output.display())?;
    Ok(report.write(common.report.as_deref())?)
}

impl Args {
    fn wanted(&self) -> Wanted {
        match (&self.study, &self.accession) {
            (None, Some(number)) => Wanted::Accession(number.clone()),
            (study, _) => Wanted::Study(study.clone().unwrap_or_default()),
        }
    }

    /// The one series that is meant.
    fn choose(&self, mut all: Vec<Series>) -> anyhow::Result<Series> {
        let listed = all.iter().map(Series::words).collect::<Vec<_>>().join("; ");
        let study = all.first().map_or(String::new(), |series| series.study.clone());
        let meant = |series: &Series| match &self.series {
            Some(name) => series.uid == *name || series.number.as_ref() == Some(name),
            None => series.modality == "CT",
        };
        all.retain(meant);
        match (all.len(), &self.series) {
            (1, _) => Ok(all.remove(0)),
            (n, name) => Err(Refusal::of(study)
                .expected(match name {
                    Some(name) => format!("one series called `{name}`"),
                    None => "one CT series".to_owned(),
                })
                .found(format!("{n}; in the study: {listed}"))
                .next("name one with --series, by its UID if numbers are alike")
                .into()),
        }
    }
}

/// Every instance that the archive lists, in a file of its own; none is missing and none is more.
fn fetch(archive: &Archive, series: &Series, folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let uids = archive.instances(series)?;
    let name = |i: usize| folder.join(format!("IM{:04}.dcm", i + 1));
    let places: BTreeMap<&str, PathBuf> =
        uids.iter().enumerate().map(|(i, uid)| (uid.as_str(), name(i))).collect();
    let progress = progress_bar(uids.len() as u64, "fetched");
    let mut written = Vec::new();
    archive.retrieve(series, |file| -> anyhow::Result<()> {
        ild_cli::stop_if_interrupted()?;
        let uid = instance_uid(Path::new(&series.uid), file)?;
        // One that came in while this ran: the next pull has it.
        let Some(path) = places.get(uid.as_str()) else { return Ok(()) };
        ild_cli::write_bytes_atomic(path, file)?;
        written.push(path.clone());
        progress.inc(1);
        Ok(())
    })?;
    progress.finish_and_clear();
    written.sort();
    written.dedup();
    if written.len() < uids.len() {
        return Err(Refusal::of(folder)
            .expected(format!("the {} instances that the archive lists", uids.len()))
            .found(format!("{} sent", written.len()))
            .next("fetch it again; is the series complete in the archive?")
            .into());
    }
    Ok(written)
}
