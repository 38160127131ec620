//! Where a run would write: may it, can it lock, and how much fits.

use std::ffi::CString;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::finding::Finding;

/// A run of the sample takes 0.4 GB; own data takes more.
const LITTLE: u64 = 2 << 30;

/// The folder of the run and the one for temporary files.
pub fn findings(run: &Path) -> [Finding; 2] {
    [
        finding("folder of the run", run, "name another one: [pipeline] output in --config"),
        finding("temporary files", &std::env::temp_dir(), "name another one in TMPDIR"),
    ]
}

fn finding(what: &str, wanted: &Path, next: &str) -> Finding {
    let wanted = std::path::absolute(wanted).unwrap_or_else(|_| wanted.to_owned());
    let there = wanted.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("/"));
    let shown = wanted.display();
    let probe = match tempfile::NamedTempFile::new_in(there) {
        Ok(file) => file,
        Err(error) => {
            return Finding::new(what, format!("{shown}: {error}")).needed(next);
        }
    };
    let free = free_bytes(there);
    let gigabytes = free.map_or("?".to_owned(), |free| format!("{:.1}", free as f64 / 1e9));
    let found = Finding::new(what, format!("{shown}: writable, {gigabytes} GB free"));
    let lock = File::open(probe.path()).and_then(|file| Ok(file.try_lock()?));
    if let Err(error) = lock {
        let advice = "let one process at a time write there: a second one would not be noticed";
        return Finding { here: format!("{}, no locks ({error})", found.here), ..found }
            .advice(advice);
    }
    if free.is_some_and(|free| free < LITTLE) {
        found.advice("make room, or name another place")
    } else {
        found
    }
}

/// Bytes that an ordinary user may still write on the file system of `folder`.
fn free_bytes(folder: &Path) -> Option<u64> {
    let path = CString::new(folder.as_os_str().as_bytes()).ok()?;
    // SAFETY: `statvfs` fills the struct, which is all integers, from a path that ends in a zero.
    unsafe {
        let mut stat: libc::statvfs = std::mem::zeroed();
        (libc::statvfs(path.as_ptr(), &raw mut stat) == 0)
            .then(|| stat.f_bavail as u64 * stat.f_frsize as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_not_there_yet_is_judged_by_the_one_it_will_lie_in() {
        let folder = tempfile::tempdir().unwrap();
        let found = finding("run", &folder.path().join("a/b"), "elsewhere");
        assert!(found.here.contains("a/b: writable") && !found.needed, "{found:?}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left there");
    }

    #[test]
    fn a_folder_that_cannot_be_written_to_is_needed_elsewhere() {
        let found = finding("run", Path::new("/proc/ild"), "elsewhere");
        assert!(found.needed && found.next.as_deref() == Some("elsewhere"), "{found:?}");
    }
}
