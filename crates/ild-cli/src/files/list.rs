//! The hidden list of a folder, `.ild-files`: a line for each writing.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::outputs::folder_of;
use crate::Stamp;

pub(super) const LIST: &str = ".ild-files";
/// In place of a time: the file is appended to, so only its beginning is as the line says.
const GROWS: &str = "grows";

/// What a line says of its file.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) bytes: u64,
    /// `None` for a file that grows.
    pub(super) changed_ns: Option<u64>,
    pub(super) content: String,
    pub(super) writer: String,
}

impl Line {
    /// Of a file that is whole, with this content.
    pub(super) fn of(stamp: &Stamp, content: String, writer: String) -> Self {
        Self { bytes: stamp.bytes, changed_ns: Some(stamp.changed_ns), content, writer }
    }

    /// Of a file that will be appended to.
    pub(super) fn of_growing(stamp: &Stamp, content: String, writer: String) -> Self {
        Self { bytes: stamp.bytes, changed_ns: None, content, writer }
    }

    /// Writes the line for `path` in one go, so that lines of several processes do not mix. With
    /// `synced` it is on the disk before this returns.
    pub(super) fn append(&self, path: &Path, synced: bool) -> io::Result<()> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let mut file =
            File::options().create(true).append(true).open(folder_of(path).join(LIST))?;
        let time = self.changed_ns.map_or_else(|| GROWS.to_owned(), |ns| ns.to_string());
        let Self { bytes, content, writer, .. } = self;
        file.write_all(format!("{bytes} {time} {content} {writer} {name:?}\n").as_bytes())?;
        if synced { file.sync_data() } else { Ok(()) }
    }

    /// Name and line; `None` for a line that is cut short.
    fn parse(text: &str) -> Option<(String, Self)> {
        let mut words = text.splitn(5, ' ');
        let bytes = words.next()?.parse().ok()?;
        let changed_ns = match words.next()? {
            GROWS => None,
            time => Some(time.parse().ok()?),
        };
        let [content, writer] = [words.next()?, words.next()?].map(str::to_owned);
        Some((words.next()?.to_owned(), Self { bytes, changed_ns, content, writer }))
    }

    /// Looks at the lines of the list at `path` that tell of the file called `name` (quoted as they do),
    /// one after the other: a list of years takes no memory.
    pub(super) fn each_of(path: &Path, name: &str, mut look: impl FnMut(&Self)) {
        let Ok(file) = File::open(path) else { return };
        for line in BufReader::new(file).split(b'\n').map_while(Result::ok) {
            // A line that is cut short lacks the quote at the end of its name.
            if line.ends_with(name.as_bytes())
                && let Some((other, line)) = Self::parse(&String::from_utf8_lossy(&line))
                && other == name
            {
                look(&line);
            }
        }
    }

    pub(super) fn grows(&self) -> bool {
        self.changed_ns.is_none()
    }
}

/// The list of one folder, read as far as it went last time.
#[derive(Default)]
pub(super) struct List {
    read: u64,
    lines: HashMap<String, Vec<Line>>,
}

impl List {
    /// The lines that tell of the file called `name` (quoted as they do).
    pub(super) fn of(&self, name: &str) -> &[Line] {
        self.lines.get(name).map_or(&[], Vec::as_slice)
    }

    /// Reads what was added since.
    pub(super) fn read_on(&mut self, path: &Path) {
        let Ok(mut file) = File::open(path) else {
            *self = Self::default();
            return;
        };
        if file.metadata().is_ok_and(|meta| meta.len() < self.read) {
            *self = Self::default();
        }
        let mut text = Vec::new();
        if file.seek(SeekFrom::Start(self.read)).is_err() || file.read_to_end(&mut text).is_err() {
            return;
        }
        let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        self.read += whole as u64;
        for line in String::from_utf8_lossy(&text[..whole]).lines() {
            if let Some((name, line)) = Line::parse(line) {
                self.lines.entry(name).or_default().push(line);
            }
        }
    }
}
