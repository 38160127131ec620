//! Which files this program has written: nothing else is written over or taken away.
//!
//! Each folder that is written into has a hidden list, `.ild-files`, with a line for each writing:
//! size, time of change, hash, program, name. The line is there before the file has its name. A file
//! is ours as long as a line of this program tells of it as it is; whoever changes it makes it his
//! own.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};

use super::atomic::is_device;
use super::list::{LIST, Line, List};
use super::stamp::{content_of, content_of_first};
use super::{atomic, books, faults, inputs};
use crate::{FileError, Refusal, Stamp};

/// The name of this program in the lists.
static PROGRAM: OnceLock<String> = OnceLock::new();
thread_local! {
    /// What is written just now in the name of something else than the program.
    static INSTEAD: Cell<Option<&'static str>> = const { Cell::new(None) };
}
/// `--overwrite-foreign`.
static FOREIGN_TOO: AtomicBool = AtomicBool::new(false);
/// Files written or found finished by this process; `false` where one was taken away.
static WRITTEN: LazyLock<Mutex<BTreeMap<PathBuf, bool>>> = LazyLock::new(Mutex::default);
static LISTS: LazyLock<Mutex<HashMap<PathBuf, List>>> = LazyLock::new(Mutex::default);

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The name of this program, once its flags are parsed.
pub(super) fn program() -> Option<&'static str> {
    PROGRAM.get().map(String::as_str)
}

/// Says in whose name files are written.
pub(crate) fn of_program(name: &str) {
    let name = name.replace(char::is_whitespace, "-");
    let _ = PROGRAM.set(one_name(&name).to_owned());
}

/// One program that is called by two names, `ild` and `cargo xtask`, goes on with its own files.
fn one_name(name: &str) -> &str {
    if name == "cargo-xtask" { "ild" } else { name }
}

/// Does `work` in the name of `kind`: run records and marks belong to no one program.
pub(crate) fn in_the_name_of<T>(kind: &'static str, work: impl FnOnce() -> T) -> T {
    INSTEAD.set(Some(kind));
    let done = work();
    INSTEAD.set(None);
    done
}

fn writer() -> String {
    INSTEAD.get().or(program()).unwrap_or("ild").to_owned()
}

/// Allows files to be replaced that no ild program wrote.
pub(crate) fn allow_foreign() {
    FOREIGN_TOO.store(true, Ordering::Relaxed);
}

/// Files written or found finished by this process, and those it took away (`false`).
pub(crate) fn written() -> BTreeMap<PathBuf, bool> {
    held(&WRITTEN).clone()
}

/// Whether this process has written `path`, or found it finished.
pub(crate) fn wrote(path: &Path) -> bool {
    held(&WRITTEN).get(path) == Some(&true)
}

/// Counts `path`, which an earlier run has finished, among the outputs of this process.
pub fn note_finished(path: &Path) {
    note(path, true);
}

/// Counts `path` among the outputs of this process, or among what it took away.
pub(crate) fn note(path: &Path, there: bool) {
    if books::are_closed() {
        return;
    }
    held(&WRITTEN).insert(path.to_owned(), there);
}

/// Forgets what was written, and what the lists say.
pub(super) fn forget_all() {
    held(&WRITTEN).clear();
    held(&LISTS).clear();
}

/// Refuses a place where something lies that must not be replaced: a folder, a link, a file that
/// this run reads, or one that no ild program wrote as it is.
///
/// # Errors
/// Says what lies there and what to do.
pub fn may_write(path: &Path) -> Result<(), Refusal> {
    let meta = match fs::symlink_metadata(path) {
        Ok(meta) if !is_device(path) => meta,
        _ => return Ok(()),
    };
    let refusal = Refusal::of(path);
    if meta.is_dir() {
        return Err(refusal.expected("a file to write").found("a folder").next("name a file"));
    }
    if meta.is_symlink() {
        return Err(refusal
            .expected("a file to write")
            .found("a link")
            .next("name the file it points to, or take the link away"));
    }
    if inputs::holds(path, &meta) {
        return Err(refusal
            .expected("an output")
            .found("a file that this run reads")
            .next("choose another output"));
    }
    if is_ours(path) || meta.len() == 0 || FOREIGN_TOO.load(Ordering::Relaxed) {
        return Ok(());
    }
    Err(foreign(path, "choose another output, move the file away, or pass --overwrite-foreign"))
}

