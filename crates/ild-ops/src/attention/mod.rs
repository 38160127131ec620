//! Attention without the matrix of scores in memory.
//!
//! A block of queries walks over blocks of keys with a running maximum and sum ("flash attention",
//! Dao et al. 2022). The backward pass finds the probabilities again from the log of each query's
//! sum, block by block. Windows are the same kernel on small problems, read straight out of the
//! packed projection.

mod backward;
mod forward;
mod scores;
mod source;

use std::sync::Mutex;

use candle_core::{Result, Tensor, bail};

use self::backward::{Given, backward};
pub(crate) use self::forward::Scratch;
use self::forward::{forward, forward_here};
pub(crate) use self::scores::Scores;
use self::source::{Plain, PlainLayout, WindowLayout, Windows};
use super::node::{Fused, apply, tracked};
use super::shared::Shared;
use super::window::WindowGrid;

/// Columns of a block of scores: a multiple of every tile's width.
const KEYS: usize = 384;

/// Distance between rows of scores: not a power of two, so that rows do not compete for the same
/// cache lines.
const SCORES_ROW: usize = KEYS + 16;

/// Log of each query's sum of exponentials, `[problem, query]`, kept where a gradient will be asked
/// for.
type LogSums = Option<Mutex<Vec<f32>>>;

fn kept(log_sums: &LogSums) -> Option<std::sync::MutexGuard<'_, Vec<f32>>> {
    log_sums.as_ref().map(|kept| kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
}

/// Checks the shapes; returns the channels of a value.
pub(crate) fn value_width(q: &Tensor, k: &Tensor, v: &Tensor) -> Result<usize> {
    let (batch, _, heads, dim) = q.dims4()?;
    let (keys, wide) = (k.dim(1)?, v.dim(v.rank().saturating_sub(1))?);
    if k.dims() != [batch, keys, heads, dim] || v.dims() != [batch, keys, heads, wide] || keys == 0
    {
        bail!(
            "attention: expected k of [{batch}, keys, {heads}, {dim}] and v of as many keys and heads, found {:?} and {:?}",
            k.dims(),
            v.dims()
        );
    }
    Ok(wide)
}

pub(crate) fn attention(q: &Tensor, k: &Tensor, v: &Tensor, scale: f64) -> Result<Tensor> {
    let (batch, queries, heads, dim) = q.dims4()?;
    let (keys, value_dim) = (k.dim(1)?, value_width(q, k, v)?);
    let log_sums = tracked(&[q, k, v]).then(Mutex::default);
    if log_sums.is_some() && value_dim != dim {
        // The backward pass knows one width.
        return super::reference::attention(q, k, v, scale);
    }
    let layout = PlainLayout { batch, heads, queries, keys, dim, value_dim };
    apply(
        Attention { layout, scale: scale as f32, log_sums },
        (batch, queries, heads * value_dim),
        &[q, k, v],
    )
}

pub(crate) fn window_attention(
    qkv: &Tensor,
    bias: &Tensor,
    heads: usize,
    window: usize,
    pool_query: bool,
) -> Result<Tensor> {
    let (batch, height, width, packed) = qkv.dims4()?;
    if heads == 0 || packed % (3 * heads) != 0 || bias.dims() != [packed] {
        bail!(
            "window_attention: expected 3·{heads}·d channels and as many in the bias, found {:?} and {:?}",
            qkv.dims(),
            bias.dims()
        );
    }
    let grid = WindowGrid::new(height, width, window, pool_query)?;
    let layout =
        WindowLayout { batch, height, width, heads, dim: packed / 3 / heads, grid, pool_query };
    let step = if pool_query { 2 } else { 1 };
    let log_sums = tracked(&[qkv, bias]).then(Mutex::default);
    apply(
        WindowAttention { layout, log_sums },
        (batch, height / step, width / step, packed / 3),
        &[qkv, bias],
    )
}

/// Attention of one window on this thread, from `qkv` `[h, w, 3·heads·d]` of its tokens inside the
/// map; the rest of the window's `window × window` tokens are padding. `out` as
/// [`window_attention`] with one window.
pub(crate) fn attend_window<T: Scores>(
    (qkv, bias): (&[f32], &[f32]),
    (height, width): (usize, usize),
    heads: usize,
    (grid, pool_query): (WindowGrid, bool),
    out: &mut [f32],
    scratch: &mut Scratch,
) {
    let layout = WindowLayout {
        batch: 1,
        height,
        width,
        heads,
        dim: bias.len() / 3 / heads,
        grid,
        pool_query,
    };
    forward_here::<_, T>(&Windows { qkv, bias, layout }, layout.scale(), out, scratch);
}

