//! `B` in panels: panel `j` holds columns `j·N ..` as `[k][N]`, the last panel filled up with zeros.

use rayon::prelude::*;

use crate::ops::isa::tile;

/// Rows of a panel that are transposed together.
const STRIP: usize = 8;

/// A packed matrix of `k × n`.
#[derive(Debug)]
pub(crate) struct Packed {
    /// The panels, one after the other.
    pub panels: Vec<f32>,
    /// Rows, the length of the sums.
    pub k: usize,
    /// Columns.
    pub n: usize,
}

impl Packed {
    /// Packs a matrix given by its rows: `weight` `[k, n]` row by row.
    pub fn rows(k: usize, n: usize, weight: &[f32]) -> Self {
        let (_, width) = tile();
        let mut panels = vec![0.0; packed_len(k, n)];
        let fill = |(j, panel): (usize, &mut [f32])| pack_row_panel(panel, width, j, n, |p| &weight[p * n..(p + 1) * n]);
        panels.par_chunks_mut((k * width).max(1)).enumerate().for_each(fill);
        Self { panels, k, n }
    }

    /// Packs a matrix given by its columns: `weight` `[n, k]` is the transpose, as linear layers keep it.
    pub fn columns(k: usize, n: usize, weight: &[f32]) -> Self {
        let (_, width) = tile();
        let mut panels = vec![0.0; packed_len(k, n)];
        let fill = |(j, panel): (usize, &mut [f32])| pack_column_panel(panel, width, j, n, k, |c| &weight[c * k..(c + 1) * k]);
        panels.par_chunks_mut((k * width).max(1)).enumerate().for_each(fill);
        Self { panels, k, n }
    }
}

/// Numbers in the panels of a `k × n` matrix.
pub(crate) fn packed_len(k: usize, n: usize) -> usize {
    n.next_multiple_of(tile().1) * k
}

/// Packs into `panels` ([`packed_len`] numbers) a matrix whose row `p` is `row(p)` (`n` numbers).
pub(crate) fn pack_rows<'a>(panels: &mut [f32], k: usize, n: usize, row: impl Fn(usize) -> &'a [f32]) {
    let (_, width) = tile();
    for (j, panel) in panels.chunks_exact_mut((k * width).max(1)).enumerate() {
        pack_row_panel(panel, width, j, n, &row);
    }
}

/// Packs into `panels` a matrix whose column `c` is `column(c)` (`k` numbers).
pub(crate) fn pack_columns<'a>(panels: &mut [f32], k: usize, n: usize, column: impl Fn(usize) -> &'a [f32]) {
    let (_, width) = tile();
    for (j, panel) in panels.chunks_exact_mut((k * width).max(1)).enumerate() {
        pack_column_panel(panel, width, j, n, k, &column);
    }
}

fn pack_row_panel<'a>(panel: &mut [f32], width: usize, j: usize, n: usize, row: impl Fn(usize) -> &'a [f32]) {
    let start = j * width;
    let used = width.min(n - start);
    for (p, line) in panel.chunks_exact_mut(width).enumerate() {
        line[..used].copy_from_slice(&row(p)[start..start + used]);
        line[used..].fill(0.0);
    }
}

fn pack_column_panel<'a>(panel: &mut [f32], width: usize, j: usize, n: usize, k: usize, column: impl Fn(usize) -> &'a [f32]) {
    let start = j * width;
    let used = width.min(n - start);
    if used < width {
        panel.fill(0.0);
    }
    for c in 0..used {
        let source = &column(start + c)[..k];
        for (p, &value) in source.iter().enumerate() {
            panel[p * width + c] = value;
        }
    }
}
