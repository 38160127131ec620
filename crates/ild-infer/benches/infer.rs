//! A case with five labels on forty slices: features shared by all labels, and, for comparison,
//! encoded again for each label.
//!
//! `ILD_BENCH_MODEL` names the model (default nano; its weights are random, which costs the same
//! time).

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ild_infer::coordinates::{Span, StackIndex};
use ild_infer::merge::Merger;
use ild_infer::prompt::{SlicePrompt, Track};
use ild_infer::propagate::GapRule;
use ild_infer::{Engine, JourneySettings, Pictures, Scan, Session};
use ild_io::{Affine, Geometry, Images, LabelTable, Placement};
use ild_model::{Sam2, Sam2Config, SliceBox, Weights};
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
        preset: None,
        stretched_hu: None,
        windowing: None,
        notes: Vec::new(),
    }
}

fn tracks() -> Vec<Track> {
    let corner = |label: u8| 60.0 * f64::from(label);
    let prompt = |label: u8| {
        let [x, y] = [corner(label), corner(label)];
        SlicePrompt::Box(SliceBox::new([x, y, x + 120.0, y + 90.0]))
    };
    (1..=LABELS)
        .map(|label| Track {
            label,
            start: StackIndex(SLICES / 2),
            span: Span::whole(SLICES),
            prompt: prompt(label),
        })
        .collect()
}

fn segment(engine: &Engine, scan: &Scan, tracks: &[Track]) -> Merger {
    let session = Session::open(engine, scan.clone());
    let settings = JourneySettings { bbox_shift: 5, gap: GapRule::Near, stop_after: None };
    let mut merger = Merger::new(scan.stack_shape(), false);
    session
        .segment(&session.journey(settings), tracks, &mut merger, None, |_| ())
        .expect("the bench's own case is segmented");
    merger
}

fn infer(criterion: &mut Criterion) {
    let name = std::env::var("ILD_BENCH_MODEL").unwrap_or_else(|_| "nano".into());
    let config = Sam2Config::from_name_or_file(&name).expect("a known model");
    let weights = Weights::random(&config, 1).expect("random weights");
    let (model, _) = Sam2::load(&config, &weights, &candle_core::Device::Cpu)
        .expect("a model of random weights");
    let engine = Engine::of_model(model);
    let (scan, tracks) = (scan(), tracks());
    let mut group = criterion.benchmark_group(format!("infer/{name}"));
    group.sample_size(10).throughput(Throughput::Elements(SLICES as u64));
    group.bench_function("features shared by 5 labels", |b| {
        b.iter(|| black_box(segment(&engine, &scan, &tracks)))
    });
    group.bench_function("encoded for each label", |b| {
        b.iter(|| {
            tracks
                .iter()
                .map(|track| segment(&engine, &scan, std::slice::from_ref(track)))
                .for_each(|merger| drop(black_box(merger)))
        });
    });
    group.finish();
}

criterion_group!(benches, infer);
criterion_main!(benches);
