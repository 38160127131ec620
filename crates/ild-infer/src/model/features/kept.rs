//! Features kept from one question to the next, as many as fit; the one not asked for longest goes
//! first.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::coordinates::StackIndex;

/// A slice of one of the cases that share a store.
pub type SliceOf = (CaseKey, StackIndex);

/// A case that uses a store, for as long as it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CaseKey(u64);

/// A store that threads share, and open cases may.
pub struct Kept<F> {
    capacity: usize,
    inner: Mutex<Inner<F>>,
}

struct Inner<F> {
    features: HashMap<SliceOf, (Arc<F>, u64)>,
    clock: u64,
    cases: u64,
}

impl<F> Kept<F> {
    /// Room for the features of `capacity` slices.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let inner = Inner { features: HashMap::new(), clock: 0, cases: 0 };
        Self { capacity, inner: Mutex::new(inner) }
    }

    /// A key for one more case.
    #[must_use]
    pub fn case(&self) -> CaseKey {
        let mut inner = self.lock();
        inner.cases += 1;
        CaseKey(inner.cases)
    }

    /// Forgets the slices of a case that is closed.
    pub fn forget(&self, case: CaseKey) {
        self.lock().features.retain(|(of, _), _| *of != case);
    }

    fn lock(&self) -> MutexGuard<'_, Inner<F>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The features of `slice`, when they are there.
    #[must_use]
    pub fn get(&self, slice: SliceOf) -> Option<Arc<F>> {
        let mut inner = self.lock();
        inner.clock += 1;
        let now = inner.clock;
        inner.features.get_mut(&slice).map(|(features, used)| {
            *used = now;
            Arc::clone(features)
        })
    }

    /// Keeps the features of `slice`; another slice's make room for them when there is none.
    pub fn keep(&self, slice: SliceOf, features: Arc<F>) {
        let mut inner = self.lock();
        inner.clock += 1;
        let now = inner.clock;
        inner.features.insert(slice, (features, now));
        while inner.features.len() > self.capacity {
            let oldest = inner.features.iter().min_by_key(|(_, (_, used))| *used);
            let Some(oldest) = oldest.map(|(&slice, _)| slice) else { break };
            inner.features.remove(&oldest);
        }
    }

    /// Slices whose features are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().features.len()
    }

    /// Whether nothing is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Slices that fit.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_asked_for_longest_makes_room() {
        let kept = Kept::new(2);
        let case = kept.case();
        let [a, b, c] = [0, 1, 2].map(|z| (case, StackIndex(z)));
        kept.keep(a, Arc::new("a"));
        kept.keep(b, Arc::new("b"));
        assert!(kept.get(a).is_some());
        kept.keep(c, Arc::new("c"));
        assert!(kept.get(a).is_some() && kept.get(b).is_none() && kept.get(c).is_some());
        assert_eq!(kept.len(), 2);
    }

    #[test]
    fn cases_share_the_room_and_a_closed_one_leaves_it() {
        let kept = Kept::new(2);
        let [one, other] = [kept.case(), kept.case()];
        kept.keep((one, StackIndex(0)), Arc::new("a"));
        kept.keep((other, StackIndex(0)), Arc::new("b"));
        assert_eq!(kept.get((other, StackIndex(0))).as_deref(), Some(&"b"));
        kept.forget(other);
        assert!(kept.get((other, StackIndex(0))).is_none());
        assert_eq!(kept.get((one, StackIndex(0))).as_deref(), Some(&"a"));
    }
}
