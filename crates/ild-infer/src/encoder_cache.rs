//! Features of the slices: computed once, ahead of the decoder, shared by all labels, never more
//! than fit.
//!
//! The order in which slices are needed is known before the first one is encoded (the two sweeps).
//! The [`Plan`] decides from it when each slice is encoded and when its features are let go: a
//! slice that both sweeps need is kept in between if there is room, and when there is not, the one
//! needed last is given up (Belady's rule, optimal for a known order).

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::{Error, Result};

/// One encoding of one slice, and the visits it serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    /// Slice.
    pub z: usize,
    /// Visits (indices into the order) from the same features, ascending.
    pub visits: Vec<usize>,
}

/// Which encodings serve which visits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    loads: Vec<Load>,
    load_of_visit: Vec<usize>,
    capacity: usize,
}

impl Plan {
    /// The plan for visiting slices in `order` with room for the features of `capacity` slices (at
    /// least one).
    #[must_use]
    pub fn new(order: &[usize], capacity: usize) -> Self {
        let capacity = capacity.max(1);
        let mut later: HashMap<usize, Vec<usize>> = HashMap::new();
        for (visit, &z) in order.iter().enumerate().rev() {
            later.entry(z).or_default().push(visit);
        }
        let mut loads: Vec<Load> = Vec::new();
        let mut load_of_visit = Vec::with_capacity(order.len());
        let mut held: BTreeMap<usize, usize> = BTreeMap::new();
        for (visit, &z) in order.iter().enumerate() {
            if let Some(visits) = later.get_mut(&z) {
                visits.pop();
            }
            let load = *held.entry(z).or_insert_with(|| {
                loads.push(Load { z, visits: Vec::new() });
                loads.len() - 1
            });
            loads[load].visits.push(visit);
            load_of_visit.push(load);
            let next_use = |z: &usize| later[z].last().copied().unwrap_or(usize::MAX);
            held.retain(|z, _| next_use(z) != usize::MAX);
            // One place must stay free for the slice that is loaded next.
            while held.len() >= capacity {
                let Some(last_needed) = held.keys().copied().max_by_key(next_use) else { break };
                held.remove(&last_needed);
            }
        }
        Self { loads, load_of_visit, capacity }
    }

    /// Number of encodings; the number of different slices when everything fits.
    #[must_use]
    pub fn encodings(&self) -> usize {
        self.loads.len()
    }
}

struct State<F> {
    features: HashMap<usize, Arc<F>>,
    in_work: usize,
    /// Next visit of the decoder.
    position: usize,
    skipped: Vec<bool>,
    encoded: usize,
    failure: Option<Error>,
    closed: bool,
}

/// Shared between the encoding and the decoding thread.
struct Shared<F> {
    state: Mutex<State<F>>,
    changed: Condvar,
}

impl<F> Shared<F> {
    fn lock(&self) -> MutexGuard<'_, State<F>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, guard: MutexGuard<'a, State<F>>) -> MutexGuard<'a, State<F>> {
        self.changed.wait(guard).unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes the exchange when either side ends, however it ends, so that the other never waits in
/// vain.
struct CloseOnDrop<'a, F>(&'a Shared<F>);

impl<F> Drop for CloseOnDrop<'_, F> {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.changed.notify_all();
    }
}

/// The decoder's side: features, visit by visit.
pub struct Features<'a, F> {
    plan: &'a Plan,
    shared: &'a Shared<F>,
}