/// Attention of whole maps from their packed projection `[b, h, w, 3·heads·d]`.
pub(crate) fn attend_map<T: Scores>(
    (qkv, bias): (&[f32], &[f32]),
    (batch, height, width): (usize, usize, usize),
    heads: usize,
    out: &mut [f32],
) {
    let grid = WindowGrid { window_height: height, window_width: width, rows: 1, columns: 1 };
    let layout = WindowLayout {
        batch,
        height,
        width,
        heads,
        dim: bias.len() / 3 / heads,
        grid,
        pool_query: false,
    };
    forward::<_, T>(&Windows { qkv, bias, layout }, layout.scale(), out, None);
}

struct Attention {
    layout: PlainLayout,
    scale: f32,
    log_sums: LogSums,
}

impl Fused for Attention {
    const NAME: &'static str = "attention";

    fn forward(&self, inputs: &[&[f32]], out: &mut [f32]) {
        let &[q, k, v] = inputs else { unreachable!("attention has three inputs") };
        let source = Plain { parts: [q, k, v], layout: self.layout };
        forward::<_, f32>(&source, self.scale, out, kept(&self.log_sums).as_deref_mut());
    }

    fn backward(
        &self,
        inputs: &[&[f32]],
        out: &[f32],
        grad: &[f32],
        gradients: &mut [Option<&mut [f32]>],
    ) {
        let &[q, k, v] = inputs else { unreachable!("attention has three inputs") };
        let [dq, dk, dv] = gradients else { unreachable!("attention has three inputs") };
        let Some(log_sums) = kept(&self.log_sums) else {
            unreachable!("no gradient without a tracked input")
        };
        let mut spare = [Vec::new(), Vec::new(), Vec::new()];
        let [spare_q, spare_k, spare_v] = &mut spare;
        let (dq, dk, dv) =
            (or_spare(dq, spare_q, q), or_spare(dk, spare_k, k), or_spare(dv, spare_v, v));
        let source = Plain { parts: [q, k, v], layout: self.layout };
        let given = Given { scale: self.scale, out, grad, log_sums: &log_sums };
        backward(&source, &given, [&Shared::new(dq), &Shared::new(dk), &Shared::new(dv)], &mut []);
    }
}

/// The gradient that is asked for, or a place for one that is not.
fn or_spare<'a>(
    wanted: &'a mut Option<&mut [f32]>,
    spare: &'a mut Vec<f32>,
    input: &[f32],
) -> &'a mut [f32] {
    match wanted {
        Some(wanted) => wanted,
        None => {
            spare.resize(input.len(), 0.0);
            spare
        }
    }
}

struct WindowAttention {
    layout: WindowLayout,
    log_sums: LogSums,
}

impl Fused for WindowAttention {
    const NAME: &'static str = "window_attention";

    fn forward(&self, inputs: &[&[f32]], out: &mut [f32]) {
        let source = Windows { qkv: inputs[0], bias: inputs[1], layout: self.layout };
        forward::<_, f32>(&source, self.layout.scale(), out, kept(&self.log_sums).as_deref_mut());
    }

    fn backward(
        &self,
        inputs: &[&[f32]],
        out: &[f32],
        grad: &[f32],
        gradients: &mut [Option<&mut [f32]>],
    ) {
        let &[qkv, bias] = inputs else { unreachable!("window_attention has two inputs") };
        let [dqkv, dbias] = gradients else { unreachable!("window_attention has two inputs") };
        let Some(log_sums) = kept(&self.log_sums) else {
            unreachable!("no gradient without a tracked input")
        };
        let mut spare = [Vec::new(), Vec::new()];
        let [spare_qkv, spare_bias] = &mut spare;
        let (dqkv, dbias) = (or_spare(dqkv, spare_qkv, qkv), or_spare(dbias, spare_bias, bias));
        dbias.fill(0.0);
        if self.layout.pool_query {
            dqkv.fill(0.0); // only the largest of four queries has a gradient
        }
        let source = Windows { qkv, bias, layout: self.layout };
        let given = Given { scale: self.layout.scale(), out, grad, log_sums: &log_sums };
        let dqkv = Shared::new(dqkv);
        backward(&source, &given, [&dqkv; 3], dbias);
    }
}
