//! Parts of the tiny model (1024², batch 1) as inference runs them.

#[path = "../../ild-ops/benches/support/cpu_time.rs"]
mod cpu_time;

use std::time::Duration;

use candle_core::{Device, Tensor};
use criterion::measurement::Measurement;
use criterion::{BenchmarkId, Criterion};
use ild_model::{DecodeMode, Precision, Sam2, Sam2Config, Weights};

fn random(shape: &[usize]) -> Tensor {
    Tensor::rand(-1f32, 1f32, shape, &Device::Cpu).expect("a tensor")
}

/// Each block of the trunk, the neck, prompt and mask decoder.
fn model<M: Measurement<Value = Duration>>(c: &mut Criterion<M>) {
    let config = Sam2Config::from_name_or_file("t").expect("a known model");
    let weights = Weights::random(&config, 2024).expect("weights");
    let model = Sam2::load(&config, &weights, &Device::Cpu).expect("a model").0;
    let image = random(&[1, 3, 1024, 1024]);
    let mut group = c.benchmark_group("model");
    group
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2));
    let trunk = &model.image_encoder.trunk;
    let mut x = trunk.embed(&image).expect("tokens");
    for (i, block) in trunk.blocks.iter().enumerate() {
        group.bench_function(BenchmarkId::new("block", i), |b| {
            b.iter(|| block.forward(&x, Precision::F32).expect("a block"))
        });
        x = block.forward(&x, Precision::F32).expect("a block");
    }
    let neck = &model.image_encoder.neck;
    let fine = random(&[1, 64, 64, 384]);
    group.bench_function("neck", |b| b.iter(|| neck.top_down(&fine, &x).expect("a level")));
    let features = model.encode_image(&image).expect("features");
    let boxes = Tensor::new(&[[200f32, 300.0, 600.0, 700.0]], &Device::Cpu).expect("a box");
    group.bench_function("decoder", |b| {
        b.iter(|| model.decode_box(&features, &boxes, DecodeMode::Train).expect("a mask"))
    });
    group.finish();
    c.final_summary();
}

fn main() {
    cpu_time::run(model, model);
}
