//! The direction of the crates' arrows, read from `arrows.toml` and proved with `cargo tree`.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::{Context, bail};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arrows {
    forbidden: BTreeMap<String, Vec<String>>,
    present: BTreeMap<String, Vec<String>>,
}

/// Fails on the first arrow that must not be there, or must be there and is not.
pub fn check() -> anyhow::Result<()> {
    let arrows: Arrows = toml::from_str(include_str!("../arrows.toml"))?;
    let mut seen: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for from in arrows.forbidden.keys().chain(arrows.present.keys()) {
        seen.insert(from, dependencies(from)?);
    }
    let everything: BTreeSet<&String> = seen.values().flatten().collect();
    for (from, targets) in &arrows.present {
        if let Some(to) = targets.iter().find(|to| !seen[from.as_str()].contains(*to)) {
            bail!("arrow {from} → {to}: expected, not found by cargo tree");
        }
    }
    for (from, targets) in &arrows.forbidden {
        for to in targets {
            if seen[from.as_str()].contains(to) {
                bail!(
                    "arrow {from} → {to}: found, and it must not be there (see docs/architecture.md)"
                );
            }
            if !everything.contains(to) && !seen.contains_key(to.as_str()) {
                bail!("arrows.toml forbids {from} → {to}, but no crate is called {to}");
            }
        }
    }
    ild_cli::say(format_args!(
        "crate arrows: {} proved absent, {} present",
        count(&arrows.forbidden),
        count(&arrows.present)
    ))?;
    Ok(())
}

fn count(arrows: &BTreeMap<String, Vec<String>>) -> usize {
    arrows.values().map(Vec::len).sum()
}

/// Names of all crates that `package` is built from.
fn dependencies(package: &str) -> anyhow::Result<BTreeSet<String>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "tree",
            "--package",
            package,
            "--edges",
            "normal,build",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ])
        .output()
        .context("cargo tree")?;
    if !output.status.success() {
        bail!("cargo tree --package {package}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let text = String::from_utf8(output.stdout)?;
    Ok(text
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect())
}
