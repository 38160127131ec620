//! From `main` to the exit code.

use std::error::Error;
use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use crate::report::may_report;
use crate::{Common, MARK, Mark, Refusal};
use crate::{allocator, config, help_files, inputs, interrupt, limits, log, outputs};

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: done.
    Ok = 0,
    /// 1: something failed on the way.
    Failed = 1,
    /// 2: the command line or the configuration is wrong.
    Usage = 2,
    /// 3: an input was looked at and refused.
    Rejected = 3,
    /// 130: stopped by the user or the scheduler, work saved.
    Interrupted = 130,
}

/// A run that was asked to stop and did, with its work saved.
#[derive(Debug, Clone, Copy)]
pub struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("interrupted; work so far is saved, the same command goes on from there")
    }
}

impl Error for Interrupted {}

/// A command line or configuration that is wrong, found after the flags were parsed.
#[derive(Debug, Clone)]
pub struct Usage(pub String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Usage {}

/// An input that was looked at and refused, for places that have no error type of their own.
#[derive(Debug, Clone)]
pub struct Rejected(pub String);

impl std::fmt::Display for Rejected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Rejected {}

/// With this variable set, a binary parses its flags and stops there: exit code 0 or 2. For
/// programs that chain others.
pub const ONLY_PARSE: &str = "ILD_ONLY_PARSE";

/// Parses the command line (with its `--config` table), sets up log, threads and interruption,
/// runs, and maps the outcome.
///
/// `rejects` says which of a library's errors mean "this input is refused" (exit code 3);
/// [`Rejected`] always does.
pub fn main<C: Parser>(
    common: fn(&C) -> &Common,
    run: impl FnOnce(C) -> anyhow::Result<()>,
    rejects: fn(&(dyn Error + 'static)) -> bool,
) -> ExitCode {
    let command = parser::<C>();
    match config::expand(&command, std::env::args_os().collect()) {
        Ok(args) => start(command, args, common, run, rejects),
        Err(error) => {
            print_error(&error);
            code(Exit::Usage)
        }
    }
}

/// [`main`] for a program that reads `--config` itself.
pub fn main_without_config<C: Parser>(
    common: fn(&C) -> &Common,
    run: impl FnOnce(C) -> anyhow::Result<()>,
    rejects: fn(&(dyn Error + 'static)) -> bool,
) -> ExitCode {
    start(parser::<C>(), std::env::args_os().collect(), common, run, rejects)
}

/// A flag typed twice means the later one, which is how typed flags win over those of a config
/// file.
fn parser<C: Parser>() -> clap::Command {
    C::command().args_override_self(true).mut_subcommands(|sub| sub.args_override_self(true))
}

fn start<C: Parser>(
    command: clap::Command,
    args: Vec<OsString>,
    common: fn(&C) -> &Common,
    run: impl FnOnce(C) -> anyhow::Result<()>,
    rejects: fn(&(dyn Error + 'static)) -> bool,
) -> ExitCode {
    allocator::keep_freed_memory();
    limits::say_what_the_system_refuses();
    let version = command.get_version().unwrap_or_default().to_owned();
    outputs::of_program(command.get_name());
    if let Some(folder) = std::env::var_os(help_files::HELP_FILES) {
        return match help_files::write(command, folder.as_ref()) {
            Ok(()) => code(Exit::Ok),
            Err(error) => {
                print_error(&error);
                code(Exit::Failed)
            }
        };
    }
    let cli = match command
        .try_get_matches_from(args)
        .and_then(|matches| C::from_arg_matches(&matches))
    {
        Ok(cli) => cli,
        Err(error) => return help_or_complaint(&error),
    };
    if std::env::var_os(ONLY_PARSE).is_some() {
        return code(Exit::Ok);
    }
    let flags = common(&cli);
    use_threads(flags.threads());
    log::init(flags);
    interrupt::install();
    if flags.overwrite_foreign {
        outputs::allow_foreign();
    }
    let report = flags.report.as_deref().map_or(Ok(()), may_report);

    match report.map_err(anyhow::Error::new).and_then(|()| run(cli)).and_then(|()| finish(&version))
    {
        Ok(()) => code(Exit::Ok),
        Err(error) => {
            print_error(&error);
            code(kind(&error, rejects))
        }
    }
}

/// Looks whether every file read still is what it was, and writes the mark where one is asked for.
fn finish(version: &str) -> anyhow::Result<()> {
    inputs::require_unchanged()?;
    if let Some(path) = std::env::var_os(MARK) {
        Mark::of_this_process(version).write(path.as_ref())?;
    }
    Ok(())
}

fn kind(error: &anyhow::Error, rejects: fn(&(dyn Error + 'static)) -> bool) -> Exit {
    if error.chain().any(|cause| cause.is::<Interrupted>()) {
        Exit::Interrupted
    } else if error.chain().any(|cause| cause.is::<Usage>()) {
        Exit::Usage
    } else if error.chain().any(|cause| is_rejection(cause) || rejects(cause)) {
        Exit::Rejected
    } else {
        Exit::Failed
    }
}

fn is_rejection(cause: &(dyn Error + 'static)) -> bool {
    cause.is::<Rejected>() || cause.is::<Refusal>()
}

/// `--help` and `--version` come as errors too; their code is 0.
fn help_or_complaint(error: &clap::Error) -> ExitCode {
    match error.print() {
        Err(cause) if cause.kind() != std::io::ErrorKind::BrokenPipe => code(Exit::Failed),
        _ if error.exit_code() == 0 => code(Exit::Ok),
        _ => code(Exit::Usage),
    }
}

fn print_error(error: &anyhow::Error) {
    crate::complain(format_args!("error: {error}"));
    for cause in error.chain().skip(1) {
        crate::complain(format_args!("  because: {cause}"));
    }
}

fn code(exit: Exit) -> ExitCode {
    ExitCode::from(exit as u8)
}

/// Rayon's pool does the work, matrix products included. Candle's second pool, for element-wise
/// operations, is left empty: its caller waits by spinning, which on a busy machine more than
/// doubled the CPU time of a training step.
fn use_threads(threads: usize) {
    // SAFETY: called from `main` before any other thread is started.
    unsafe {
        std::env::set_var("RAYON_NUM_THREADS", threads.to_string());
        if std::env::var_os("CANDLE_NUM_THREADS").is_none() {
            std::env::set_var("CANDLE_NUM_THREADS", "1");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_decides_the_exit_code() {
        let never = |_: &(dyn Error + 'static)| false;
        assert_eq!(
            kind(&anyhow::Error::new(Interrupted).context("epoch 3"), never),
            Exit::Interrupted
        );
        assert_eq!(
            kind(&anyhow::Error::new(Rejected("4-D".into())).context("case 1"), never),
            Exit::Rejected
        );
        assert_eq!(kind(&anyhow::anyhow!("disk full"), never), Exit::Failed);
        assert_eq!(
            kind(&anyhow::Error::new(std::fmt::Error), |e| e.is::<std::fmt::Error>()),
            Exit::Rejected
        );
    }
}
