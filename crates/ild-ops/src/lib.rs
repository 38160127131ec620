//! The operations a vision transformer with windows is made of, each with its own gradient, on
//! Candle's tensors.
//!
//! Maps are channels-last: `[b, h, w, c]`, which is the token layout `[b, h·w, c]` seen as a map.
//! In this layout a 1×1 convolution is [`linear`] (weight `[out, in, 1, 1]` reshaped to `[out,
//! in]`) and `LayerNorm2d` is [`layer_norm`], and no transposition is needed from the patch
//! embedding to the mask.
//!
//! On the CPU in f32 every function runs a fused kernel; on a GPU those that are worth it run one
//! of `kernels/*.cu`; elsewhere [`mod@reference`] runs, which has the same values and gradients,
//! written with Candle's own operations. [`window_block`], [`normed_mlp`] and [`upscale`] are for
//! inference on the CPU: several of the others in one, on [`Frozen`] layers. Activations on a GPU
//! may be bf16; weights are f32 then as well, and rounded where they are used.
//!
//! | letter | meaning |
//! |---|---|
//! | `b` | images in the batch |
//! | `h`, `w` | rows and columns of a map |
//! | `c` | channels |
//! | `n` | tokens (`h·w`) |

use candle_core::{Result, Tensor};

mod adamw;
mod attention;
mod bilinear;
mod buffer;
mod conv_depthwise;
mod conv_transpose;
mod frozen;
mod gelu;
mod gemm;
#[doc(hidden)]
pub mod gpu;
mod isa;
mod layer_norm;
mod linear;
mod math;
mod max_pool;
mod memory;
mod mlp;
mod nearest;
mod node;
mod patch_embed;
mod position;
mod precision;
mod recompute;
pub mod reference;
mod rotary;
mod shared;
mod training;
mod window;
mod window_block;

pub use adamw::AdamWStep;
pub use frozen::{Frozen, Norm};
pub use gemm::PackedWeight;
pub use isa::instruction_set;
use node::on_cpu;
pub use precision::{Precision, PrecisionWish};
pub use recompute::{Aside, recomputed};
pub use training::{adamw, lerp, mask_sums};
pub use window_block::WindowBlock;

/// The kernel of the GPU or the fused one of the CPU where it applies, else the plain
/// implementation.
macro_rules! choose {
    ([$($tensor:expr),+], $module:ident :: $name:ident ($($argument:expr),*)) => {
        if gpu::applies(&[$($tensor),+]) { gpu::$name($($argument),*) } else { choose_on_cpu!([$($tensor),+], $module::$name($($argument),*)) }
    };
}

/// The same for operations without a kernel of the GPU.
macro_rules! choose_on_cpu {
    ([$($tensor:expr),+], $module:ident :: $name:ident ($($argument:expr),*)) => {
        if on_cpu(&[$($tensor),+]) { $module::$name($($argument),*) } else { reference::$name($($argument),*) }
    };
}

/// Layer normalisation over the last axis: `(x − mean) / √(variance + eps) · weight + bias`, biased
/// variance.
///
/// # Example
/// ```
/// use candle_core::{DType, Device, Tensor};
///
/// let x = Tensor::new(&[[1f32, 3.0]], &Device::Cpu)?;
/// let (one, zero) = (Tensor::ones(2, DType::F32, &Device::Cpu)?, x.zeros_like()?.squeeze(0)?);
/// let y = ild_ops::layer_norm(&x, &one, &zero, 0.0)?.to_vec2::<f32>()?;
/// assert!((y[0][0] + 1.0).abs() < 1e-6 && (y[0][1] - 1.0).abs() < 1e-6);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Shapes
/// - `x`: `[.., c]`, `weight` and `bias`: `[c]`; returns `[.., c]`
///
/// # Errors
/// A `weight` or `bias` that is not as long as the last axis of `x`; the message names both shapes.
pub fn layer_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, eps: f64) -> Result<Tensor> {
    choose!([x, weight, bias], layer_norm::layer_norm(x, weight, bias, eps))
}

/// `x · weightᵀ + bias`; also any 1×1 convolution of a channels-last map.
///
/// # Example
/// ```
/// use candle_core::{Device, Tensor};
///
/// let x = Tensor::new(&[[1f32, 2.0]], &Device::Cpu)?; // [1, c]
/// let weight = Tensor::new(&[[1f32, 0.0], [0.0, 1.0], [1.0, 1.0]], &Device::Cpu)?; // [out, c]
/// let bias = Tensor::new(&[0.5f32, 0.5, 0.5], &Device::Cpu)?;
/// let y = ild_ops::linear(&x, &weight, Some(&bias))?;
/// assert_eq!(y.to_vec2::<f32>()?, [[1.5, 2.5, 3.5]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Shapes
/// - `x`: `[.., c]`, `weight`: `[out, c]`, `bias`: `[out]`; returns `[.., out]`
///
/// # Errors
/// A last axis of `x` that is not the weight's `c`, or a bias that is not as long as its `out`; the
/// message says what was expected and found.
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    choose!([x, weight], linear::linear(x, weight, bias))
}

