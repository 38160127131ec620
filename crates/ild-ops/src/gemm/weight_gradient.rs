//! The gradient of a weight and of a bias: sums over all rows of a batch.

use rayon::prelude::*;

use super::{Lhs, Plain, Product, Rhs, multiply, pack_rows, packed_len};
use crate::buffer::Buffer;
use crate::isa::{Isa, Kernel, dispatch};

/// Rows multiplied at once.
const CHUNK: usize = 384;

/// Rows summed by one task; the number of partial sums depends on the batch only, never on the
/// threads, so results are the same on every machine with the same instruction set.
const SEGMENT: usize = 4096;

/// Outputs of the layer handled by one task.
const OUTPUTS: usize = 192;

/// `weight[o, c] = Σ_row grad[row, o]·x[row, c]` and `bias[o] = Σ_row grad[row, o]`.
///
/// `x` has `inputs` columns, `grad` has `outputs`; `weight` is `[outputs, inputs]`. Either result
/// may be left out.
pub(crate) fn weight_gradient(
    x: &[f32],
    grad: &[f32],
    inputs: usize,
    outputs: usize,
    weight: Option<&mut [f32]>,
    bias: Option<&mut [f32]>,
) {
    let rows = grad.len() / outputs.max(1);
    if let Some(weight) = weight {
        by_segments(rows, weight, |range, sums| {
            let (x, grad) = (
                &x[range.start * inputs..range.end * inputs],
                &grad[range.start * outputs..range.end * outputs],
            );
            segment(x, grad, inputs, outputs, sums);
        });
    }
    if let Some(bias) = bias {
        by_segments(rows, bias, |range, sums| {
            for line in grad[range.start * outputs..range.end * outputs].chunks_exact(outputs) {
                for (sum, value) in sums.iter_mut().zip(line) {
                    *sum += value;
                }
            }
        });
    }
}

/// `total = Σ over segments of what `add` puts into zeros`, segments in parallel, added in their
/// order.
pub(crate) fn by_segments(
    rows: usize,
    total: &mut [f32],
    add: impl Fn(std::ops::Range<usize>, &mut [f32]) + Sync,
) {
    total.fill(0.0);
    if rows <= SEGMENT {
        add(0..rows, total);
        return;
    }
    let segments: Vec<_> =
        (0..rows).step_by(SEGMENT).map(|start| start..(start + SEGMENT).min(rows)).collect();
    let partial: Vec<Vec<f32>> = segments
        .into_par_iter()
        .map(|range| {
            let mut sums = vec![0.0; total.len()];
            add(range, &mut sums);
            sums
        })
        .collect();
    total.par_chunks_mut(CHUNK).enumerate().for_each(|(i, total)| {
        for part in &partial {
            for (total, part) in total.iter_mut().zip(&part[i * CHUNK..]) {
                *total += part;
            }
        }
    });
}

fn segment(x: &[f32], grad: &[f32], inputs: usize, outputs: usize, sums: &mut [f32]) {
    sums.par_chunks_mut(OUTPUTS * inputs).enumerate().for_each(|(block, sums)| {
        dispatch(Block {
            x,
            grad: &grad[block * OUTPUTS..],
            inputs,
            outputs,
            rows: grad.len() / outputs,
            sums,
        });
    });
}

/// Up to [`OUTPUTS`] rows of the weight's gradient.
struct Block<'a> {
    x: &'a [f32],
    /// From the block's first output on; rows are `outputs` apart.
    grad: &'a [f32],
    inputs: usize,
    outputs: usize,
    rows: usize,
    sums: &'a mut [f32],
}

impl Kernel for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa, const M: usize, const N: usize>(self) {
        let Self { x, grad, inputs, outputs, rows, sums } = self;
        let mut buffer = Buffer::unspecified(packed_len(CHUNK.min(rows), inputs));
        for start in (0..rows).step_by(CHUNK) {
            let count = CHUNK.min(rows - start);
            let panels = &mut buffer[..packed_len(count, inputs)];
            pack_rows::<N>(panels, count, inputs, |p| {
                &x[(start + p) * inputs..(start + p + 1) * inputs]
            });
            multiply::<I, M, N, _, _, _>(Product {
                rows: sums.len() / inputs,
                lhs: Lhs { data: &grad[start * outputs..], row: 1, step: outputs },
                rhs: Rhs { panels, k: count, depth: 0..count, columns: 0..inputs },
                out: sums,
                out_row: inputs,
                add: true,
                finish: &mut Plain,
            });
        }
    }
}
