//! The programs that lie together, their versions, and what they compute with.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use ild_cli::Common;
use serde_json::Value;

use super::finding::Finding;
use crate::{beside, stage};

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The program that says what models compute with here.
pub const MODEL: &str = "ild-model";
const TOGETHER: &str = "unpack the whole archive into one folder again";

/// What lies in the folder.
pub struct Programs {
    pub findings: Vec<Finding>,
    /// `ild-model machine`, or why it did not tell.
    machine: Result<Value, String>,
}

/// Asks every program of the stages, and every other one there, for its version.
pub fn found(folder: &Path, common: &Common) -> anyhow::Result<Programs> {
    let stages = stage::of_task("pipeline")?;
    let needed: BTreeSet<String> =
        stages.iter().filter_map(|stage| stage.command.first().cloned()).collect();
    let here = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = here.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let others = names.filter(|name| name.starts_with("ild-") && !name.contains('.'));
    let all: BTreeSet<String> = needed.iter().cloned().chain(others).collect();
    let findings = all.iter().map(|name| finding(folder, name, needed.contains(name))).collect();
    Ok(Programs { findings, machine: machine(folder, common) })
}

fn finding(folder: &Path, name: &str, needed: bool) -> Finding {
    let program = folder.join(name);
    let found = match Command::new(&program).arg("--version").output() {
        Ok(output) if output.status.success() => {
            let said = String::from_utf8_lossy(&output.stdout);
            let version = said.split_whitespace().last().unwrap_or_default().to_owned();
            if version == VERSION {
                return Finding::new(name, version);
            }
            format!("{version}, and this is {VERSION}")
        }
        Ok(output) => first_line(&output.stderr),
        Err(error) => format!("{}: {error}", program.display()),
    };
    let found = Finding::new(name, found);
    if needed { found.needed(TOGETHER) } else { found.advice(TOGETHER) }
}

fn machine(folder: &Path, common: &Common) -> Result<Value, String> {
    let device = format!("--device={}", common.device);
    super::costs::record(
        Command::new(beside::program(folder, MODEL, common.device)).args(["machine", &device]),
    )
    .map(|record| record["machine"].clone())
}

/// The first line that is no log.
pub fn first_line(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let error = lines.clone().find(|line| line.starts_with("error"));
    error.or_else(|| lines.next()).unwrap_or("said nothing").to_owned()
}

impl Programs {
    pub fn built_with_cuda(&self) -> bool {
        self.machine.as_ref().is_ok_and(|machine| machine["built_with_cuda"] == true)
    }

    /// Instruction set and precisions.
    pub fn computing(&self) -> Vec<Finding> {
        let machine = match &self.machine {
            Ok(machine) => machine,
            Err(why) => return vec![Finding::new("models", why).needed(TOGETHER)],
        };
        let text = |key: &str| machine[key].as_str().unwrap_or("?").to_owned();
        let set = Finding::new("instruction set", text("instruction_set"));
        let slow = "models are slow here: AVX2 (2013) or AVX-512 makes them several times faster";
        let set = if text("instruction_set") == "baseline" { set.advice(slow) } else { set };
        let precisions = machine["precisions"].as_array().into_iter().flatten();
        let names: Vec<&str> = precisions.filter_map(Value::as_str).collect();
        let half = match text("half").as_str() {
            "f32" => "--precision half has nothing faster than f32 here".to_owned(),
            half => format!("--precision half is {half}"),
        };
        let precision = format!("{}; {half} ({})", names.join(", "), text("device"));
        vec![set, Finding::new("precision", precision)]
    }
}
