//! The attention half of a trunk's block: normalisation, projection, attention, output and
//! shortcut.
//!
//! A few windows go through all of it while their numbers are in the second-level cache; the maps
//! between the steps, of which the packed projection is three times the block's result, are never
//! in memory. Where the whole map is one window, rows go through what is before the attention, and
//! through what is behind it. For inference: nothing is kept for a gradient.

use std::sync::Arc;

use candle_core::{Result, Tensor, bail};
use half::{bf16, f16};
use rayon::prelude::*;

use super::attention::{Scores, Scratch, attend_map, attend_window};
use super::buffer::Buffer;
use super::frozen::{Frozen, Norm};
use super::gemm::{Bias, BiasResidual, Packed, PackedWeight};
use super::layer_norm::normalise;
use super::linear::{add_block, multiply_block};
use super::max_pool::pool_rows;
use super::node::{Fused, apply, on_cpu, tracked};
use super::precision::Precision;
use super::shared::Shared;
use super::window::WindowGrid;

/// Fewest rows of a product, where there are windows enough: whole tiles, and weights are read once
/// for all of them.
const ROWS: usize = 96;

/// The attention half of a block, see [`super::window_block`].
#[derive(Debug)]
pub struct WindowBlock<'a> {
    /// Before all else.
    pub norm: Norm<'a>,
    /// Queries, keys and values: from `c` to `3·d`.
    pub qkv: Frozen<'a>,
    /// Output: from `d` to `d`.
    pub proj: Frozen<'a>,
    /// Where `d` is not `c`, what makes the shortcut of the normed map.
    pub shortcut: Option<Frozen<'a>>,
    /// Heads of `d`.
    pub heads: usize,
    /// Tokens along a window's side; 0 is the whole map.
    pub window: usize,
    /// Whether queries and shortcut are pooled 2×2.
    pub pool_query: bool,
    /// What products and scores are computed in.
    pub precision: Precision,
}

pub(crate) fn window_block(x: &Tensor, parts: &WindowBlock) -> Result<Option<Tensor>> {
    let (batch, height, width, channels) = x.dims4()?;
    let WindowBlock { norm, qkv, proj, shortcut, heads, window, pool_query, precision } = parts;
    let mut inputs = vec![x, norm.weight, norm.bias, qkv.weight, qkv.bias, proj.weight, proj.bias];
    inputs.extend(shortcut.iter().flat_map(|linear| [linear.weight, linear.bias]));
    let step = if *pool_query { 2 } else { 1 };
    let whole_of_changing_width = *window == 0 && (shortcut.is_some() || *pool_query); // not in SAM 2
    if whole_of_changing_width
        || height % step != 0
        || width % step != 0
        || !on_cpu(&inputs)
        || tracked(&inputs)
    {
        return Ok(None);
    }
    let outputs = proj.weight.dim(0)?;
    let shortcut_fits =
        shortcut.as_ref().map_or(outputs == channels, |linear| linear.maps(channels, outputs));
    let fits = norm.is_of(channels)
        && qkv.maps(channels, 3 * outputs)
        && proj.maps(outputs, outputs)
        && shortcut_fits;
    if *heads == 0 || outputs % heads != 0 || !fits {
        bail!("window_block: the shapes of {parts:?} do not meet, for a map of {:?}", x.dims());
    }
    precision.require_on(x.device())?;
    let op = Block {
        precision: *precision,
        batch,
        height,
        width,
        channels,
        outputs,
        heads: *heads,
        whole: *window == 0,
        grid: WindowGrid::new(height, width, *window, *pool_query)?,
        step,
        eps: norm.eps as f32,
        packed: [Some(qkv), Some(proj), shortcut.as_ref()]
            .map(|linear| linear.map(|linear| linear.packed.clone()).unwrap_or_default()),
    };
    Ok(Some(apply(op, (batch, height / step, width / step, outputs), &inputs)?))
}

struct Block {
    precision: Precision,
    batch: usize,
    height: usize,
    width: usize,
    channels: usize,
    outputs: usize,
    heads: usize,
    /// One window.
    whole: bool,
    grid: WindowGrid,
    /// 2 where queries are pooled, else 1.
    step: usize,
    eps: f32,
    /// `qkv`, `proj` and `shortcut`.
    packed: [Arc<PackedWeight>; 3],
}

