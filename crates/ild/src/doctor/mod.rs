//! `doctor`: what this machine can do, and what stands in the way.

mod costs;
mod finding;
mod gpu;
mod hardware;
mod places;
mod programs;

use std::path::Path;

use anyhow::bail;
use clap::Args;
use ild_cli::Common;

use crate::settings::Settings;

/// Flags of `doctor`.
#[derive(Args)]
pub struct DoctorArgs {
    /// Sizes to measure on this machine, each in a process of its own that may take no more memory
    /// than is free.
    #[arg(long, value_delimiter = ',', default_value = "nano,t,s,b+,l", value_name = "MODEL,…")]
    models: Vec<String>,
    /// Measure nothing: a second instead of a minute.
    #[arg(long)]
    quick: bool,
    /// Also measure a training step of one slice, on a synthetic patient.
    #[arg(long, conflicts_with = "quick")]
    train: bool,
}

/// Prints what there is and what is missing.
///
/// # Errors
/// When something without which no run can work is missing; the table says what.
pub fn doctor(args: &DoctorArgs, common: &Common, folder: &Path) -> anyhow::Result<()> {
    let settings = Settings::load(common.config.as_deref(), &[])?;
    let programs = programs::found(folder, common)?;
    let memory = hardware::memory();
    let mut findings = vec![hardware::processor(), hardware::memory_finding(&memory)];
    findings.extend(programs.computing());
    findings.push(gpu::finding(programs.built_with_cuda()));
    findings.extend(places::findings(Path::new(&settings.output())));
    findings.extend(programs.findings);

    let mut table = ild_cli::table(["", "here", "what to do"]);
    for found in &findings {
        table.add_row([found.what.as_str(), &found.here, found.next.as_deref().unwrap_or("")]);
    }
    ild_cli::say(table)?;
    if !args.quick {
        costs::measure(args, common, folder, &memory)?;
    }
    let missing: Vec<&str> =
        findings.iter().filter(|found| found.needed).map(|found| found.what.as_str()).collect();
    if missing.is_empty() {
        return Ok(ild_cli::say("Nothing that a run needs is missing.")?);
    }
    bail!("a run cannot work here yet: {}; the table says what to do", missing.join(", "))
}
