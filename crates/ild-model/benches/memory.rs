//! A tracked slice of the tiny model at 512² and 1024², with the bank full (7 maps, 16 pointers):
//! everything but the encoding.

#[path = "../../ild-ops/benches/support/cpu_time.rs"]
mod cpu_time;

use std::time::Duration;

use candle_core::{Device, Tensor};
use criterion::measurement::Measurement;
use criterion::{BenchmarkId, Criterion};
use ild_model::memory::{Direction, Memory, MemoryConfig, Prompt, Sam2Video, Tracker, Version};
use ild_model::{Sam2, Sam2Config, Weights};

/// Frames after which nothing more fits into what a frame looks at.
const FULL: i64 = 16;

fn memory<M: Measurement<Value = Duration>>(c: &mut Criterion<M>) {
    let mut group = c.benchmark_group("memory");
    group
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2));
    for image_size in [512, 1024] {
        let config =
            Sam2Config { image_size, ..Sam2Config::from_name_or_file("t").expect("a known model") };
        let sizes = MemoryConfig::published(Version::Sam2_1);
        let weights = Weights::random(&config, 2024).expect("weights");
        let weights = weights.with_random_memory(&config, &sizes, 2024).expect("weights");
        let sam2 = Sam2::load(&config, &weights, &Device::Cpu).expect("a model").0;
        let memory = Memory::load(&config, &weights, &Device::Cpu).expect("a memory").0;
        let video = Sam2Video::new(&sam2, &memory);
        let image = Tensor::rand(-1f32, 1f32, (1, 3, image_size, image_size), &Device::Cpu);
        let frame = sam2.encode_frame(&image.expect("an image")).expect("features");
        let mut tracker = Tracker::new(video, 100);
        let corners = [0.2, 0.3, 0.6, 0.7].map(|share| share * image_size as f32);
        let mut output = tracker.prompt(0, &frame, &Prompt::of_box(corners)).expect("a mask");
        // A bank is as full of one map as of sixteen.
        for time in 1..FULL {
            let mut again = tracker.bank().get(0).expect("the prompted frame").clone();
            again.time = time;
            tracker.remember(again);
        }
        let recalled = tracker.bank().recall(FULL, Direction::Forward, 100);
        let tokens = video.tokens(&recalled, 100).expect("tokens");
        group.bench_function(BenchmarkId::new("attention", image_size), |b| {
            b.iter(|| video.conditioned(&frame, &recalled, 100).expect("features"))
        });
        group.bench_function(BenchmarkId::new("frame", image_size), |b| {
            b.iter(|| {
                output = video.track(&frame, &recalled, 100).expect("a mask");
                video.remember(FULL, &frame, &output, false).expect("a map")
            })
        });
        group.bench_function(BenchmarkId::new("encoder", image_size), |b| {
            b.iter(|| video.remember(FULL, &frame, &output, false).expect("a map"))
        });
        assert_eq!(tokens.pointer_tokens, 64, "the bank is full");
    }
    group.finish();
    c.final_summary();
}

fn main() {
    cpu_time::run(memory, memory);
}
