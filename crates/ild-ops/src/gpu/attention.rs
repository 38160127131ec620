//! `kernels/attention_forward.cu` and `kernels/attention_backward.cu`.

use std::sync::{Mutex, PoisonError};

use candle_core::{DType, Result, Tensor, bail};

use super::column_sum::column_sum;
use super::launch::{Argument, Launch, THREADS};
use super::memory::{fresh, input, output};
use super::node::{Operation, apply};
use super::suffix;
use crate::attention::value_width;
use crate::node::tracked;
use crate::reference;
use crate::window::WindowGrid;

/// The widths of a head there is a kernel for; a head is rounded up to one of them.
const WIDTHS: [usize; 4] = [32, 64, 80, 96];

/// Rows of queries or keys that a warp works on.
const ROWS: usize = 16;

/// Most rows of a block.
const MOST_ROWS: usize = 64;

/// Keys or queries that the backward pass takes at a time.
const STEP: usize = 32;

pub(crate) fn attention(q: &Tensor, k: &Tensor, v: &Tensor, scale: f64) -> Result<Tensor> {
    let (batch, queries, heads, dim) = q.dims4()?;
    let keys = k.dim(1)?;
    let wide = value_width(q, k, v)?;
    let Some(width) = width_of(dim).filter(|_| wide == dim) else {
        return reference::attention(q, k, v, scale);
    };
    let shape = Shape { heads, dim, queries, keys, windows: None, problems: batch * heads };
    let log_sums = Mutex::default();
    apply(
        Attention { shape, width, scale, log_sums, tracked: tracked(&[q, k, v]) },
        (batch, queries, heads * dim),
        &[q, k, v],
    )
}

pub(crate) fn window_attention(
    qkv: &Tensor,
    bias: &Tensor,
    heads: usize,
    window: usize,
    pool: bool,
) -> Result<Tensor> {
    let (batch, height, width, packed) = qkv.dims4()?;
    if heads == 0 || packed % (3 * heads) != 0 || bias.dims() != [packed] {
        bail!(
            "window_attention: expected 3·{heads}·d channels and as many in the bias, found {:?} and {:?}",
            qkv.dims(),
            bias.dims()
        );
    }
    let dim = packed / 3 / heads;
    let bias = bias.to_dtype(qkv.dtype())?;
    let Some(kernel_width) = width_of(dim) else {
        return reference::window_attention(qkv, &bias, heads, window, pool);
    };
    let grid = WindowGrid::new(height, width, window, pool)?;
    let keys = grid.window_height * grid.window_width;
    let (queries, step) = if pool { (keys / 4, 2) } else { (keys, 1) };
    let problems = batch * grid.rows * grid.columns * heads;
    let shape = Shape {
        heads,
        dim,
        queries,
        keys,
        windows: Some(Windows { height, width, grid, pool }),
        problems,
    };
    let scale = 1.0 / (dim as f64).sqrt();
    let op = Attention {
        shape,
        width: kernel_width,
        scale,
        log_sums: Mutex::default(),
        tracked: tracked(&[qkv, &bias]),
    };
    apply(op, (batch, height / step, width / step, packed / 3), &[qkv, &bias])
}

fn width_of(dim: usize) -> Option<usize> {
    WIDTHS.into_iter().find(|width| dim <= *width)
}

/// The map that windows are cut from.
#[derive(Debug, Clone, Copy)]
struct Windows {
    height: usize,
    width: usize,
    grid: WindowGrid,
    pool: bool,
}

/// The sizes of a call; a problem is an image, a window and a head.
#[derive(Debug, Clone, Copy)]
struct Shape {
    heads: usize,
    dim: usize,
    queries: usize,
    keys: usize,
    windows: Option<Windows>,
    problems: usize,
}

impl Shape {
    /// As `Shape` in `kernels/attention.h`.
    fn argument(&self) -> Argument {
        let [height, width, window_height, window_width, rows, columns, pool] =
            self.windows.map_or([0; 7], |w| {
                let grid = w.grid;
                [
                    w.height,
                    w.width,
                    grid.window_height,
                    grid.window_width,
                    grid.rows,
                    grid.columns,
                    usize::from(w.pool),
                ]
            });
        let sizes = [
            self.heads,
            self.dim,
            self.queries,
            self.keys,
            height,
            width,
            window_height,
            window_width,
            rows,
            columns,
            pool,
        ];
        Argument::Ints(sizes.map(|size| size as i32))
    }

    /// Whether a window reaches beyond the map.
    fn has_padding(&self) -> bool {
        self.windows
            .is_some_and(|w| w.grid.padded_height() > w.height || w.grid.padded_width() > w.width)
    }
}

struct Attention {
    shape: Shape,
    /// Of the kernel, at least the head's.
    width: usize,
    scale: f64,
    /// Logarithm to base 2 of each query's sum, `[problem, query]`, kept where a gradient will be
    /// asked for.
    log_sums: Mutex<Option<Tensor>>,
    tracked: bool,
}

/// Numbers from row to row of a tile in shared memory (`Tile` in `kernels/product.h`).
fn stride(columns: usize, dtype: DType) -> usize {
    columns + if dtype == DType::BF16 { 8 } else { 4 }
}

impl Attention {
    /// Queries, keys, values and bias; windows find them all in the packed projection.
    fn sources(inputs: &[Tensor]) -> Result<[Argument; 4]> {
        match inputs {
            [qkv, bias] => Ok([input(qkv)?, input(qkv)?, input(qkv)?, input(bias)?]),
            [q, k, v] => Ok([input(q)?, input(k)?, input(v)?, Argument::Address(0)]),
            _ => bail!("attention has two or three inputs"),
        }
    }

