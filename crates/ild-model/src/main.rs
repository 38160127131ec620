//! `ild-model`: look at a checkpoint, convert it, segment one slice with it.

use std::path::PathBuf;
use std::process::ExitCode;

use candle_core::Device;
use clap::{Args, Parser, Subcommand};
use ild_cli::{Common, RunReport, Usage, table};
use ild_model::machine::{Cost, Machine};
use ild_model::segment::{checked_box, read_slice, segment};
use ild_model::{
    Likeness, PrecisionWish, Sam2, Sam2Config, Weights, open_device, weights::inspect,
};
use serde::Serialize;

/// SAM 2's image model: inspect and convert checkpoints, segment a slice with a box.
#[derive(Parser)]
#[command(name = "ild-model", version)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Inspect(Inspect),
    Convert(Convert),
    Segment(Segment),
    Machine(MachineFlags),
}

/// Says what a checkpoint holds: tensors, sizes, which model it is, what is missing or unused.
#[derive(Args, Serialize)]
#[serde(rename_all = "kebab-case")]
#[command(
    after_help = "Examples:\n  ild-model inspect sam2_hiera_tiny.pt\n  ild-model inspect best.safetensors --tensors --model nano"
)]
struct Inspect {
    /// The checkpoint.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The model to hold it against: `t`, `s`, `b+`, `l`, `nano`, `t512` or a TOML file [default: what it
    /// looks like].
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// List every tensor.
    #[arg(long)]
    tensors: bool,
}

/// Writes a checkpoint as `.safetensors` under Meta's names; tensors of the video path are kept.
#[derive(Args, Serialize)]
#[serde(rename_all = "kebab-case")]
#[command(
    after_help = "Examples:\n  ild-model convert sam2_hiera_tiny.pt sam2_hiera_tiny.safetensors"
)]
struct Convert {
    /// The checkpoint to read.
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// The file to write.
    #[arg(value_name = "OUT.safetensors")]
    output: PathBuf,
    /// Leave the lesion head out: what remains is loaded by Python's SAM 2 with `strict=True`.
    #[arg(long)]
    sam2_only: bool,
}

/// Segments what a box holds on one slice: writes logits.npy, iou.npy and mask.npy.
#[derive(Args, Serialize)]
#[serde(rename_all = "kebab-case")]
#[command(
    after_help = "Examples:\n  ild-model segment --checkpoint sam2_hiera_tiny.pt --model t --image slice.npy --box 120,200,180,260 --output out"
)]
struct Segment {
    /// Weights: `.safetensors`, or Meta's `.pt`.
    #[arg(long, value_name = "FILE")]
    checkpoint: PathBuf,
    /// The size of the model: `t`, `s`, `b+`, `l`, `nano`, `t512`, or a TOML file that describes it.
    #[arg(long, value_name = "MODEL")]
    model: String,
    /// The slice: (H, W, 3) or (H, W) of uint8.
    #[arg(long, value_name = "slice.npy")]
    image: PathBuf,
    /// The box in pixels of the slice.
    #[arg(
        long = "box",
        value_name = "x0,y0,x1,y1",
        value_delimiter = ',',
        allow_hyphen_values = true,
        num_args = 1
    )]
    pixels: Vec<f64>,
    /// What the image encoder computes in: `half` is what is fastest here below f32 (f16 on Intel's
    /// CPUs with AVX512-FP16, bf16 on AMD's with AVX512-BF16); it changes results (docs/parity.md).
    #[arg(long, value_enum, default_value = "f32")]
    precision: PrecisionWish,
    /// Folder for the three files.
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
}

/// Says what models compute with on this machine and, with --model, measures what a size takes.
#[derive(Args, Serialize)]
#[serde(rename_all = "kebab-case")]
#[command(
    after_help = "Examples:\n  ild-model machine\n  ild-model machine --model t --precision half"
)]
struct MachineFlags {
    /// Segment one slice with random weights of this size: `t`, `s`, `b+`, `l`, `nano`, `t512` or a
    /// TOML file.
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// What its image encoder computes in.
    #[arg(long, value_enum, default_value = "f32")]
    precision: PrecisionWish,
}

fn main() -> ExitCode {
    ild_cli::main(|cli: &Cli| &cli.common, run, ild_model::Error::rejects)
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let mut report = RunReport::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    match &cli.command {
        Command::Inspect(flags) => run_inspect(flags, &mut report)?,
        Command::Convert(flags) => run_convert(flags, &mut report)?,
        Command::Segment(flags) => run_segment(flags, &cli.common, &mut report)?,
        Command::Machine(flags) => run_machine(flags, &cli.common, &mut report)?,
    }
    Ok(report.write(cli.common.report.as_deref())?)
}

/// The model a flag names; a word that is no model is wrong usage.
fn config_of(model: &str) -> anyhow::Result<Sam2Config> {
    match Sam2Config::from_name_or_file(model) {
        Err(error @ ild_model::Error::UnknownModel(_)) => Err(Usage(error.to_string()).into()),
        other => Ok(other?),
    }
}

