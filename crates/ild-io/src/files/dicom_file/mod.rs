//! One DICOM file, wherever it lies: on disk, or in a zip archive as `study.zip/IM0001`.
//!
//! ```text
//! archive   what is in a zip, bounded against bombs
//! lengths   element lengths that lie, seen before a parser takes memory for them
//! ```

mod archive;
mod lengths;

use std::fs::{self, File};
use std::io::{BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dicom_dictionary_std::tags;
use dicom_object::file::ReadPreamble;
use dicom_object::{DefaultDicomObject, OpenFileOptions, Tag};

use crate::files::input::unreadable;
use crate::{Error, Result};

pub(super) use archive::{files_in as files_in_archive, holds_dicom, is_archive};

/// The magic behind the preamble (PS3.10 7.1).
const MAGIC: &[u8] = b"DICM";
const PREAMBLE: usize = 128;

/// A DICOM file that is being read.
pub(super) struct DicomFile {
    path: PathBuf,
    source: Source,
}

enum Source {
    Disk,
    /// Of an archive, inflated.
    Memory(Arc<[u8]>),
}

/// Its bytes from the beginning.
pub(super) enum Bytes {
    Disk(BufReader<File>),
    Memory(Cursor<Arc<[u8]>>),
}

impl DicomFile {
    /// Opens a file; one that lies in an archive is inflated.
    pub fn open(path: &Path) -> Result<Self> {
        let source = match archive::of(path) {
            Some(archive) => Source::Memory(archive::inflated(archive, path)?),
            None => Source::Disk,
        };
        Ok(Self { path: path.to_owned(), source })
    }

    /// Opens a file whose lengths are those that it holds.
    pub fn checked(path: &Path) -> Result<Self> {
        let file = Self::open(path)?;
        lengths::check(&file)?;
        Ok(file)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    fn bytes(&self) -> Result<Bytes> {
        Ok(match &self.source {
            Source::Disk => {
                Bytes::Disk(BufReader::new(File::open(&self.path).map_err(unreadable(&self.path))?))
            }
            Source::Memory(bytes) => Bytes::Memory(Cursor::new(bytes.clone())),
        })
    }

    fn size(&self) -> Result<u64> {
        match &self.source {
            Source::Disk => Ok(fs::metadata(&self.path).map_err(unreadable(&self.path))?.len()),
            Source::Memory(bytes) => Ok(bytes.len() as u64),
        }
    }

    /// The elements before `tag`.
    pub fn until(&self, tag: Tag) -> Result<DefaultDicomObject> {
        self.read(OpenFileOptions::new().read_until(tag))
    }

    /// All elements.
    pub fn whole(&self) -> Result<DefaultDicomObject> {
        self.read(OpenFileOptions::new())
    }

    fn read(&self, how: OpenFileOptions) -> Result<DefaultDicomObject> {
        let object = how.read_preamble(ReadPreamble::Auto).from_reader(self.bytes()?);
        object.map_err(|error| damaged(&self.path, &error))
    }
}

impl Read for Bytes {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Disk(reader) => reader.read(buffer),
            Self::Memory(reader) => reader.read(buffer),
        }
    }
}

impl Seek for Bytes {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        match self {
            Self::Disk(reader) => reader.seek(to),
            Self::Memory(reader) => reader.seek(to),
        }
    }
}

/// Whether a file has DICOM's magic behind its preamble.
#[must_use]
pub fn is_dicom(path: &Path) -> bool {
    let mut start = [0u8; PREAMBLE + MAGIC.len()];
    let read = match archive::of(path) {
        Some(archive) => archive::start(archive, path, &mut start).is_ok(),
        None => {
            fs::metadata(path).is_ok_and(|meta| meta.is_file())
                && File::open(path).is_ok_and(|mut file| file.read_exact(&mut start).is_ok())
        }
    };
    read && start.ends_with(MAGIC)
}

/// SOPInstanceUID of a DICOM file in memory; `of` is what messages name.
///
/// # Errors
/// When it is no DICOM file, or has none.
pub fn instance_uid(of: &Path, bytes: &[u8]) -> Result<String> {
    let file = DicomFile { path: of.to_owned(), source: Source::Memory(bytes.into()) };
    lengths::check(&file)?;
    let object = file.until(tags::SOP_INSTANCE_UID)?;
    let uid = object.meta().media_storage_sop_instance_uid().trim_end_matches('\0').to_owned();
    match uid.is_empty() {
        true => Err(Error::refused(of, "a SOPInstanceUID", "none", "write the file again")),
        false => Ok(uid),
    }
}

/// Notes that the file is read: of an archive all of it.
pub(super) fn note(path: &Path) {
    ild_cli::inputs::note(archive::of(path).unwrap_or(path));
}

/// A file that the DICOM parser gave up on, with the innermost cause.
pub(super) fn damaged(path: &Path, error: &dyn std::error::Error) -> Error {
    Error::refused(
        path,
        "a readable DICOM file",
        innermost(error),
        "the file is damaged or cut short: copy it again",
    )
}

/// What the innermost cause of an error says.
pub(super) fn innermost(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
