//! Features kept from one question to the next, as many as fit; the one not asked for longest goes
//! first.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::coordinates::StackIndex;

/// A store that threads share.
pub struct Kept<F> {
    capacity: usize,
    inner: Mutex<Inner<F>>,
}

struct Inner<F> {
    features: HashMap<StackIndex, (Arc<F>, u64)>,
    clock: u64,
}

impl<F> Kept<F> {
    /// Room for the features of `capacity` slices.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { capacity, inner: Mutex::new(Inner { features: HashMap::new(), clock: 0 }) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<F>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The features of `slice`, when they are there.
    #[must_use]
    pub fn get(&self, slice: StackIndex) -> Option<Arc<F>> {
        let mut inner = self.lock();
        inner.clock += 1;
        let now = inner.clock;
        inner.features.get_mut(&slice).map(|(features, used)| {
            *used = now;
            Arc::clone(features)
        })
    }

    /// Keeps the features of `slice`; another slice's make room for them when there is none.
    pub fn keep(&self, slice: StackIndex, features: Arc<F>) {
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
        let [a, b, c] = [0, 1, 2].map(StackIndex);
        kept.keep(a, Arc::new("a"));
        kept.keep(b, Arc::new("b"));
        assert!(kept.get(a).is_some());
        kept.keep(c, Arc::new("c"));
        assert!(kept.get(a).is_some() && kept.get(b).is_none() && kept.get(c).is_some());
        assert_eq!(kept.len(), 2);
    }
}
