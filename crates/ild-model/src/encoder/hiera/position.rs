//! Where a token is: one embedding stretched over the map plus one repeated in every window.

use candle_core::{Result, Tensor};
use candle_nn::{Init, VarBuilder};

use crate::config::Sam2Config;

/// The windowed absolute position embedding of Hiera (Bolya et al. 2023, arXiv:2311.05613;
/// `Hiera._get_pos_embed`).
#[derive(Debug, Clone)]
pub struct PositionEmbedding {
    pos_embed: Tensor,
    pos_embed_window: Tensor,
}

impl PositionEmbedding {
    /// Reads `pos_embed` `[1, c, rows, columns]` and `pos_embed_window` `[1, c, window, window]`.
    ///
    /// # Errors
    /// When a tensor is missing or has another shape.
    pub fn new(config: &Sam2Config, vb: VarBuilder) -> Result<Self> {
        let [rows, columns] = config.window_pos_embed_bkg_spatial_size;
        let window = config.window_spec[0];
        let init = Init::Randn { mean: 0.0, stdev: 0.02 };
        Ok(Self {
            pos_embed: vb.get_with_hints(
                (1, config.embed_dim, rows, columns),
                "pos_embed",
                init,
            )?,
            pos_embed_window: vb.get_with_hints(
                (1, config.embed_dim, window, window),
                "pos_embed_window",
                init,
            )?,
        })
    }

    /// # Shapes
    /// - returns `[1, h, w, c]` for a map of `h` × `w` tokens
    ///
    /// # Errors
    /// A map that the windows do not tile.
    pub fn forward(&self, height: usize, width: usize) -> Result<Tensor> {
        let (_, c, _, window) = self.pos_embed_window.dims4()?;
        let whole = resize_bicubic(&self.pos_embed.permute((0, 2, 3, 1))?, height, width)?;
        let whole = whole.reshape((height / window, window, width / window, window, c))?;
        let tile =
            self.pos_embed_window.permute((0, 2, 3, 1))?.reshape((1, window, 1, window, c))?;
        whole.broadcast_add(&tile)?.reshape((1, height, width, c))
    }
}

/// Bicubic resize as `F.interpolate(mode="bicubic", align_corners=False)` does it: no antialiasing,
/// edges repeated.
///
/// It is two products with a fixed matrix, so its gradient is that of `matmul`.
///
/// # Shapes
/// - `x`: `[1, h, w, c]`; returns `[1, height, width, c]`
///
/// # Errors
/// Shapes other than these.
pub fn resize_bicubic(x: &Tensor, height: usize, width: usize) -> Result<Tensor> {
    let (_, h, w, c) = x.dims4()?;
    let matrix =
        |from: usize, to: usize| Tensor::from_vec(bicubic_matrix(from, to), (to, from), x.device());
    let rows = matrix(h, height)?.matmul(&x.reshape((h, w * c))?)?; // [height, w·c]
    let rows = rows.reshape((height, w, c))?;
    matrix(w, width)?.unsqueeze(0)?.broadcast_matmul(&rows)?.unsqueeze(0) // [1, height, width, c]
}

/// Row `i` holds the weights of the `from` samples in sample `i` of the `to` samples.
fn bicubic_matrix(from: usize, to: usize) -> Vec<f32> {
    let mut matrix = vec![0f32; to * from];
    let scale = from as f32 / to as f32;
    for i in 0..to {
        let source = scale * (i as f32 + 0.5) - 0.5;
        let floor = source.floor();
        for (k, weight) in cubic_weights(source - floor).into_iter().enumerate() {
            let j = (floor as isize + k as isize - 1).clamp(0, from as isize - 1) as usize;
            matrix[i * from + j] += weight;
        }
    }
    matrix
}

/// Keys' cubic convolution with a = −0.75 at the four neighbours of a point `t` past the second.
fn cubic_weights(t: f32) -> [f32; 4] {
    const A: f32 = -0.75;
    let near = |x: f32| ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
    let far = |x: f32| ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A;
    [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)]
}
