//! `--config FILE.toml`: a table of the file becomes flags, so that one definition (the flags)
//! checks both.
//!
//! The table is named like the sub-command (`[nii-to-npz]`), or like the binary without `ild-`
//! (`[train]`). Its keys are the flags' names; a key that is no flag is refused with the nearest
//! one that is. One file may serve many programs: tables of the others are left alone, but a table
//! that belongs to none of them is refused likewise, for it would say nothing to anybody.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use anyhow::{Context, bail};
use clap::Command;
use toml::{Table, Value};

use crate::FileError;
use crate::suggest::closest;

/// The stages that `ild` chains: each has a table.
const STAGES: &str = include_str!("../../ild/pipeline/stages.toml");
/// Tables of sub-commands that are no stage, and of what all stages share.
const OTHER_TABLES: [&str; 11] = [
    "pipeline",
    "phantom",
    "info",
    "convert",
    "inspect",
    "machine",
    "segment",
    "compare",
    "quantify",
    "gpu-check",
    "serve",
];

/// The command line with the config file's table put before the flags that the user typed.
///
/// Also accepts the names of the older scripts: `--img_path` and `-img_path` mean `--img-path`.
pub(crate) fn expand(command: &Command, typed: Vec<OsString>) -> anyhow::Result<Vec<OsString>> {
    let mut args = typed.into_iter();
    let program = args.next().unwrap_or_else(|| command.get_name().into());
    let rest: Vec<OsString> = args.collect();

    let sub = rest.iter().position(|arg| command.find_subcommand(arg).is_some());
    let (before, after) = rest.split_at(sub.map_or(0, |at| at + 1));
    let active = sub.and_then(|at| command.find_subcommand(&rest[at])).unwrap_or(command);

    let mut out = vec![program];
    out.extend_from_slice(before);
    if let Some(file) = config_path(&rest) {
        let name = active.get_name().trim_start_matches("ild-");
        if let Some(table) = read_table(Path::new(&file), name)? {
            check_keys(command, active, &table, name)
                .with_context(|| Path::new(&file).display().to_string())?;
            out.extend(flags_of_table(&table)?.into_iter().map(OsString::from));
        }
    }
    out.extend(after.iter().map(|arg| with_hyphens(command, active, arg)));
    Ok(out)
}

fn config_path(args: &[OsString]) -> Option<OsString> {
    let inline = |arg: &OsString| {
        arg.to_str().and_then(|text| text.strip_prefix("--config=")).map(OsString::from)
    };
    args.iter()
        .enumerate()
        .rev()
        .find_map(|(i, arg)| if arg == "--config" { args.get(i + 1).cloned() } else { inline(arg) })
}

/// The table `name` of a TOML file; `None` when the file has no such table.
fn read_table(file: &Path, name: &str) -> anyhow::Result<Option<Table>> {
    if let Ok(Err(refusal)) = crate::regular(file) {
        bail!(refusal.expected("a TOML file"));
    }
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("{}: expected a TOML file", file.display()))?;
    let mut root: Table =
        toml::from_str(&text).with_context(|| format!("{}: expected TOML", file.display()))?;
    check_tables(&root, name).with_context(|| file.display().to_string())?;
    match root.remove(name) {
        None => Ok(None),
        Some(Value::Table(table)) => Ok(Some(table)),
        Some(other) => {
            bail!("{}: expected a table [{name}], found {}", file.display(), other.type_str())
        }
    }
}

/// Refuses what belongs to no program: a key outside every table, a table that nobody reads.
fn check_tables(root: &Table, own: &str) -> anyhow::Result<()> {
    let stages: Table = toml::from_str(STAGES)?;
    let stages = stages.get("stage").and_then(Value::as_array).into_iter().flatten();
    let known: Vec<&str> = stages
        .filter_map(|stage| stage.get("table")?.as_str())
        .chain(OTHER_TABLES)
        .chain([own])
        .collect();
    for (name, value) in root {
        if !value.is_table() {
            bail!("expected only tables, found `{name}` outside one; put it under [{own}]");
        }
        if !known.contains(&name.as_str()) {
            let hint = closest(name, known.iter().copied()).map_or_else(
                || format!("the tables are {}", known.join(", ")),
                |near| format!("did you mean [{near}]?"),
            );
            bail!("no program reads a table [{name}]; {hint}");
        }
    }
    Ok(())
}

/// A table's entries as flags: `epochs = 3` → `--epochs=3`, `save-nii = true` → `--save-nii`,
/// `false` → nothing, a list → its entries joined with commas.
///
/// # Errors
/// When a value is itself a table.
pub fn flags_of_table(table: &Table) -> anyhow::Result<Vec<String>> {
    let mut flags = Vec::new();
    for (key, value) in table {
        let flag = format!("--{}", key.replace('_', "-"));
        match value {
            Value::Boolean(true) => flags.push(flag),
            Value::Boolean(false) => {}
            Value::Array(items) => {
                let items = items
                    .iter()
                    .map(scalar)
                    .collect::<Option<Vec<_>>>()
                    .with_context(|| format!("{key}: expected a list of plain values"))?;
                flags.push(format!("{flag}={}", items.join(",")));
            }
            other => flags.push(format!(
                "{flag}={}",
                scalar(other).with_context(|| format!(
                    "{key}: expected a plain value, found {}",
                    other.type_str()
                ))?
            )),
        }
    }
    Ok(flags)
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(n) => Some(n.to_string()),
        Value::Float(x) => Some(x.to_string()),
        Value::Boolean(b) => Some(b.to_string()),
        _ => None,
    }
}

