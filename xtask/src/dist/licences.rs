//! The licences of other people's code, in their own words.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::packages::{Package, Packages};

/// How files with a licence or a notice begin.
const NAMES: [&str; 5] = ["license", "licence", "copying", "notice", "unlicense"];

/// A list of the packages, then every different text with who uses it.
///
/// # Errors
/// When a package says nothing of its licence.
pub fn text(packages: &Packages) -> anyhow::Result<String> {
    let mut list = String::from(
        "The programs of ild are Apache-2.0 (LICENSE). They contain the packages below, each under its own licence.\n\n",
    );
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in packages.of_others() {
        let name = format!("{} {}", package.name, package.version);
        let Some(licence) = package.license.clone().or_else(|| {
            package.license_file.as_ref().map(|file| format!("see {}", file.display()))
        }) else {
            bail!("{name}: expected a licence in its Cargo.toml, found none");
        };
        let place = package.repository.as_deref().unwrap_or("");
        let files = files(package)?;
        let without = if files.is_empty() { " (the package has no text of its own)" } else { "" };
        writeln!(list, "{name}: {licence}{without} {place}")?;
        for file in files {
            let bytes = std::fs::read(&file).with_context(|| file.display().to_string())?;
            let text = String::from_utf8_lossy(&bytes).replace("\r\n", "\n").trim().to_owned();
            texts.entry(text).or_default().push(name.clone());
        }
    }
    for (text, users) in texts {
        write!(list, "\n{}\n{}\n\n{text}\n", "=".repeat(80), users.join(", "))?;
    }
    Ok(list)
}

fn files(package: &Package) -> anyhow::Result<Vec<PathBuf>> {
    let folder = package.manifest_path.parent().unwrap_or(Path::new("."));
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let is_licence = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        path.is_file() && NAMES.iter().any(|start| name.starts_with(start))
    };
    let mut files: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(is_licence).collect();
    files.sort();
    Ok(files)
}
