//! Processes that train one model together: each works on its part of a step's items, the gradients
//! are added up.

#[cfg(feature = "mpi")]
pub(crate) mod mpi;
#[cfg(feature = "nccl")]
pub(crate) mod nccl;

use std::ops::Range;

/// What training on several processes needs of their connection.
///
/// All processes call the same methods in the same order. Whatever carries the numbers, every
/// process must end up with the same bits: the copies of the model are never compared.
pub trait Peers: Send + Sync {
    /// Which of the processes this is, from 0. The first one writes the files.
    fn rank(&self) -> usize;

    /// How many processes there are.
    fn count(&self) -> usize;

    /// Adds up `values` over all processes, in place.
    fn sum_f32(&self, values: &mut [f32]);

    /// Adds up `values` over all processes, in place.
    fn sum_f64(&self, values: &mut [f64]);

    /// Ends all processes with this exit code: one of them cannot go on, and the others would wait
    /// for it.
    fn abort(&self, code: i32);
}

/// A single process.
#[derive(Clone, Copy, Debug)]
pub struct Alone;

impl Peers for Alone {
    fn rank(&self) -> usize {
        0
    }

    fn count(&self) -> usize {
        1
    }

    fn sum_f32(&self, _: &mut [f32]) {}

    fn sum_f64(&self, _: &mut [f64]) {}

    fn abort(&self, _: i32) {}
}

/// The part of `items` that one of `count` processes works on when each takes `per_process` of a
/// step: the same items make up a step as in one process with `count · per_process` items per step.
pub(crate) fn own_items(
    items: Range<usize>,
    per_process: usize,
    rank: usize,
    count: usize,
) -> Vec<usize> {
    let end = items.end;
    items
        .step_by(per_process * count)
        .flat_map(|step| own_items_of_step(step, end, per_process, rank))
        .collect()
}

/// The part of the step that begins with item `step`.
pub(crate) fn own_items_of_step(
    step: usize,
    end: usize,
    per_process: usize,
    rank: usize,
) -> Range<usize> {
    let start = (step + rank * per_process).min(end);
    start..(start + per_process).min(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_of_two_processes_holds_the_items_of_one_twice_as_large() {
        assert_eq!(own_items(4..15, 2, 0, 2), [4, 5, 8, 9, 12, 13]);
        assert_eq!(own_items(4..15, 2, 1, 2), [6, 7, 10, 11, 14]);
        assert_eq!(
            own_items(0..5, 2, 1, 2),
            [2, 3],
            "the last step has nothing for the second process"
        );
        assert_eq!(own_items(3..9, 4, 0, 1), (3..9).collect::<Vec<_>>());
    }
}