fn long_flags<'a>(command: &'a Command, active: &'a Command) -> impl Iterator<Item = &'a str> {
    command.get_arguments().chain(active.get_arguments()).filter_map(clap::Arg::get_long)
}

fn check_keys(
    command: &Command,
    active: &Command,
    table: &Table,
    name: &str,
) -> anyhow::Result<()> {
    for key in table.keys() {
        let wanted = key.replace('_', "-");
        if !long_flags(command, active).any(|flag| flag == wanted) {
            let hint = closest(&wanted, long_flags(command, active))
                .map_or(String::new(), |near| format!("; did you mean `{near}`?"));
            bail!(
                "[{name}] has no key `{key}`{hint} (`{} --help` lists them)",
                active.get_bin_name().unwrap_or(active.get_name())
            );
        }
    }
    Ok(())
}

fn with_hyphens(command: &Command, active: &Command, arg: &OsStr) -> OsString {
    let Some(text) = arg.to_str().filter(|text| text.starts_with('-')) else {
        return arg.to_owned();
    };
    let (name, value) =
        text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
    let wanted = name.trim_start_matches('-').replace('_', "-");
    if wanted.len() < 2 || !long_flags(command, active).any(|flag| flag == wanted) {
        return arg.to_owned();
    }
    OsString::from(value.map_or(format!("--{wanted}"), |value| format!("--{wanted}={value}")))
}

/// Saves the settings a run really used as `[table]` in a TOML file that `--config` accepts.
///
/// # Errors
/// When the settings are not a flat table or the file cannot be written.
pub fn save_resolved(
    path: &Path,
    table: &str,
    settings: &impl serde::Serialize,
) -> Result<(), FileError> {
    let settings = Value::try_from(settings).map_err(FileError::at(path, "written"))?;
    let root = Table::from_iter([(table.to_owned(), settings)]);
    let text = toml::to_string_pretty(&root).map_err(FileError::at(path, "written"))?;
    crate::write_bytes_atomic(path, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use clap::{Arg, ArgAction, Command};

    use super::*;

    fn command() -> Command {
        let run = Command::new("run")
            .arg(Arg::new("img-path").long("img-path"))
            .arg(Arg::new("save").long("save").action(ArgAction::SetTrue));
        Command::new("ild-x").arg(Arg::new("config").long("config").global(true)).subcommand(run)
    }

    fn expanded(toml: &str, typed: &[&str]) -> anyhow::Result<Vec<String>> {
        let file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
        std::fs::write(file.path(), toml).unwrap();
        let mut args =
            vec![OsString::from("ild-x"), "run".into(), "--config".into(), file.path().into()];
        args.extend(typed.iter().map(OsString::from));
        Ok(expand(&command(), args)?
            .into_iter()
            .map(|arg| arg.into_string().unwrap())
            .filter(|arg| !arg.ends_with(".toml"))
            .collect())
    }

    #[test]
    fn a_table_becomes_flags_before_the_typed_ones() {
        let args = expanded("[run]\nimg_path = \"a\"\nsave = true\n", &["-img_path", "b"]).unwrap();
        assert_eq!(args, ["ild-x", "run", "--img-path=a", "--save", "--config", "--img-path", "b"]);
    }

    #[test]
    fn an_unknown_key_names_the_nearest_flag() {
        let error = format!("{:#}", expanded("[run]\nimg_pth = \"a\"\n", &[]).unwrap_err());
        assert!(error.contains("no key `img_pth`; did you mean `img-path`?"), "{error}");
    }

    #[test]
    fn tables_of_other_stages_are_left_alone() {
        let args = expanded("[train]\nanything = 1\n[nii-to-npz]\nx = 2\n", &[]).unwrap();
        assert_eq!(args, ["ild-x", "run", "--config"]);
    }

    #[test]
    fn a_table_that_no_program_reads_is_refused_with_the_nearest() {
        for (table, near) in [
            ("training", "train"),
            ("Train", "train"),
            ("nii_to_npz", "nii-to-npz"),
            ("nii-to-npy", "nii-to-npz"),
            ("runs", "run"),
        ] {
            let error = format!("{:#}", expanded(&format!("[{table}]\na = 1\n"), &[]).unwrap_err());
            assert!(error.contains(&format!("did you mean [{near}]?")), "{error}");
        }
        let error = format!("{:#}", expanded("[zebra]\na = 1\n", &[]).unwrap_err());
        assert!(error.contains("the tables are") && error.contains("evaluate"), "{error}");
        let error = format!("{:#}", expanded("epochs = 3\n", &[]).unwrap_err());
        assert!(error.contains("put it under [run]"), "{error}");
    }
}
