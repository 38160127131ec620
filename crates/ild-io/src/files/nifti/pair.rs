//! The two files of a `.hdr` / `.img` pair.

use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// The header file that belongs to `path`: itself, unless it is named like the image half of a
/// pair.
pub(super) fn header_path(path: &Path) -> Result<PathBuf> {
    match stem(path, "img") {
        Some(stem) => partner(path, &stem, "hdr"),
        None => Ok(path.to_owned()),
    }
}

/// The image file that belongs to the header at `path`.
pub(super) fn image_path(path: &Path) -> Result<PathBuf> {
    let stem = stem(path, "hdr").ok_or_else(|| {
        Error::refused(
            path,
            "a name that ends in .hdr or .hdr.gz",
            "a header whose voxels are in another file",
            "rename both as .hdr and .img",
        )
    })?;
    partner(path, &stem, "img")
}

/// `path` without `.ext` or `.ext.gz`, in any case.
fn stem(path: &Path, ext: &str) -> Option<PathBuf> {
    let is = |p: &Path, wanted: &str| p.extension().is_some_and(|e| e.eq_ignore_ascii_case(wanted));
    let bare = if is(path, "gz") { path.with_extension("") } else { path.to_owned() };
    is(&bare, ext).then(|| bare.with_extension(""))
}

fn partner(path: &Path, stem: &Path, ext: &str) -> Result<PathBuf> {
    let named = |suffix: &str| {
        let mut name = stem.as_os_str().to_owned();
        name.push(".");
        name.push(suffix);
        PathBuf::from(name)
    };
    let upper = ext.to_uppercase();
    [ext.to_owned(), format!("{ext}.gz"), upper.clone(), format!("{upper}.GZ")]
        .iter()
        .map(|suffix| named(suffix))
        .find(|p| p.exists())
        .ok_or_else(|| {
            Error::refused(
                path,
                format!(
                    "its other half beside it, {} or {}",
                    named(ext).display(),
                    named(&format!("{ext}.gz")).display()
                ),
                "neither",
                "copy both files",
            )
        })
}
