//! The two pictures of docs/phantom.md: lung HU of real and synthetic scans side by side, and the
//! five patterns of disease.
//!
//! ```text
//! cargo run --release -p ild-phantom --example phantom_pictures -- --histogram OUT.png --real CT.nii.gz ... --synthetic CT.nii.gz ...
//! cargo run --release -p ild-phantom --example phantom_pictures -- --patterns OUT.png --cohort DIR
//! ```

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Parser;
use ild_io::lung::{LungMask, hounsfield};
use ild_io::picture::{Outline, overlay, save_png, tile};
use ild_io::{Affine, Geometry, LabelTable, Volume, Voxels, read_label_map, read_volume};
use image::RgbImage;
use ndarray::{Array2, Axis, s};
use plotters::prelude::*;
use plotters::style::register_font;

/// Width of a bin and range of the histogram, HU.
const BIN_HU: i16 = 10;
const RANGE_HU: [i16; 2] = [-1030, 150];
/// Lung window of the slices, HU.
const WINDOW_HU: [f32; 2] = [-1350.0, 150.0];
/// Grey levels of the slices: noise does not compress, and 32 levels look the same.
const GREYS: f32 = 31.0;

/// Slices of the slab made from a single slice, and their distance.
const SLAB: usize = 60;
const SLAB_SPACING_MM: f64 = 5.0;

#[derive(Parser)]
struct Cli {
    /// PNG of lung HU, real scans on the left, synthetic ones on the right.
    #[arg(long, requires = "real", requires = "synthetic")]
    histogram: Option<PathBuf>,
    #[arg(long, num_args = 1..)]
    real: Vec<PathBuf>,
    #[arg(long, num_args = 1..)]
    synthetic: Vec<PathBuf>,
    /// PNG of the five patterns.
    #[arg(long, requires = "cohort")]
    patterns: Option<PathBuf>,
    /// Folder that `ild-phantom` wrote.
    #[arg(long)]
    cohort: Option<PathBuf>,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    if let Some(path) = &cli.histogram {
        histogram_picture(path, &cli.real, &cli.synthetic)?;
    }
    if let (Some(path), Some(cohort)) = (&cli.patterns, &cli.cohort) {
        let mut images: Vec<PathBuf> = std::fs::read_dir(cohort.join("imagesTr"))?
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<_>>()?;
        images.sort();
        pattern_picture(path, cohort, &images)?;
    }
    Ok(())
}

/// Share of lung voxels in each bin, in percent per 10 HU.
fn lung_histogram(path: &Path) -> Result<Vec<(f64, f64)>> {
    let ct = thickened(read_volume(path)?);
    let mask = LungMask::of(&ct);
    let mut counts = vec![0u64; ((RANGE_HU[1] - RANGE_HU[0]) / BIN_HU) as usize];
    let (mut total, mut sum) = (0u64, 0i64);
    for (&hu, _) in hounsfield(&ct).iter().zip(&mask.mask).filter(|(_, inside)| **inside) {
        total += 1;
        sum += i64::from(hu);
        if let Some(count) = counts.get_mut(((hu - RANGE_HU[0]).max(0) / BIN_HU) as usize) {
            *count += 1;
        }
    }
    println!(
        "{}: {:.0} mL of lung, mean {} HU",
        path.display(),
        mask.quality.volume_ml,
        sum / total.max(1) as i64
    );
    let bin = |(index, &count): (usize, &u64)| {
        (
            f64::from(RANGE_HU[0]) + (index as f64 + 0.5) * f64::from(BIN_HU),
            100.0 * count as f64 / total.max(1) as f64,
        )
    };
    Ok(counts.iter().enumerate().map(bin).collect())
}

/// A single slice repeated to a slab, because a lung is looked for in three dimensions; other
/// volumes as they are.
fn thickened(ct: Volume) -> Volume {
    let [depth, height, width] = ct.geometry.shape_zyx;
    if depth > 1 {
        return ct;
    }
    let shape = [SLAB, height, width];
    let slab = hounsfield(&ct).broadcast(shape).map(|slice| slice.to_owned());
    let [x, y, _] = ct.geometry.spacing_xyz_mm;
    let geometry = Geometry::new(shape, Affine::from_spacing_xyz_mm([x, y, SLAB_SPACING_MM]));
    slab.map_or(ct, |slab| Volume { voxels: Voxels::I16(slab), geometry })
}