fn foreign(path: &Path, next: &str) -> Refusal {
    Refusal::of(path)
        .expected("nothing, or a file that this program wrote")
        .found("one that it did not write, or that was changed since")
        .next(next)
}

/// Whether this is the list of a folder.
#[must_use]
pub fn is_list(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == LIST)
}

/// Whether this program wrote the file at `path` as it is now.
#[must_use]
pub fn is_ours(path: &Path) -> bool {
    let writer = writer();
    tells_of(path, |by| one_name(by) == writer)
}

/// Whether some ild program wrote the file at `path` as it is now.
#[must_use]
pub fn is_as_written(path: &Path) -> bool {
    tells_of(path, |_| true)
}

/// Whether a line of a writer that counts tells of the file at `path` as it is now.
fn tells_of(path: &Path, counts: impl Fn(&str) -> bool) -> bool {
    let (Some(now), Some(name)) = (Stamp::of(path), path.file_name()) else { return false };
    let mut same_time = false;
    // Lines of one size are many where a file is written again and again.
    let mut contents: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
    each_line(folder_of(path), &format!("{name:?}"), |line| {
        let fits = line.bytes == now.bytes || line.grows() && line.bytes <= now.bytes;
        if fits && counts(&line.writer) {
            same_time |= line.changed_ns == Some(now.changed_ns);
            contents.entry(line.bytes).or_default().insert(line.content.clone());
        }
    });
    let is_one = |(bytes, contents): (&u64, &BTreeSet<String>)| {
        content_of_first(path, *bytes).is_ok_and(|content| contents.contains(&content))
    };
    same_time || contents.iter().any(is_one)
}

/// Looks at the lines of a folder's list that tell of the file called `name` (quoted as they do).
fn each_line(folder: &Path, name: &str, look: impl FnMut(&Line)) {
    let path = folder.join(LIST);
    if books::are_closed() {
        return Line::each_of(&path, name, look);
    }
    let mut lists = held(&LISTS);
    let list = lists.entry(folder.to_owned()).or_default();
    list.read_on(&path);
    list.of(name).iter().for_each(look);
}

/// Refuses to take away a file that is somebody else's; nothing there, or nothing in it, is fine.
///
/// # Errors
/// A refusal inside.
pub fn may_remove(path: &Path) -> Result<(), FileError> {
    let theirs = fs::symlink_metadata(path).is_ok_and(|meta| meta.len() > 0) && !is_ours(path);
    if theirs && !FOREIGN_TOO.load(Ordering::Relaxed) {
        let refusal = foreign(path, "move it away, or pass --overwrite-foreign");
        return Err(FileError::at(path, "removed")(refusal));
    }
    Ok(())
}

/// Removes the file at `path` if it is ours; nothing there is fine.
///
/// # Errors
/// As [`may_remove`], and when the machine says no.
pub fn remove(path: &Path) -> Result<(), FileError> {
    may_remove(path)?;
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(FileError::at(path, "removed")(error)),
        Ok(()) => {
            faults::moment();
            note(path, false);
            Ok(())
        }
    }
}

/// Removes `folder` where nothing is left in it but the list of what was; anything else stays.
pub fn remove_empty(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    if entries.flatten().all(|entry| is_list(&entry.path())) {
        held(&LISTS).remove(folder);
        let _ = fs::remove_file(folder.join(LIST));
        let _ = fs::remove_dir(folder);
    }
}