impl<F> Features<'_, F> {
    /// The features for the next visit; waits until they are there.
    ///
    /// # Errors
    /// When encoding failed.
    pub fn next_visit(&mut self) -> Result<Arc<F>> {
        let mut state = self.shared.lock();
        let visit = state.position;
        let load = self.plan.load_of_visit[visit];
        while !state.features.contains_key(&load) {
            if let Some(failure) = state.failure.take() {
                return Err(failure);
            }
            if state.closed {
                return Err(Error::EncoderStopped(self.plan.loads[load].z));
            }
            state = self.shared.wait(state);
        }
        let features = Arc::clone(&state.features[&load]);
        self.leave(state, false);
        Ok(features)
    }

    /// Passes over the next visit; a slice that no visit needs is not encoded.
    pub fn skip(&mut self) {
        let state = self.shared.lock();
        self.leave(state, true);
    }

    fn leave(&self, mut state: MutexGuard<'_, State<F>>, skipped: bool) {
        let visit = state.position;
        let load = self.plan.load_of_visit[visit];
        state.skipped[visit] = skipped;
        state.position += 1;
        if self.plan.loads[load].visits.last() == Some(&visit) {
            state.features.remove(&load);
        }
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Slices encoded so far.
    #[must_use]
    pub fn encoded(&self) -> usize {
        self.shared.lock().encoded
    }
}

/// Runs `decode` while another thread encodes slices in the order of `plan`, up to `batch` at a
/// time and at most two batches ahead.
///
/// `encode` gets slice indices and returns their features in the same order.
///
/// # Errors
/// What `encode` or `decode` return.
pub fn with_features<F: Send + Sync, R>(
    plan: &Plan,
    batch: usize,
    encode: impl Fn(&[usize]) -> Result<Vec<F>> + Sync,
    decode: impl FnOnce(&mut Features<F>) -> Result<R>,
) -> Result<R> {
    let state = State {
        features: HashMap::new(),
        in_work: 0,
        position: 0,
        skipped: vec![false; plan.load_of_visit.len()],
        encoded: 0,
        failure: None,
        closed: false,
    };
    let shared = Shared { state: Mutex::new(state), changed: Condvar::new() };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let _close = CloseOnDrop(&shared);
            if let Err(error) = encode_ahead(plan, batch.max(1), &encode, &shared) {
                shared.lock().failure = Some(error);
            }
        });
        let _close = CloseOnDrop(&shared);
        decode(&mut Features { plan, shared: &shared })
    })
}

fn encode_ahead<F>(
    plan: &Plan,
    batch: usize,
    encode: &impl Fn(&[usize]) -> Result<Vec<F>>,
    shared: &Shared<F>,
) -> Result<()> {
    let mut next = 0;
    loop {
        let chosen = choose(plan, batch, &mut next, shared);
        if chosen.is_empty() {
            return Ok(());
        }
        let slices: Vec<usize> = chosen.iter().map(|&load| plan.loads[load].z).collect();
        let features = encode(&slices)?;
        let mut state = shared.lock();
        state.in_work = 0;
        state.encoded += chosen.len();
        let position = state.position;
        for (load, features) in chosen.into_iter().zip(features) {
            // The decoder may have passed over its last visit meanwhile.
            if plan.loads[load].visits.last().is_some_and(|&last| last >= position) {
                state.features.insert(load, Arc::new(features));
            }
        }
        drop(state);
        shared.changed.notify_all();
    }
}

