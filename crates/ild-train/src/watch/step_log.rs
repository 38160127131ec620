//! `steps.csv`: one row per optimiser step, with all digits, so that two runs can be compared bit
//! for bit.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::watch::history::StepRecord;

const HEAD: &str = "step,epoch,loss,lr,gradient_norm\n";

/// An open `steps.csv`.
#[derive(Debug)]
pub struct StepLog {
    path: PathBuf,
    file: File,
}

impl StepLog {
    /// Opens the file and keeps its rows up to step `done`: the later ones belong to steps that
    /// will be done again.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn open(path: &Path, done: u64) -> Result<Self> {
        let old = std::fs::read_to_string(path).unwrap_or_default();
        let step_of = |row: &str| row.split(',').next().and_then(|cell| cell.parse::<u64>().ok());
        let kept: String = old
            .split_inclusive('\n')
            .filter(|row| row.ends_with('\n') && step_of(row).is_some_and(|step| step <= done))
            .collect();
        ild_cli::write_bytes_atomic(path, format!("{HEAD}{kept}").as_bytes())?;
        ild_cli::outputs::note_growing(path)?;
        let file = OpenOptions::new()
            .append(true)
            .open(path)
            .map_err(|source| unwritable(path, source))?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Adds a row.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn push(&mut self, s: &StepRecord) -> Result<()> {
        let row = format!("{},{},{},{},{}\n", s.step, s.epoch, s.loss, s.lr, s.gradient_norm);
        Ok(self.file.write_all(row.as_bytes()).map_err(|source| unwritable(&self.path, source))?)
    }
}

/// The rows of `path` up to step `done`, as far as they can be read.
pub(crate) fn read(path: &Path, done: u64) -> Vec<StepRecord> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let row = |row: &str| {
        let mut cells = row.split(',');
        Some(StepRecord {
            step: cells.next()?.parse().ok()?,
            epoch: cells.next()?.parse().ok()?,
            loss: cells.next()?.parse().ok()?,
            lr: cells.next()?.parse().ok()?,
            gradient_norm: cells.next()?.parse().ok()?,
        })
    };
    text.lines().filter_map(row).filter(|record| record.step <= done).collect()
}

fn unwritable(path: &Path, source: std::io::Error) -> ild_io::Error {
    ild_io::Error::Io { path: path.to_owned(), what: "written", source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_steps_that_will_be_done_again_are_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("steps.csv");
        let record = |step| StepRecord {
            step,
            epoch: 1,
            loss: 0.1 + step as f64 / 3.0,
            lr: 1e-5,
            gradient_norm: 2.0,
        };
        let mut log = StepLog::open(&path, 0).unwrap();
        (1..=3).for_each(|step| log.push(&record(step)).unwrap());
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{whole}4,1,0.5")).unwrap(); // killed while writing
        let mut log = StepLog::open(&path, 2).unwrap();
        log.push(&record(3)).unwrap();
        assert_eq!(read(&path, 2), [record(1), record(2)], "to the last digit");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), whole);
    }
}
