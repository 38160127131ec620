//! A run that is killed leaves nothing broken under a final name, and the same command finishes the
//! work.

mod common;

use std::process::Stdio;
use std::time::{Duration, Instant};

use common::{Cohort, expect, summary};

const CASES: usize = 20;

/// Kills the command once it has run for `after`; tells whether it was still running then.
fn kill_after(command: &mut std::process::Command, after: Duration) -> bool {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let start = Instant::now();
    while start.elapsed() < after {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    true
}

fn time(run: impl FnOnce()) -> Duration {
    let start = Instant::now();
    run();
    start.elapsed()
}

/// Kills both stages at moments spread over their running time; afterwards every file equals that
/// of an undisturbed run.
#[test]
fn kill_minus_nine_at_any_moment_loses_nothing() {
    let cohort = Cohort::of(CASES);
    let first = time(|| drop(expect(&mut cohort.nii_to_npz("whole"), 0)));
    let second = time(|| drop(expect(&mut cohort.npz_to_npy("whole", "whole_npy"), 0)));
    let mut killed = 0;
    for i in 0..12 {
        let (npz, npy) = (format!("npz{i}"), format!("npy{i}"));
        killed += usize::from(kill_after(&mut cohort.nii_to_npz(&npz), first * i / 12));
        readable(&cohort, &npz);
        let finished = records(&cohort, &npz);
        let (table, _) = expect(&mut cohort.nii_to_npz(&npz), 0);
        assert!(table.contains(&format!("total   {CASES}")), "{table}");
        assert!(
            table.contains(&format!("{} written, {finished} unchanged", CASES - finished)),
            "finished cases are not done again: {table}"
        );
        killed += usize::from(kill_after(&mut cohort.npz_to_npy(&npz, &npy), second * i / 12));
        readable(&cohort, &npy);
        expect(&mut cohort.npz_to_npy(&npz, &npy), 0);
        let no_summary = |folder: &str| {
            cohort
                .files(folder)
                .into_iter()
                .filter(|(path, _)| path != std::path::Path::new("summary.json"))
                .collect::<Vec<_>>()
        };
        assert!(no_summary(&npz) == no_summary("whole"), "stage 1 killed at {i}/12");
        assert!(cohort.files(&npy) == cohort.files("whole_npy"), "stage 2 killed at {i}/12");
        assert_eq!(strays(&cohort, &npz) + strays(&cohort, &npy), 0);
    }
    assert!(killed >= 6, "only {killed} of 24 runs were killed while they worked");
}

/// Whatever has a final name is a whole file.
fn readable(cohort: &Cohort, folder: &str) {
    if !cohort.path(folder).exists() {
        return;
    }
    for name in cohort.names(folder) {
        let path = cohort.path(folder).join(&name);
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("npz") => drop(ild_io::read_npz(&path).unwrap()),
            Some("npy") => drop(ild_io::read_npy_u8(&path).unwrap()),
            Some("json") => drop(
                serde_json::from_slice::<serde_json::Value>(&std::fs::read(&path).unwrap())
                    .unwrap(),
            ),
            _ => panic!("{name}"),
        }
    }
}

/// Cases that a run of stage 1 has noted as finished.
fn records(cohort: &Cohort, npz: &str) -> usize {
    let folder = cohort.path(npz).join(".ild/nii-to-npz/CT_ILD");
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries
        .filter(|entry| {
            entry.as_ref().unwrap().path().extension().is_some_and(|ending| ending == "json")
        })
        .count()
}

/// Temporary files anywhere below `folder`.
fn strays(cohort: &Cohort, folder: &str) -> usize {
    let mut open = vec![cohort.path(folder)];
    let mut found = 0;
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            found +=
                usize::from(path.file_name().unwrap().to_string_lossy().starts_with(".ild-tmp-"));
            if path.is_dir() {
                open.push(path);
            }
        }
    }
    found
}

/// Ctrl-C once the first case is finished; the exit code, or `None` when the run was done before
/// the signal reached it.
#[cfg(unix)]
fn interrupt_after_first_case(cohort: &Cohort, output: &str) -> Option<i32> {
    let mut child = cohort
        .nii_to_npz(output)
        .arg("--workers")
        .arg("1")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !cohort.path(output).join("npz_train/CT_ILD").exists()
        && Instant::now() < deadline
        && child.try_wait().unwrap().is_none()
    {
        std::thread::sleep(Duration::from_micros(100));
    }
    std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .stderr(Stdio::null())
        .status()
        .unwrap();
    let status = child.wait().unwrap();
    (status.code() != Some(0)).then(|| status.code().expect("ended by itself, not by the signal"))
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_ends_with_130_and_goes_on_from_there() {
    let cohort = Cohort::of(CASES);
    let (output, code) = (0..20)
        .find_map(|i| {
            Some((format!("npz{i}"), interrupt_after_first_case(&cohort, &format!("npz{i}"))?))
        })
        .expect("one of twenty signals reaches a run of twenty cases");
    assert_eq!(code, 130);
    let finished = cohort.names(&output).iter().filter(|name| name.ends_with(".npz")).count();
    assert!((1..CASES).contains(&finished), "{finished} cases were finished when the run stopped");
    let (table, _) = expect(&mut cohort.nii_to_npz(&output), 0);
    assert!(table.contains(&format!("total   {CASES}")), "{table}");
    let unchanged = summary(&cohort.path(&output))["cases"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|case| case["status"] == "unchanged")
        .count();
    assert_eq!(unchanged, finished, "finished cases are not done again");
}
