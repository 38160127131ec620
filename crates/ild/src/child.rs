//! A stage's program as a child that ends when this program is asked to end.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use ild_cli::Interrupted;

/// How often a running stage is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Runs `command` to its end. `asked_to_stop` is passed on to it once as SIGTERM, and then nothing
/// else is started: the outcome is [`Interrupted`] whatever the child made of it.
///
/// The child has a process group of its own, so that Ctrl-C on a terminal reaches it once, through
/// here, and not twice (the second would end it without saving). When this process dies, the
/// kernel asks the child to stop.
pub fn run(command: &mut Command, asked_to_stop: impl Fn() -> bool) -> anyhow::Result<ExitStatus> {
    command.process_group(0);
    end_with_this_process(command);
    let mut child = command.spawn()?;
    let mut told = false;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if !told && asked_to_stop() {
            tell(&child);
            told = true;
        }
        std::thread::sleep(LOOK);
    };
    if told || asked_to_stop() { Err(Interrupted.into()) } else { Ok(status) }
}

fn tell(child: &Child) {
    if let Ok(id) = libc::pid_t::try_from(child.id()) {
        // SAFETY: a signal to a child that has not been waited for, so its number is still its own.
        unsafe { libc::kill(id, libc::SIGTERM) };
    }
}

#[cfg(target_os = "linux")]
fn end_with_this_process(command: &mut Command) {
    // SAFETY: `prctl` is a plain system call; nothing is allocated or locked between fork and exec.
    unsafe {
        command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        });
    }
}

#[cfg(not(target_os = "linux"))]
fn end_with_this_process(_command: &mut Command) {}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn the_childs_own_exit_code_is_handed_on() {
        assert_eq!(run(&mut shell("exit 3"), || false).unwrap().code(), Some(3));
    }

    #[test]
    fn a_request_to_stop_lets_the_child_save_and_starts_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let [ready, saved] = ["ready", "saved"].map(|name| dir.path().join(name));
        let script = format!(
            "trap 'touch {}; exit 0' TERM; touch {}; while :; do sleep 0.01; done",
            saved.display(),
            ready.display()
        );
        let error = run(&mut shell(&script), || ready.exists()).unwrap_err();
        assert!(error.is::<Interrupted>(), "although the child ended well");
        assert!(saved.exists());
    }

    #[test]
    fn a_stage_that_ends_while_a_stop_is_asked_for_is_not_followed_by_another() {
        assert!(run(&mut shell("exit 0"), || true).unwrap_err().is::<Interrupted>());
    }
}
