//! Features computed once, ahead of the decoder, shared by all labels, never more than fit.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::SliceFeatures;
use super::plan::Plan;
use crate::coordinates::StackIndex;
use crate::model::views::Views;
use crate::{Error, Result};

struct State<F> {
    features: HashMap<usize, Arc<F>>,
    /// Next visit of the decoder.
    position: usize,
    skipped: Vec<bool>,
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

/// The decoder's side: features by slice, along the plan.
pub struct Ahead<'a, F> {
    plan: &'a Plan,
    shared: &'a Shared<F>,
}

impl<F> Ahead<'_, F> {
    /// The features of `slice` at its next visit in the plan; waits until they are there. Visits
    /// before it are passed over, and a slice that no visit needs any more is not encoded.
    ///
    /// # Errors
    /// When encoding failed, and when the plan has no more visits of `slice`.
    pub fn at(&mut self, slice: StackIndex) -> Result<Arc<F>> {
        let mut state = self.shared.lock();
        let left = &self.plan.order[state.position..];
        let passed =
            left.iter().position(|&z| z == slice).ok_or(Error::SliceNotPlanned(slice.0))?;
        for _ in 0..passed {
            self.leave(&mut state, true);
        }
        let load = self.plan.load_of_visit[state.position];
        self.shared.changed.notify_all();
        while !state.features.contains_key(&load) {
            if let Some(failure) = state.failure.take() {
                return Err(failure);
            }
            if state.closed {
                return Err(Error::EncoderStopped(slice.0));
            }
            state = self.shared.wait(state);
        }
        let features = Arc::clone(&state.features[&load]);
        self.leave(&mut state, false);
        drop(state);
        self.shared.changed.notify_all();
        Ok(features)
    }

    /// Ends the current visit.
    fn leave(&self, state: &mut State<F>, skipped: bool) {
        let visit = state.position;
        let load = self.plan.load_of_visit[visit];
        state.skipped[visit] = skipped;
        state.position += 1;
        if self.plan.loads[load].visits.last() == Some(&visit) {
            state.features.remove(&load);
        }
    }
}

impl SliceFeatures for &mut Ahead<'_, Views> {
    fn at(&mut self, slice: StackIndex) -> Result<Arc<Views>> {
        Ahead::at(self, slice)
    }
}

/// Runs `decode` while another thread encodes slices in the order of `plan`, up to `batch` at a
/// time and at most two batches ahead.
///
/// `encode` gets slices and returns their features in the same order.
///
/// # Errors
/// What `encode` or `decode` return.
pub fn with_features<F: Send + Sync, R>(
    plan: &Plan,
    batch: usize,
    encode: impl Fn(&[StackIndex]) -> Result<Vec<Arc<F>>> + Sync,
    decode: impl FnOnce(&mut Ahead<F>) -> Result<R>,
) -> Result<R> {
    let state = State {
        features: HashMap::new(),
        position: 0,
        skipped: vec![false; plan.load_of_visit.len()],
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
        decode(&mut Ahead { plan, shared: &shared })
    })
}

fn encode_ahead<F>(
    plan: &Plan,
    batch: usize,
    encode: &impl Fn(&[StackIndex]) -> Result<Vec<Arc<F>>>,
    shared: &Shared<F>,
) -> Result<()> {
    let mut next = 0;
    loop {
        let chosen = choose(plan, batch, &mut next, shared);
        if chosen.is_empty() {
            return Ok(());
        }
        let slices: Vec<StackIndex> = chosen.iter().map(|&load| plan.loads[load].slice).collect();
        let features = encode(&slices)?;
        let mut state = shared.lock();
        let position = state.position;
        for (load, features) in chosen.into_iter().zip(features) {
            // The decoder may have passed over its last visit meanwhile.
            if plan.loads[load].visits.last().is_some_and(|&last| last >= position) {
                state.features.insert(load, features);
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

    fn slices(indices: impl IntoIterator<Item = usize>) -> Vec<StackIndex> {
        indices.into_iter().map(StackIndex).collect()
    }

    fn numbers(slices: &[StackIndex]) -> Vec<Arc<usize>> {
        slices.iter().map(|slice| Arc::new(slice.0)).collect()
    }

    #[test]
    fn slices_that_are_passed_over_are_not_encoded() {
        let plan = Plan::new(slices(0..500), 4);
        // The encoder is held after the first slices until the decoder asks for the last: how
        // threads are scheduled does not matter.
        let (asked, encoded) = (std::sync::OnceLock::new(), AtomicUsize::new(0));
        with_features(
            &plan,
            2,
            |slices| {
                if !slices.contains(&StackIndex(0)) {
                    asked.wait();
                }
                encoded.fetch_add(slices.len(), Ordering::SeqCst);
                Ok(numbers(slices))
            },
            |features| {
                assert_eq!(*features.at(StackIndex(0))?, 0);
                asked.get_or_init(|| ());
                assert_eq!(*features.at(StackIndex(499))?, 499);
                Ok(())
            },
        )
        .unwrap();
        assert!(encoded.load(Ordering::SeqCst) < 10, "{encoded:?} of 500");
    }

    #[test]
    fn a_slice_that_was_not_announced_is_an_error_and_not_another_slice() {
        let plan = Plan::new(slices([3, 4]), 2);
        let result = with_features(
            &plan,
            1,
            |slices| Ok(numbers(slices)),
            |features| {
                features.at(StackIndex(4))?;
                features.at(StackIndex(3))
            },
        );
        assert!(matches!(result, Err(Error::SliceNotPlanned(3))), "{result:?}");
    }

    #[test]
    fn a_failing_encoder_is_the_decoders_error_and_nothing_hangs() {
        let plan = Plan::new(slices(0..3), 2);
        let failing = |slices: &[StackIndex]| {
            if slices.contains(&StackIndex(1)) {
                Err(Error::refused("slice", "a", "b", ""))
            } else {
                Ok(numbers(slices))
            }
        };
        let result = with_features(&plan, 1, failing, |features| {
            features.at(StackIndex(0))?;
            features.at(StackIndex(1))?;
            Ok(())
        });
        assert!(matches!(result, Err(Error::Refused(_))), "{result:?}");
    }

    #[test]
    fn a_decoder_that_gives_up_releases_the_encoder() {
        let plan = Plan::new(slices(0..100), 3);
        let result: Result<()> = with_features(
            &plan,
            1,
            |slices| Ok(numbers(slices)),
            |_| Err(Error::EncoderStopped(7)),
        );
        assert!(result.is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Any order, room and batch, some visits passed over: right features, bounded memory, no
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
            let plan = Plan::new(slices(order.iter().copied()), capacity);
            let encode = |slices: &[StackIndex]| {
                Ok(slices.iter().map(|&z| {
                    peak.fetch_max(alive.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    Arc::new(Counted(z.0, Arc::clone(&alive)))
                }).collect())
            };
            with_features(&plan, batch, encode, |features| {
                for (&z, &skip) in order.iter().zip(&skips) {
                    if !skip { assert_eq!(features.at(StackIndex(z))?.0, z) }
                }
                Ok(())
            }).unwrap();
            // The decoder may still hold the features it was handed last.
            prop_assert!(peak.load(Ordering::SeqCst) <= capacity.max(1) + 1);
        }
    }
}
