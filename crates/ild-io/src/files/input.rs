//! Opening files that nobody vouches for: only regular files, gzip recognised by content, never
//! more bytes than promised.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::files::gzip::Gunzip;
use crate::{Error, Result};

/// Deflate cannot make a stream more than 1032 times smaller; a header that promises more than that
/// lies.
const LARGEST_EXPANSION: u64 = 1100;

/// Largest array that is read, in bytes: a 512 × 512 × 8192 scan of 16-bit voxels.
pub(crate) const LARGEST_ARRAY_BYTES: u64 = 4 << 30;

/// What is behind the last expected byte and still read to find the checksum; more than that is a
/// bomb.
const LARGEST_TAIL_BYTES: u64 = 64 << 20;

/// A file being read from its beginning, inflated if it is gzip.
pub(crate) struct Input {
    path: PathBuf,
    stream: Stream,
    /// Upper bound of what the file can inflate to.
    largest_bytes: u64,
}

enum Stream {
    Plain(BufReader<File>),
    Gzip(Box<Gunzip<BufReader<File>>>),
}

impl Input {
    /// Opens a regular file (links are followed) and looks whether it is gzip.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let (mut reader, size) = Self::open_reader(path)?;
        let gzip = reader.fill_buf().map_err(unreadable(path))?.starts_with(&[0x1f, 0x8b]);
        Ok(if gzip { Self::gzip(path, reader, size) } else { Self::plain(path, reader, size) })
    }

    /// A regular file from its beginning and its size, for formats whose header comes before the
    /// stream.
    pub(crate) fn open_reader(path: &Path) -> Result<(BufReader<File>, u64)> {
        let (file, size) = open_regular(path)?;
        Ok((BufReader::with_capacity(1 << 20, file), size))
    }

    /// The rest of `reader`, of a file of `size` bytes, as it is.
    pub(crate) fn plain(path: &Path, reader: BufReader<File>, size: u64) -> Self {
        Self { path: path.to_owned(), stream: Stream::Plain(reader), largest_bytes: size }
    }

    /// The rest of `reader`, of a file of `size` bytes, inflated.
    pub(crate) fn gzip(path: &Path, reader: BufReader<File>, size: u64) -> Self {
        Self {
            path: path.to_owned(),
            stream: Stream::Gzip(Box::new(Gunzip::new(reader))),
            largest_bytes: max_inflated(size),
        }
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the content is gzip, whatever the name says.
    pub(crate) fn is_gzip(&self) -> bool {
        matches!(self.stream, Stream::Gzip(_))
    }

    /// Refuses a promise of `bytes` that the file cannot keep or that is beyond what is ever read;
    /// called before allocating.
    pub(crate) fn check_promise(&self, bytes: u64, of_what: &str) -> Result<()> {
        check_promise(&self.path, bytes, self.largest_bytes, of_what)
    }

    /// Fills `buffer`; `from` is how many bytes were read before it, for the message.
    pub(crate) fn fill(&mut self, buffer: &mut [u8], from: u64) -> Result<()> {
        let mut done = 0;
        while done < buffer.len() {
            match self.read(&mut buffer[done..]) {
                Ok(0) => {
                    return Err(Error::refused(
                        &self.path,
                        format!("{} bytes", from + buffer.len() as u64),
                        format!("the end of the file after {}", from + done as u64),
                        "the file is cut short: copy it again",
                    ));
                }
                Ok(n) => done += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(broken(&self.path, error)),
            }
        }
        Ok(())
    }

    /// Reads past `bytes` bytes.
    pub(crate) fn skip(&mut self, bytes: u64, from: u64) -> Result<()> {
        let skipped = io::copy(&mut (&mut *self).take(bytes), &mut io::sink())
            .map_err(|error| broken(&self.path, error))?;
        if skipped < bytes {
            return Err(Error::refused(
                &self.path,
                format!("voxels from byte {}", from + bytes),
                format!("the end of the file after {}", from + skipped),
                "the file is cut short or its vox_offset is wrong",
            ));
        }
        Ok(())
    }

    /// Reads to the end, so that a wrong checksum or a missing tail is seen; returns how many bytes
    /// that were.
    pub(crate) fn drain(&mut self) -> Result<u64> {
        let tail = io::copy(&mut (&mut *self).take(LARGEST_TAIL_BYTES + 1), &mut io::sink())
            .map_err(|error| broken(&self.path, error))?;
        if tail > LARGEST_TAIL_BYTES {
            return Err(Error::refused(
                &self.path,
                "the end of the file after the last voxel",
                format!("more than {} MiB behind it", LARGEST_TAIL_BYTES >> 20),
                "the header's dims and the data do not belong together",
            ));
        }
        Ok(tail)
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.stream {
            Stream::Plain(reader) => reader.read(buffer),
            Stream::Gzip(reader) => reader.read(buffer),
        }
    }
}

