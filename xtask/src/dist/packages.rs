//! The packages that the programs are made of: what cargo knows of each.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, bail};
use serde::Deserialize;

/// A package whose code is in a program, or makes code for one.
#[derive(Clone, Debug, Deserialize)]
pub struct Package {
    pub id: String,
    pub name: String,
    pub version: String,
    /// An SPDX expression.
    pub license: Option<String>,
    pub license_file: Option<PathBuf>,
    pub repository: Option<String>,
    pub description: Option<String>,
    /// `None` for a crate of this workspace.
    pub source: Option<String>,
    pub manifest_path: PathBuf,
}

/// All of them, by their ids, and what each depends on.
pub struct Packages {
    pub all: BTreeMap<String, Package>,
    pub depend_on: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Edge>,
}

#[derive(Deserialize)]
struct Edge {
    pkg: String,
    dep_kinds: Vec<Kind>,
}

#[derive(Deserialize)]
struct Kind {
    kind: Option<String>,
}

impl Packages {
    /// What the programs of `crates` are made of, these crates included.
    pub fn of(crates: &[String]) -> anyhow::Result<Self> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let words =
            ["metadata", "--format-version=1", "--filter-platform=x86_64-unknown-linux-gnu"];
        let output = Command::new(cargo).args(words).output().context("cargo metadata")?;
        if !output.status.success() {
            bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(Self::reached(serde_json::from_slice(&output.stdout)?, crates))
    }

    /// Follows the edges of what is linked; what only builds or tests is left out.
    fn reached(metadata: Metadata, crates: &[String]) -> Self {
        let linked = |edge: &Edge| edge.dep_kinds.iter().any(|kind| kind.kind.is_none());
        let edges: BTreeMap<String, Vec<String>> = metadata
            .resolve
            .nodes
            .into_iter()
            .map(|node| {
                let to = node.deps.into_iter().filter(linked).map(|edge| edge.pkg).collect();
                (node.id, to)
            })
            .collect();
        let is_ours =
            |package: &&Package| package.source.is_none() && crates.contains(&package.name);
        let mut open: Vec<String> =
            metadata.packages.iter().filter(is_ours).map(|package| package.id.clone()).collect();
        let mut seen = BTreeSet::new();
        while let Some(id) = open.pop() {
            if seen.insert(id.clone()) {
                open.extend(edges.get(&id).into_iter().flatten().cloned());
            }
        }
        let all = metadata.packages.into_iter().map(|package| (package.id.clone(), package));
        Self {
            all: all.filter(|(id, _)| seen.contains(id)).collect(),
            depend_on: edges.into_iter().filter(|(id, _)| seen.contains(id)).collect(),
        }
    }

    /// Those of other people, by name and version.
    pub fn of_others(&self) -> Vec<&Package> {
        let mut others: Vec<&Package> =
            self.all.values().filter(|package| package.source.is_some()).collect();
        others.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
        others
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_linked_counts_and_what_tests_does_not() {
        let package = |name: &str, source: Option<&str>| {
            json!({ "id": name, "name": name, "version": "1.0.0", "source": source,
                    "license": "MIT", "license_file": null, "repository": null,
                    "description": null, "manifest_path": "/x/Cargo.toml" })
        };
        let edge =
            |to: &str, kind: Option<&str>| json!({ "pkg": to, "dep_kinds": [{ "kind": kind }] });
        let metadata = json!({
            "packages": [package("ild", None), package("other", None), package("lib", Some("r")),
                         package("test", Some("r")), package("deep", Some("r"))],
            "resolve": { "nodes": [
                { "id": "ild", "deps": [edge("lib", None), edge("test", Some("dev"))] },
                { "id": "lib", "deps": [edge("deep", None)] },
                { "id": "test", "deps": [] }, { "id": "deep", "deps": [] },
                { "id": "other", "deps": [edge("test", None)] },
            ] },
        });
        let found = Packages::reached(serde_json::from_value(metadata).unwrap(), &["ild".into()]);
        let names: Vec<&str> = found.all.values().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["deep", "ild", "lib"]);
        assert_eq!(found.of_others().len(), 2);
    }
}
