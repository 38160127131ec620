//! Ways to disturb a run.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How a disturbed run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By itself, with this code.
    Code(i32),
    /// Killed.
    Killed,
}

fn ending(command: &mut Command) -> Result<Ending> {
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    Ok(status.code().map_or(Ending::Killed, Ending::Code))
}

/// Calls `check` after a run of `command` was killed at each `step`-th moment of its writing, from
/// `first` on, until one ends by itself; how many were killed.
///
/// # Errors
/// Those of `check`, and a run that ends by itself with another code than 0.
pub fn moments(
    command: impl Fn() -> Command,
    first: u64,
    step: u64,
    mut check: impl FnMut(u64) -> Result<()>,
) -> Result<u64> {
    let mut killed = 0;
    for moment in (first.max(1)..).step_by(step.max(1) as usize) {
        match ending(command().env("ILD_KILL_AT", moment.to_string()))? {
            Ending::Killed => killed += 1,
            Ending::Code(0) => break,
            Ending::Code(code) => bail!("moment {moment}: exit code {code}"),
        }
        check(moment)?;
    }
    Ok(killed)
}

/// Runs `command` and kills it after that long.
///
/// # Errors
/// When it cannot be started.
pub fn kill_after(command: &mut Command, after: Duration) -> Result<Ending> {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let start = Instant::now();
    while start.elapsed() < after {
        if let Some(status) = child.try_wait()? {
            return Ok(status.code().map_or(Ending::Killed, Ending::Code));
        }
        std::thread::sleep(Duration::from_micros(300));
    }
    child.kill()?;
    child.wait()?;
    Ok(Ending::Killed)
}

/// The same command where the system gives it no thread more: each would need a stack of 64 TiB.
#[must_use]
pub fn without_threads(mut command: Command) -> Command {
    command.env("RUST_MIN_STACK", (1u64 << 46).to_string());
    command
}

/// The same command with at most so much memory of its own, KiB.
#[must_use]
pub fn limited_to_memory(command: &Command, kib: u32) -> Command {
    under_bash(command, &format!("ulimit -d {kib}"))
}

/// The same command where no file can be larger than `blocks` KiB: what a full disk does.
#[must_use]
pub fn limited_to_blocks(command: &Command, blocks: u32) -> Command {
    under_bash(command, &format!("trap '' XFSZ; ulimit -f {blocks}"))
}

/// The same command after `words` to its shell.
fn under_bash(command: &Command, words: &str) -> Command {
    let mut limited = Command::new("bash");
    let script = format!("{words}; exec \"$0\" \"$@\"");
    limited.arg("-c").arg(script).arg(command.get_program()).args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        limited.current_dir(folder);
    }
    limited
}
