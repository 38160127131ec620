//! Threads that prepare items ahead of the model.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Items that each thread keeps ready.
const AHEAD: usize = 4;

/// Makes item `i` for `i` in a range, on several threads, and hands them out in order.
///
/// Thread `k` of `n` makes items `k, k+n, k+2n, …`, so that order, memory and (when `make` depends
/// on `i` only) content do not depend on how fast each thread is.
pub struct Loader<T> {
    lanes: Vec<Receiver<T>>,
    threads: Vec<JoinHandle<()>>,
    next: usize,
    end: usize,
    waited: Duration,
}

impl<T: Send + 'static> Loader<T> {
    /// Starts `threads` (at least one) threads on items `0..count`.
    pub fn start(
        count: usize,
        threads: usize,
        make: impl Fn(usize) -> T + Send + Sync + 'static,
    ) -> Self {
        let threads = threads.clamp(1, count.max(1));
        let make = Arc::new(make);
        let (lanes, threads) = (0..threads)
            .map(|lane| {
                let (sender, receiver) = sync_channel(AHEAD);
                let make = Arc::clone(&make);
                let work = move || {
                    // A closed channel means that nobody wants more: the run ended early.
                    (lane..count)
                        .step_by(threads)
                        .map(|i| make(i))
                        .all(|item| sender.send(item).is_ok());
                };
                (receiver, std::thread::spawn(work))
            })
            .unzip();
        Self { lanes, threads, next: 0, end: count, waited: Duration::ZERO }
    }

    /// How long the caller has waited for items so far.
    #[must_use]
    pub fn waited(&self) -> Duration {
        self.waited
    }
}

impl<T> Iterator for Loader<T> {
    type Item = T;

    /// The next item; ends early only if a thread panicked, which `join` then reports.
    fn next(&mut self) -> Option<T> {
        if self.next == self.end {
            return None;
        }
        let lane = self.next % self.lanes.len();
        let started = Instant::now();
        let item = self.lanes[lane].recv();
        self.waited += started.elapsed();
        self.next += 1;
        match item {
            Ok(item) => Some(item),
            Err(_) => self.raise_panic_of(lane),
        }
    }
}

impl<T> Loader<T> {
    /// A lane that closed too early died of a panic: a programming error, passed on to the caller's
    /// thread.
    fn raise_panic_of(&mut self, lane: usize) -> Option<T> {
        if let Err(panic) = self.threads.swap_remove(lane).join() {
            std::panic::resume_unwind(panic);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_come_in_order_whatever_the_number_of_threads() {
        for threads in [1, 2, 3, 7, 100] {
            let slow = |i: usize| {
                std::thread::sleep(Duration::from_micros((i * 7919 % 13) as u64 * 30));
                i * i
            };
            let all: Vec<usize> = Loader::start(23, threads, slow).collect();
            assert_eq!(all, (0..23).map(|i| i * i).collect::<Vec<_>>(), "{threads} threads");
        }
        assert_eq!(Loader::start(0, 2, |i| i).count(), 0);
    }

    #[test]
    fn a_dropped_loader_stops_its_threads() {
        let made = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counter = Arc::clone(&made);
        let mut loader = Loader::start(1_000_000, 2, move |i| {
            counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            i
        });
        assert_eq!(loader.next(), Some(0));
        let Loader { lanes, threads, .. } = loader;
        drop(lanes);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(made.load(std::sync::atomic::Ordering::SeqCst) < 50);
    }

    #[test]
    fn waiting_is_measured() {
        let mut loader = Loader::start(1, 1, |i| {
            std::thread::sleep(Duration::from_millis(30));
            i
        });
        loader.next();
        assert!(loader.waited() >= Duration::from_millis(20));
    }
}
