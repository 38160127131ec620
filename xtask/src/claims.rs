//! What the docs claim about the workspace and what can rot: the table of crates, every path, and
//! the image of job files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::dependencies::{Package, metadata};
use ild::files_below;

const TABLE: &str = "docs/architecture.md";

/// Folders of the workspace that the docs point into.
const FOLDERS: [&str; 6] = ["crates/", "xtask/", "tests/", "docs/", "data-samples/", "containers/"];
/// Pages beside those in `docs`.
const PAGES: [&str; 4] = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"];

/// What `containers/` makes.
const IMAGES: [&str; 2] = [
    concat!("ild:", env!("CARGO_PKG_VERSION")),
    concat!("ild:", env!("CARGO_PKG_VERSION"), "-cuda"),
];

/// Fails on a crate whose row says other programs or other crates than its `Cargo.toml`, and on a
/// path that is not there, and on a job file with another image than `containers` makes.
pub fn check() -> anyhow::Result<()> {
    let text = std::fs::read_to_string(TABLE).context(TABLE)?;
    let packages = metadata()?.packages;
    for package in &packages {
        check_row(package, &text)?;
    }
    let known: Vec<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let mut rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    if let Some((name, _)) = rows.find(|(name, _)| !known.contains(name)) {
        bail!("{TABLE}: there is a row for `{name}`, and no such crate");
    }
    let (mut paths, mut missing) = (0, BTreeSet::new());
    let pages = files_below(Path::new("docs")).into_iter().chain(PAGES.map(PathBuf::from));
    for page in pages.filter(|page| page.extension().is_some_and(|end| end == "md")) {
        let text = std::fs::read_to_string(&page).with_context(|| page.display().to_string())?;
        if let Some(image) = images_in(&text).find(|image| !IMAGES.contains(image)) {
            bail!("{}: expected the image {IMAGES:?}, found {image}", page.display());
        }
        for path in paths_in(&text) {
            paths += 1;
            if !Path::new(&path).exists() {
                missing.insert(format!("{}: {path}", page.display()));
            }
        }
    }
    if !missing.is_empty() {
        let missing: Vec<String> = missing.into_iter().collect();
        bail!("paths in the docs that are not there:\n  {}", missing.join("\n  "));
    }
    ild_cli::say(format_args!(
        "docs: {} crates as their rows say, {paths} paths are there",
        packages.len()
    ))?;
    Ok(())
}

/// `| crate | program | what it holds | uses | never does |`
fn check_row(package: &Package, text: &str) -> anyhow::Result<()> {
    let start = format!("| `{}` |", package.name);
    let Some(row) = text.lines().find(|line| line.starts_with(&start)) else {
        bail!("{TABLE}: expected a row that begins with {start}, found none");
    };
    let cells: Vec<&str> = row.split('|').map(str::trim).collect();
    let programs = package.programs();
    let uses: BTreeSet<String> =
        package.uses().filter(|name| name == "ild" || name.starts_with("ild-")).collect();
    for (what, place, expected) in [("program", 2, programs), ("uses", 4, uses)] {
        let found = words(cells.get(place).copied().unwrap_or_default());
        if found != expected {
            bail!(
                "{TABLE}, `{}`, {what}: expected {expected:?} by its Cargo.toml, found {found:?}",
                package.name
            );
        }
    }
    Ok(())
}

/// What job files of Kubernetes run in.
fn images_in(text: &str) -> impl Iterator<Item = &str> {
    let images = text.lines().filter_map(|line| line.trim_start().strip_prefix("image: "));
    images.filter_map(|rest| rest.split_whitespace().next())
}

/// What stands between backticks.
fn words(cell: &str) -> BTreeSet<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Paths of the workspace in the text, each up to its first placeholder.
fn paths_in(text: &str) -> Vec<String> {
    let mut paths = Vec::new();
    let word = |c: char| !(c.is_alphanumeric() || "_-./+*<{…".contains(c));
    for word in text.split(word).filter(|word| FOLDERS.iter().any(|f| word.starts_with(f))) {
        let known = word.split(['*', '<', '{', '…']).next().unwrap_or_default();
        let known = match known.len() < word.len() {
            true => known.rsplit_once('/').map_or("", |(folder, _)| folder),
            false => known.trim_end_matches(['.', '/', '-', '+']),
        };
        paths.push(known.to_owned());
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_end_where_a_sentence_or_a_placeholder_begins() {
        let text = "see `crates/ild-ops/kernels/*.cu`, (crates/ild-io/src/lib.rs). And docs/x/<case>.md, a/crates/b";
        assert_eq!(
            paths_in(text),
            ["crates/ild-ops/kernels", "crates/ild-io/src/lib.rs", "docs/x"]
        );
    }

    #[test]
    fn images_are_those_of_job_files() {
        let text = "containers:\n  - name: a\n    image: ild:1.2.3 # here\nan image: of a lung\n";
        assert_eq!(images_in(text).collect::<Vec<_>>(), ["ild:1.2.3"]);
    }

    #[test]
    fn words_stand_between_backticks() {
        assert_eq!(words("`a`, `b-c` (d)"), ["a", "b-c"].map(str::to_owned).into());
        assert_eq!(words("–"), BTreeSet::new());
    }
}
