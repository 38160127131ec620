//! What this process reads: whoever opens a file notes it here first, so that no list of inputs has
//! to be kept by hand.
//!
//! A file is noted as it is just before it is opened, a folder with the names that were listed, and
//! a place where a file was looked for and not found as empty. What still is so at the end was read
//! as it was noted.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::{books, outputs};
use crate::{Refusal, Stamp};

/// What was at a path when it was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Seen {
    /// A file.
    File(Stamp),
    /// A folder with these entries, hidden ones left out.
    Folder(Vec<String>),
    /// Nothing.
    Nothing,
}

static BOOK: LazyLock<Mutex<BTreeMap<PathBuf, Seen>>> = LazyLock::new(Mutex::default);

fn book() -> std::sync::MutexGuard<'static, BTreeMap<PathBuf, Seen>> {
    BOOK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes the file at `path`, or that there is none; called before it is opened. The first note
/// counts, and what this process has written is no input.
pub fn note(path: &Path) {
    if books::are_closed() {
        return;
    }
    let mut book = book();
    if !book.contains_key(path) && !outputs::wrote(path) {
        let seen = match std::fs::metadata(path) {
            Ok(meta) if meta.is_file() => Seen::File(Stamp::from(path, &meta)),
            // Folders are noted by whoever lists them; devices have no state.
            Ok(_) => return,
            Err(_) => Seen::Nothing,
        };
        book.insert(path.to_owned(), seen);
    }
}

/// Whether a regular file is at `path`; the answer counts as read.
#[must_use]
pub fn is_file(path: &Path) -> bool {
    note(path);
    path.is_file()
}

/// Notes that `folder` was listed and held these entries.
pub fn note_listing<'a>(folder: &Path, entries: impl IntoIterator<Item = &'a Path>) {
    if books::are_closed() {
        return;
    }
    let names = entries.into_iter().filter_map(Path::file_name).filter_map(visible);
    let mut names: Vec<String> = names.collect();
    names.sort();
    book().entry(folder.to_owned()).or_insert(Seen::Folder(names));
}

fn visible(name: &OsStr) -> Option<String> {
    let name = name.to_string_lossy().into_owned();
    (!name.starts_with('.')).then_some(name)
}

/// Takes back a note: what a program wrote for itself to go on from is no input.
pub fn forget(path: &Path) {
    book().remove(path);
}

/// Takes back every note.
pub(super) fn forget_all() {
    book().clear();
}

/// Everything noted, without what this process wrote itself.
pub(crate) fn all() -> BTreeMap<PathBuf, Seen> {
    let written = outputs::written();
    let mut all = book().clone();
    all.retain(|path, _| !written.contains_key(path));
    for (folder, seen) in &mut all {
        if let Seen::Folder(names) = seen {
            names.retain(|name| !written.contains_key(&folder.join(name)));
        }
    }
    all
}

/// Whether what is at `path` still is what was `seen`; entries of a folder that `own` knows do not
/// count.
pub(crate) fn still_true(path: &Path, seen: &Seen, own: impl Fn(&Path) -> bool) -> bool {
    match seen {
        Seen::File(stamp) => stamp.still_true(),
        Seen::Nothing => std::fs::metadata(path).is_err(),
        Seen::Folder(names) => {
            let Ok(entries) = std::fs::read_dir(path) else { return false };
            let mut now: Vec<String> = entries
                .flatten()
                .filter(|entry| !own(&entry.path()))
                .filter_map(|entry| visible(&entry.file_name()))
                .collect();
            now.sort();
            now == *names
        }
    }
}

/// The files below `folder` that are no longer what they were when they were noted.
fn changed(folder: &Path) -> Vec<PathBuf> {
    let now_other = |(path, seen): (PathBuf, Seen)| {
        let Seen::File(stamp) = seen else { return None };
        let now = Stamp::of(&path).is_some_and(|now| stamp.untouched(&now));
        (!now).then_some(path)
    };
    all().into_iter().filter(|(path, _)| path.starts_with(folder)).filter_map(now_other).collect()
}

/// Refuses to go on when a file changed after it was read.
///
/// # Errors
/// Names the first such file.
pub fn require_unchanged() -> Result<(), Refusal> {
    require_unchanged_below(Path::new(""))
}

/// The same of the files below `folder` only.
///
/// # Errors
/// Names the first such file.
pub fn require_unchanged_below(folder: &Path) -> Result<(), Refusal> {
    match changed(folder).into_iter().next() {
        None => Ok(()),
        Some(path) => Err(changed_while_read(&path)),
    }
}

pub(crate) fn changed_while_read(path: &Path) -> Refusal {
    Refusal::of(path)
        .expected("the file that was read")
        .found("one that changed while it was being used")
        .next("what came of it is not marked as finished: run the same command again")
}

/// Whether the existing file that `meta` describes is one that was noted as read.
pub(crate) fn holds(path: &Path, meta: &Metadata) -> bool {
    let is_it = |(other, seen): (&PathBuf, &Seen)| {
        let Seen::File(stamp) = seen else { return false };
        let may_be = || stamp.bytes == meta.len();
        let same = || std::fs::metadata(other).is_ok_and(|other| same_file(&other, meta));
        other == path || (may_be() && same())
    };
    book().iter().any(is_it)
}

#[cfg(unix)]
fn same_file(a: &Metadata, b: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

#[cfg(not(unix))]
fn same_file(_: &Metadata, _: &Metadata) -> bool {
    false
}
