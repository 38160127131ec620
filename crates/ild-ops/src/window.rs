//! How a token map is cut into attention windows.

use candle_core::{Result, bail};

/// The windows of one map: `rows × columns` windows of `window_height × window_width` tokens.
///
/// The map is grown with padding tokens at the bottom and the right until the windows fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WindowGrid {
    /// Tokens from top to bottom of a window.
    pub window_height: usize,
    /// Tokens from left to right of a window.
    pub window_width: usize,
    /// Windows from top to bottom.
    pub rows: usize,
    /// Windows from left to right.
    pub columns: usize,
}

impl WindowGrid {
    /// Windows of `window × window` tokens, or one window as large as the map when `window` is 0.
    ///
    /// # Errors
    /// An empty map, or windows of odd size whose queries are to be pooled 2×2.
    pub fn new(height: usize, width: usize, window: usize, pool_query: bool) -> Result<Self> {
        if height == 0 || width == 0 {
            bail!("expected a token map with tokens, found {height}×{width}");
        }
        let (window_height, window_width) = match window {
            0 => (height, width),
            side => (side, side),
        };
        if pool_query && (window_height % 2 == 1 || window_width % 2 == 1) {
            bail!(
                "expected an even window where queries are pooled, found {window_height}×{window_width}"
            );
        }
        Ok(Self {
            window_height,
            window_width,
            rows: height.div_ceil(window_height),
            columns: width.div_ceil(window_width),
        })
    }

    /// Tokens from top to bottom, padding included.
    pub fn padded_height(&self) -> usize {
        self.rows * self.window_height
    }

    /// Tokens from left to right, padding included.
    pub fn padded_width(&self) -> usize {
        self.columns * self.window_width
    }
}
