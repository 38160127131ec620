//! Dependencies that no line of their crate names, and packages that the project is to be built on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Rules {
    /// Each of these is named by the source of some crate.
    built_on: Vec<String>,
    /// `crate: dependency` that no line names, and why it stands.
    unnamed: BTreeMap<String, String>,
}

/// What cargo says of the workspace.
#[derive(Deserialize)]
pub struct Metadata {
    /// Its members.
    pub packages: Vec<Package>,
}

/// A member of the workspace.
#[derive(Deserialize)]
pub struct Package {
    /// As in its `Cargo.toml`.
    pub name: String,
    manifest_path: PathBuf,
    dependencies: Vec<Dependency>,
    targets: Vec<Target>,
}

impl Package {
    /// Names of its programs.
    pub fn programs(&self) -> BTreeSet<String> {
        let programs = self.targets.iter().filter(|target| target.kind.contains(&"bin".into()));
        programs.map(|target| target.name.clone()).collect()
    }

    /// Crates that its library and programs use.
    pub fn uses(&self) -> impl Iterator<Item = String> {
        let own = self.dependencies.iter().filter(|dependency| dependency.kind.is_none());
        own.map(|dependency| dependency.name.clone())
    }
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// What the source calls it, where that is another name.
    rename: Option<String>,
    /// `None` for what the library and the program use.
    kind: Option<String>,
}

/// Fails on a dependency that is declared and not named, and on a package that nobody uses.
pub fn check() -> anyhow::Result<()> {
    let rules: Rules = toml::from_str(include_str!("../dependencies.toml"))?;
    let mut excused: BTreeSet<&str> = rules.unnamed.keys().map(String::as_str).collect();
    let (mut named, mut unused, mut declared) = (BTreeSet::new(), Vec::new(), 0);
    for package in metadata()?.packages {
        let folder = package.manifest_path.parent().unwrap_or(Path::new("."));
        let own = names(folder, &["src", "build.rs"])?;
        let tests = names(folder, &["src", "build.rs", "tests", "benches", "examples"])?;
        for Dependency { name, rename, kind } in package.dependencies {
            declared += 1;
            let name = rename.unwrap_or(name);
            let dev = kind.as_deref() == Some("dev");
            let among = if dev { &tests } else { &own };
            if among.contains(&name.replace('-', "_")) {
                named.extend((!dev).then_some(name));
            } else if !excused.remove(format!("{}: {name}", package.name).as_str()) {
                unused.push(format!("{}: {name}", package.name));
            }
        }
    }
    if !unused.is_empty() {
        bail!(
            "dependencies that no line names: {}; drop them, or say in xtask/dependencies.toml why they stand",
            unused.join(", ")
        );
    }
    if !excused.is_empty() {
        bail!("xtask/dependencies.toml excuses what needs no excuse: {excused:?}");
    }
    let idle: Vec<_> = rules.built_on.iter().filter(|name| !named.contains(*name)).collect();
    if !idle.is_empty() {
        bail!("the project is to be built on {idle:?}, and no crate's source names them");
    }
    ild_cli::say(format_args!(
        "dependencies: {declared} declared, each named by its crate's source"
    ))?;
    Ok(())
}

/// Of the workspace in this folder.
pub fn metadata() -> anyhow::Result<Metadata> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--format-version=1"])
        .output()
        .context("cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The crates that the sources below `places`, and what these include by `#[path]`, name: the first
/// words of all paths (`name::…`) and imports. A word that is a module too counts where a path
/// begins with `::` only.
fn names(folder: &Path, places: &[&str]) -> anyhow::Result<BTreeSet<String>> {
    let mut texts = Vec::new();
    for place in places {
        for file in ild::files_below(&folder.join(place)) {
            if file.extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            let text = std::fs::read_to_string(&file).context(file.display().to_string())?;
            for included in text.split("#[path = \"").skip(1) {
                let relative = included.split('"').next().unwrap_or_default();
                let included = file.parent().unwrap_or(folder).join(relative);
                if included.is_file() {
                    texts.push(std::fs::read_to_string(included)?);
                }
            }
            texts.push(text);
        }
    }
    let modules: BTreeSet<&str> = texts.iter().flat_map(|text| modules_in(text)).collect();
    let mut names: BTreeSet<String> = texts.iter().flat_map(|text| names_in(text)).collect();
    names.retain(|name| {
        let outside = [format!("(::{name}::"), format!(" ::{name}::"), format!("<::{name}::")];
        let named = |text: &String| outside.iter().any(|path| text.contains(path));
        !modules.contains(name.as_str()) || texts.iter().any(named)
    });
    Ok(names)
}

/// Modules that a source declares.
fn modules_in(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let (before, name) = line.split_once("mod ")?;
        (before.is_empty() || before.trim_start().starts_with("pub"))
            .then(|| name.trim_end_matches([';', '{', ' ']))
    })
}

/// Words before `::`, and those of `use name;` and `use name as …`; comments do not count.
fn names_in(text: &str) -> BTreeSet<String> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let mut names = BTreeSet::new();
    for line in lines {
        let last_word = |before: &str| {
            let word = before.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next();
            word.unwrap_or_default().to_owned()
        };
        names.extend(line.match_indices("::").map(|(at, _)| last_word(&line[..at])));
        let import = line.trim_start().trim_start_matches("pub ").strip_prefix("use ");
        let import = import.map(|path| path.trim_start_matches("::"));
        names.extend(import.and_then(|rest| rest.split([' ', ';', ':']).next()).map(str::to_owned));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_imports_are_names_and_comments_are_not() {
        let text =
            "use one as first;\n  pub use two::Thing;\n// three::x\nlet a = four::f(five);\n";
        let found = names_in(text);
        for name in ["one", "two", "four"] {
            assert!(found.contains(name), "{name} in {found:?}");
        }
        assert_eq!(
            modules_in("mod a;\npub(crate) mod b {\n// no mod c;").collect::<Vec<_>>(),
            ["a", "b"]
        );
        assert!(!found.contains("three") && !found.contains("five"), "{found:?}");
    }
}
