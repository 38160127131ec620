//! What runs have in common that are parts of one whole, folds or points of a curve: some stages are
//! done once, the others in each part.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use ild_cli::Usage;
use toml::Value;

use crate::settings::{Settings, says_something};
use crate::stage;

/// The task that is done once.
pub const ONCE: &str = "cross-prepare";
/// The task that is done in each part.
pub const EACH: &str = "cross-fold";
/// Tables of what all parts share.
const SHARED: [&str; 2] = ["phantom", "nii-to-npz"];
/// Experiments of a single split that parts leave out: wrong boxes, untrained weights, other
/// patients.
const LEFT_OUT: [&str; 4] =
    ["evaluate.baseline", "evaluate.healthy", "evaluate.other-box", "evaluate.empty-box"];

/// Says which settings the parts leave out, and refuses those of `decided`, which `task` decides
/// itself.
pub fn refuse_decided(settings: &Settings, task: &str, decided: &[&str]) -> anyhow::Result<()> {
    let sample = Settings::load(None, &[])?;
    for name in decided {
        if own(settings, &sample, name) {
            bail!(Usage(format!(
                "{name}: {task} decides it itself, part by part; leave it out (--set {name}= takes \
                 back what a file says)"
            )));
        }
    }
    for name in LEFT_OUT.into_iter().filter(|name| own(settings, &sample, name)) {
        tracing::warn!("{name} is left out: it belongs to a single split (`pipeline`)");
    }
    Ok(())
}

/// Whether the user says something by the setting `name` that the sample does not.
pub fn own(settings: &Settings, sample: &Settings, name: &str) -> bool {
    let (table, key) = name.split_once('.').unwrap_or((name, ""));
    let said = settings.raw(table, key).filter(|value| says_something(value));
    said.is_some() && said != sample.raw(table, key)
}

/// The settings of a part that writes to `output`: what all share stays where the whole has it, and
/// comparisons of a single split are left out.
pub fn settings_in(whole: &Settings, output: &Path) -> Settings {
    let mut settings = whole.clone();
    for table in SHARED {
        settings.replace(table, whole.table(table));
    }
    settings.put("pipeline", "output", text(output));
    without_comparisons(&mut settings);
    settings
}

/// Leaves out what belongs to a single split.
pub fn without_comparisons(settings: &mut Settings) {
    for (table, key) in LEFT_OUT.into_iter().filter_map(|name| name.split_once('.')) {
        settings.put(table, key, String::new());
    }
}

/// Refuses a path that a part (`fold`, `share`) in the folder `own` writes, or the weights it is
/// measured with, where they would be the same in every part.
pub fn refuse_common_paths(settings: &Settings, own: &Path, part: &str) -> anyhow::Result<()> {
    let mut paths: Vec<(String, PathBuf)> = [("infer", "checkpoint"), ("infer-auto", "checkpoint")]
        .into_iter()
        .filter_map(|(table, key)| {
            let path = settings.text(table, key)?;
            Some((format!("{table}.{key}"), PathBuf::from(path)))
        })
        .collect();
    for (stage, table) in stage::with_settings(EACH, settings)? {
        let written = stage.writes(&table).into_iter();
        paths.extend(written.map(|path| (format!("an output of [{}]", stage.table), path)));
    }
    match paths.iter().find(|(_, path)| !path.starts_with(own)) {
        None => Ok(()),
        Some((name, path)) => bail!(Usage(format!(
            "{name} is {} in every {part}: expected a path that begins with {{output}}, which is {} \
             in this one; leave it out to get the usual place",
            path.display(),
            own.display()
        ))),
    }
}

/// Holds the folder while what all parts share is made; a second process waits here and finds it
/// done.
pub fn alone(output: &Path) -> anyhow::Result<File> {
    let path = output.join(".prepare.lock");
    std::fs::create_dir_all(output).with_context(|| output.display().to_string())?;
    let file = File::create(&path).with_context(|| path.display().to_string())?;
    if file.try_lock().is_err() {
        tracing::info!("waiting for the process that prepares {}", output.display());
        file.lock().with_context(|| path.display().to_string())?;
    }
    Ok(file)
}

/// Whether the part in `folder` has been evaluated.
pub fn is_done(folder: &Path) -> bool {
    folder.join("evaluation/summary.json").is_file()
}

/// Says which parts are left, and what the command without `flag` does.
pub fn say_what_is_left(left: &[String], parts: &str, flag: &str) -> anyhow::Result<()> {
    let next = if left.is_empty() {
        format!("all {parts} are done")
    } else {
        format!("{parts} left: {}", left.join(", "))
    };
    Ok(ild_cli::say(format_args!(
        "{next}; the same command without {flag} does the rest and evaluates all of them together"
    ))?)
}

/// A path as a setting.
pub fn text(path: &Path) -> Value {
    Value::String(path.to_string_lossy().into_owned())
}