    fn rest(&self) -> [Argument; 2] {
        [self.shape.argument(), Argument::Float(self.scale as f32)]
    }

    /// Runs a kernel on blocks of `rows` queries or keys. `tiles` are the rows of its tiles as wide
    /// as a head: those of a block count once for each of its rows, the others are fixed.
    fn run(
        &self,
        kernel: &str,
        like: &Tensor,
        rows: usize,
        tiles: Tiles,
        arguments: &[Argument],
    ) -> Result<()> {
        let dtype = like.dtype();
        let warps = rows.min(MOST_ROWS).div_ceil(ROWS);
        let block = warps * ROWS;
        let numbers = (tiles.of_block * block + tiles.fixed) * stride(self.width, dtype)
            + block * stride(tiles.step, dtype);
        let file =
            if kernel == "attention_forward" { "attention_forward" } else { "attention_backward" };
        let launch = Launch {
            file,
            kernel: format!("{kernel}_{}_{}", suffix(dtype), self.width),
            blocks: (self.shape.problems * rows.div_ceil(block)) as u32,
            threads: 32 * warps as u32,
            shared_bytes: (numbers * dtype.size_in_bytes() + tiles.floats * size_of::<f32>())
                as u32,
            arguments,
        };
        launch.run(like.device())
    }

    fn deltas(&self, out: &Tensor, grad: &Tensor) -> Result<Tensor> {
        let count = self.shape.problems * self.shape.queries;
        let deltas = fresh(count, DType::F32, out.device())?;
        let launch = Launch {
            file: "attention_backward",
            kernel: format!("attention_delta_{}", suffix(out.dtype())),
            blocks: count.div_ceil(THREADS as usize / 32) as u32,
            threads: THREADS,
            shared_bytes: 0,
            arguments: &[
                input(out)?,
                input(grad)?,
                output(&deltas)?,
                Argument::Long(count as i64),
                self.shape.argument(),
            ],
        };
        launch.run(out.device())?;
        Ok(deltas)
    }
}

/// What a kernel keeps in shared memory.
struct Tiles {
    of_block: usize,
    fixed: usize,
    step: usize,
    floats: usize,
}

impl Operation for Attention {
    const NAME: &'static str = "attention";

    fn forward(&self, inputs: &[Tensor], out: Argument) -> Result<()> {
        let like = &inputs[0];
        let log_sums = fresh(self.shape.problems * self.shape.queries, DType::F32, like.device())?;
        let step = if like.dtype() == DType::BF16 { 64 } else { 32 };
        let [q, k, v, bias] = Self::sources(inputs)?;
        let [shape, scale] = self.rest();
        let arguments = [q, k, v, bias, out, output(&log_sums)?, shape, scale];
        self.run(
            "attention_forward",
            like,
            self.shape.queries,
            Tiles { of_block: 1, fixed: 2 * step, step, floats: 0 },
            &arguments,
        )?;
        if self.tracked {
            *self.log_sums.lock().unwrap_or_else(PoisonError::into_inner) = Some(log_sums);
        }
        Ok(())
    }

    fn backward(
        &self,
        inputs: &[Tensor],
        out: &Tensor,
        grad: &Tensor,
        _: &[bool],
    ) -> Result<Vec<Option<Tensor>>> {
        let log_sums = self.log_sums.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(log_sums) = log_sums else {
            bail!("attention: no gradient without a tracked input")
        };
        let like = &inputs[0];
        let deltas = self.deltas(out, grad)?;
        let gradients = inputs.iter().take(if inputs.len() == 2 { 1 } else { 3 });
        let gradients = gradients
            .map(|t| fresh(t.shape(), t.dtype(), t.device()))
            .collect::<Result<Vec<_>>>()?;
        let [dq, dk, dv] = [0, 1, 2].map(|part| output(&gradients[part.min(gradients.len() - 1)]));
        let key_blocks =
            self.shape.keys.div_ceil(self.shape.keys.min(MOST_ROWS).div_ceil(ROWS) * ROWS);
        let padding_rows = if self.shape.has_padding() {
            self.shape.problems / self.shape.heads * key_blocks
        } else {
            1
        };
        let padding = Tensor::zeros(
            (padding_rows, 3 * self.shape.heads * self.shape.dim),
            DType::F32,
            like.device(),
        )?;

        let [q, k, v, bias] = Self::sources(inputs)?;
        let [shape, scale] = self.rest();
        let given = [q, k, v, bias, input(grad)?, input(&log_sums)?, input(&deltas)?];
        let tiles = |floats| Tiles { of_block: 2, fixed: 2 * STEP, step: STEP, floats };
        self.run(
            "attention_queries",
            like,
            self.shape.queries,
            tiles(0),
            &[&given[..], &[dq?, shape, scale]].concat(),
        )?;
        let written = [dk?, dv?, output(&padding)?, shape, scale];
        self.run(
            "attention_keys",
            like,
            self.shape.keys,
            tiles(2 * STEP),
            &[&given[..], &written].concat(),
        )?;
        let mut gradients: Vec<Option<Tensor>> = gradients.into_iter().map(Some).collect();
        if let [_, bias] = inputs {
            gradients.push(Some(column_sum(&padding)?.to_dtype(bias.dtype())?));
        }
        Ok(gradients)
    }
}
