//! Runs parts of the model on request, so that `tests/peers/model.py` can time it in alternation
//! with other engines.
//!
//! Each line on stdin is one request (`encode`, `decode`, `forward`, `memory`, `step`); each answer
//! is one line of JSON with wall and CPU seconds, the highest memory so far, and a sum by which
//! results can be compared.

use std::path::PathBuf;

use candle_core::{Device, Tensor};
use clap::Parser;
use ild_model::memory::{Bank, Direction, Memory, MemoryConfig, Prompt, Sam2Video, Version};
use ild_model::{
    Aside, DecodeMode, FrameFeatures, ImageFeatures, Parameters, PrecisionWish, Sam2, Sam2Config,
    Weights,
};
use ild_train::{AdamW, AdamWConfig, Gradients, dice_and_cross_entropy};

/// Times parts of the model on request.
#[derive(Parser)]
#[command(name = "engine")]
struct Cli {
    #[command(flatten)]
    common: ild_cli::Common,
    /// Model: t, s, b+, l, nano, t512 or a TOML file.
    #[arg(long, default_value = "t")]
    model: String,
    /// Images in the batch.
    #[arg(long, default_value_t = 1)]
    batch: usize,
    /// Holds a model that is trained (for `step`) instead of a frozen one (for the rest).
    #[arg(long)]
    train: bool,
    /// Keeps the inputs of the trunk's blocks only and runs each a second time in the backward
    /// pass.
    #[arg(long, requires = "train")]
    recompute: bool,
    /// Precision of the encoder's products.
    #[arg(long, value_enum, default_value = "f32", conflicts_with = "train")]
    precision: PrecisionWish,
    /// Where the generated weights are written, for the other engines.
    #[arg(long)]
    weights: Option<PathBuf>,
}

/// The smooth image of `model.py`: `sin(0.05·x) · cos(0.03·y) · (plane + 1) + 0.1·image`.
fn images(batch: usize, side: usize) -> Vec<f32> {
    let pixel = |i: usize| {
        let (x, y, plane, image) =
            (i % side, i / side % side, i / (side * side) % 3, i / (3 * side * side));
        ((0.05 * x as f64).sin() * (0.03 * y as f64).cos() * (plane + 1) as f64
            + 0.1 * image as f64) as f32
    };
    (0..batch * 3 * side * side).map(pixel).collect()
}

/// Frames after which nothing more fits into what a frame looks at, and those of the whole video.
const FULL: i64 = 16;
const FRAMES: usize = 100;

struct Engine {
    model: Sam2,
    memory: Memory,
    remembered: Option<Remembered>,
    training: Option<Training>,
    images: Tensor,
    boxes: Tensor,
    masks: Tensor,
    features: Option<ImageFeatures>,
}

/// A frame, and a full bank to look at.
struct Remembered {
    frame: FrameFeatures,
    bank: Bank,
}

/// What a training step needs beside the model.
struct Training {
    parameters: Parameters,
    optimiser: AdamW,
    aside: Option<Aside>,
}

impl Engine {
    fn new(cli: &Cli) -> anyhow::Result<Self> {
        let config = Sam2Config::from_name_or_file(&cli.model)?;
        let weights = Weights::random(&config, cli.common.seed)?;
        let sizes = MemoryConfig::published(Version::Sam2);
        let weights = weights.with_random_memory(&config, &sizes, cli.common.seed)?;
        let memory = Memory::load(&config, &weights, &Device::Cpu)?.0;
        if let Some(path) = &cli.weights {
            weights.write_safetensors(path, &Default::default())?;
        }
        let (model, training) = if cli.train {
            let (mut model, parameters, _) = Sam2::trainable(&config, &weights, &Device::Cpu)?;
            let optimiser = AdamW::new(
                parameters.iter().map(|(_, var)| var.clone()).collect(),
                AdamWConfig::default(),
            );
            let aside = cli.recompute.then(|| model.image_encoder.trunk.recompute());
            (model, Some(Training { parameters, optimiser, aside }))
        } else {
            let mut model = Sam2::load(&config, &weights, &Device::Cpu)?.0;
            model.set_precision(cli.precision)?;
            (model, None)
        };
        let side = config.image_size;
        let corner = |share: f64| (share * side as f64) as f32;
        let corners = [corner(0.25), corner(0.25), corner(0.75), corner(0.75)].repeat(cli.batch);
        let label = |i: usize| {
            f32::from(u8::from(
                (64..192).contains(&(i % 256)) && (64..192).contains(&(i / 256 % 256)),
            ))
        };
        let masks: Vec<f32> = (0..cli.batch * 256 * 256).map(label).collect();
        Ok(Self {
            images: Tensor::from_vec(
                images(cli.batch, side),
                (cli.batch, 3, side, side),
                &Device::Cpu,
            )?,
            boxes: Tensor::from_vec(corners, (cli.batch, 4), &Device::Cpu)?,
            masks: Tensor::from_vec(masks, (cli.batch, 1, 256, 256), &Device::Cpu)?,
            features: None,
            remembered: None,
            memory,
            model,
            training,
        })
    }

