//! Numpy's NPZ: a zip file of NPY arrays.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use ndarray::{ArrayD, ArrayViewD};
use zip::ZipArchive;

use crate::files::input::{max_inflated, open_regular};
use crate::files::npy::{NpyArray, Source, read_array};
use crate::{Error, Result};

pub use writer::NpzWriter;

mod writer;

/// An NPZ opened for reading; arrays are inflated one by one when asked for.
pub struct NpzFile {
    path: PathBuf,
    archive: ZipArchive<BufReader<File>>,
}

impl NpzFile {
    /// Opens the file and reads its table of contents.
    ///
    /// # Errors
    /// When it is no regular file or no readable zip.
    pub fn open(path: &Path) -> Result<Self> {
        let (file, _) = open_regular(path)?;
        let archive = ZipArchive::new(BufReader::new(file)).map_err(|error| {
            Error::refused(
                path,
                "an NPZ (a zip file of arrays)",
                error.to_string(),
                "the file is damaged or cut short: make it again",
            )
        })?;
        Ok(Self { path: path.to_owned(), archive })
    }

    /// Keys, without `.npy`, in the order of the file.
    pub fn keys(&self) -> Vec<String> {
        self.archive
            .file_names()
            .map(|name| name.strip_suffix(".npy").unwrap_or(name).to_owned())
            .collect()
    }

    /// The array called `key`; `None` when there is none.
    ///
    /// # Errors
    /// When it is damaged, holds Python objects, or promises more than it holds.
    pub fn get(&mut self, key: &str) -> Result<Option<NpyArray>> {
        let names = [format!("{key}.npy"), key.to_owned()];
        let Some(index) = names.iter().find_map(|name| self.archive.index_for_name(name)) else {
            return Ok(None);
        };
        let mut source = Source { path: &self.path, key, largest_bytes: 0 };
        let mut entry = self.archive.by_index(index).map_err(|error| {
            source.reject(
                "a stored or deflated array",
                error,
                "save it again with numpy.savez_compressed",
            )
        })?;
        // Neither the size the zip claims nor what deflate can reach may be exceeded.
        source.largest_bytes = entry.size().min(max_inflated(entry.compressed_size()));
        read_array(&mut entry, &source).map(Some)
    }

    /// The array called `key`.
    ///
    /// # Errors
    /// As [`NpzFile::get`], and when there is none; the message lists the keys there are.
    pub fn require(&mut self, key: &str) -> Result<NpyArray> {
        let found = self.get(key)?;
        found.ok_or_else(|| {
            let keys = self.keys().join(", ");
            Error::refused(
                &self.path,
                format!("the array `{key}`"),
                if keys.is_empty() { "no arrays".to_owned() } else { format!("only {keys}") },
                "is this the right file?",
            )
        })
    }
}

/// Reads the array called `key` of an NPZ as `u8`; `bool` counts as `u8`.
///
/// # Errors
/// As [`NpzFile::require`], and for another type.
pub fn read_npz_u8(path: &Path, key: &str) -> Result<ArrayD<u8>> {
    match NpzFile::open(path)?.require(key)? {
        NpyArray::U8(array) => Ok(array),
        NpyArray::Bool(array) => Ok(array.mapv(u8::from)),
        other => Err(Error::refused(
            path,
            format!("`{key}` to be uint8"),
            other.type_name(),
            "save it as uint8",
        )),
    }
}

/// Writes named `u8` arrays, e.g. one mask per label name, as an NPZ that `numpy.load` reads.
///
/// # Errors
/// When the file cannot be written.
pub fn write_npz_u8<'a>(
    path: &Path,
    arrays: impl IntoIterator<Item = (&'a str, ArrayViewD<'a, u8>)>,
) -> Result<()> {
    write_npz_with(path, |npz| arrays.into_iter().try_for_each(|(key, array)| npz.add(key, &array)))
}

/// Writes an NPZ through `fill`, which adds the arrays; beside its final name first, renamed when
/// complete.
///
/// # Errors
/// When the file cannot be written.
pub fn write_npz_with(
    path: &Path,
    fill: impl FnOnce(&mut NpzWriter) -> io::Result<()>,
) -> Result<()> {
    Ok(ild_cli::write_atomic(path, |file| -> io::Result<()> {
        let mut writer = NpzWriter::new(file);
        fill(&mut writer)?;
        writer.finish()
    })?)
}