/// The next loads to encode, waiting for room and for the decoder to come near; empty when there is
/// no more to do.
fn choose<F>(plan: &Plan, batch: usize, next: &mut usize, shared: &Shared<F>) -> Vec<usize> {
    let mut state = shared.lock();
    let mut chosen = Vec::new();
    loop {
        if state.closed {
            return Vec::new();
        }
        while chosen.len() < batch && *next < plan.loads.len() {
            let visits = &plan.loads[*next].visits;
            if visits.iter().all(|&visit| state.skipped[visit]) {
                *next += 1;
                continue;
            }
            let near = visits[0] < state.position + 2 * batch;
            let room = state.features.len() + chosen.len() < plan.capacity;
            if !(near && room) {
                break;
            }
            chosen.push(*next);
            *next += 1;
        }
        if !chosen.is_empty() || *next >= plan.loads.len() {
            state.in_work = chosen.len();
            return chosen;
        }
        state = shared.wait(state);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use proptest::prelude::*;

    use super::*;

    fn up_and_down() -> Vec<usize> {
        (2..8).chain((0..5).rev()).collect()
    }

    #[test]
    fn with_room_every_slice_is_encoded_once() {
        assert_eq!(Plan::new(&up_and_down(), 8).encodings(), 8);
    }

    #[test]
    fn without_room_the_slice_needed_last_is_given_up() {
        // Slices 2, 3, 4 are needed by both sweeps; with room for two besides the current one, one
        // must be encoded again.
        let plan = Plan::new(&up_and_down(), 3);
        assert_eq!(plan.encodings(), 9);
        assert_eq!(
            plan.loads.iter().filter(|load| load.z == 2).count(),
            2,
            "slice 2 is the last one needed again"
        );
        assert_eq!(Plan::new(&up_and_down(), 1).encodings(), 11);
    }

    #[test]
    fn skipped_slices_are_not_encoded() {
        let order: Vec<usize> = (0..500).collect();
        let plan = Plan::new(&order, 4);
        // The encoder is held after the first slices until the skipping is done: how threads are
        // scheduled does not matter.
        let skipped = std::sync::OnceLock::new();
        let encoded = with_features(
            &plan,
            2,
            |slices| {
                if !slices.contains(&0) {
                    skipped.wait();
                }
                Ok(slices.to_vec())
            },
            |features| {
                assert_eq!(*features.next_visit()?, 0);
                for _ in 1..499 {
                    features.skip();
                }
                skipped.get_or_init(|| ());
                assert_eq!(*features.next_visit()?, 499);
                Ok(features.encoded())
            },
        )
        .unwrap();
        assert!(encoded < 10, "{encoded} of 500");
    }

    #[test]
    fn a_failing_encoder_is_the_decoders_error_and_nothing_hangs() {
        let plan = Plan::new(&[0, 1, 2], 2);
        let failing = |slices: &[usize]| {
            if slices.contains(&1) {
                Err(Error::refused("slice", "a", "b", ""))
            } else {
                Ok(slices.to_vec())
            }
        };
        let result = with_features(&plan, 1, failing, |features| {
            features.next_visit()?;
            features.next_visit()?;
            Ok(())
        });
        assert!(matches!(result, Err(Error::Refused { .. })), "{result:?}");
    }

    #[test]
    fn a_decoder_that_gives_up_releases_the_encoder() {
        let plan = Plan::new(&(0..100).collect::<Vec<_>>(), 3);
        let result: Result<()> = with_features(
            &plan,
            1,
            |slices| Ok(slices.to_vec()),
            |_| Err(Error::EncoderStopped(7)),
        );
        assert!(result.is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Any order, room and batch, some visits skipped: right features, bounded memory, no
        /// deadlock.
        #[test]
        fn features_are_those_of_the_visited_slice_and_never_more_than_fit(
            order in prop::collection::vec(0usize..9, 1..40), capacity in 1usize..6, batch in 1usize..4, skips in prop::collection::vec(any::<bool>(), 40),
        ) {
            struct Counted(usize, Arc<AtomicUsize>);
            impl Drop for Counted {
                fn drop(&mut self) {
                    self.1.fetch_sub(1, Ordering::SeqCst);
                }
            }
            let (alive, peak) = (Arc::new(AtomicUsize::new(0)), AtomicUsize::new(0));
            let plan = Plan::new(&order, capacity);
            let encode = |slices: &[usize]| {
                Ok(slices.iter().map(|&z| {
                    peak.fetch_max(alive.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    Counted(z, Arc::clone(&alive))
                }).collect())
            };
            with_features(&plan, batch, encode, |features| {
                for (&z, &skip) in order.iter().zip(&skips) {
                    if skip { features.skip() } else { assert_eq!(features.next_visit()?.0, z) }
                }
                Ok(())
            }).unwrap();
            // The decoder may still hold the features it was handed last.
            prop_assert!(peak.load(Ordering::SeqCst) <= capacity.max(1) + 1);
        }
    }
}
