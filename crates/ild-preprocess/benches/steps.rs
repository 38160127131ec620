//! The hot steps on a volume of 64 slices of 512 × 512: labels to runs, components and dust,
//! windows, resize.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ild_io::{SlicePieces, Voxels};
use ild_preprocess::{
    Components, DustLimits, LabelRuns, Neighbours, Scaling, Windowing, positive_percentiles,
    remove_dust, resize_nearest, window_ct,
};
use ndarray::{Array3, Axis};
use std::hint::black_box;

const SHAPE: (usize, usize, usize) = (64, 512, 512);

/// Blobs of five labels with specks, about 7 % of the voxels.
fn labels() -> Array3<u8> {
    let mut state = 1u64;
    let mut draw = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut labels = Array3::from_shape_fn(SHAPE, |(z, y, x)| {
        let wave =
            ((z as f32 / 9.0).sin() + (y as f32 / 31.0).sin() + (x as f32 / 23.0).cos()) / 3.0;
        if wave > 0.6 { 1 + (x / 128) as u8 } else { 0 }
    });
    for _ in 0..3000 {
        let at = [draw() as usize % SHAPE.0, draw() as usize % SHAPE.1, draw() as usize % SHAPE.2];
        labels[at] = 5;
    }
    labels
}

fn hu() -> Array3<i16> {
    let mut state = 7u32;
    Array3::from_shape_fn(SHAPE, |(_, y, x)| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let base =
            if (x as i32 - 256).pow(2) + (y as i32 - 256).pow(2) < 40_000 { -800 } else { 40 };
        base + (state >> 24) as i16 - 128
    })
}

fn steps(c: &mut Criterion) {
    let (labels, hu) = (labels(), hu());
    let voxels = Voxels::I16(hu.clone());
    let float = Voxels::F32(hu.mapv(f32::from));
    let slices: Vec<usize> = (0..SHAPE.0).collect();
    let runs = LabelRuns::new(labels.view(), &[]);

    let mut group = c.benchmark_group("64x512x512");
    group.sample_size(20).throughput(Throughput::Elements(labels.len() as u64));
    group.bench_function("labels to runs", |b| {
        b.iter(|| LabelRuns::new(black_box(labels.view()), &[12]))
    });
    group.bench_function("components, 26-connected", |b| {
        b.iter(|| Components::new(black_box(&runs), Neighbours::Volume26))
    });
    group.bench_function("dust, 3-D then 2-D", |b| {
        b.iter(|| remove_dust(black_box(&runs), DustLimits::default()))
    });
    // Why the pieces of each slice are found on runs here, and by imageproc only where a slice is
    // there as pixels.
    group.bench_function("pieces of each slice, on runs", |b| {
        b.iter(|| Components::new(black_box(&runs), Neighbours::Slice8))
    });
    group.bench_function("pieces of each slice, imageproc", |b| {
        b.iter(|| {
            let slices = black_box(&labels).axis_iter(Axis(0));
            slices.map(|slice| SlicePieces::new(slice).all.len()).sum::<usize>()
        })
    });
    for (name, voxels) in [("i16", &voxels), ("f32", &float)] {
        for window in ["lung", "rgb"] {
            let windowing: Windowing = window.parse().expect("a preset");
            group.bench_function(format!("window {window}, {name}"), |b| {
                b.iter(|| window_ct(black_box(voxels), &slices, &windowing, Scaling::ImageRange));
            });
        }
    }
    group.bench_function("percentiles (MR), i16", |b| {
        b.iter(|| positive_percentiles(black_box(&voxels), 0.5, 99.5))
    });
    group.bench_function("labels to 256 x 256", |b| {
        b.iter(|| {
            labels
                .axis_iter(Axis(0))
                .map(|slice| resize_nearest(black_box(slice), 256, 256))
                .collect::<Vec<_>>()
        });
    });
    group.finish();
}

criterion_group!(benches, steps);
criterion_main!(benches);
