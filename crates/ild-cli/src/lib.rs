//! What every ild binary shares, so that all of them feel like one program.
//!
//! A binary is its flags (a [`clap::Parser`] with [`Common`] flattened in) and one call to
//! [`main`]:
//!
//! ```no_run
//! use clap::Parser;
//!
//! /// Counts things.
//! #[derive(Parser)]
//! #[command(name = "ild-count", version)]
//! struct Cli {
//!     #[command(flatten)]
//!     common: ild_cli::Common,
//!     /// How many.
//!     #[arg(long, default_value_t = 3)]
//!     number: usize,
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     ild_cli::main(
//!         |cli: &Cli| &cli.common,
//!         |cli| {
//!             ild_cli::say(cli.number)?;
//!             Ok(())
//!         },
//!         |_error| false,
//!     )
//! }
//! ```
//!
//! This crate knows nothing of CT or tensors.

mod allocator;
mod common;
mod config;
mod error;
mod exit;
mod files;
mod help_files;
mod interrupt;
mod limits;
mod log;
mod output;
mod progress;
mod report;
mod suggest;
mod table;
mod timing;
pub mod veil;

pub use allocator::{give_back_freed_memory, keep_freed_memory, peak_memory_bytes};
pub use common::{Common, DeviceChoice, IfOther, LogFormat};
pub use config::{flags_of_table, save_resolved};
pub use error::{FileError, Refusal, one_line};
pub use exit::{Exit, Interrupted, ONLY_PARSE, Rejected, Usage, main, main_without_config};
pub use files::{
    FOLDER_IN_USE, FolderLock, MARK, Mark, Stamp, close_books, content_of, content_of_bytes, done,
    inputs, outputs, regular, sweep_temporary, write_atomic, write_atomic_unsynced,
    write_bytes_atomic, write_json_atomic,
};
pub use help_files::HELP_FILES;
pub use interrupt::{interrupted, stop_if_interrupted};
pub use output::{complain, printable, say};
pub use progress::progress_bar;
pub use report::{RunReport, sha256_of_file};
pub use suggest::{closest, edit_distance};
pub use table::table;
pub use timing::{cpu_time, serve_timings};