/// `gelu(x · weightᵀ + bias)`, see [`linear`] and [`gelu`].
///
/// # Shapes
/// - `x`: `[.., c]`, `weight`: `[out, c]`, `bias`: `[out]`; returns `[.., out]`
///
/// # Errors
/// As [`linear`].
pub fn linear_gelu(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    choose!([x, weight, bias], linear::linear_gelu(x, weight, bias))
}

/// `residual + x · weightᵀ + bias`, see [`linear`].
///
/// # Shapes
/// - `x`: `[.., c]`, `weight`: `[out, c]`, `bias`: `[out]`, `residual`: `[.., out]`; returns `[..,
///   out]`
///
/// # Errors
/// As [`linear`], and for a residual of another shape than the result.
pub fn linear_residual(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    residual: &Tensor,
) -> Result<Tensor> {
    choose!([x, weight, bias, residual], linear::linear_residual(x, weight, bias, residual))
}

/// The MLP half of a transformer block: `residual + gelu(x · w1ᵀ + b1) · w2ᵀ + b2`.
///
/// # Shapes
/// - `x`: `[.., c]`, `w1`: `[hidden, c]`, `b1`: `[hidden]`, `w2`: `[out, hidden]`, `b2`: `[out]`,
///   `residual`: `[.., out]`; returns `[.., out]`
///
/// # Errors
/// Layers whose widths do not meet, or a residual of another shape than the result.
pub fn mlp_residual(
    x: &Tensor,
    (w1, b1): (&Tensor, &Tensor),
    (w2, b2): (&Tensor, &Tensor),
    residual: &Tensor,
) -> Result<Tensor> {
    choose!([x, w1, b1, w2, b2, residual], mlp::mlp_residual(x, (w1, b1), (w2, b2), residual))
}

/// The MLP half of a block with its normalisation, for inference: `x +
/// second(gelu(first(norm(x))))`; `None` as of [`window_block`].
///
/// # Shapes
/// - `x`: `[.., c]`; `first` from `c`, `second` back to `c`; returns `[.., c]`
///
/// # Errors
/// Layers whose widths do not meet, or a precision that this processor does not have.
pub fn normed_mlp(
    x: &Tensor,
    norm: &Norm,
    [first, second]: [&Frozen; 2],
    precision: Precision,
) -> Result<Option<Tensor>> {
    mlp::normed_mlp(x, norm, [first, second], precision)
}

/// `x · Φ(x)` with the exact normal distribution function (not the tanh form).
///
/// # Shapes
/// - `x`: any; returns the same
///
/// # Errors
/// None of its own.
pub fn gelu(x: &Tensor) -> Result<Tensor> {
    choose!([x], gelu::gelu(x))
}

/// `softmax(q · kᵀ · scale) · v` for each head.
///
/// # Shapes
/// - `q`: `[b, nq, heads, d]`, `k`: `[b, nk, heads, d]`, `v`: `[b, nk, heads, e]` (reshape tokens
///   `[b, n, heads·d]`; strided views are read in place); returns tokens `[b, nq, heads·e]`
///
/// # Errors
/// Keys and values of unlike shapes, none of them, or of other heads than the queries.
pub fn attention(q: &Tensor, k: &Tensor, v: &Tensor, scale: f64) -> Result<Tensor> {
    choose!([q, k, v], attention::attention(q, k, v, scale))
}

/// Self-attention inside windows, from the packed projection of the **whole, unpadded** map.
///
/// SAM 2 pads the normed map with zeros, cuts windows, then projects: a padding token's q, k and v
/// are the projection's bias. Projecting first gives the same numbers without projecting the
/// padding and without copying windows out and back; that is why `bias` is asked for here again.
/// Scale is `1/√d`. `window` 0 means one window, the whole map. With `pool_query` the queries are
/// max-pooled 2×2 inside their window and the map that is returned is half as high and wide.
///
/// # Shapes
/// - `qkv`: `[b, h, w, 3·heads·d]`, `bias`: `[3·heads·d]`; returns `[b, h, w, heads·d]` or `[b,
///   h/2, w/2, heads·d]`
///
/// # Errors
/// Channels that are not `3·heads·d`, a bias of another length, a map without tokens, or an odd
/// window with `pool_query`.
pub fn window_attention(
    qkv: &Tensor,
    bias: &Tensor,
    heads: usize,
    window: usize,
    pool_query: bool,
) -> Result<Tensor> {
    choose!([qkv, bias], attention::window_attention(qkv, bias, heads, window, pool_query))
}

/// The attention half of a trunk's block for inference: `shortcut +
/// proj(window_attention(qkv(norm(x))))`, where the shortcut is `x` or a projection of `norm(x)`,
/// pooled as the queries are.
///
/// `None` where it does not apply, and the parts are to be run one by one: on a GPU, and where a
/// gradient is asked for.
///
/// # Shapes
/// - `x`: `[b, h, w, c]`; returns `[b, h, w, d]` or `[b, h/2, w/2, d]`
///
/// # Errors
/// Layers whose widths do not meet, channels that `heads` does not divide, or a precision that this
/// processor does not have.
pub fn window_block(x: &Tensor, parts: &WindowBlock) -> Result<Option<Tensor>> {
    window_block::window_block(x, parts)
}

