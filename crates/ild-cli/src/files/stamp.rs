//! A file as it was at one moment: how two moments are compared.
//!
//! Size, time of change and time of status change are looked at first. The last cannot be set by
//! anybody, so a file in which all three agree holds what it held. Where they differ the bytes
//! decide: a copy, or a `touch`, changes nothing.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize, Serializer};
use xxhash_rust::xxh3::Xxh3Default;

/// A file as it was when it was read or written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Where; a path that is not UTF-8 is written with replacement characters and found no more.
    #[serde(serialize_with = "in_words")]
    pub path: PathBuf,
    /// Bytes.
    pub bytes: u64,
    /// Time of the last change, nanoseconds since 1970.
    pub changed_ns: u64,
    /// Time of the last change of content, name or rights, which no program can set.
    #[serde(default)]
    pub status_ns: u64,
    /// Hash of the bytes (XXH3, 64 bit), where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
}

impl Stamp {
    /// The file now; `None` when there is no regular file (links are followed).
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let meta = std::fs::metadata(path).ok()?;
        meta.is_file().then(|| Self::from(path, &meta))
    }

    pub(crate) fn from(path: &Path, meta: &Metadata) -> Self {
        Self {
            path: path.to_owned(),
            bytes: meta.len(),
            changed_ns: changed_ns(meta),
            status_ns: status_ns(meta),
            content: None,
        }
    }

    /// The same with the hash of its bytes; without one when it cannot be read any more.
    #[must_use]
    pub fn hashed(self) -> Self {
        Self { content: content_of(&self.path).ok(), ..self }
    }

    /// Whether neither was written to between the two moments.
    #[must_use]
    pub fn untouched(&self, other: &Self) -> bool {
        let key = |stamp: &Self| (stamp.bytes, stamp.changed_ns, stamp.status_ns);
        key(self) == key(other)
    }

    /// Whether `now` holds the same bytes, wherever it lies. Where the times differ, its bytes are
    /// read; without a hash to compare them with, they count as others.
    #[must_use]
    pub fn same_content(&self, now: &Self) -> bool {
        let read = || now.content.clone().or_else(|| content_of(&now.path).ok());
        self.untouched(now)
            || (self.bytes == now.bytes && self.content.is_some() && self.content == read())
    }

    /// Whether the file still is where it was and holds the same bytes.
    #[must_use]
    pub fn still_true(&self) -> bool {
        Self::of(&self.path).is_some_and(|now| self.same_content(&now))
    }
}

fn in_words<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

fn changed_ns(meta: &Metadata) -> u64 {
    let since = meta.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |since| since.as_nanos() as u64)
}

#[cfg(unix)]
fn status_ns(meta: &Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt;
    (meta.ctime().unsigned_abs() * 1_000_000_000).wrapping_add(meta.ctime_nsec().unsigned_abs())
}

#[cfg(not(unix))]
fn status_ns(meta: &Metadata) -> u64 {
    changed_ns(meta)
}

/// Hash of a file's bytes (XXH3, 64 bit): tells versions of a file apart, not forgeries.
///
/// # Errors
/// When the file cannot be read.
pub fn content_of(path: &Path) -> io::Result<String> {
    content_of_first(path, u64::MAX)
}

/// The same of bytes in memory.
#[must_use]
pub fn content_of_bytes(bytes: &[u8]) -> String {
    format!("{:016x}", xxhash_rust::xxh3::xxh3_64(bytes))
}

/// The same of its first `bytes` bytes.
pub(crate) fn content_of_first(path: &Path, bytes: u64) -> io::Result<String> {
    let mut file = File::open(path)?.take(bytes);
    let mut hasher = Xxh3Default::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            return Ok(format!("{:016x}", hasher.digest()));
        }
        hasher.update(&buffer[..n]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_looked_at_first_and_bytes_decide() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, b"one").unwrap();
        let before = Stamp::of(&path).unwrap().hashed();
        assert!(before.still_true());
        let aside = folder.path().join("b");
        std::thread::sleep(std::time::Duration::from_millis(20)); // the clock of files is coarse
        std::fs::write(&aside, b"one").unwrap();
        std::fs::rename(&aside, &path).unwrap();
        assert!(!before.untouched(&Stamp::of(&path).unwrap()) && before.still_true());
        assert!(!Stamp { content: None, ..before.clone() }.still_true());
        std::fs::write(&path, b"two").unwrap();
        assert!(!before.still_true());
    }

    #[cfg(unix)]
    #[test]
    fn a_time_that_was_set_back_hides_no_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, b"one").unwrap();
        let time = std::fs::metadata(&path).unwrap().modified().unwrap();
        let before = Stamp::of(&path).unwrap().hashed();
        std::thread::sleep(std::time::Duration::from_millis(20));
        std::fs::write(&path, b"two").unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        let now = Stamp::of(&path).unwrap();
        assert_eq!((now.bytes, now.changed_ns), (before.bytes, before.changed_ns));
        assert!(!before.still_true());
    }

    #[test]
    fn the_hash_is_the_published_one() {
        let file = tempfile::NamedTempFile::new().unwrap();
        // XXH3 of nothing, seed 0, in xxHash's own table of values.
        assert_eq!(content_of(file.path()).unwrap(), "2d06800538d394c2");
    }
}
