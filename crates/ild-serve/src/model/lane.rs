//! A thread that does one thing after the other, and a bounded queue before it.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};

use tokio::sync::oneshot;

use crate::error::{Answer, Problem};

type Work = Box<dyn FnOnce() + Send>;

/// The way to the thread.
pub struct Lane {
    name: &'static str,
    queue: SyncSender<Work>,
}

impl Lane {
    /// Starts the thread; `waiting` pieces of work may wait.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn start(name: &'static str, waiting: usize) -> io::Result<Self> {
        let (queue, work) = sync_channel::<Work>(waiting);
        std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            for work in work {
                // One broken piece of work is no reason to refuse the next.
                let _ = catch_unwind(AssertUnwindSafe(work));
            }
        })?;
        Ok(Self { name, queue })
    }

    /// Does `work` and waits for it. Nobody waiting any more when its turn comes: it is not done.
    ///
    /// # Errors
    /// 503 when the queue is full, 500 when the work broke down.
    pub async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Answer<T> {
        let (reply, answer) = oneshot::channel();
        let work: Work = Box::new(move || {
            if !reply.is_closed() {
                let _ = reply.send(work());
            }
        });
        self.queue.try_send(work).map_err(|error| match error {
            TrySendError::Full(_) => Problem::busy("too many wait for the model; come again"),
            TrySendError::Disconnected(_) => Problem::failed("the model's thread has ended"),
        })?;
        let broke = format!("the model broke down ({}); the server's log says why", self.name);
        answer.await.map_err(|_| Problem::failed(broke))
    }

    /// Has `work` done at some time; `false` when there is no room for it.
    pub fn push(&self, work: impl FnOnce() + Send + 'static) -> bool {
        self.queue.try_send(Box::new(work)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::sync::mpsc;

    use super::*;

    fn wait<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap()
            .block_on(future)
    }

    #[test]
    fn a_full_queue_is_said_and_broken_work_breaks_nothing_else() {
        let lane = Lane::start("test", 1).unwrap();
        let (go, gate) = mpsc::channel::<()>();
        let (started, has_started) = mpsc::channel();
        assert!(lane.push(move || {
            started.send(()).unwrap();
            gate.recv().unwrap();
        }));
        has_started.recv().unwrap();
        assert!(lane.push(|| ()), "one waits");
        let refused = wait(lane.ask(|| 1)).unwrap_err();
        assert_eq!(refused.status, axum::http::StatusCode::SERVICE_UNAVAILABLE);
        go.send(()).unwrap();
        let broken = loop {
            match wait(lane.ask(|| -> u8 { panic!("on purpose") })) {
                Err(problem) if problem.status == axum::http::StatusCode::SERVICE_UNAVAILABLE => {}
                other => break other,
            }
        };
        assert!(broken.unwrap_err().detail.contains("broke down"));
        assert_eq!(wait(lane.ask(|| 5)), Ok(5));
    }

    #[test]
    fn work_that_nobody_waits_for_any_more_is_not_done() {
        let lane = Lane::start("test", 4).unwrap();
        let (go, gate) = mpsc::channel::<()>();
        lane.push(move || gate.recv().unwrap());
        let (told, done) = mpsc::channel();
        wait(async {
            let asked = lane.ask(move || told.send(()).unwrap());
            let _ = tokio::time::timeout(std::time::Duration::ZERO, asked).await;
        });
        go.send(()).unwrap();
        assert!(wait(lane.ask(|| ())).is_ok());
        assert!(done.recv().is_err(), "it was dropped");
    }
}