/// Largest of each 2×2 block; the gradient goes to the first largest, as in PyTorch. An odd last
/// row or column is dropped.
///
/// # Shapes
/// - `x`: `[b, h, w, c]`; returns `[b, h/2, w/2, c]`
///
/// # Errors
/// A map without four axes.
pub fn max_pool_2x2(x: &Tensor) -> Result<Tensor> {
    choose!([x], max_pool::max_pool_2x2(x))
}

/// Convolution of an image that writes a channels-last map (SAM 2: 7×7, stride 4, padding 3).
///
/// # Shapes
/// - `image`: `[b, 3, height, width]`, `weight`: `[c, 3, kernel, kernel]`, `bias`: `[c]`; returns
///   `[b, h, w, c]`
///
/// # Errors
/// A kernel that is not square or not for the image's planes, a bias of another length, or an image
/// that is smaller than the kernel with its padding.
pub fn patch_embed(
    image: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    stride: usize,
    padding: usize,
) -> Result<Tensor> {
    choose!([image, weight, bias], patch_embed::patch_embed(image, weight, bias, stride, padding))
}

/// Rotary position embedding: the first `turned` tokens of each image have their channels, two by
/// two, turned by the angles of their places; the tables serve one map of places after the other.
///
/// # Shapes
/// - `x`: `[b, n, c]`, `cos` and `sin`: `[places, c/2]`, `turned`: a multiple of `places` up to `n`;
///   returns `[b, n, c]`
///
/// # Errors
/// Shapes other than these.
pub fn rotary(x: &Tensor, cos: &Tensor, sin: &Tensor, turned: usize) -> Result<Tensor> {
    choose_on_cpu!([x, cos, sin], rotary::rotary(x, cos, sin, turned))
}

/// Convolution of each channel for itself, zeros around the map, which keeps its size.
///
/// # Shapes
/// - `x`: `[b, h, w, c]`, `weight`: `[c, 1, k, k]` of odd `k`, `bias`: `[c]`; returns `[b, h, w, c]`
///
/// # Errors
/// Shapes other than these.
pub fn conv_depthwise(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    choose_on_cpu!([x, weight, bias], conv_depthwise::conv_depthwise(x, weight, bias))
}

/// Transposed convolution 2×2 with stride 2: every token becomes a 2×2 block.
///
/// # Shapes
/// - `x`: `[b, h, w, c]`, `weight`: `[c, out, 2, 2]`, `bias`: `[out]`; returns `[b, 2h, 2w, out]`
///
/// # Errors
/// A weight that is not `[c, out, 2, 2]` with the `c` of `x` and the `out` of the bias.
pub fn conv_transpose_2x2(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    choose_on_cpu!([x, weight, bias], conv_transpose::conv_transpose_2x2(x, weight, bias))
}

/// A step of the mask decoder's upscaling for inference: `gelu(norm(conv_transpose_2x2(x) +
/// residual))`; `None` as of [`window_block`].
///
/// # Shapes
/// - `x`: `[b, h, w, c]`, `residual`: `[b, 2h, 2w, out]`; returns `[b, 2h, 2w, out]`
///
/// # Errors
/// As [`conv_transpose_2x2`], and for a residual or a normalisation of another size than the result.
pub fn upscale(
    x: &Tensor,
    conv: &Frozen,
    residual: &Tensor,
    norm: Option<&Norm>,
) -> Result<Option<Tensor>> {
    conv_transpose::upscale(x, conv, residual, norm)
}

/// Every token repeated as a 2×2 block.
///
/// # Shapes
/// - `x`: `[b, h, w, c]`; returns `[b, 2h, 2w, c]`
///
/// # Errors
/// A map without four axes.
pub fn upsample_nearest_2x(x: &Tensor) -> Result<Tensor> {
    choose_on_cpu!([x], nearest::upsample_nearest_2x(x))
}

/// Bilinear resize without antialiasing, `align_corners=False`; the same size is returned
/// untouched. Channels-first: it serves the mask logits.
///
/// # Shapes
/// - `x`: `[b, c, h, w]`; returns `[b, c, height, width]`
///
/// # Errors
/// A map without four axes, or without pixels.
pub fn upsample_bilinear(x: &Tensor, height: usize, width: usize) -> Result<Tensor> {
    if x.rank() == 4 && x.dims()[2..] == [height, width] {
        return Ok(x.clone());
    }
    choose_on_cpu!([x], bilinear::upsample_bilinear(x, height, width))
}

/// `x + shift`, the shift the same for every image of the batch (a position embedding), or for
/// every token.
///
/// # Shapes
/// - `x`: `[b, .., c]`, `shift`: `[1, .., c]` or `[c]`; returns `[b, .., c]`
///
/// # Errors
/// A shift that is neither one token nor one image of `x`.
pub fn add_position(x: &Tensor, shift: &Tensor) -> Result<Tensor> {
    let shift = &shift.to_dtype(x.dtype())?;
    choose_on_cpu!([x, shift], position::add_position(x, shift))
}
