//! The flags that mean the same in every binary.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{ArgAction, Args, ValueEnum};
use serde::{Serialize, Serializer};

/// Flags that every binary accepts, before or after its sub-command.
#[derive(Args, Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Common {
    /// Where tensors live: `auto` takes a GPU when there is one, `cuda:1` the second GPU.
    #[arg(
        long,
        global = true,
        default_value = "auto",
        value_name = "auto|cpu|cuda[:N]",
        help_heading = "Common options"
    )]
    pub device: DeviceChoice,
    /// Worker threads [default: all cores].
    #[arg(short = 'j', long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..), help_heading = "Common options")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workers: Option<u16>,
    /// Seed of every random draw; the same seed gives the same result.
    #[arg(
        long,
        global = true,
        default_value_t = 2024,
        value_name = "N",
        help_heading = "Common options"
    )]
    pub seed: u64,
    /// TOML file; its table named like the sub-command gives flags, and flags typed here win over
    /// it.
    #[arg(long, global = true, value_name = "FILE.toml", help_heading = "Common options")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// Do again what is already done.
    #[arg(long, global = true, help_heading = "Common options")]
    #[serde(skip)]
    pub force: bool,
    /// Also write over files that this program did not write, or that were changed since. Never over an
    /// input.
    #[arg(long, global = true, help_heading = "Common options")]
    #[serde(skip)]
    pub overwrite_foreign: bool,
    /// Only errors and results.
    #[arg(short, long, global = true, help_heading = "Common options", conflicts_with = "verbose")]
    #[serde(skip)]
    pub quiet: bool,
    /// More of what happens; twice for everything.
    #[arg(short, long, global = true, action = ArgAction::Count, help_heading = "Common options")]
    #[serde(skip)]
    pub verbose: u8,
    /// Form of the log lines on stderr.
    #[arg(long, global = true, default_value = "text", help_heading = "Common options")]
    #[serde(skip)]
    pub log_format: LogFormat,
    /// Write a record of the run (versions, hashes, settings, seconds, peak memory) to this JSON
    /// file.
    #[arg(long, global = true, value_name = "FILE.json", help_heading = "Common options")]
    #[serde(skip)]
    pub report: Option<PathBuf>,
}

impl Common {
    /// Threads to use: `--workers`, else every core.
    #[must_use]
    pub fn threads(&self) -> usize {
        match self.workers {
            Some(n) => usize::from(n),
            None => std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

/// What was asked for with `--device`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// A GPU when this build and machine have one, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The CUDA device with this index.
    Cuda(usize),
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':').unwrap_or((text, "0")) {
            ("auto", "0") => Ok(Self::Auto),
            ("cpu", "0") => Ok(Self::Cpu),
            ("cuda" | "gpu", index) => index
                .parse()
                .map(Self::Cuda)
                .map_err(|_| format!("expected a GPU index after `:`, found `{index}`")),
            _ => Err("expected `auto`, `cpu`, `cuda` or `cuda:N`".to_owned()),
        }
    }
}

impl std::fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

impl Serialize for DeviceChoice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What to do where the output folder holds a run of other settings or data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum IfOther {
    /// Say so and stop.
    #[default]
    Refuse,
    /// Take it away and begin again.
    StartOver,
}

/// Form of the log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One readable line each.
    #[default]
    Text,
    /// One JSON object each.
    Json,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_as_users_type_them() {
        assert_eq!("cuda:1".parse(), Ok(DeviceChoice::Cuda(1)));
        assert_eq!("gpu".parse(), Ok(DeviceChoice::Cuda(0)));
        assert_eq!("auto".parse(), Ok(DeviceChoice::Auto));
        assert!("cuda:x".parse::<DeviceChoice>().is_err());
        assert!("tpu".parse::<DeviceChoice>().is_err());
    }
}
