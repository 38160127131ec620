//! `cargo xtask page`: the page of `ild-serve`, built where the next build of the program finds it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

/// Where the page's sources and its lock file are.
const FOLDER: &str = "crates/ild-serve/page";
/// What `npm` is told: exactly the locked packages, and none of their scripts.
const INSTALL: [&str; 4] = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];

/// Fetches what the lock file names and bundles the page.
pub fn page() -> anyhow::Result<()> {
    npm(&INSTALL)?;
    npm(&["run", "--silent", "build"])?;
    let built = Path::new(FOLDER).join("dist/index.html");
    if !built.is_file() {
        bail!(
            "{}: expected the built page, found nothing; see what npm said above",
            built.display()
        );
    }
    ild_cli::say(
        "The page is built; `cargo build --release --workspace` takes it into ild-serve.",
    )?;
    Ok(())
}

fn npm(args: &[&str]) -> anyhow::Result<()> {
    let status = Command::new("npm").args(args).current_dir(FOLDER).status().context(
        "npm could not be started: install Node.js 20 or later; without a page ild-serve still \
         serves 3D Slicer and OHIF",
    )?;
    if !status.success() {
        bail!("`npm {}` failed in {FOLDER}", args.join(" "));
    }
    Ok(())
}
