//! The folder that is unpacked, and its archive: the same bytes from the same files.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use tar::{Builder, Header};

use super::build::Built;
use super::name_of;

const SUMS: &str = "SHA256SUMS";
/// What a user reads, at the top of the folder.
const TEXTS: [&str; 3] = ["README.md", "LICENSE", "NOTICE"];
/// Where programs for a GPU lie below `bin`.
const FOR_GPUS: &str = "cuda";

/// Programs, manual, completions and docs below `root`; `whole` for the archive that stands alone.
pub fn lay_out(root: &Path, built: &Built, whole: bool) -> anyhow::Result<()> {
    let programs = if whole { root.join("bin") } else { root.join("bin").join(FOR_GPUS) };
    fs::create_dir_all(&programs)?;
    for program in &built.programs {
        copy(program, &programs.join(name_of(program)))?;
    }
    if !whole {
        return Ok(());
    }
    copy_below(built.help.path(), root)?;
    copy_below(Path::new("docs"), &root.join("share/doc/ild/docs"))?;
    for text in TEXTS {
        copy(Path::new(text), &root.join(text))?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to.parent().unwrap_or(to))?;
    fs::copy(from, to).with_context(|| from.display().to_string())?;
    Ok(())
}

/// Every file that is not hidden.
pub fn copy_below(from: &Path, to: &Path) -> anyhow::Result<()> {
    for file in ild::files_below(from) {
        if !name_of(&file).starts_with('.') {
            copy(&file, &to.join(file.strip_prefix(from)?))?;
        }
    }
    Ok(())
}

/// Sums of every file in the folder, for `sha256sum -c` inside it.
pub fn sums_inside(root: &Path) -> anyhow::Result<()> {
    let text = lines(root, ild::files_below(root))?;
    Ok(fs::write(root.join(SUMS), text)?)
}

/// Sums of what lies in the folder of archives.
pub fn sums(output: &Path) -> anyhow::Result<()> {
    let entries = fs::read_dir(output)?.flatten().map(|entry| entry.path());
    let mut made: Vec<PathBuf> =
        entries.filter(|path| path.is_file() && name_of(path).starts_with("ild-")).collect();
    made.sort();
    Ok(fs::write(output.join(SUMS), lines(output, made)?)?)
}

fn lines(folder: &Path, files: Vec<PathBuf>) -> anyhow::Result<String> {
    let line = |file: PathBuf| -> anyhow::Result<String> {
        let hash = Sha256::digest(fs::read(&file).with_context(|| file.display().to_string())?);
        Ok(format!("{hash:x}  {}\n", file.strip_prefix(folder)?.display()))
    };
    files.into_iter().map(line).collect()
}

/// Packs `folder/name` as `to`: sorted, nobody's files, all of the time of the last commit.
pub fn pack(folder: &Path, name: &str, to: &Path) -> anyhow::Result<()> {
    let time = time_of_commit();
    let file = File::create(to).with_context(|| to.display().to_string())?;
    let mut tar = Builder::new(GzEncoder::new(file, Compression::best()));
    for path in ild::files_below(&folder.join(name)) {
        let within = path.strip_prefix(folder)?;
        let mut header = Header::new_gnu();
        header.set_size(fs::metadata(&path)?.len());
        header.set_mode(if is_program(within) { 0o755 } else { 0o644 });
        header.set_mtime(time);
        tar.append_data(&mut header, within, File::open(&path)?)?;
    }
    tar.into_inner()?.finish()?.flush()?;
    Ok(())
}

fn is_program(within: &Path) -> bool {
    within.components().any(|part| part.as_os_str() == "bin")
}

/// Seconds since 1970; `SOURCE_DATE_EPOCH` where it is set.
pub fn time_of_commit() -> u64 {
    let set = std::env::var("SOURCE_DATE_EPOCH").ok();
    let asked = || {
        let output = Command::new("git").args(["log", "-1", "--format=%ct"]).output().ok()?;
        String::from_utf8(output.stdout).ok()
    };
    set.or_else(asked).and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_files_make_the_same_archive() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("ild-1");
        fs::create_dir_all(inside.join("bin")).unwrap();
        fs::write(inside.join("bin/ild"), "x").unwrap();
        fs::write(inside.join("README.md"), "y").unwrap();
        sums_inside(&inside).unwrap();
        let sums = fs::read_to_string(inside.join(SUMS)).unwrap();
        assert!(sums.lines().any(|line| line.ends_with("  bin/ild")), "{sums}");
        let packed = ["a", "b"].map(|name| {
            let to = folder.path().join(name);
            pack(folder.path(), "ild-1", &to).unwrap();
            fs::read(to).unwrap()
        });
        assert_eq!(packed[0], packed[1]);
    }
}