/// The part of a window inside the map, in tokens.
#[derive(Debug, Clone, Copy)]
struct Window {
    image: usize,
    y: usize,
    x: usize,
    height: usize,
    width: usize,
}

/// Weights as the products want them, and biases.
struct Weights<'a> {
    norm: [&'a [f32]; 2],
    qkv: (Arc<Packed>, &'a [f32]),
    proj: (Arc<Packed>, &'a [f32]),
    shortcut: Option<(Arc<Packed>, &'a [f32])>,
}

/// The maps between the steps, for one group of windows.
#[derive(Default)]
struct Maps {
    normed: Buffer,
    qkv: Buffer,
    attended: Buffer,
    shortcut: Buffer,
    out: Buffer,
    attention: Scratch,
}

impl Fused for Block {
    const NAME: &'static str = "window_block";

    fn forward(&self, inputs: &[&[f32]], out: &mut [f32]) {
        let &[
            x,
            norm_weight,
            norm_bias,
            qkv_weight,
            qkv_bias,
            proj_weight,
            proj_bias,
            ref shortcut @ ..,
        ] = inputs
        else {
            unreachable!("window_block has at least seven inputs")
        };
        let (c, d) = (self.channels, self.outputs);
        let [qkv, proj, of_shortcut] = &self.packed;
        let weights = Weights {
            norm: [norm_weight, norm_bias],
            qkv: (qkv.get(self.precision, c, 3 * d, qkv_weight), qkv_bias),
            proj: (proj.get(self.precision, d, d, proj_weight), proj_bias),
            shortcut: if let &[weight, bias] = shortcut {
                Some((of_shortcut.get(self.precision, c, d, weight), bias))
            } else {
                None
            },
        };
        match self.precision {
            Precision::F32 => self.run::<f32>(x, &weights, out),
            Precision::F16 => self.run::<f16>(x, &weights, out),
            Precision::Bf16 => self.run::<bf16>(x, &weights, out),
        }
    }

    fn backward(&self, _: &[&[f32]], _: &[f32], _: &[f32], _: &mut [Option<&mut [f32]>]) {
        unreachable!("window_block is for tensors without gradients");
    }
}

impl Block {
    /// The normed map and the operands of attention are in `T`.
    fn run<T: Scores>(&self, x: &[f32], weights: &Weights, out: &mut [f32]) {
        if self.whole {
            return self.whole_map::<T>(x, weights, out);
        }
        let windows = self.batch * self.grid.rows * self.grid.columns;
        let group = self.group(windows);
        let out = Shared::new(out);
        (0..windows.div_ceil(group)).into_par_iter().for_each_init(Maps::default, |maps, i| {
            let windows: Vec<Window> =
                (i * group..windows.min((i + 1) * group)).map(|i| self.window(i)).collect();
            self.windows::<T>(x, weights, &windows, maps, &out);
        });
    }

    /// Windows that go through together.
    fn group(&self, windows: usize) -> usize {
        let queries = self.grid.window_height * self.grid.window_width / self.step / self.step;
        let shared = windows.div_ceil(2 * rayon::current_num_threads()).max(1); // nobody is to be without work
        (1..).find(|group| group * queries >= ROWS).unwrap_or(1).min(shared)
    }

    /// Where the map is one window and keeps its width.
    fn whole_map<T: Scores>(&self, x: &[f32], weights: &Weights, out: &mut [f32]) {
        let c = self.channels;
        let mut qkv = Buffer::unspecified(3 * x.len());
        let rows = qkv.par_chunks_mut(ROWS * 3 * c).zip(x.par_chunks(ROWS * c));
        rows.for_each_init(Buffer::<f32>::default, |normed, (qkv, x)| {
            let normed = normed.room_of::<T>(x.len() / c * T::padded(c));
            normalise(x, weights.norm, self.eps, normed);
            weights.qkv.0.multiply(normed, qkv, false, &mut Bias(weights.qkv.1));
        });
        let mut attended = Buffer::unspecified(x.len());
        attend_map::<T>(
            (&qkv, weights.qkv.1),
            (self.batch, self.height, self.width),
            self.heads,
            &mut attended,
        );
        let rows = out
            .par_chunks_mut(ROWS * c)
            .zip(x.par_chunks(ROWS * c))
            .zip(attended.par_chunks(ROWS * c));
        rows.for_each(|((out, x), attended)| {
            let bias = weights.proj.1;
            multiply_block(
                attended,
                &weights.proj.0,
                out,
                &mut BiasResidual { bias, residual: x, columns: c },
            );
        });
    }

    fn window(&self, index: usize) -> Window {
        let (rest, column) = (index / self.grid.columns, index % self.grid.columns);
        let (image, row) = (rest / self.grid.rows, rest % self.grid.rows);
        let (y, x) = (row * self.grid.window_height, column * self.grid.window_width);
        let (height, width) = (
            (self.height - y).min(self.grid.window_height),
            (self.width - x).min(self.grid.window_width),
        );
        Window { image, y, x, height, width }
    }

    fn windows<T: Scores>(
        &self,
        x: &[f32],
        weights: &Weights,
        windows: &[Window],
        maps: &mut Maps,
        out: &Shared,
    ) {
        let (c, d, step) = (self.channels, self.outputs, self.step);
        let rows: usize = windows.iter().map(|w| w.height * w.width).sum();
        let results = rows / step / step;
        let width = T::padded(c);
        let normed = maps.normed.room_of::<T>(rows * width);
        let result = maps.out.room(results * d);

        let mut token = 0;
        for window in windows {
            for y in 0..window.height {
                let from =
                    ((window.image * self.height + window.y + y) * self.width + window.x) * c;
                let (line, to) = (&x[from..from + window.width * c], token..token + window.width);
                normalise(
                    line,
                    weights.norm,
                    self.eps,
                    &mut normed[to.start * width..to.end * width],
                );
                if weights.shortcut.is_none() && step == 1 {
                    result[to.start * c..to.end * c].copy_from_slice(line);
                }
                token = to.end;
            }
        }

        if let Some((weight, bias)) = &weights.shortcut {
            let shortcut = if step == 1 { &mut *result } else { maps.shortcut.room(rows * d) };
            weight.multiply(normed, shortcut, false, &mut Bias(bias));
        }
        if step == 2 {
            self.pool(windows, x, weights.shortcut.is_some().then_some(&maps.shortcut), result);
        }

        let qkv = maps.qkv.room(rows * 3 * d);
        weights.qkv.0.multiply(normed, qkv, false, &mut Bias(weights.qkv.1));
        let attended = maps.attended.room(results * d);
        let (mut from, mut to) = (&*qkv, &mut *attended);
        for window in windows {
            let tokens = window.height * window.width;
            let (qkv, rest) = from.split_at(tokens * 3 * d);
            let (attended, rest_of_attended) = to.split_at_mut(tokens / step / step * d);
            let size = (window.height, window.width);
            let grid = WindowGrid { rows: 1, columns: 1, ..self.grid };
            attend_window::<T>(
                (qkv, weights.qkv.1),
                size,
                self.heads,
                (grid, step == 2),
                attended,
                &mut maps.attention,
            );
            (from, to) = (rest, rest_of_attended);
        }
        add_block(attended, &weights.proj.0, result, &mut Bias(weights.proj.1));

        let mut at = 0;
        for window in windows {
            for y in 0..window.height / step {
                let row = (window.image * self.height + window.y) / step + y;
                let to = (row * (self.width / step) + window.x / step) * d;
                let len = window.width / step * d;
                // SAFETY: a window's results belong to it alone, and a window to one thread.
                unsafe { out.slice(to, len) }.copy_from_slice(&result[at..at + len]);
                at += len;
            }
        }
    }

    /// The shortcut of each window, pooled 2×2: of `projected`, or of the map itself.
    fn pool(&self, windows: &[Window], x: &[f32], projected: Option<&Buffer>, result: &mut [f32]) {
        let d = self.outputs;
        let (mut first, mut at) = (0, 0);
        for window in windows {
            for y in (0..window.height).step_by(2) {
                let line = |y: usize| match projected {
                    Some(projected) => {
                        &projected[(first + y * window.width) * d..][..window.width * d]
                    }
                    None => {
                        &x[((window.image * self.height + window.y + y) * self.width + window.x)
                            * d..][..window.width * d]
                    }
                };
                let len = window.width / 2 * d;
                pool_rows(line(y), line(y + 1), d, &mut result[at..at + len]);
                at += len;
            }
            first += window.height * window.width;
        }
    }
}
