//! One slice under every window: a picture, and a table of what each window does to the lung.
//!
//! ```text
//! cargo run --release -p ild-preprocess --example windows -- OUT.png              # a slice of the synthetic patient
//! cargo run --release -p ild-preprocess --example windows -- OUT.png CT.nii.gz 40 # slice 40 of a scan of yours
//! ```

use std::path::PathBuf;

use ild_io::{Images, Voxels, picture, read_volume};
use ild_preprocess::{PRESETS, Scaling, Windowing, bounds_hu, window_ct};
use ndarray::{Array3, Axis, s};

/// Aerated lung, ground glass, dense ground glass, the edge of consolidation, soft tissue.
const LANDMARKS_HU: [i16; 5] = [-850, -700, -500, -250, 40];

/// Columns of a picture.
const TILE: usize = 256;

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let out = PathBuf::from(args.first().map_or("windows.png", String::as_str));
    let (voxels, z) = match args.get(1) {
        Some(path) => {
            let volume = read_volume(&PathBuf::from(path))?;
            let middle = volume.geometry.shape_zyx[0] / 2;
            (volume.voxels, args.get(2).map_or(Ok(middle), |z| z.parse())?)
        }
        None => synthetic_slice(),
    };
    let mut tiles = Vec::new();
    // Large slices are shown by every other pixel: six of them fit on a page.
    let step = voxels.shape_zyx()[2].div_ceil(TILE);
    println!(
        "| window | level/width | HU per grey level | lung black or white | greys of the lung | grey of {LANDMARKS_HU:?} HU |"
    );
    println!("|---|---|---|---|---|---|");
    for (name, _) in PRESETS {
        let windowing: Windowing = name.parse().map_err(anyhow::Error::msg)?;
        let windowed = window_ct(&voxels, &[z], &windowing, Scaling::WindowBounds);
        let hu_per_grey: Vec<String> = windowing
            .windows()
            .iter()
            .map(|&w| format!("{:.1}", (bounds_hu(w)[1] - bounds_hu(w)[0]) / 255.0))
            .collect();
        println!(
            "| `{name}` | {windowing} | {} | {:.1} % | {} | {} |",
            hu_per_grey.join(", "),
            100.0 * windowed.flattened.share().unwrap_or(0.0),
            levels(&windowing, -950..=-200),
            LANDMARKS_HU.map(|hu| greys(&windowing, hu)).join(" · "),
        );
        tiles.push(match &windowed.images {
            Images::Grey(grey) => picture::overlay(grey.slice(s![0, ..;step, ..;step]), &[], 1),
            Images::Rgb(colour) => {
                picture::overlay(colour.slice(s![0, ..;step, ..;step, ..]), &[], 1)
            }
        });
    }
    picture::save_png(&out, &picture::tile(&tiles, 3))?;
    println!(
        "\n{} (left to right, top to bottom: {})",
        out.display(),
        PRESETS.map(|(name, _)| name).join(", ")
    );
    Ok(())
}

/// The slice of the second synthetic patient that shows most disease.
fn synthetic_slice() -> (Voxels, usize) {
    let patient = ild_phantom::generate(2024, 1, [60, 256, 256]);
    let diseased = |z: &usize| {
        patient.label.labels.index_axis(Axis(0), *z).iter().filter(|&&id| id > 0).count()
    };
    let z = (0..60).max_by_key(diseased).unwrap_or(30);
    (patient.ct.voxels, z)
}

/// Grey of one HU in each channel.
fn greys(windowing: &Windowing, hu: i16) -> String {
    let voxels = Voxels::I16(Array3::from_elem((1, 1, 1), hu));
    match window_ct(&voxels, &[0], windowing, Scaling::WindowBounds).images {
        Images::Grey(grey) => grey[[0, 0, 0]].to_string(),
        Images::Rgb(colour) => colour.iter().map(u8::to_string).collect::<Vec<_>>().join("/"),
    }
}

/// How many different greys (or colours) a range of HU gets.
fn levels(windowing: &Windowing, hu: std::ops::RangeInclusive<i16>) -> usize {
    hu.map(|hu| greys(windowing, hu)).collect::<std::collections::BTreeSet<_>>().len()
}
