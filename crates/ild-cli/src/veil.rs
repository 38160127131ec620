//! `--anonymous`: paths, names and UIDs that leave in no word of this process.
//!
//! Folders are called after patients, and refusals, logs and run records name folders. What is
//! [hidden](hide) stands as a name of ours in everything that is said or recorded from then on: the
//! log, stdout and stderr ([`crate::say`]), run records, JSON files, notes of finished work.

mod words;

use std::borrow::Cow;
use std::path::Path;
use std::sync::{LazyLock, PoisonError, RwLock, RwLockWriteGuard};

use serde_json::Value;

use words::{Kind, Words};

/// Folders below a hidden one whose names are hidden too.
const DEEPEST: usize = 6;
/// So many names below a hidden folder get numbers; paths of others end in `…`.
const MOST_NAMES: usize = 200_000;

static WORDS: LazyLock<RwLock<Words>> = LazyLock::new(RwLock::default);

fn words() -> RwLockWriteGuard<'static, Words> {
    WORDS.write().unwrap_or_else(PoisonError::into_inner)
}

/// From here on `path` is called `(shown)`, as it was typed and as it is from the root, and what lies
/// below it `(shown)/#4`, the fourth name there. UIDs are called so.
pub fn hide(path: &Path, shown: &str) {
    let names = names_below(path);
    hide_path(path, Kind::Whole, shown);
    let mut words = words();
    let own = path.file_name().map(|name| (name.to_string_lossy().into_owned(), 0));
    for (name, number) in own.into_iter().chain(names.into_iter().zip(1..)) {
        let shown = format!("#{number}");
        words.name(&name, &shown);
        // What a case is called.
        let stem = Path::new(&name).file_stem().unwrap_or_default();
        words.name(&stem.to_string_lossy(), &shown);
    }
}

/// From here on the folder `path` is called `(shown)`; what lies below it keeps its name.
pub fn hide_folder(path: &Path, shown: &str) {
    hide_path(path, Kind::Above, shown);
}

/// Hides a path in all the ways it may be written, and the folders above it.
fn hide_path(path: &Path, kind: Kind, shown: &str) {
    let forms = [Some(path.to_owned()), std::path::absolute(path).ok(), path.canonicalize().ok()];
    let mut words = words();
    for form in forms.into_iter().flatten() {
        words.path(kind, text(&form).trim_end_matches('/'), shown);
        for above in form.ancestors().skip(1) {
            words.path(Kind::Above, text(above).trim_end_matches('/'), "above");
        }
    }
}

fn text(path: &Path) -> Cow<'_, str> {
    path.to_string_lossy()
}

/// Names of files and folders below `path`, sorted.
fn names_below(path: &Path) -> Vec<String> {
    let mut names = std::collections::BTreeSet::new();
    let mut folders = vec![(path.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            names.insert(entry.file_name().to_string_lossy().into_owned());
            if depth < DEEPEST && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push((entry.path(), depth + 1));
            }
        }
        if names.len() > MOST_NAMES {
            break;
        }
    }
    names.into_iter().collect()
}

/// `text` as it may be said.
#[must_use]
pub fn over(text: &str) -> Cow<'_, str> {
    WORDS.read().unwrap_or_else(PoisonError::into_inner).over(text)
}

/// Whether anything is hidden.
#[must_use]
pub(crate) fn is_down() -> bool {
    !WORDS.read().unwrap_or_else(PoisonError::into_inner).is_empty()
}

/// Every text in `value` as it may be recorded.
pub fn over_json(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Cow::Owned(shown) = over(text) {
                *text = shown;
            }
        }
        Value::Array(list) => list.iter_mut().for_each(over_json),
        Value::Object(map) => map.values_mut().for_each(over_json),
        _ => {}
    }
}
