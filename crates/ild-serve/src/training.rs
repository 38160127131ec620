//! The training: a command of the operator's, one at a time, watched through its last lines.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;

use crate::clock;
use crate::error::{Answer, Problem};

/// Lines that the protocol shows.
const SHOWN: usize = 20;

/// How often it is looked whether the command has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The command, and its last run.
pub struct Training {
    command: Vec<String>,
    last: Mutex<Option<Arc<Run>>>,
}

/// A run of the command.
struct Run {
    started: String,
    request: serde_json::Value,
    state: Mutex<State>,
    child: Mutex<Child>,
}

struct State {
    status: &'static str,
    ended: Option<String>,
    lines: VecDeque<String>,
}

/// What the protocol says of a run.
#[derive(Debug, Serialize)]
pub struct Task {
    id: &'static str,
    status: &'static str,
    start_ts: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_ts: Option<String>,
    request: serde_json::Value,
    details: Vec<String>,
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Training {
    /// Of `command`, program and arguments parted by blanks.
    #[must_use]
    pub fn new(command: Option<&str>) -> Self {
        let words = command.unwrap_or_default().split_whitespace().map(str::to_owned);
        Self { command: words.collect(), last: Mutex::default() }
    }

    /// Whether there is a command.
    #[must_use]
    pub fn is_offered(&self) -> bool {
        !self.command.is_empty()
    }

    /// Starts it. Nothing that a client says becomes part of the command; `request` is only shown.
    ///
    /// # Errors
    /// 404 without a command, 429 while it runs, 500 when it cannot be started.
    pub fn start(&self, request: serde_json::Value) -> Answer<Task> {
        let Some((program, arguments)) = self.command.split_first() else {
            return Err(Problem::absent(
                "this server trains nothing: it was started without --train-command",
            ));
        };
        let mut last = held(&self.last);
        if last.as_ref().is_some_and(|run| run.is_running()) {
            let busy = axum::http::StatusCode::TOO_MANY_REQUESTS;
            return Err(Problem::new(busy, "a training runs already; stop it or wait"));
        }
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command
            .spawn()
            .map_err(|error| Problem::failed(format!("the training did not start: {error}")))?;
        let pipes: Vec<Box<dyn Read + Send>> = [
            child.stdout.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>),
            child.stderr.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>),
        ]
        .into_iter()
        .flatten()
        .collect();
        let run = Arc::new(Run {
            started: clock::now(),
            request,
            state: Mutex::new(State { status: "RUNNING", ended: None, lines: VecDeque::new() }),
            child: Mutex::new(child),
        });
        watch(&run, pipes);
        let task = run.task();
        *last = Some(run);
        Ok(task)
    }

    /// The last run.
    #[must_use]
    pub fn last(&self) -> Option<Task> {
        held(&self.last).as_ref().map(|run| run.task())
    }

    /// Whether it runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        held(&self.last).as_ref().is_some_and(|run| run.is_running())
    }

    /// Asks it to stop, as Ctrl-C would.
    ///
    /// # Errors
    /// 404 when nothing runs.
    pub fn stop(&self) -> Answer<Task> {
        let last = held(&self.last);
        let run = last.as_ref().filter(|run| run.is_running());
        let run = run.ok_or_else(|| Problem::absent("no training runs"))?;
        run.stop();
        Ok(run.task())
    }
}

impl Drop for Training {
    fn drop(&mut self) {
        if let Some(run) = held(&self.last).as_ref().filter(|run| run.is_running()) {
            run.stop();
        }
    }
}

impl Run {
    fn is_running(&self) -> bool {
        held(&self.state).ended.is_none()
    }

    fn stop(&self) {
        let mut state = held(&self.state);
        state.status = "STOPPED";
        state.ended.get_or_insert_with(clock::now);
        state.lines.push_back("stopped on request".to_owned());
        drop(state);
        let mut child = held(&self.child);
        #[cfg(unix)]
        // SAFETY: a plain system call; the child was not waited for while its lock is held, so the
        // number still is its own.
        unsafe {
            if child.try_wait().is_ok_and(|status| status.is_none()) {
                libc::kill(-child.id().cast_signed(), libc::SIGTERM);
            }
        }
        #[cfg(not(unix))]
        let _ = child.kill();
    }

    fn task(&self) -> Task {
        let state = held(&self.state);
        let mut details: Vec<String> = state.lines.iter().cloned().collect();
        if details.is_empty() {
            details.push("started".to_owned());
        }
        Task {
            id: "train",
            status: state.status,
            start_ts: self.started.clone(),
            end_ts: state.ended.clone(),
            request: self.request.clone(),
            details,
        }
    }
}

/// Reads what the command says until it ends.
fn watch(run: &Arc<Run>, pipes: Vec<Box<dyn Read + Send>>) {
    let readers: Vec<_> = pipes
        .into_iter()
        .map(|pipe| {
            let run = Arc::clone(run);
            std::thread::spawn(move || {
                for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                    let line = String::from_utf8_lossy(&line);
                    let line = ild_cli::printable(line.trim_end());
                    let mut state = held(&run.state);
                    if state.lines.len() == SHOWN {
                        state.lines.pop_front();
                    }
                    state.lines.push_back(line);
                }
            })
        })
        .collect();
    let run = Arc::clone(run);
    std::thread::spawn(move || {
        for reader in readers {
            let _ = reader.join();
        }
        // Not `wait`: whoever stops it needs the lock.
        let done = loop {
            match held(&run.child).try_wait() {
                Ok(None) => {}
                other => break other.is_ok_and(|status| status.is_some_and(|s| s.success())),
            }
            std::thread::sleep(LOOK_AGAIN);
        };
        let mut state = held(&run.state);
        if state.status == "RUNNING" {
            state.status = if done { "DONE" } else { "ERROR" };
        }
        state.ended.get_or_insert_with(clock::now);
    });
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn wait_for(training: &Training, status: &str) -> Task {
        let start = Instant::now();
        loop {
            let task = training.last().unwrap();
            if task.status == status {
                return task;
            }
            assert!(start.elapsed() < Duration::from_secs(20), "{task:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[test]
    fn it_is_started_watched_and_ended() {
        let training = Training::new(Some("echo epoch 1"));
        assert!(training.last().is_none() && training.stop().is_err());
        training.start(serde_json::json!({})).unwrap();
        let task = wait_for(&training, "DONE");
        assert_eq!(task.details, ["epoch 1"]);
        training.start(serde_json::json!({})).unwrap();
        let failing = Training::new(Some("false"));
        failing.start(serde_json::json!({})).unwrap();
        wait_for(&failing, "ERROR");
        assert!(Training::new(None).start(serde_json::json!({})).is_err());
    }

    #[test]
    fn it_runs_once_at_a_time_and_stops_on_request() {
        let training = Training::new(Some("sleep 60"));
        training.start(serde_json::json!({})).unwrap();
        assert_eq!(training.start(serde_json::json!({})).unwrap_err().status.as_u16(), 429);
        assert_eq!(training.stop().unwrap().status, "STOPPED");
        assert!(!training.is_running());
        wait_for(&training, "STOPPED");
    }
}
