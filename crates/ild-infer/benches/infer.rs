//! A case with five labels on forty slices: features shared by all labels, and, for comparison,
//! encoded again for each label.
//!
//! `ILD_BENCH_MODEL` names the model (default nano; its weights are random, which costs the same
//! time).

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ild_infer::encoder_cache::{Plan, with_features};
use ild_infer::journey::{Rules, Track};
use ild_infer::merge::Merger;
use ild_infer::sweep::{sweep, visits};
use ild_infer::{Pictures, Prompt, Sam2Segmenter, Scan, encode};
use ild_io::{Affine, Geometry, Images, LabelTable, Placement};
use ild_model::{Sam2, Sam2Config, Weights};
use ndarray::Array3;

const SLICES: usize = 40;
const LABELS: u8 = 5;
const SIZE: usize = 512;

fn scan() -> Scan {
    let images = Array3::from_shape_fn((SLICES, SIZE, SIZE), |(z, y, x)| {
        ((x * 7 + y * 13 + z * 29) % 251) as u8
    });
    Scan {
        id: "bench".into(),
        pictures: Pictures::Stack(Images::Grey(images)),
        placement: Placement::whole(Geometry::new(
            [SLICES, SIZE, SIZE],
            Affine::from_spacing_xyz_mm([0.7, 0.7, 2.5]),
        )),
        truth: None,
        label_table: LabelTable::default(),
        windowing: None,
        notes: Vec::new(),
    }
}

fn tracks() -> Vec<Track> {
    let corner = |label: u8| 60.0 * f64::from(label);
    let prompt = |label: u8| {
        Prompt::Box([corner(label), corner(label), corner(label) + 120.0, corner(label) + 90.0])
    };
    (1..=LABELS)
        .map(|label| Track {
            label,
            start: SLICES / 2,
            span: [0, SLICES - 1],
            prompt: prompt(label),
        })
        .collect()
}

fn segment(model: &Sam2, scan: &Scan, tracks: &[Track]) -> Merger {
    let rules = Rules {
        side: model.config().image_size,
        bbox_shift: 5,
        stop_after: None,
        restarts: vec![],
        slice_size: [SIZE, SIZE],
    };
    let order: Vec<usize> = visits(tracks).iter().map(|visit| visit.z).collect();
    let mut merger = Merger::new([SLICES, SIZE, SIZE], false);
    let run = with_features(
        &Plan::new(&order, 2 * SLICES),
        1,
        |slices| encode(model, scan, slices),
        |features| {
            let mut segmenter = Sam2Segmenter { model, features, slice_size: [SIZE, SIZE] };
            sweep(tracks, &rules, &mut segmenter, |i, z, prediction| {
                merger.add(tracks[i].label, z, &prediction);
                Ok(())
            })
        },
    );
    run.expect("the bench's own case is segmented");
    merger
}

fn infer(criterion: &mut Criterion) {
    let name = std::env::var("ILD_BENCH_MODEL").unwrap_or_else(|_| "nano".into());
    let config = Sam2Config::from_name_or_file(&name).expect("a known model");
    let weights = Weights::random(&config, 1).expect("random weights");
    let (model, _) = Sam2::load(&config, &weights, &candle_core::Device::Cpu)
        .expect("a model of random weights");
    let (scan, tracks) = (scan(), tracks());
    let mut group = criterion.benchmark_group(format!("infer/{name}"));
    group.sample_size(10).throughput(Throughput::Elements(SLICES as u64));
    group.bench_function("features shared by 5 labels", |b| {
        b.iter(|| black_box(segment(&model, &scan, &tracks)))
    });
    group.bench_function("encoded for each label", |b| {
        b.iter(|| {
            tracks
                .iter()
                .map(|track| segment(&model, &scan, std::slice::from_ref(track)))
                .for_each(|merger| drop(black_box(merger)))
        });
    });
    group.finish();
}

criterion_group!(benches, infer);
criterion_main!(benches);
