//! What a program says: results on stdout, complaints on stderr.
//!
//! `println!` panics when nobody reads or the disk is full. Here a reader that has gone away (`|
//! head`) is no fault and everything after it is dropped; any other failure of stdout is an error
//! like that of every file; stderr is written as far as it goes.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use crate::{FileError, veil};

/// Prints `text` and a line end to stdout.
///
/// Control characters, which a file may have smuggled in with a name, are shown and not obeyed.
///
/// # Errors
/// When stdout cannot take it, except that its reader has gone away.
pub fn say(text: impl Display) -> Result<(), FileError> {
    write_line(&mut io::stdout().lock(), &text.to_string())
        .map_err(FileError::at(Path::new("stdout"), "written"))
}

/// Prints `text` and a line end to stderr; what stderr cannot take is lost.
pub fn complain(text: impl Display) {
    let _ = write_line(&mut io::stderr().lock(), &text.to_string());
}

fn write_line(to: &mut impl Write, text: &str) -> io::Result<()> {
    let mut line = printable(&veil::over(text));
    line.push('\n');
    match to.write_all(line.as_bytes()).and_then(|()| to.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// `text` with its control characters, line ends and tabs left out, written as `\u{1b}`.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && !matches!(c, '\n' | '\t') {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken(ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_left_is_no_fault_and_a_full_disk_is() {
        assert!(write_line(&mut Broken(ErrorKind::BrokenPipe), "x").is_ok());
        assert!(write_line(&mut Broken(ErrorKind::StorageFull), "x").is_err());
    }

    #[test]
    fn control_characters_are_shown_and_not_obeyed() {
        let mut out = Vec::new();
        write_line(&mut out, "a\u{1b}[2Jb\tc\nd\r").unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "a\\u{1b}[2Jb\tc\nd\\r\n");
    }
}