    /// The first frame, prompted with the box; a bank is as full of one map as of sixteen.
    fn remember(&self) -> anyhow::Result<Remembered> {
        let frame = self.model.encode_frame(&self.images)?;
        let video = Sam2Video::new(&self.model, &self.memory);
        let corners = self.boxes.to_vec2::<f32>()?[0].clone();
        let corners = [corners[0], corners[1], corners[2], corners[3]];
        let found = video.prompt(&frame, &Prompt::of_box(corners), None)?;
        let first = video.remember(0, &frame, &found, true)?;
        let mut bank = Bank::new(self.memory.config().num_maskmem);
        bank.add_prompted(first.clone());
        for time in 1..FULL {
            let mut again = first.clone();
            again.time = time;
            bank.add_tracked(again);
        }
        Ok(Remembered { frame, bank })
    }

    /// Does what is asked and returns a sum of the result.
    fn run(&mut self, request: &str) -> anyhow::Result<f32> {
        let sum =
            |tensor: &Tensor| -> anyhow::Result<f32> { Ok(tensor.abs()?.mean_all()?.to_scalar()?) };
        match request {
            "encode" => {
                let features = self.model.encode_image(&self.images)?;
                let checked = sum(&features.image_embed)?;
                self.features = Some(features);
                Ok(checked)
            }
            "decode" => {
                if self.features.is_none() {
                    self.run("encode")?; // in the first round, which is not counted
                }
                let features =
                    self.features.as_ref().ok_or_else(|| anyhow::anyhow!("nothing was encoded"))?;
                sum(&self.model.decode_box(features, &self.boxes, DecodeMode::Train)?.logits)
            }
            "forward" => {
                let features = self.model.encode_image(&self.images)?;
                sum(&self.model.decode_box(&features, &self.boxes, DecodeMode::Train)?.logits)
            }
            "memory" => {
                if self.remembered.is_none() {
                    self.remembered = Some(self.remember()?); // as above
                }
                let remembered = self.remembered.as_ref();
                let Remembered { frame, bank } =
                    remembered.ok_or_else(|| anyhow::anyhow!("nothing is remembered"))?;
                let video = Sam2Video::new(&self.model, &self.memory);
                let recalled = bank.recall(FULL, Direction::Forward, FRAMES);
                let found = video.track(frame, &recalled, FRAMES)?;
                let map = video.map_to_remember(frame, &found, false)?;
                Ok(sum(&found.low_res_masks)? + sum(&map)?)
            }
            "step" => {
                let features = self.model.encode_image(&self.images)?;
                let prediction =
                    self.model.decode_box(&features, &self.boxes, DecodeMode::Train)?;
                let loss = dice_and_cross_entropy(&prediction.logits, &self.masks)?.total;
                drop((features, prediction));
                let training = self
                    .training
                    .as_mut()
                    .ok_or_else(|| anyhow::anyhow!("expected --train for step, found none"))?;
                let mut store = loss.backward()?;
                if let Some(aside) = &training.aside {
                    store.extend(aside.take())?;
                }
                let gradients = Gradients::take(&mut store, training.parameters.iter())?;
                training.optimiser.step(1e-6, gradients.as_slice())?;
                Ok(loss.to_scalar()?)
            }
            other => {
                anyhow::bail!("expected encode, decode, forward, memory or step, found {other:?}")
            }
        }
    }
}

fn serve(cli: &Cli) -> anyhow::Result<()> {
    let mut engine = Engine::new(cli)?;
    ild_cli::serve_timings(|request| engine.run(request).map(f64::from))
}

fn main() -> std::process::ExitCode {
    ild_cli::main(
        |cli: &Cli| &cli.common,
        |cli| {
            std::thread::scope(|scope| {
                let worker = std::thread::Builder::new()
                    .stack_size(256 << 20)
                    .spawn_scoped(scope, || serve(&cli))?;
                worker.join().unwrap_or_else(|_| Err(anyhow::anyhow!("the engine panicked")))
            })
        },
        |_| false,
    )
}
