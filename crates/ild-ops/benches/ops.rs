//! Every operation at the sizes of the tiny model (1024², batch 1), forward and forward with
//! backward.

#[path = "support/cpu_time.rs"]
mod cpu_time;

use std::time::Duration;

use candle_core::{Device, Result, Tensor, Var};
use criterion::measurement::Measurement;
use criterion::{BenchmarkId, Criterion, Throughput};
use ild_ops as ops;

fn random(shape: &[usize]) -> Tensor {
    Tensor::rand(-1f32, 1f32, shape, &Device::Cpu).expect("a tensor")
}

type Run<'a> = &'a dyn Fn(&[Tensor]) -> Result<Tensor>;

/// Forward on plain tensors, then forward and backward on variables; `flops` are those of the
/// forward pass.
fn part<M: Measurement<Value = Duration>>(
    c: &mut Criterion<M>,
    name: &str,
    size: &str,
    flops: f64,
    shapes: &[&[usize]],
    run: Run,
) {
    let mut group = c.benchmark_group(name);
    group
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2));
    group.throughput(Throughput::Elements(flops as u64));
    let plain: Vec<Tensor> = shapes.iter().map(|shape| random(shape)).collect();
    group.bench_function(BenchmarkId::new("forward", size), |b| {
        b.iter(|| run(&plain).expect("forward"))
    });
    let vars: Vec<Var> = plain.iter().map(|t| Var::from_tensor(t).expect("a variable")).collect();
    let inputs: Vec<Tensor> = vars.iter().map(|v| v.as_tensor().clone()).collect();
    group.throughput(Throughput::Elements(3 * flops as u64));
    group.bench_function(BenchmarkId::new("step", size), |b| {
        b.iter(|| run(&inputs).and_then(|y| y.sum_all()?.backward()).expect("backward"));
    });
    group.finish();
}

fn linears<M: Measurement<Value = Duration>>(c: &mut Criterion<M>) {
    for (n, k, o) in [
        (65536, 96, 288),
        (65536, 96, 96),
        (16384, 192, 576),
        (4096, 384, 1152),
        (4096, 384, 384),
        (1024, 768, 2304),
        (9, 256, 2048),
    ] {
        let flops = 2.0 * (n * k * o) as f64;
        let shapes: &[&[usize]] = &[&[n, k], &[o, k], &[o]];
        part(c, "linear", &format!("{n}x{k}-{o}"), flops, shapes, &|t| {
            ops::linear(&t[0], &t[1], Some(&t[2]))
        });
    }
    for (n, c_in) in [(65536, 96), (16384, 192), (4096, 384), (1024, 768)] {
        let h = 4 * c_in;
        let flops = 4.0 * (n * c_in * h) as f64;
        let shapes: &[&[usize]] = &[&[n, c_in], &[h, c_in], &[h], &[c_in, h], &[c_in], &[n, c_in]];
        part(c, "mlp", &format!("{n}x{c_in}"), flops, shapes, &|t| {
            ops::mlp_residual(&t[0], (&t[1], &t[2]), (&t[3], &t[4]), &t[5])
        });
    }
}

fn attentions<M: Measurement<Value = Duration>>(c: &mut Criterion<M>) {
    for (side, heads, window, pool) in [
        (256, 1, 8, false),
        (256, 2, 8, true),
        (128, 2, 4, false),
        (64, 4, 14, false),
        (64, 4, 0, false),
        (32, 8, 7, false),
    ] {
        let (dim, n) = (96 * heads, side * side);
        let tokens = if window == 0 { n } else { window * window };
        let flops = 4.0 * (n * tokens * dim) as f64 / if pool { 4.0 } else { 1.0 };
        let shapes: &[&[usize]] = &[&[1, side, side, 3 * dim], &[3 * dim]];
        let size = format!(
            "{side}x{side} heads {heads} window {window}{}",
            if pool { " pooled" } else { "" }
        );
        part(c, "window_attention", &size, flops, shapes, &|t| {
            ops::window_attention(&t[0], &t[1], heads, window, pool)
        });
    }
    for (nq, nk) in [(9, 4096), (4096, 9)] {
        let shapes: &[&[usize]] = &[&[1, nq, 8, 16], &[1, nk, 8, 16], &[1, nk, 8, 16]];
        part(c, "attention", &format!("{nq}x{nk}"), 4.0 * (nq * nk * 128) as f64, shapes, &|t| {
            ops::attention(&t[0], &t[1], &t[2], 0.25)
        });
    }
}

fn others<M: Measurement<Value = Duration>>(c: &mut Criterion<M>) {
    let map: &[usize] = &[1, 256, 256, 96];
    let numbers = (256 * 256 * 96) as f64;
    part(c, "layer_norm", "65536x96", numbers, &[map, &[96], &[96]], &|t| {
        ops::layer_norm(&t[0], &t[1], &t[2], 1e-6)
    });
    part(c, "gelu", "65536x96", numbers, &[map], &|t| ops::gelu(&t[0]));
    part(c, "max_pool_2x2", "256x256x192", 2.0 * numbers, &[&[1, 256, 256, 192]], &|t| {
        ops::max_pool_2x2(&t[0])
    });
    part(
        c,
        "upsample_nearest_2x",
        "32x32x256",
        4.0 * (32 * 32 * 256) as f64,
        &[&[1, 32, 32, 256]],
        &|t| ops::upsample_nearest_2x(&t[0]),
    );
    part(c, "upsample_bilinear", "256-1024", (1024 * 1024) as f64, &[&[1, 1, 256, 256]], &|t| {
        ops::upsample_bilinear(&t[0], 1024, 1024)
    });
    let shapes: &[&[usize]] = &[&[1, 3, 1024, 1024], &[96, 3, 7, 7], &[96]];
    part(c, "patch_embed", "1024x1024", 2.0 * (65536 * 147 * 96) as f64, shapes, &|t| {
        ops::patch_embed(&t[0], &t[1], &t[2], 4, 3)
    });
    for (side, c_in, out) in [(64, 256, 64), (128, 64, 32)] {
        let shapes: &[&[usize]] = &[&[1, side, side, c_in], &[c_in, out, 2, 2], &[out]];
        let flops = 8.0 * (side * side * c_in * out) as f64;
        part(
            c,
            "conv_transpose_2x2",
            &format!("{side}x{side}x{c_in}-{out}"),
            flops,
            shapes,
            &|t| ops::conv_transpose_2x2(&t[0], &t[1], &t[2]),
        );
    }
}

fn all<M: Measurement<Value = Duration>>(c: &mut Criterion<M>) {
    linears(c);
    attentions(c);
    others(c);
    c.final_summary();
}

fn main() {
    cpu_time::run(all, all);
}
