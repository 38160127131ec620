//! Runs the stages of a task, each as its own program.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, bail};
use ild_cli::{Common, FolderLock, Interrupted, Usage, flags_of_table};
use toml::{Table, Value};

use crate::settings::{SHARED, Settings};
use crate::stage::{self, Stage};
use crate::stamp::{self, Stamp};
use crate::{beside, child};

/// What all stages of a call have in common.
pub struct Call<'a> {
    pub common: &'a Common,
    /// Folder of the stages' programs.
    pub programs: PathBuf,
    /// Only print what would run.
    pub dry_run: bool,
}

/// Runs `task`: checks every stage's settings first, then runs what is not done yet, then prints
/// the table.
pub fn run(task: &str, settings: &Settings, call: &Call) -> anyhow::Result<()> {
    let stages = stage::with_settings(task, settings)?;
    let (stages, left_out) = stage::possible(stages, |table, key| settings.text(table, key));
    left_out.iter().for_each(|why| tracing::warn!("{why}"));
    let stages = stage::needed(stages, &stage::with_settings("pipeline", settings)?);
    let folder = PathBuf::from(settings.output());

    let mut plans = Vec::new();
    for (stage, table) in stages {
        let plan = Plan::new(stage, table, settings, call)?;
        plan.check()?;
        plans.push(plan);
    }
    if call.dry_run {
        for plan in &plans {
            ild_cli::say(plan.line())?;
        }
        return Ok(());
    }
    let _held = FolderLock::hold(&folder)?;
    for hidden in [".stages", "reports"].map(|name| folder.join(name)) {
        ild_cli::sweep_temporary(&hidden).with_context(|| hidden.display().to_string())?;
    }
    ild_cli::write_bytes_atomic(&folder.join("settings.toml"), settings.to_toml()?.as_bytes())?;

    let started = Instant::now();
    let mut summary = ild_cli::table(["stage", "what", "state", "seconds", "output"]);
    let mut ran = 0;
    for (i, plan) in plans.iter().enumerate() {
        ild_cli::stop_if_interrupted()?;
        tracing::info!(
            "stage {}/{}: {} ({})",
            i + 1,
            plans.len(),
            plan.stage.table,
            plan.stage.says
        );
        let outcome = plan.run(&folder, call.common.force)?;
        ran += usize::from(outcome.is_some());
        let (state, seconds) = outcome
            .map_or(("already done", String::new()), |seconds| ("done", format!("{seconds:.1}")));
        summary.add_row([
            plan.stage.table.clone(),
            plan.stage.says.clone(),
            state.into(),
            seconds,
            join(&plan.writes),
        ]);
    }
    ild_cli::say(format_args!("\n{summary}"))?;
    if ran == 0 {
        ild_cli::say(
            "Nothing to do: every stage is done and its inputs have not changed (--force runs them again).",
        )?;
    } else {
        ild_cli::say(format_args!(
            "{ran} of {} stages ran, {:.1} s in all.",
            plans.len(),
            started.elapsed().as_secs_f64()
        ))?;
    }
    for file in plans.iter().flat_map(Plan::shows).filter(|file| file.exists()) {
        ild_cli::say(format_args!("  {}", file.display()))?;
    }
    Ok(())
}

