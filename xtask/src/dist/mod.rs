//! `cargo xtask dist`: what a lab installs, from this clone.
//!
//! ```text
//! OUTPUT/ild-VERSION-x86_64-linux.tar.gz     programs, manual, completions, licences, SBOM, docs
//! OUTPUT/ild-VERSION-py3-none-….whl          the same programs for `pip install`
//! OUTPUT/ild-VERSION-sbom.cdx.json           what they are made of
//! OUTPUT/SHA256SUMS
//! ```
//!
//! With `--cuda`: `ild-VERSION-x86_64-linux-cuda.tar.gz`, the programs that compute on tensors, for
//! a GPU; it is unpacked over the other one.

mod archive;
mod build;
mod glibc;
mod licences;
mod packages;
mod sbom;
mod wheel;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;

use build::Built;
use glibc::Version;
use packages::Packages;

const VERSION: &str = env!("CARGO_PKG_VERSION");

#[derive(Args)]
pub struct DistArgs {
    /// Where archives and the wheel go.
    #[arg(long, value_name = "DIR", default_value = "target/dist")]
    output: PathBuf,
    /// Where they are built; a folder of its own, since everything is compiled for an older system.
    #[arg(long, value_name = "DIR", default_value = "target/dist-build")]
    build: PathBuf,
    /// The oldest C library to run on: 2.17 is that of CentOS 7 (2014), 2.28 that of Debian 10 (2019).
    #[arg(long, value_name = "VERSION", default_value = "2.17")]
    glibc: Version,
    /// Python with `venv` and `pip`, which bring the compiler for the older system.
    #[arg(long, value_name = "PROGRAM", default_value = "python3")]
    python: PathBuf,
    /// Build the programs for NVIDIA GPUs instead; needs what docs/cuda.md says, and runs on the C
    /// library of this machine or a later one.
    #[arg(long)]
    cuda: bool,
}

/// Builds, checks and packs.
pub fn dist(args: &DistArgs) -> anyhow::Result<()> {
    std::fs::create_dir_all(&args.output).with_context(|| args.output.display().to_string())?;
    let built = if args.cuda { build::for_gpus(args)? } else { build::for_old_systems(args)? };
    let highest = require_old_enough(&built, args)?;
    let packages = Packages::of(&built.crates)?;
    let name = format!("ild-{VERSION}-x86_64-linux{}", if args.cuda { "-cuda" } else { "" });

    let folder = tempfile::tempdir()?;
    let root = folder.path().join(&name);
    archive::lay_out(&root, &built, !args.cuda)?;
    let doc = root.join("share/doc/ild");
    std::fs::create_dir_all(&doc)?;
    std::fs::write(doc.join("THIRD-PARTY-LICENSES.txt"), licences::text(&packages)?)?;
    let bill = sbom::cyclonedx(&packages);
    std::fs::write(doc.join("sbom.cdx.json"), serde_json::to_vec_pretty(&bill)?)?;
    archive::sums_inside(&root)?;

    let packed = args.output.join(format!("{name}.tar.gz"));
    archive::pack(folder.path(), &name, &packed)?;
    let mut made = vec![packed];
    if !args.cuda {
        made.push(wheel::make(&built, &doc, args)?);
    }
    archive::sums(&args.output)?;
    for path in &made {
        let size = std::fs::metadata(path)?.len() as f64 / 1e6;
        ild_cli::say(format_args!("{size:7.1} MB  {}", path.display()))?;
    }
    ild_cli::say(format_args!(
        "{} programs of {} packages; the highest symbol of the C library is GLIBC_{highest}",
        built.programs.len(),
        packages.len()
    ))?;
    Ok(())
}

/// Fails on a program that would not start on the system it is promised for.
fn require_old_enough(built: &Built, args: &DistArgs) -> anyhow::Result<Version> {
    let mut highest = Version::default();
    for program in &built.programs {
        let needs = glibc::highest(program)?;
        if !args.cuda && needs > args.glibc {
            bail!(
                "{}: expected symbols up to GLIBC_{}, found GLIBC_{needs}",
                program.display(),
                args.glibc
            );
        }
        highest = highest.max(needs);
    }
    Ok(highest)
}

/// The name of a file.
fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
