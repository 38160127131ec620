//! Every operation once more, written with Candle's own differentiable operations.
//!
//! This is what the fused kernels are tested against, in value and in gradient, and what runs on
//! a device that has no kernel of ours. Candle's operations with a missing or wrong gradient
//! (fused `layer_norm`, `softmax_last_dim`, `max_pool2d`, `upsample_*2d`) are not used here.

use candle_core::{D, Result, Tensor};

use super::window::WindowGrid;

/// See [`super::layer_norm`].
pub fn layer_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, eps: f64) -> Result<Tensor> {
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
    let normed = centred.broadcast_div(&(variance + eps)?.sqrt()?)?;
    normed.broadcast_mul(weight)?.broadcast_add(bias)
}

/// See [`super::linear`].
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let (out, inner) = weight.dims2()?;
    let mut dims = x.dims().to_vec();
    let y = x.reshape(((), inner))?.matmul(&weight.t()?)?;
    let y = match bias {
        Some(bias) => y.broadcast_add(bias)?,
        None => y,
    };
    if let Some(last) = dims.last_mut() {
        *last = out;
    }
    y.reshape(dims)
}

/// See [`super::linear_gelu`].
pub fn linear_gelu(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    gelu(&linear(x, weight, Some(bias))?)
}

/// See [`super::linear_residual`].
pub fn linear_residual(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    residual: &Tensor,
) -> Result<Tensor> {
    residual + linear(x, weight, Some(bias))?
}

/// See [`super::mlp_residual`].
pub fn mlp_residual(
    x: &Tensor,
    (w1, b1): (&Tensor, &Tensor),
    (w2, b2): (&Tensor, &Tensor),
    residual: &Tensor,
) -> Result<Tensor> {
    linear_residual(&linear_gelu(x, w1, b1)?, w2, b2, residual)
}

/// See [`super::gelu`].
pub fn gelu(x: &Tensor) -> Result<Tensor> {
    x.gelu_erf()
}

/// See [`super::attention`].
pub fn attention(q: &Tensor, k: &Tensor, v: &Tensor, scale: f64) -> Result<Tensor> {
    let (b, nq, h, _) = q.dims4()?;
    let wide = v.dim(3)?;
    let q = q.transpose(1, 2)?.contiguous()?; // [b, h, nq, d]
    let k = k.permute((0, 2, 3, 1))?.contiguous()?; // [b, h, d, nk]
    let v = v.transpose(1, 2)?.contiguous()?; // [b, h, nk, d]
    let scores = (q.matmul(&k)? * scale)?;
    let out = candle_nn::ops::softmax(&scores, D::Minus1)?.matmul(&v)?;
    out.transpose(1, 2)?.reshape((b, nq, h * wide))
}

/// See [`super::rotary`].
pub fn rotary(x: &Tensor, cos: &Tensor, sin: &Tensor, turned: usize) -> Result<Tensor> {
    let (places, c) = super::rotary::sizes(x, cos, sin, turned)?;
    let (b, n, _) = x.dims3()?;
    let table = |table: &Tensor| table.detach().to_dtype(x.dtype())?.reshape((1, 1, places, c / 2));
    let (cos, sin) = (table(cos)?, table(sin)?);
    let pairs = x.narrow(1, 0, turned)?.reshape((b, turned / places, places, c / 2, 2))?;
    let (a, b_) = (pairs.narrow(4, 0, 1)?.squeeze(4)?, pairs.narrow(4, 1, 1)?.squeeze(4)?);
    let left = (a.broadcast_mul(&cos)? - b_.broadcast_mul(&sin)?)?;
    let right = (a.broadcast_mul(&sin)? + b_.broadcast_mul(&cos)?)?;
    let turned_tokens = Tensor::stack(&[left, right], 4)?.reshape((b, turned, c))?;
    if turned == n {
        return Ok(turned_tokens);
    }
    Tensor::cat(&[turned_tokens, x.narrow(1, turned, n - turned)?], 1)
}

/// See [`super::conv_depthwise`].
pub fn conv_depthwise(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let kernel = super::conv_depthwise::kernel(x, weight, bias)?;
    let (_, h, w, c) = x.dims4()?;
    let padded = x.pad_with_zeros(1, kernel / 2, kernel / 2)?;
    let padded = padded.pad_with_zeros(2, kernel / 2, kernel / 2)?;
    let weight = weight.reshape((c, kernel * kernel))?.t()?;
    let mut sum = x.zeros_like()?.broadcast_add(bias)?;
    for place in 0..kernel * kernel {
        let moved = padded.narrow(1, place / kernel, h)?.narrow(2, place % kernel, w)?;
        sum = (sum + moved.broadcast_mul(&weight.narrow(0, place, 1)?.reshape(c)?)?)?;
    }
    Ok(sum)
}

/// See [`super::window_attention`].
pub fn window_attention(
    qkv: &Tensor,
    bias: &Tensor,
    heads: usize,
    window: usize,
    pool_query: bool,
) -> Result<Tensor> {
    let (b, height, width, packed) = qkv.dims4()?;
    let grid = WindowGrid::new(height, width, window, pool_query)?;
    let head_dim = packed / 3 / heads;
    let padded = pad_with(qkv, bias, grid.padded_height(), grid.padded_width())?;
    let windows = partition_exact(&padded, grid.window_height, grid.window_width)?;
    let n = grid.window_height * grid.window_width;
    let parts = windows.reshape(((), n, 3, heads, head_dim))?;
    let part = |i: usize| parts.narrow(2, i, 1)?.squeeze(2);
    let mut q = part(0)?;
    if pool_query {
        let map = q.reshape(((), grid.window_height, grid.window_width, heads * head_dim))?;
        q = max_pool_2x2(&map)?.reshape(((), n / 4, heads, head_dim))?;
    }
    let scale = 1.0 / (head_dim as f64).sqrt();
    let out = attention(&q, &part(1)?, &part(2)?, scale)?;
    let step = if pool_query { 2 } else { 1 };
    let (wh, ww) = (grid.window_height / step, grid.window_width / step);
    let out = out.reshape((b, grid.rows, grid.columns, wh, ww, packed / 3))?;
    let out = out.permute((0, 1, 3, 2, 4, 5))?.reshape((
        b,
        grid.rows * wh,
        grid.columns * ww,
        packed / 3,
    ))?;
    out.narrow(1, 0, height / step)?.narrow(2, 0, width / step)?.contiguous()
}

