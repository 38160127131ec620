//! `ild-phantom`: flags to library.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::Parser;
use ild_cli::{Common, IfOther, Interrupted, RunReport, interrupted, progress_bar};
use ild_io::LabelTable;
use ild_phantom::{Again, Settings, write_cohort};

/// Make synthetic chest CTs with interstitial lung disease, and their sparse labels, in nnU-Net's
/// layout.
///
/// The same seed gives the same bytes. Cases that are already in the folder are kept.
#[derive(Parser)]
#[command(
    name = "ild-phantom",
    version,
    after_help = "Examples:
  ild-phantom --output data --cases 30 --size 60,256,256 --seed 2024
  ild-phantom --output data --cases 30 --healthy 4 --healthy-slices 3
  ild-phantom --output full-size --cases 2 --size 200,512,512

Smaller than 256 × 256, lesions have fewer voxels than the defaults of `ild-preprocess nii-to-npz` keep:
pass it --min-voxels-3d 100 --min-pixels-2d 20 for 128 × 128."
)]
struct Cli {
    #[command(flatten)]
    common: Common,
    /// Folder for imagesTr, labelsTr, truthTr, dataset.json, labels.json, cohort.json and
    /// healthy.json.
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
    /// Number of patients with disease; every five of them share out the classes so that each class occurs in
    /// one or two.
    #[arg(long, default_value_t = 30, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=9999))]
    cases: u32,
    /// Number of patients without disease besides; healthy.json names them.
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=9999))]
    healthy: u32,
    /// Slices of each patient with disease that are declared free of it, as far as there are any
    /// with lung; healthy.json lists them.
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=2048))]
    healthy_slices: u32,
    /// Voxels of every scan: slices, rows, columns. From neck to diaphragm whatever the number, so
    /// more slices are thinner.
    #[arg(long, default_value = "60,256,256", value_name = "Z,Y,X")]
    size: Size,
    /// What to do where the folder holds a cohort of other settings.
    #[arg(long, value_enum, default_value = "refuse")]
    if_other: IfOther,
}

/// Slices, rows, columns.
#[derive(Clone, Copy, Debug)]
struct Size([usize; 3]);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers: Vec<usize> = text
            .split(',')
            .map(|n| n.trim().parse().map_err(|_| format!("`{n}` is not a whole number")))
            .collect::<Result<_, _>>()?;
        let size = <[usize; 3]>::try_from(numbers)
            .map_err(|n| format!("expected three numbers Z,Y,X, found {}", n.len()))?;
        if size.iter().any(|n| !(8..=2048).contains(n)) {
            return Err("each number must lie between 8 and 2048".to_owned());
        }
        Ok(Self(size))
    }
}

fn main() -> std::process::ExitCode {
    ild_cli::main(|cli: &Cli| &cli.common, |cli| run(&cli), ild_io::Error::rejects)
}

fn run(cli: &Cli) -> anyhow::Result<()> {
    let common = &cli.common;
    let settings = Settings {
        cases: cli.cases as usize,
        size: cli.size.0,
        seed: common.seed,
        healthy: cli.healthy as usize,
        healthy_slices: cli.healthy_slices as usize,
    };
    let patients = settings.cases + settings.healthy;
    if patients == 0 {
        return Err(ild_cli::Usage("expected --cases or --healthy above 0".to_owned()).into());
    }
    let mut report = RunReport::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    report.set("settings", settings);
    let bar = progress_bar(patients as u64, "cases");
    let made = AtomicUsize::new(0);
    let again = match (common.force, cli.if_other) {
        (true, _) => Again::Always,
        (false, IfOther::StartOver) => Again::IfOther,
        (false, IfOther::Refuse) => Again::OnlyTheSame,
    };
    let cohort = write_cohort(&cli.output, settings, again, interrupted, |new| {
        made.fetch_add(usize::from(new), Ordering::Relaxed);
        bar.inc(1);
    })?;
    bar.finish_and_clear();
    let Some(cohort) = cohort else { return Err(Interrupted.into()) };
    ild_cli::say(cohort.table(&LabelTable::default()))?;
    let made = made.into_inner();
    ild_cli::say(format_args!(
        "{made} cases made, {} were there already · {}",
        patients - made,
        cli.output.display()
    ))?;
    report.output(&cli.output);
    Ok(report.write(common.report.as_deref())?)
}