/// The device a flag names; one that is not there is wrong usage.
fn device_of(common: &Common) -> anyhow::Result<Device> {
    match open_device(common.device) {
        Err(error @ ild_model::Error::Device { .. }) => Err(Usage(error.to_string()).into()),
        other => Ok(other?),
    }
}

fn run_machine(
    flags: &MachineFlags,
    common: &Common,
    report: &mut RunReport,
) -> anyhow::Result<()> {
    let config = flags.model.as_deref().map(config_of).transpose()?;
    let device = device_of(common)?;
    let machine = Machine::of(&device);
    let mut found = table(["", "here"]);
    found.add_row(["instruction set", machine.instruction_set]);
    found.add_row(["tensors", machine.device]);
    found.add_row(["built for GPUs", if machine.built_with_cuda { "yes" } else { "no" }]);
    found.add_row(["precisions", &machine.precisions.join(", ")]);
    found.add_row(["--precision half", machine.half]);
    if let Some(config) = config {
        let cost = Cost::measure(&config, &device, flags.precision, common.seed)?;
        let gib = |bytes: u64| format!("{:.2}", bytes as f64 / f64::from(1 << 30));
        found.add_row(["weights, million", &format!("{:.1}", cost.weights as f64 / 1e6)]);
        found.add_row(["seconds per slice", &format!("{:.2}", cost.seconds_per_slice)]);
        let peak = cost.peak_memory_bytes.map_or("not known".to_owned(), gib);
        found.add_row(["peak memory, GiB", &peak]);
        report.set("cost", cost);
    }
    report.set("machine", machine);
    report.set("settings", flags);
    Ok(ild_cli::say(found)?)
}

fn run_inspect(flags: &Inspect, report: &mut RunReport) -> anyhow::Result<()> {
    let weights = Weights::read(&flags.file)?;
    report.input(&flags.file)?;
    let config = flags.model.as_deref().map(config_of).transpose()?;
    let found = inspect::inspect(&weights, config)?;
    if flags.tensors {
        let mut tensors = table(["tensor", "shape", "type"]);
        for (name, tensor) in weights.iter() {
            tensors.add_row([
                name.to_owned(),
                format!("{:?}", tensor.dims()),
                format!("{:?}", tensor.dtype()),
            ]);
        }
        ild_cli::say(tensors)?;
    }
    ild_cli::say(found.to_string().trim_end())?;
    report.set("inspection", found);
    Ok(())
}

fn run_convert(flags: &Convert, report: &mut RunReport) -> anyhow::Result<()> {
    let mut weights = Weights::read(&flags.input)?;
    if flags.sam2_only {
        weights.remove_lesion_head();
    }
    report.input(&flags.input)?;
    let mut metadata = weights.metadata.clone();
    if let Some(name) = Likeness::of(&weights).and_then(|likeness| likeness.name) {
        metadata.entry("model".into()).or_insert_with(|| name.into());
    }
    weights.write_safetensors(&flags.output, &metadata)?;
    report.output(&flags.output);
    ild_cli::say(format_args!(
        "{}: {} tensors, {} numbers",
        flags.output.display(),
        weights.len(),
        weights.elements()
    ))?;
    Ok(())
}

fn run_segment(flags: &Segment, common: &Common, report: &mut RunReport) -> anyhow::Result<()> {
    let pixels = <[f64; 4]>::try_from(flags.pixels.as_slice()).map_err(|_| {
        Usage(format!("--box: expected four numbers x0,y0,x1,y1, found {}", flags.pixels.len()))
    })?;
    let config = config_of(&flags.model)?;
    let rgb = read_slice(&flags.image)?;
    let (height, width, _) = rgb.dim();
    let drawn = checked_box(pixels, height, width)?;
    let device = device_of(common)?;
    let weights = Weights::read(&flags.checkpoint)?;
    weights.require_finite(&flags.checkpoint)?;
    let (mut model, loaded) = Sam2::load(&config, &weights, &device)?;
    model.set_precision(flags.precision)?;
    tracing::info!("{} tensors loaded, {} carried", loaded.loaded.len(), loaded.carried.len());

    let found = segment(&model, &rgb, drawn, &device)?;
    let paths = found.write(&flags.output)?;
    for path in [&flags.checkpoint, &flags.image] {
        report.input(path)?;
    }
    paths.iter().for_each(|path| report.output(path));
    report.set("settings", flags);
    let inside = found.mask.iter().filter(|value| **value == 1).count();
    let mut summary = table(["slice", "box", "pixels", "predicted IoU", "output"]);
    summary.add_row([
        flags.image.display().to_string(),
        drawn.corners().map(|value| value.to_string()).join(","),
        inside.to_string(),
        format!("{:.4}", found.iou),
        flags.output.display().to_string(),
    ]);
    ild_cli::say(summary)?;
    Ok(())
}
