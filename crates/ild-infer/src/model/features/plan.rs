//! When each slice is encoded and when its features are let go.
//!
//! The order in which slices are needed is known before the first one is encoded (the two sweeps).
//! A slice that both sweeps need is kept in between if there is room, and when there is not, the
//! one needed last is given up (Belady's rule, optimal for a known order).

use std::collections::{BTreeMap, HashMap};

use crate::coordinates::StackIndex;

/// One encoding of one slice, and the visits it serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    /// Slice.
    pub slice: StackIndex,
    /// Visits (indices into the order) from the same features, ascending.
    pub visits: Vec<usize>,
}

/// Which encodings serve which visits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub(super) order: Vec<StackIndex>,
    pub(super) loads: Vec<Load>,
    pub(super) load_of_visit: Vec<usize>,
    pub(super) capacity: usize,
}

impl Plan {
    /// The plan for visiting slices in `order` with room for the features of `capacity` slices (at
    /// least one).
    #[must_use]
    pub fn new(order: Vec<StackIndex>, capacity: usize) -> Self {
        let capacity = capacity.max(1);
        let mut later: HashMap<StackIndex, Vec<usize>> = HashMap::new();
        for (visit, &slice) in order.iter().enumerate().rev() {
            later.entry(slice).or_default().push(visit);
        }
        let mut loads: Vec<Load> = Vec::new();
        let mut load_of_visit = Vec::with_capacity(order.len());
        let mut held: BTreeMap<StackIndex, usize> = BTreeMap::new();
        for (visit, &slice) in order.iter().enumerate() {
            if let Some(visits) = later.get_mut(&slice) {
                visits.pop();
            }
            let load = *held.entry(slice).or_insert_with(|| {
                loads.push(Load { slice, visits: Vec::new() });
                loads.len() - 1
            });
            loads[load].visits.push(visit);
            load_of_visit.push(load);
            let next_use = |slice: &StackIndex| later[slice].last().copied().unwrap_or(usize::MAX);
            held.retain(|slice, _| next_use(slice) != usize::MAX);
            // One place must stay free for the slice that is loaded next.
            while held.len() >= capacity {
                let Some(last_needed) = held.keys().copied().max_by_key(next_use) else { break };
                held.remove(&last_needed);
            }
        }
        Self { order, loads, load_of_visit, capacity }
    }

    /// Number of encodings; the number of different slices when everything fits.
    #[must_use]
    pub fn encodings(&self) -> usize {
        self.loads.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn up_and_down() -> Vec<StackIndex> {
        (2..8).chain((0..5).rev()).map(StackIndex).collect()
    }

    #[test]
    fn with_room_every_slice_is_encoded_once() {
        assert_eq!(Plan::new(up_and_down(), 8).encodings(), 8);
    }

    #[test]
    fn without_room_the_slice_needed_last_is_given_up() {
        // Slices 2, 3, 4 are needed by both sweeps; with room for two besides the current one, one
        // must be encoded again.
        let plan = Plan::new(up_and_down(), 3);
        assert_eq!(plan.encodings(), 9);
        assert_eq!(
            plan.loads.iter().filter(|load| load.slice.0 == 2).count(),
            2,
            "slice 2 is the last one needed again"
        );
        assert_eq!(Plan::new(up_and_down(), 1).encodings(), 11);
    }
}
