//! Folders by content, and what of them has to be the same in every run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Program;

/// Relative path → bytes.
pub type Tree = BTreeMap<PathBuf, Vec<u8>>;

/// Every file below `folder`, hidden ones left out.
///
/// # Panics
/// When a folder cannot be read.
#[must_use]
pub fn tree(folder: &Path) -> Tree {
    let keep = |path: &Path| !is_hidden(path);
    let files = walk(folder, &keep).into_iter();
    files.map(|path| (relative(&path, folder), std::fs::read(&path).unwrap_or_default())).collect()
}

/// Of those, the ones that no clock has a part in.
#[must_use]
pub fn results(program: Program, folder: &Path) -> Tree {
    let ends = |path: &Path, endings: &[&str]| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        endings.iter().any(|ending| name.ends_with(ending))
    };
    let mut tree = tree(folder);
    tree.retain(|path, _| match program {
        Program::Phantom | Program::NpzToNpy => true,
        // Says which cases were written by which run.
        Program::NiiToNpz => path != Path::new("summary.json"),
        // History and state hold seconds.
        Program::Train => ends(
            path,
            &["steps.csv", "initial.safetensors", "latest.safetensors", "best.safetensors"],
        ),
        Program::Infer => ends(path, &[".nii.gz", ".npz", ".ctbl", ".itksnap.txt", ".png"]),
        Program::Evaluate => ends(path, &[".csv", ".svg"]),
    });
    tree
}

/// Temporary files anywhere below `folder`.
#[must_use]
pub fn strays(folder: &Path) -> usize {
    walk(folder, &|_| true)
        .iter()
        .filter(|path| {
            path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".ild-tmp-"))
        })
        .count()
}

fn walk(folder: &Path, keep: &dyn Fn(&Path) -> bool) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        let entries = std::fs::read_dir(next).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()).filter(|path| keep(path)) {
            if path.is_dir() { open.push(path) } else { files.push(path) }
        }
    }
    files
}

fn relative(path: &Path, folder: &Path) -> PathBuf {
    path.strip_prefix(folder).unwrap_or(path).to_owned()
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}