/// More than deflate can make of `compressed` bytes.
pub(crate) fn max_inflated(compressed: u64) -> u64 {
    compressed.saturating_mul(LARGEST_EXPANSION)
}

/// See [`Input::check_promise`].
pub(crate) fn check_promise(
    path: &Path,
    bytes: u64,
    largest_bytes: u64,
    of_what: &str,
) -> Result<()> {
    if bytes > largest_bytes {
        return Err(Error::refused(
            path,
            format!("{bytes} bytes of {of_what}, as its header promises"),
            format!("a file that holds {largest_bytes} at most"),
            "the file is cut short or its header is wrong",
        ));
    }
    if bytes > LARGEST_ARRAY_BYTES {
        return Err(Error::refused(
            path,
            format!("at most {} GiB of {of_what}", LARGEST_ARRAY_BYTES >> 30),
            format!("a header that promises {:.1} GiB", bytes as f64 / f64::from(1 << 30)),
            "crop the volume or store it in a smaller type",
        ));
    }
    Ok(())
}

/// Opens a regular file and returns its size; folders, pipes and devices are refused before
/// anything can hang. The file counts as read ([`ild_cli::inputs`]).
pub(crate) fn open_regular(path: &Path) -> Result<(File, u64)> {
    ild_cli::inputs::note(path);
    let meta = ild_cli::regular(path).map_err(unreadable(path))??;
    if meta.len() == 0 {
        return Err(Error::refused(path, "a file with content", "an empty file", "copy it again"));
    }
    Ok((File::open(path).map_err(unreadable(path))?, meta.len()))
}

/// The text of a regular file, without the byte order mark that Windows programs put before it.
///
/// # Errors
/// A refusal of anything else, of bytes that are no UTF-8, and of a path where nothing is.
pub fn read_text(path: &Path) -> Result<String> {
    let (mut file, size) = open_regular(path)?;
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    file.read_to_end(&mut bytes).map_err(unreadable(path))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        Error::refused(
            path,
            "text (UTF-8)",
            error.utf8_error().to_string(),
            "is this the right file? save it as UTF-8",
        )
    })?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// An error of the operating system; a file that is not there is the caller's input at fault.
pub(crate) fn unreadable(path: &Path) -> impl Fn(io::Error) -> Error + '_ {
    move |source| match source.kind() {
        io::ErrorKind::NotFound => {
            Error::refused(path, "a file", "nothing at this path", "check the spelling")
        }
        _ => Error::Io { path: path.to_owned(), what: "read", source },
    }
}

/// An error in the middle of a stream: damaged data is a refusal, anything else the machine's
/// fault.
fn broken(path: &Path, source: io::Error) -> Error {
    match source.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => {
            Error::refused(
                path,
                "an undamaged gzip stream",
                source.to_string(),
                "the file is damaged or cut short: copy it again",
            )
        }
        _ => Error::Io { path: path.to_owned(), what: "read", source },
    }
}
