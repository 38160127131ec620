//! Threads and memory that the system refuses: said in a sentence, exit code 1, instead of a panic
//! or an abort in whichever library asked for them.

use std::panic::{self, PanicHookInfo};

use crate::Exit;

/// How libraries print the system's answer to one thread too many.
const NO_MORE_THREADS: [&str; 2] = ["Resource temporarily unavailable", "WouldBlock"];
/// The allocator has said how much could not be had, on the line above.
const ABORTED: &str = "error: this process could not go on; where memory ran out (the line above), \
    give it more (ulimit -v, the job's limit) or ask for less: fewer --workers, smaller batches\n";

/// From here on such an end has a sentence and an exit code.
pub(crate) fn say_what_the_system_refuses() {
    let others = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if is_refused_thread(info) {
            crate::complain(format_args!(
                "error: the system gives this process no more threads; allow more (ulimit -u, \
                 ulimit -v, a container's limit), or ask for less with --workers"
            ));
            std::process::exit(Exit::Failed as i32);
        }
        others(info);
    }));
    #[cfg(unix)]
    // SAFETY: the handler makes two system calls that signal handlers may make, and does not return.
    unsafe {
        libc::signal(libc::SIGABRT, aborted as *const () as libc::sighandler_t);
    }
}

fn is_refused_thread(info: &PanicHookInfo<'_>) -> bool {
    let said = info.payload_as_str().unwrap_or_default();
    said.contains("code: 11") && NO_MORE_THREADS.iter().any(|words| said.contains(words))
}

#[cfg(unix)]
extern "C" fn aborted(_signal: libc::c_int) {
    // SAFETY: a pointer and a length of a constant; both calls are safe in a handler.
    unsafe {
        libc::write(libc::STDERR_FILENO, ABORTED.as_ptr().cast(), ABORTED.len());
        libc::_exit(Exit::Failed as libc::c_int);
    }
}