fn join(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// One stage with everything filled in.
struct Plan {
    stage: Stage,
    program: PathBuf,
    flags: Vec<String>,
    common: Vec<String>,
    writes: Vec<PathBuf>,
    settings: Table,
}

impl Plan {
    fn new(
        stage: Stage,
        table: Table,
        settings: &Settings,
        Call { common, programs, .. }: &Call,
    ) -> anyhow::Result<Self> {
        let (name, sub) = stage.command.split_first().context("a stage without a program")?;
        let mut shared = settings.table(SHARED);
        shared.remove("output");
        // A stage's own word wins, e.g. another seed.
        table.keys().for_each(|key| drop(shared.remove(key)));
        shared.extend(typed(common));
        let mut flags = sub.to_vec();
        flags.extend(flags_of_table(&shared)?);
        flags.extend(flags_of_table(&table)?);
        let mut common_flags = vec![format!(
            "--log-format={}",
            if common.log_format == ild_cli::LogFormat::Json { "json" } else { "text" }
        )];
        common_flags.extend(common.quiet.then(|| "--quiet".to_owned()));
        common_flags.extend((0..common.verbose).map(|_| "--verbose".to_owned()));
        let device = table.get("device").or_else(|| shared.get("device")).and_then(Value::as_str);
        let device = device.and_then(|device| device.parse().ok()).unwrap_or_default();
        let program = beside::program(programs, name, device);
        Ok(Self {
            writes: stage.writes(&table),
            stage,
            program,
            flags,
            common: common_flags,
            settings: table,
        })
    }

    fn line(&self) -> String {
        format!(
            "{} {}",
            self.program.file_name().unwrap_or_default().to_string_lossy(),
            self.flags.join(" ")
        )
    }

    /// Lets the program read its flags and stop there, so that a slip in the last stage is found
    /// before the first one runs.
    fn check(&self) -> anyhow::Result<()> {
        if !self.program.is_file() {
            bail!(
                "{}: expected the program of stage {}, found none; keep the programs of an archive \
                 together in one folder",
                self.program.display(),
                self.stage.table
            );
        }
        let output = Command::new(&self.program)
            .args(&self.flags)
            .env(ild_cli::ONLY_PARSE, "1")
            .output()
            .with_context(|| self.program.display().to_string())?;
        if !output.status.success() {
            bail!(Usage(format!(
                "settings of [{}]: {}",
                self.stage.table,
                String::from_utf8_lossy(&output.stderr).trim()
            )));
        }
        Ok(())
    }

    /// Seconds it took, or `None` when there was nothing to do.
    fn run(&self, folder: &Path, force: bool) -> anyhow::Result<Option<f64>> {
        let stamp_file = stamp::path(folder, &self.stage.table);
        let mark = stamp::mark_path(folder, &self.stage.table);
        match Stamp::outdated(&stamp_file, &self.flags) {
            None if !force => return Ok(None),
            why => tracing::debug!("{}: {}", self.stage.table, why.as_deref().unwrap_or("--force")),
        }
        ild_cli::outputs::remove(&stamp_file)?;
        ild_cli::Mark::take(&mark)?;
        let mut command = Command::new(&self.program);
        command.args(&self.flags).args(&self.common);
        command.arg(format!(
            "--report={}",
            folder.join("reports").join(format!("{}.json", self.stage.table)).display()
        ));
        command.args(&self.stage.flags).env(ild_cli::MARK, &mark);
        command.args(force.then_some("--force"));
        let started = Instant::now();
        let status = child::run(&mut command, ild_cli::interrupted)
            .with_context(|| self.program.display().to_string())?;
        match status.code() {
            Some(0) => {}
            Some(130) => return Err(Interrupted.into()),
            Some(3) => bail!(ild_cli::Rejected(format!(
                "stage {} refused its input (above); finished stages are kept",
                self.stage.table
            ))),
            code => bail!(
                "stage {} ended with {}; finished stages are kept, the same command goes on from here",
                self.stage.table,
                code.map_or("a signal".into(), |code| format!("exit code {code}"))
            ),
        }
        Stamp::keep(&stamp_file, &self.flags, &mark)?;
        Ok(Some(started.elapsed().as_secs_f64()))
    }

    fn shows(&self) -> impl Iterator<Item = PathBuf> + '_ {
        let output =
            self.settings.get("output").and_then(|value| value.as_str()).unwrap_or_default();
        self.stage.shows.iter().map(move |name| PathBuf::from(name.replace("{output}", output)))
    }
}

/// The common flags that change results, when the user typed them.
fn typed(common: &Common) -> Table {
    let mut table = Table::new();
    if let Some(workers) = common.workers {
        table.insert("workers".into(), i64::from(workers).into());
    }
    // A stage that has a seed of its own keeps it.
    if seed_was_typed() {
        table.insert("seed".into(), (common.seed as i64).into());
    }
    if common.device != ild_cli::DeviceChoice::default() {
        table.insert("device".into(), common.device.to_string().into());
    }
    table
}

/// The flag has a default, so its value does not tell.
fn seed_was_typed() -> bool {
    std::env::args_os()
        .any(|arg| arg.to_str().is_some_and(|arg| arg == "--seed" || arg.starts_with("--seed=")))
}
