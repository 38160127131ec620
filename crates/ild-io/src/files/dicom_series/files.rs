//! Which files of a folder are the slices.

use std::fs;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::SliceHeader;
use super::header::Content;
use crate::files::dicom_file;
use crate::files::input::unreadable;
use crate::{Error, Result};

/// How many file names a message shows.
const SHOWN_NAMES: usize = 3;

/// Headers of all image slices in `path`, and notes about files that are none.
pub(super) fn headers(path: &Path) -> Result<(Vec<SliceHeader>, Vec<String>)> {
    let (files, folders) = list(path)?;
    headers_of(path, &files, &folders)
}

/// The same of these files; `folders` were beside them.
pub(super) fn headers_of(
    path: &Path,
    files: &[PathBuf],
    folders: &[String],
) -> Result<(Vec<SliceHeader>, Vec<String>)> {
    let read: Vec<Content> =
        files.par_iter().map(|file| Content::read(file)).collect::<Result<_>>()?;
    let (mut slices, mut others) = (Vec::new(), Vec::new());
    for (content, file) in read.into_iter().zip(files) {
        match content {
            Content::Slices(of_file) => slices.extend(of_file),
            Content::Other(what) => others.push(format!("{} ({what})", name(file))),
        }
    }
    if slices.is_empty() {
        let inside = if folders.is_empty() {
            String::new()
        } else {
            format!("; folders inside: {}", shorten(folders))
        };
        let found = if others.is_empty() { "no files".to_owned() } else { shorten(&others) };
        return Err(Error::refused(
            path,
            "DICOM image slices",
            found + &inside,
            "name the folder that holds the slices of one series",
        ));
    }
    let notes = if others.is_empty() {
        Vec::new()
    } else {
        vec![format!("passed over {} files that are no slices: {}", others.len(), shorten(&others))]
    };
    Ok((slices, notes))
}

/// Files directly in `path` (or `path` itself) and the names of folders in it, both sorted.
fn list(path: &Path) -> Result<(Vec<PathBuf>, Vec<String>)> {
    if dicom_file::is_archive(path) {
        dicom_file::note(path);
        return Ok((dicom_file::files_in_archive(path)?, Vec::new()));
    }
    if !fs::metadata(path).map_err(unreadable(path))?.is_dir() {
        return Ok((vec![path.to_owned()], Vec::new()));
    }
    let (mut files, mut folders) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(path).map_err(unreadable(path))? {
        let inside = entry.map_err(unreadable(path))?.path();
        match fs::metadata(&inside) {
            Ok(meta) if meta.is_dir() => folders.push(name(&inside)),
            Ok(meta) if meta.is_file() => files.push(inside),
            // Pipes, sockets and dangling links are never slices.
            _ => {}
        }
    }
    files.sort();
    folders.sort();
    files.iter().for_each(|file| dicom_file::note(file));
    Ok((files, folders))
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

fn shorten(names: &[String]) -> String {
    let more = if names.len() > SHOWN_NAMES {
        format!(" and {} more", names.len() - SHOWN_NAMES)
    } else {
        String::new()
    };
    names.iter().take(SHOWN_NAMES).cloned().collect::<Vec<_>>().join(", ") + &more
}
