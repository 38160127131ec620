//! Forward passes and training steps by the clock.

use std::time::Instant;

use candle_core::{DType, Device};
use ild_model::{DecodeMode, Sam2, Sam2Config, Weights};
use ild_train::{AdamW, AdamWConfig, Gradients, dice_and_cross_entropy};
use serde::{Deserialize, Serialize};

use crate::model::Data;
use crate::{Cli, peak, word};

/// Runs that are not counted.
const WARM_UP: usize = 3;

/// One line of the table.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Timing {
    pub engine: String,
    pub what: String,
    pub model: String,
    pub precision: String,
    pub batch: usize,
    /// Of the counted runs; none where it failed.
    pub min_ms: Option<f64>,
    pub median_ms: Option<f64>,
    /// Most memory on the device at once, where it tells.
    pub peak_gib: Option<f64>,
    /// Why there are no numbers.
    #[serde(default)]
    pub failed: Option<String>,
}

pub fn table(timings: &[Timing]) -> impl std::fmt::Display {
    let mut table = ild_cli::table([
        "what",
        "model",
        "precision",
        "batch",
        "engine",
        "min, ms",
        "median, ms",
        "memory, GiB",
    ]);
    for t in timings {
        let number =
            |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.2}"));
        let first = t.failed.clone().unwrap_or_else(|| number(t.min_ms));
        let words =
            [&t.what, &t.model, &t.precision, &t.batch.to_string(), &t.engine].map(String::clone);
        table.add_row(
            [words.to_vec(), vec![first, number(t.median_ms), number(t.peak_gib)]].concat(),
        );
    }
    table
}

/// Forward pass of every size with one slice; training step of the first with as many as asked for.
pub fn measure(device: &Device, types: &[DType], cli: &Cli) -> anyhow::Result<Vec<Timing>> {
    let mut timings = Vec::new();
    for name in &cli.models {
        for &dtype in types {
            timings.push(line("forward", name, dtype, 1, device, || {
                forward(name, dtype, device, cli)
            }));
        }
    }
    if let Some(name) = cli.models.first() {
        for &dtype in types {
            for (what, recompute) in [("step", false), ("step, recomputed", true)] {
                timings.push(line(what, name, dtype, cli.batch, device, || {
                    step(name, dtype, recompute, device, cli)
                }));
            }
        }
    }
    Ok(timings)
}

/// A failure (of memory, say) is a line of the table, too.
fn line(
    what: &str,
    model: &str,
    dtype: DType,
    batch: usize,
    device: &Device,
    run: impl FnOnce() -> anyhow::Result<Vec<f64>>,
) -> Timing {
    peak::reset(device);
    let outcome = run();
    let peak_gib = peak::bytes(device).map(|bytes| bytes as f64 / f64::from(1 << 30));
    let failed = outcome
        .as_ref()
        .err()
        .map(|error| error.to_string().lines().next().unwrap_or_default().to_owned());
    let mut ms = outcome.unwrap_or_default();
    ms.sort_by(f64::total_cmp);
    Timing {
        engine: "ild".into(),
        what: what.into(),
        model: model.into(),
        precision: word(dtype).into(),
        batch,
        min_ms: ms.first().copied(),
        median_ms: ms.get(ms.len() / 2).copied(),
        peak_gib,
        failed,
    }
}

/// Milliseconds of each counted run, with everything on the device done at its end.
fn times(
    device: &Device,
    rounds: usize,
    mut work: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<Vec<f64>> {
    let mut once = || {
        device.synchronize()?;
        let started = Instant::now();
        work()?;
        device.synchronize()?;
        anyhow::Ok(started.elapsed().as_secs_f64() * 1e3)
    };
    (0..WARM_UP).try_for_each(|_| once().map(|_| ()))?;
    (0..rounds).map(|_| once()).collect()
}

/// Image to mask of one slice and one box.
fn forward(name: &str, dtype: DType, device: &Device, cli: &Cli) -> anyhow::Result<Vec<f64>> {
    let config = Sam2Config::from_name_or_file(name)?;
    let (mut model, _) = Sam2::load(&config, &Weights::random(&config, cli.common.seed)?, device)?;
    model.set_precision(crate::precision(dtype))?;
    let data = Data::new(1, config.image_size, device)?;
    times(device, cli.rounds, || {
        model.decode_box(&model.encode_image(&data.images)?, &data.boxes, DecodeMode::Train)?;
        Ok(())
    })
}

/// Forward, backward and AdamW.
fn step(
    name: &str,
    dtype: DType,
    recompute: bool,
    device: &Device,
    cli: &Cli,
) -> anyhow::Result<Vec<f64>> {
    let config = Sam2Config::from_name_or_file(name)?;
    let (mut model, parameters, _) =
        Sam2::trainable(&config, &Weights::random(&config, cli.common.seed)?, device)?;
    model.set_precision(crate::precision(dtype))?;
    let aside = recompute.then(|| model.image_encoder.trunk.recompute());
    let mut optimizer =
        AdamW::new(parameters.iter().map(|(_, var)| var.clone()).collect(), AdamWConfig::default());
    let data = Data::new(cli.batch, config.image_size, device)?;
    times(device, cli.rounds, || {
        let found =
            model.decode_box(&model.encode_image(&data.images)?, &data.boxes, DecodeMode::Train)?;
        let loss = dice_and_cross_entropy(&found.logits, &data.masks)?;
        let mut store = loss.total.backward()?;
        if let Some(aside) = &aside {
            store.extend(aside.take())?;
        }
        optimizer.step(1e-6, Gradients::take(&mut store, parameters.iter())?.as_slice())?;
        Ok(())
    })
}