fn histogram_picture(path: &Path, real: &[PathBuf], synthetic: &[PathBuf]) -> Result<()> {
    register_font("sans-serif", FontStyle::Normal, dejavu::sans::regular())
        .ok()
        .context("the built-in typeface could not be read")?;
    let (width, height) = (1000u32, 360u32);
    let mut pixels = vec![255u8; (width * height * 3) as usize];
    {
        let area = BitMapBackend::with_buffer(&mut pixels, (width, height)).into_drawing_area();
        area.fill(&WHITE)?;
        let panels = area.split_evenly((1, 2));
        for (panel, files, title) in
            [(&panels[0], real, "Real scans"), (&panels[1], synthetic, "Synthetic scans")]
        {
            let caption = format!("{title}: HU of lung voxels");
            let mut chart = ChartBuilder::on(panel)
                .caption(caption, ("sans-serif", 18))
                .margin(12)
                .x_label_area_size(36)
                .y_label_area_size(44)
                .build_cartesian_2d(f64::from(RANGE_HU[0])..f64::from(RANGE_HU[1]), 0.0..9.0)?;
            chart
                .configure_mesh()
                .x_desc("HU")
                .y_desc("% of lung per 10 HU")
                .light_line_style(WHITE)
                .draw()?;
            for (index, file) in files.iter().enumerate() {
                chart.draw_series(LineSeries::new(
                    lung_histogram(file)?,
                    Palette99::pick(index).stroke_width(2),
                ))?;
            }
        }
        area.present()?;
    }
    save_png(
        path,
        &RgbImage::from_raw(width, height, pixels).context("picture buffer of another size")?,
    )?;
    Ok(())
}

/// For each class the outlined slice where it is largest, without and with its outline.
fn pattern_picture(path: &Path, cohort: &Path, images: &[PathBuf]) -> Result<()> {
    let table = LabelTable::default();
    let (mut plain, mut outlined) = (Vec::new(), Vec::new());
    for &id in table.classes.keys() {
        let (image, z) =
            largest(cohort, images, id)?.with_context(|| format!("no slice shows class {id}"))?;
        let (ct, labels) = (read_volume(&image)?, read_label_map(&label_of(cohort, &image))?);
        let mask = labels.labels.index_axis(Axis(0), z).mapv(|label| label == id);
        let (grey, mask) = (cropped(&grey_slice(&ct, z)), cropped(&mask));
        plain.push(overlay(grey.view(), &[], 1));
        outlined.push(overlay(grey.view(), &[Outline::mask(mask.view(), table.color(id))], 1));
    }
    plain.extend(outlined);
    save_png(path, &tile(&plain, table.classes.len()))?;
    Ok(())
}

fn label_of(cohort: &Path, image: &Path) -> PathBuf {
    let name =
        image.file_name().unwrap_or_default().to_string_lossy().replace("_0000.nii.gz", ".nii.gz");
    cohort.join("labelsTr").join(name)
}

fn largest(cohort: &Path, images: &[PathBuf], id: u8) -> Result<Option<(PathBuf, usize)>> {
    let mut best = (0, None);
    for image in images {
        for (z, slice) in read_label_map(&label_of(cohort, image))?.labels.outer_iter().enumerate()
        {
            let area = slice.iter().filter(|&&label| label == id).count();
            if area > best.0 {
                best = (area, Some((image.clone(), z)));
            }
        }
    }
    Ok(best.1)
}

fn grey_slice(ct: &Volume, z: usize) -> Array2<u8> {
    let [low, high] = WINDOW_HU;
    hounsfield(ct).index_axis(Axis(0), z).mapv(|hu| {
        let level = ((f32::from(hu) - low) / (high - low)).clamp(0.0, 1.0);
        ((level * GREYS).round() * (255.0 / GREYS)) as u8
    })
}

/// The part of a slice that holds the lungs.
fn cropped<T: Copy>(slice: &Array2<T>) -> Array2<T> {
    let (rows, columns) = slice.dim();
    slice.slice(s![rows / 5..rows * 7 / 10, columns / 10..columns * 9 / 10]).to_owned()
}
