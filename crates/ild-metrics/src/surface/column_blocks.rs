//! The columns of one slice in square blocks, so that a search passes over the far ones without
//! looking inside.

/// Columns along a side of a block.
pub(crate) const SIDE: usize = 8;

/// Fewest steps to a member of the set among the columns of each block.
pub(crate) struct ColumnBlocks {
    across: usize,
    fewest: Vec<u16>,
}

impl ColumnBlocks {
    /// Takes the steps of a slice, rows of `width` columns.
    pub(crate) fn new(steps: &[u16], width: usize) -> Self {
        let across = width.div_ceil(SIDE);
        let mut fewest = Vec::new();
        for rows in steps.chunks(SIDE * width) {
            let first = fewest.len();
            fewest.resize(first + across, u16::MAX);
            for row in rows.chunks_exact(width) {
                for (least, columns) in fewest[first..].iter_mut().zip(row.chunks(SIDE)) {
                    *least = columns.iter().fold(*least, |least, &steps| least.min(steps));
                }
            }
        }
        Self { across, fewest }
    }

    /// Rows and columns of blocks.
    pub(crate) fn size(&self) -> [usize; 2] {
        [self.fewest.len() / self.across.max(1), self.across]
    }

    /// Fewest steps in the block of row `by` and column `bx`.
    pub(crate) fn fewest(&self, by: usize, bx: usize) -> u16 {
        self.fewest[by * self.across + bx]
    }
}

/// Columns from `at` to the nearest one of block `block` along one axis.
pub(crate) fn gap(at: usize, block: usize) -> usize {
    let first = block * SIDE;
    first.saturating_sub(at).max((at + 1).saturating_sub(first + SIDE))
}

/// The blocks at a distance of `ring` blocks from block (`by`, `bx`), as far as they lie in a grid
/// of `size`.
pub(crate) fn ring(
    by: usize,
    bx: usize,
    ring: usize,
    [down, across]: [usize; 2],
) -> impl Iterator<Item = (usize, usize)> {
    let rows = by.saturating_sub(ring)..(by + ring + 1).min(down);
    rows.flat_map(move |row| {
        let whole = row.abs_diff(by) == ring;
        let (left, right) =
            (bx.checked_sub(ring), Some(bx + ring).filter(|&x| x < across && ring > 0));
        let ends = left.into_iter().chain(right).filter(move |_| !whole);
        let all = (bx.saturating_sub(ring)..(bx + ring + 1).min(across)).filter(move |_| whole);
        ends.chain(all).map(move |column| (row, column))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_cover_every_block_once() {
        let size = [5, 7];
        for (by, bx) in [(0, 0), (2, 3), (4, 6), (1, 5)] {
            let mut seen: Vec<_> = (0..7).flat_map(|r| ring(by, bx, r, size)).collect();
            seen.sort_unstable();
            let all: Vec<_> = (0..5).flat_map(|y| (0..7).map(move |x| (y, x))).collect();
            assert_eq!(seen, all, "from {by}, {bx}");
        }
    }

    #[test]
    fn a_gap_is_counted_to_the_nearest_column() {
        assert_eq!([0, 7, 8, 15, 16, 20].map(|at| gap(at, 1)), [8, 1, 0, 0, 1, 5]);
    }

    #[test]
    fn the_fewest_steps_of_blocks_at_the_edge() {
        let mut steps = vec![9; 12 * 10];
        steps[9 * 10 + 9] = 2;
        let blocks = ColumnBlocks::new(&steps, 10);
        assert_eq!(blocks.size(), [2, 2]);
        assert_eq!(
            [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(y, x)| blocks.fewest(y, x)),
            [9, 9, 9, 2]
        );
    }
}
