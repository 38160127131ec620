//! Sums over rows in a fixed order.

use candle_core::{DType, Result, Tensor};

use super::launch::{Argument, Launch, THREADS};
use super::memory::{fresh, input, output};
use super::suffix;

/// Rows that one thread adds up.
const CHUNK: usize = 256;

/// Σ over all axes but the last, as f32.
///
/// # Shapes
/// - `x`: `[.., c]`, contiguous; returns `[c]`
pub(super) fn column_sum(x: &Tensor) -> Result<Tensor> {
    let channels = x.dim(candle_core::D::Minus1)?;
    let mut sums = x.reshape(((), channels))?;
    loop {
        let rows = sums.dim(0)?;
        let parts = rows.div_ceil(CHUNK);
        let next = fresh((parts, channels), DType::F32, x.device())?;
        let arguments = [
            input(&sums)?,
            output(&next)?,
            Argument::Long(rows as i64),
            Argument::Int(channels as i32),
            Argument::Int(CHUNK as i32),
        ];
        let launch = Launch {
            file: "column_sum",
            kernel: format!("column_sum_{}", suffix(sums.dtype())),
            blocks: (parts * channels.div_ceil(THREADS as usize)) as u32,
            threads: THREADS,
            shared_bytes: 0,
            arguments: &arguments,
        };
        launch.run(x.device())?;
        if parts == 1 {
            return next.flatten_all();
        }
        sums = next;
    }
}