/// Gives the file `from`, which is ours, the name `to`.
///
/// # Errors
/// As [`may_write`] for `to`, and when it cannot be done.
pub fn rename(from: &Path, to: &Path) -> Result<(), FileError> {
    let attempt = || -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        may_write(to)?;
        fs::create_dir_all(folder_of(to))?;
        announce(to, from, false)?;
        faults::moment();
        fs::rename(from, to)?;
        faults::moment();
        Ok(())
    };
    attempt().map_err(FileError::at(from, "moved"))?;
    note(from, false);
    note(to, true);
    Ok(())
}

/// Gives the file `from`, which is ours, the further name `to`: a link, or a copy where links are
/// not possible.
///
/// # Errors
/// As [`may_write`] for `to`, and when it cannot be done.
pub fn link(from: &Path, to: &Path) -> Result<(), FileError> {
    remove(to)?;
    let attempt = || {
        fs::create_dir_all(folder_of(to))?;
        announce(to, from, false)?;
        fs::hard_link(from, to).or_else(|_| fs::copy(from, to).map(|_| ()))
    };
    attempt().map_err(FileError::at(to, "linked"))?;
    note(to, true);
    Ok(())
}

/// Keeps the file at `path`, whoever wrote it, under the further name `aside`; from then on `path`
/// may be replaced, for nothing of it is lost. Nothing at `path` is fine: `Ok(false)`.
///
/// # Errors
/// When `path` is no regular file, something is at `aside`, and when it cannot be done.
pub fn keep_aside(path: &Path, aside: &Path) -> Result<bool, FileError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(FileError::at(path, "read")(error)),
        Ok(meta) if !meta.is_file() => {
            let refusal = Refusal::of(path).expected("a file").found("a folder, link or device");
            return Err(FileError::at(path, "kept")(refusal));
        }
        Ok(_) => {}
    }
    if fs::symlink_metadata(aside).is_ok() {
        let refusal = Refusal::of(aside).expected("nothing").found("a file");
        return Err(FileError::at(aside, "written")(refusal.next("choose another name")));
    }
    link(path, aside)?;
    inputs::forget(path);
    announce(path, path, true).map_err(FileError::at(path, "listed"))?;
    Ok(true)
}

/// Removes `folder`, in which this program kept files for a while, with all it still lists as its
/// own, and forgets it: for programs that live on.
///
/// # Errors
/// As [`remove`].
pub fn remove_folder(folder: &Path) -> Result<(), FileError> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for path in entries.flatten().map(|entry| entry.path()).filter(|path| !is_list(path)) {
        remove(&path)?;
    }
    remove_empty(folder);
    held(&LISTS).remove(folder);
    held(&WRITTEN).retain(|path, _| !path.starts_with(folder));
    atomic::forget(folder);
    Ok(())
}

/// Lists that the file now at `now` will be called `path`. With `synced` the list is on the disk
/// before this returns.
pub(crate) fn announce(path: &Path, now: &Path, synced: bool) -> io::Result<()> {
    let stamp = Stamp::of(now).ok_or(io::ErrorKind::NotFound)?;
    Line::of(&stamp, content_of(now)?, writer()).append(path, synced)
}

/// Lists that the file at `path`, which this program has just written, is appended to from now on.
///
/// # Errors
/// When the list cannot be written.
pub fn note_growing(path: &Path) -> Result<(), FileError> {
    let attempt = || {
        let stamp = Stamp::of(path).ok_or(io::ErrorKind::NotFound)?;
        Line::of_growing(&stamp, content_of(path)?, writer()).append(path, false)
    };
    attempt().map_err(FileError::at(path, "written"))
}

pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;

    use super::*;
    use crate::write_bytes_atomic;

    #[test]
    fn only_what_we_wrote_is_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a b\n.nii");
        fs::write(&path, b"theirs").unwrap();
        let error = write_bytes_atomic(&path, b"ours").unwrap_err();
        assert!(error.is_refusal() && fs::read(&path).unwrap() == b"theirs");
        fs::remove_file(&path).unwrap();
        write_bytes_atomic(&path, b"ours").unwrap();
        write_bytes_atomic(&path, b"ours again").unwrap();
        fs::write(&path, b"mended by hand").unwrap();
        assert!(write_bytes_atomic(&path, b"ours").is_err() && remove(&path).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"mended by hand");
    }

    #[test]
    fn a_copy_of_what_we_wrote_is_ours_and_one_of_the_same_bytes_too() {
        let [from, to] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        write_bytes_atomic(&from.path().join("a"), b"ours").unwrap();
        for name in ["a", LIST] {
            fs::write(to.path().join(name), fs::read(from.path().join(name)).unwrap()).unwrap();
        }
        write_bytes_atomic(&to.path().join("a"), b"new").unwrap();
        fs::write(to.path().join("b"), b"same").unwrap();
        write_bytes_atomic(&to.path().join("b"), b"same").unwrap();
        write_bytes_atomic(&to.path().join("b"), b"other").unwrap();
    }

    #[test]
    fn what_another_program_wrote_is_not_ours() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("truth.nii");
        in_the_name_of("other", || write_bytes_atomic(&path, b"theirs")).unwrap();
        assert!(is_as_written(&path) && !is_ours(&path));
        assert!(write_bytes_atomic(&path, b"ours").is_err());
    }

    #[test]
    fn a_file_that_grows_is_ours_and_another_beginning_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("steps.csv");
        write_bytes_atomic(&path, b"head\n").unwrap();
        note_growing(&path).unwrap();
        File::options().append(true).open(&path).unwrap().write_all(b"1\n").unwrap();
        assert!(is_ours(&path));
        fs::write(&path, b"Head\n1\n2\n").unwrap();
        assert!(!is_ours(&path));
    }

    #[test]
    fn an_input_is_never_an_output() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("in.nii");
        fs::write(&path, b"theirs").unwrap();
        inputs::note(&path);
        let other_name = folder.path().join("link.nii");
        fs::hard_link(&path, &other_name).unwrap();
        for name in [&path, &other_name] {
            let error = write_bytes_atomic(name, b"new").unwrap_err();
            assert!(error.source.to_string().contains("that this run reads"), "{}", error.source);
        }
        inputs::forget(&path);
        write_bytes_atomic(&path, b"theirs").unwrap();
    }

    #[test]
    fn what_is_kept_aside_may_be_replaced_and_is_not_lost() {
        let folder = tempfile::tempdir().unwrap();
        let [path, aside] = ["a.nii", "earlier/1/a.nii"].map(|name| folder.path().join(name));
        assert!(!keep_aside(&path, &aside).unwrap());
        fs::write(&path, b"theirs").unwrap();
        inputs::note(&path);
        assert!(write_bytes_atomic(&path, b"ours").is_err());
        assert!(keep_aside(&path, &aside).unwrap());
        write_bytes_atomic(&path, b"ours").unwrap();
        assert_eq!(fs::read(&aside).unwrap(), b"theirs");
        assert!(keep_aside(&path, &aside).is_err(), "what is kept is not written over");
    }

    #[test]
    fn a_folder_for_a_while_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("upload");
        write_bytes_atomic(&inside.join("a"), b"x").unwrap();
        remove_folder(&inside).unwrap();
        assert!(!inside.exists() && !wrote(&inside.join("a")));
        fs::create_dir(&inside).unwrap();
        let stray = File::create(inside.join(".ild-tmp-stray")).unwrap();
        stray.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        write_bytes_atomic(&inside.join("a"), b"x").unwrap();
        assert!(!inside.join(".ild-tmp-stray").exists(), "it is swept as a new one is");
        fs::write(inside.join("theirs"), b"x").unwrap();
        assert!(remove_folder(&inside).is_err() && inside.join("theirs").exists());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("a"), folder.path().join("b"));
        write_bytes_atomic(&target, b"x").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert!(write_bytes_atomic(&link, b"y").is_err());
        assert_eq!(fs::read(&target).unwrap(), b"x");
    }
}