/// `[b, h, w, c]` grown to `[b, height, width, c]`, the new tokens all equal to `fill` (`[c]`).
fn pad_with(x: &Tensor, fill: &Tensor, height: usize, width: usize) -> Result<Tensor> {
    let (b, h, w, c) = x.dims4()?;
    let mut x = x.clone();
    if width > w {
        let extra = fill.broadcast_as((b, h, width - w, c))?.contiguous()?;
        x = Tensor::cat(&[&x, &extra], 2)?;
    }
    if height > h {
        let extra = fill.broadcast_as((b, height - h, width, c))?.contiguous()?;
        x = Tensor::cat(&[&x, &extra], 1)?;
    }
    Ok(x)
}

/// Windows of a map whose sides are multiples of the window's: `[b·rows·columns, wh, ww, c]`.
fn partition_exact(x: &Tensor, wh: usize, ww: usize) -> Result<Tensor> {
    let (b, h, w, c) = x.dims4()?;
    let x = x.reshape((b, h / wh, wh, w / ww, ww, c))?;
    x.permute((0, 1, 3, 2, 4, 5))?.reshape((b * (h / wh) * (w / ww), wh, ww, c))
}

/// See [`super::max_pool_2x2`].
pub fn max_pool_2x2(x: &Tensor) -> Result<Tensor> {
    let (b, h, w, c) = x.dims4()?;
    let even = x.narrow(1, 0, h / 2 * 2)?.narrow(2, 0, w / 2 * 2)?;
    let blocks = even.reshape((b, h / 2, 2, w / 2, 2, c))?;
    blocks.max(2)?.max(3)
}

/// See [`super::patch_embed`].
pub fn patch_embed(
    image: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    stride: usize,
    padding: usize,
) -> Result<Tensor> {
    let kernel = weight.dim(2)?;
    let mut x = image.clone();
    for axis in [2, 3] {
        // Only the rows a window reaches: Candle's backward fails where the sides leave different
        // remainders.
        let size = image.dim(axis)?;
        let used = (size + 2 * padding - kernel) / stride * stride + kernel;
        let end = used.saturating_sub(size + padding);
        x = x.pad_with_zeros(axis, padding, end)?.narrow(axis, 0, used)?;
    }
    let y = x.contiguous()?.conv2d(weight, 0, stride, 1, 1)?;
    y.permute((0, 2, 3, 1))?.contiguous()?.broadcast_add(bias)
}

/// See [`super::conv_transpose_2x2`].
pub fn conv_transpose_2x2(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let (b, h, w, c) = x.dims4()?;
    let out = weight.dim(1)?;
    let weight = weight.reshape((c, out * 4))?;
    let y = x.reshape((b * h * w, c))?.matmul(&weight)?;
    let y = y.reshape((b, h, w, out, 2, 2))?.permute((0, 1, 4, 2, 5, 3))?;
    y.reshape((b, 2 * h, 2 * w, out))?.broadcast_add(bias)
}

/// See [`super::upsample_nearest_2x`].
pub fn upsample_nearest_2x(x: &Tensor) -> Result<Tensor> {
    let (b, h, w, c) = x.dims4()?;
    let x = x.reshape((b, h, 1, w, 1, c))?.broadcast_as((b, h, 2, w, 2, c))?;
    x.reshape((b, 2 * h, 2 * w, c))
}

/// See [`super::upsample_bilinear`].
pub fn upsample_bilinear(x: &Tensor, height: usize, width: usize) -> Result<Tensor> {
    let (b, c, h, w) = x.dims4()?;
    let rows = super::bilinear::matrix(h, height, x)?; // [height, h]
    let columns = super::bilinear::matrix(w, width, x)?; // [width, w]
    let x = x.reshape((b * c * h, w))?.matmul(&columns.t()?)?; // [b·c·h, width]
    let x = x.reshape((b * c, h, width))?;
    rows.unsqueeze(0)?.broadcast_matmul(&x)?.reshape((b, c, height, width))
}

/// See [`super::mask_sums`].
pub fn mask_sums(logits: &Tensor, masks: &Tensor) -> Result<Tensor> {
    // Rows first, so that f32 keeps its digits.
    let sum = |values: Tensor| values.sum(D::Minus1)?.sum(D::Minus1)?.sum(D::Minus1); // [b]
    let masks = &masks.detach();
    let probability = candle_nn::ops::sigmoid(logits)?;
    let tail = (logits.abs()?.neg()?.exp()? + 1.0)?.log()?;
    let entropy = ((logits.relu()? - (logits * masks)?)? + tail)?;
    let sums = [
        sum((&probability * masks)?)?,
        sum(probability.sqr()?)?,
        sum(masks.sqr()?)?,
        sum(entropy)?,
    ];
    Tensor::stack(&sums, 1)
}

/// See [`super::add_position`].
pub fn add_position(x: &Tensor, shift: &Tensor) -> Result<Tensor> {
    x.broadcast_add(shift)
}
