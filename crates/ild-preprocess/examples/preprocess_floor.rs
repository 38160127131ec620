//! What no program can leave out of preprocessing: the inputs inflated, the arrays deflated, the
//! bytes written. Nothing else.
//!
//! Run by `cargo xtask bench preprocess`: `preprocess_floor DATA DONE OUT`, with the outputs of a
//! finished run in DONE.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use clap::Parser;
use ild_io::{NpyArray, read_label_map, read_npy, read_npz, read_volume, write_npy_u8, write_npz};
use rayon::prelude::*;

/// Inflates, deflates and writes what a finished run has read and written.
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    common: ild_cli::Common,
    /// Folder with imgs/ and gts/.
    data: PathBuf,
    /// Folder of the finished run, with npz/ and npy/.
    done: PathBuf,
    /// Where to write.
    out: PathBuf,
}

fn main() -> std::process::ExitCode {
    ild_cli::main(|cli: &Cli| &cli.common, |cli| floor(&cli), |_| false)
}

fn floor(cli: &Cli) -> anyhow::Result<()> {
    let start = Instant::now();
    files(&cli.data.join("imgs"))?.par_iter().try_for_each(|path| read_volume(path).map(drop))?;
    files(&cli.data.join("gts"))?.par_iter().try_for_each(|path| read_label_map(path).map(drop))?;
    tracing::info!("inputs inflated: {:.2} s", start.elapsed().as_secs_f64());

    let slices: Vec<PathBuf> = ["imgs", "gts"]
        .map(|kind| files(&cli.done.join("npy/train").join(kind)))
        .into_iter()
        .flatten()
        .flatten()
        .collect();
    let start = Instant::now();
    slices.par_iter().try_for_each(|path| copy(path, &cli.out.join(name(path)?)))?;
    tracing::info!(
        "{} NPY files read and written: {:.2} s",
        slices.len(),
        start.elapsed().as_secs_f64()
    );

    let start = Instant::now();
    files(&cli.done.join("npz/npz_train/CT_ILD"))?.par_iter().try_for_each(
        |path| -> anyhow::Result<()> {
            let stack = read_npz(path)?;
            Ok(write_npz(&cli.out.join(name(path)?), &stack)?)
        },
    )?;
    tracing::info!("NPZ inflated and deflated: {:.2} s", start.elapsed().as_secs_f64());
    Ok(())
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    match read_npy(from)? {
        NpyArray::U8(array) => Ok(write_npy_u8(to, array.view())?),
        other => anyhow::bail!("{}: {}", from.display(), other.type_name()),
    }
}

fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    Ok(entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?)
}

fn name(path: &Path) -> anyhow::Result<String> {
    let folder =
        path.parent().and_then(Path::file_name).context("a file in a folder")?.to_string_lossy();
    Ok(format!("{folder}-{}", path.file_name().context("a file")?.to_string_lossy()))
}
