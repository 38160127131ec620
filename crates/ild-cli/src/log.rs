//! Log lines on stderr; results go to stdout.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::{Common, LogFormat, progress};

pub(crate) fn init(flags: &Common) {
    progress::set_hidden(flags.quiet || !std::io::stderr().is_terminal());
    let level = match (flags.quiet, flags.verbose) {
        (true, _) => "error",
        (_, 0) => "info",
        (_, 1) => "debug",
        _ => "trace",
    };
    // The JPEG 2000 decoder tells every header it reads.
    let filter = EnvFilter::try_from_env("ILD_LOG")
        .unwrap_or_else(|_| EnvFilter::new(format!("{level},openjp2=error,jpeg2k=error")));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(progress::log_writer)
        .with_target(false);
    let done = match flags.log_format {
        LogFormat::Text => builder
            .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
            .try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    if let Err(error) = done {
        crate::complain(format_args!("log not started: {error}"));
    }
}
