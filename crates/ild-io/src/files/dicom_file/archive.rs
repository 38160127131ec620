//! DICOM files in a zip archive, as hospitals export studies. A file in it is named by the path of the
//! archive and its own name behind it: `study.zip/series-3/IM0001`.
//!
//! Nothing is unpacked to disk. What an archive may make of itself is bounded: no file larger than
//! deflate can reach or than [`LARGEST_FILE_BYTES`], and no bytes of the archive for two files.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::SystemTime;

use flate2::read::DeflateDecoder;
use zip::{CompressionMethod, ZipArchive};

use crate::files::input::{max_inflated, open_regular, unreadable};
use crate::{Error, Result};

/// Of one file, inflated: a multi-frame CT of 2000 slices of 512 × 512.
const LARGEST_FILE_BYTES: u64 = 1 << 30;
/// An archive holds no more files than this.
const MOST_FILES: usize = 1 << 17;
/// Tables of contents that are kept: of as many archives as one cohort has.
const KEPT_TABLES: usize = 64;

/// Where a file lies in its archive.
#[derive(Clone, Copy, Debug)]
struct Place {
    start: u64,
    compressed: u64,
    inflated: u64,
    deflated: bool,
    crc32: u32,
}

/// The files of an archive, by name.
type Table = BTreeMap<String, Place>;

/// The archive that `path` is a file of: the file on disk above it.
pub(super) fn of(path: &Path) -> Option<&Path> {
    if fs::symlink_metadata(path).is_ok() {
        return None;
    }
    path.ancestors().skip(1).find(|above| above.is_file())
}

/// Whether the file at `path` begins like a zip.
pub(in crate::files) fn is_archive(path: &Path) -> bool {
    let mut start = [0; 4];
    path.is_file()
        && File::open(path).is_ok_and(|mut file| file.read_exact(&mut start).is_ok())
        && start == *b"PK\x03\x04"
}

/// Whether the zip at `path` holds DICOM rather than arrays of numpy.
pub(in crate::files) fn holds_dicom(path: &Path) -> bool {
    table(path).is_ok_and(|table| {
        !table.keys().any(|name| name.ends_with(".npy"))
            && table.keys().any(|name| super::is_dicom(&path.join(name)))
    })
}

/// The DICOM files in the archive, sorted by name.
pub(in crate::files) fn files_in(archive: &Path) -> Result<Vec<PathBuf>> {
    let table = table(archive)?;
    let files = table.keys().map(|name| archive.join(name));
    Ok(files.filter(|file| super::is_dicom(file)).collect())
}

/// The first bytes of a file of the archive.
pub(super) fn start(archive: &Path, path: &Path, buffer: &mut [u8]) -> Result<()> {
    let place = place(archive, path)?;
    let mut stream = stream(archive, place)?;
    stream.read_exact(buffer).map_err(unreadable(path))
}

/// A file of the archive, whole.
pub(super) fn inflated(archive: &Path, path: &Path) -> Result<Arc<[u8]>> {
    let place = place(archive, path)?;
    let mut bytes = Vec::new();
    let read = stream(archive, place)?.take(place.inflated + 1).read_to_end(&mut bytes);
    let found = match read {
        Err(error) => error.to_string(),
        Ok(_) if bytes.len() as u64 != place.inflated => format!("{} bytes", bytes.len()),
        Ok(_) if crc32fast::hash(&bytes) != place.crc32 => "other bytes (CRC-32)".to_owned(),
        Ok(_) => return Ok(bytes.into()),
    };
    let expected = format!("the {} bytes that the archive promises", place.inflated);
    Err(Error::refused(path, expected, found, "the archive is damaged: copy it again"))
}

fn stream(archive: &Path, place: Place) -> Result<Box<dyn Read>> {
    let mut file = File::open(archive).map_err(unreadable(archive))?;
    file.seek(SeekFrom::Start(place.start)).map_err(unreadable(archive))?;
    let packed = BufReader::new(file).take(place.compressed);
    Ok(if place.deflated { Box::new(DeflateDecoder::new(packed)) } else { Box::new(packed) })
}

fn place(archive: &Path, path: &Path) -> Result<Place> {
    let name = path.strip_prefix(archive).unwrap_or(path).to_string_lossy().into_owned();
    table(archive)?.get(&name).copied().ok_or_else(|| {
        Error::refused(path, "a file of the archive", "none of that name", "check the spelling")
    })
}

/// The table of contents, read once as long as the archive stays what it is.
fn table(archive: &Path) -> Result<Arc<Table>> {
    type Kept = BTreeMap<PathBuf, (u64, Option<SystemTime>, Arc<Table>)>;
    static TABLES: LazyLock<Mutex<Kept>> = LazyLock::new(Mutex::default);
    let meta = fs::metadata(archive).map_err(unreadable(archive))?;
    let (size, changed) = (meta.len(), meta.modified().ok());
    let mut kept = TABLES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, _, table)) = kept.get(archive).filter(|k| (k.0, k.1) == (size, changed)) {
        return Ok(table.clone());
    }
    let table = Arc::new(read_table(archive)?);
    if kept.len() >= KEPT_TABLES {
        kept.clear();
    }
    kept.insert(archive.to_owned(), (size, changed, table.clone()));
    Ok(table)
}

fn read_table(archive: &Path) -> Result<Table> {
    let refused = |expected: &str, found: String, next: &str| {
        Err(Error::refused(archive, expected, found, next))
    };
    let (file, size) = open_regular(archive)?;
    let copy = "the archive is damaged or cut short: copy it again";
    let mut zip = match ZipArchive::new(BufReader::new(file)) {
        Ok(zip) => zip,
        Err(error) => return refused("a zip archive", error.to_string(), copy),
    };
    if zip.len() > MOST_FILES {
        return refused("at most 131072 files", zip.len().to_string(), "unpack it");
    }
    let (mut table, mut packed) = (Table::new(), 0u64);
    for index in 0..zip.len() {
        let entry = match zip.by_index_raw(index) {
            Ok(entry) => entry,
            Err(error) => return refused("a zip archive", error.to_string(), copy),
        };
        // Names that leave the archive are nobody's study.
        let Some(name) = entry.enclosed_name().filter(|_| entry.is_file()) else { continue };
        let name = name.to_string_lossy().into_owned();
        if entry.encrypted() {
            return refused("an archive without a password", name, "unpack it");
        }
        let deflated = match entry.compression() {
            CompressionMethod::Stored => false,
            CompressionMethod::Deflated => true,
            other => {
                return refused(
                    "stored or deflated files",
                    format!("{name}: {other}"),
                    "unpack it",
                );
            }
        };
        let (compressed, inflated) = (entry.compressed_size(), entry.size());
        let reachable = if deflated { max_inflated(compressed) } else { compressed };
        if inflated > reachable.min(LARGEST_FILE_BYTES) {
            let found = format!("{name}, which promises {inflated} of {compressed}");
            return refused("files of at most 1 GiB", found, "the archive is made to do harm");
        }
        packed = packed.saturating_add(compressed);
        let place = Place {
            start: entry.data_start(),
            compressed,
            inflated,
            deflated,
            crc32: entry.crc32(),
        };
        table.insert(name, place);
    }
    if packed > size {
        let found = format!("{packed} in an archive of {size}");
        return refused("files that do not overlap", found, "the archive is made to do harm");
    }
    Ok(table)
}
