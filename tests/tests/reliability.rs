//! What is done stays done, what changed is done again, and nothing of the user's is touched:
//! `docs/reliability.md`. The short form runs with the other tests, the long one by
//! `cargo xtask soak`.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use ild_tests::faults::{
    Ending, Lab, PROGRAMS, Program, finished, kill_after, killed_pipelines, limited_to_blocks,
    limited_to_memory, moments, results, strays, without_threads,
};

/// Every so many moments of a program's writing it is killed in the short form.
const SHORT_STEP: [(Program, u64); 6] = [
    (Program::Phantom, 5),
    (Program::NiiToNpz, 5),
    (Program::NpzToNpy, 41),
    (Program::Train, 13),
    (Program::Infer, 7),
    (Program::Evaluate, 41),
];

/// Enough for a program to start, and for none to do its work.
const LEAST_MEMORY_KIB: u32 = 20_000;

/// The same command again ends well, with the bytes of an undisturbed run, and leaves no strays.
fn comes_right(lab: &Lab, program: Program, folder: &str) -> Result<()> {
    lab.expect(program, folder, 0)?;
    same_as_undisturbed(lab, program, folder)
}

fn same_as_undisturbed(lab: &Lab, program: Program, folder: &str) -> Result<()> {
    let whole = results(program, &lab.path(program.folder()));
    let found = results(program, &lab.path(folder));
    ensure!(!whole.is_empty(), "{program:?} has no results");
    ensure!(whole.keys().eq(found.keys()), "{:?}, expected {:?}", found.keys(), whole.keys());
    for (path, bytes) in &whole {
        ensure!(found[path] == *bytes, "{program:?}: {} differs", path.display());
    }
    let left = strays(&lab.path(folder));
    ensure!(left == 0, "{program:?}: {left} temporary files are left");
    Ok(())
}

/// Kills `program` at moments of its writing, each time in a folder of its own.
fn killed_at_moments(lab: &Lab, program: Program, first: u64, step: u64) -> Result<u64> {
    let folder = format!("killed-{}", program.folder());
    let fresh = || {
        let _ = fs::remove_dir_all(lab.path(&folder));
        lab.command(program, &folder)
    };
    let killed = moments(fresh, first, step, |moment| {
        comes_right(lab, program, &folder).map_err(|e| e.context(format!("moment {moment}")))
    })?;
    let _ = fs::remove_dir_all(lab.path(&folder));
    Ok(killed)
}

#[test]
fn killed_at_any_moment_of_its_writing_a_program_ends_with_the_same_bytes() {
    let lab = Lab::new().unwrap();
    for (program, step) in SHORT_STEP {
        let killed = killed_at_moments(&lab, program, 2, step).unwrap();
        println!("{program:?} was killed {killed} times");
        assert!(killed >= 2);
    }
}

#[test]
fn a_run_that_is_made_again_by_force_and_killed_is_not_taken_for_the_earlier_one() {
    let lab = Lab::new().unwrap();
    for (program, moment) in [(Program::Train, 2), (Program::Train, 9), (Program::Phantom, 4)] {
        let folder = program.folder();
        let mut again = lab.command(program, folder);
        again.arg("--force").env("ILD_KILL_AT", moment.to_string());
        let before = results(program, &lab.path(folder));
        assert_eq!(kill_after(&mut again, Duration::from_secs(60)).unwrap(), Ending::Killed);
        lab.expect(program, folder, 0).unwrap();
        assert!(results(program, &lab.path(folder)) == before, "{program:?}");
    }
}

/// Appends a blank, which changes the bytes and not the meaning.
fn edit(path: &Path) {
    let mut text = fs::read(path).unwrap();
    text.push(b'\n');
    fs::write(path, text).unwrap();
}

#[test]
fn a_killed_pipeline_ends_with_the_same_bytes() {
    let lab = Lab::new().unwrap();
    let killed = killed_pipelines(&lab, 3, 13, 2).unwrap();
    println!("the pipeline was killed {killed} times");
    assert!(killed >= 3);
}

#[test]
fn an_edited_table_of_a_late_stage_is_seen_by_the_pipeline() {
    let lab = Lab::new().unwrap();
    let mine = lab.path("mine.json");
    let table = fs::read_to_string(lab.path("data/labels.json")).unwrap();
    fs::write(&mine, &table).unwrap();
    let run = || {
        let mut command = lab.pipeline("run");
        for stage in ["infer", "evaluate"] {
            command.arg("--set").arg(format!("{stage}.labels={}", mine.display()));
        }
        finished(&command.output().unwrap(), 0).unwrap()
    };
    run();
    assert!(run().contains("Nothing to do"));
    // The colour of a class: another picture and another report, the same names.
    let other = table.replacen("241", "240", 1);
    assert_ne!(other, table);
    fs::write(&mine, other).unwrap();
    let said = run();
    assert!(!said.contains("Nothing to do") && said.contains("infer"), "{said}");
    assert!(run().contains("Nothing to do"));
}

#[test]
fn training_on_other_data_is_refused_or_begun_anew_and_never_called_done() {
    let lab = Lab::new().unwrap();
    assert!(lab.expect(Program::Train, "train", 0).unwrap().contains("already trained"));
    for input in ["npy/dataset.json", "mini.toml"] {
        edit(&lab.path(input));
        let said = lab.expect(Program::Train, "train", 3).unwrap();
        assert!(said.contains("--force starts over"), "{input}: {said}");
        let mut over = lab.command(Program::Train, "train");
        over.args(["--if-other", "start-over"]);
        let said = finished(&over.output().unwrap(), 0).unwrap();
        assert!(said.contains("starting over"), "{input}: {said}");
        assert!(lab.expect(Program::Train, "train", 0).unwrap().contains("already trained"));
    }
    // Another label of the same class on one slice: the same ids, other pixels.
    let gts = lab.path("npy/train/gts");
    let names: Vec<_> = fs::read_dir(&gts).unwrap().flatten().map(|entry| entry.path()).collect();
    let label = names.iter().find(|path| path.extension().is_some_and(|e| e == "npy")).unwrap();
    let mut bytes = fs::read(label).unwrap();
    let at = bytes.iter().rposition(|&byte| (1..=5).contains(&byte)).unwrap();
    bytes[at + 1] = bytes[at];
    fs::write(label, bytes).unwrap();
    let said = lab.expect(Program::Train, "train", 3).unwrap();
    assert!(said.contains("other training slices"), "{said}");
}

/// The labels of a case with one voxel of a lesion given to another class.
fn relabelled(path: &Path) -> Vec<u8> {
    let mut map = ild_io::read_label_map_as_stored(path).unwrap();
    let voxel = map.labels.iter_mut().find(|id| **id > 0).unwrap();
    *voxel = *voxel % 5 + 1;
    let aside = tempfile::tempdir().unwrap();
    let other = aside.path().join("other.nii.gz");
    ild_io::write_label_map(&other, &map).unwrap();
    fs::read(other).unwrap()
}

#[test]
fn an_edited_label_is_seen_although_its_time_was_set_back_and_a_touch_is_nothing() {
    let lab = Lab::new().unwrap();
    let label = lab.path("data/labelsTr/phantom_001.nii.gz");
    let said = || lab.expect(Program::NiiToNpz, "npz", 0).unwrap();
    assert!(said().contains("0 written"));
    let (bytes, time) =
        (fs::read(&label).unwrap(), fs::metadata(&label).unwrap().modified().unwrap());
    fs::write(&label, &bytes).unwrap();
    assert!(said().contains("0 written"), "touched only");
    fs::write(&label, relabelled(&label)).unwrap();
    fs::File::options().write(true).open(&label).unwrap().set_modified(time).unwrap();
    let changed = said();
    assert!(changed.contains("1 written"), "{changed}");
    edit(&lab.path("data/labels.json"));
    let kept = fs::read(lab.path("data/labels.json")).unwrap();
    let phantom = lab.expect(Program::Phantom, "data", 0).unwrap();
    assert!(phantom.contains("2 files are not as this program wrote them"), "{phantom}");
    assert!(fs::read(lab.path("data/labels.json")).unwrap() == kept);
    let same_table = said();
    assert!(same_table.contains("0 written"), "the same names: {same_table}");
}

#[test]
fn predictions_from_weights_that_have_changed_are_named_and_not_scored() {
    let lab = Lab::new().unwrap();
    fs::copy(lab.path("train/latest.safetensors"), lab.path("start.safetensors")).unwrap();
    let said = lab.expect(Program::Evaluate, "evaluation", 3).unwrap();
    assert!(said.contains("start.safetensors") && said.contains("run ild-infer again"), "{said}");
    lab.expect(Program::Infer, "pred", 0).unwrap();
    lab.expect(Program::Evaluate, "evaluation", 0).unwrap();
}

#[test]
fn nothing_of_the_users_is_written_over() {
    let lab = Lab::new().unwrap();
    // Ground truth in the place of predictions.
    let mine = lab.path("mine");
    fs::create_dir(&mine).unwrap();
    for entry in fs::read_dir(lab.path("pred")).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        if name.ends_with(".nii.gz") {
            fs::write(mine.join(name), b"hours of work").unwrap();
        }
    }
    // Files of the user under names of ours, in every folder of output.
    for (program, name) in [
        (Program::Phantom, "imagesTr/phantom_002_0000.nii.gz"),
        (Program::NiiToNpz, "splits.json"),
        (Program::NpzToNpy, "dataset.json"),
        (Program::Train, "best.safetensors"),
        (Program::Evaluate, "report.html"),
    ] {
        let path = mine.join(program.folder()).join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"hours of work").unwrap();
    }
    let before = ild_tests::faults::tree(&mine);
    for program in PROGRAMS {
        let folder = match program {
            Program::Infer => mine.clone(),
            _ => mine.join(program.folder()),
        };
        for force in [false, true] {
            let mut command = lab.command(program, &folder);
            command.args(force.then_some("--force"));
            let output = command.output().unwrap();
            assert_eq!(output.status.code(), Some(3), "{program:?}, force {force}: {output:?}");
        }
    }
    let now = ild_tests::faults::tree(&mine);
    for (path, bytes) in &before {
        assert!(now.get(path) == Some(bytes), "{}", path.display());
    }
}

#[test]
fn what_one_program_wrote_another_does_not_replace() {
    let lab = Lab::new().unwrap();
    let labels = ild_tests::faults::tree(&lab.path("data/labelsTr"));
    for force in [false, true] {
        let mut command = lab.command(Program::Infer, "data/labelsTr");
        command.args(force.then_some("--force"));
        let said = finished(&command.output().unwrap(), 3).unwrap();
        assert!(said.contains("--overwrite-foreign"), "{said}");
        assert!(ild_tests::faults::tree(&lab.path("data/labelsTr")) == labels);
    }
    let ct = "data/imagesTr/phantom_001_0000.nii.gz";
    let mut phantom = lab.command(Program::Phantom, "data");
    phantom.args(["--report", ct]);
    let said = finished(&phantom.output().unwrap(), 3).unwrap();
    assert!(said.contains(ct), "{said}");
}

#[test]
fn the_explicit_word_writes_over_files_and_never_over_an_input() {
    let lab = Lab::new().unwrap();
    let report = lab.path("data/imagesTr/phantom_001_0000.nii.gz");
    let ct = fs::read(&report).unwrap();
    for word in [&[][..], &["--force"], &["--overwrite-foreign"]] {
        let mut command = lab.command(Program::NiiToNpz, "npz");
        command.args(word).arg("--report").arg(&report);
        finished(&command.output().unwrap(), 3).unwrap();
        assert!(fs::read(&report).unwrap() == ct, "{word:?}");
    }
    fs::write(lab.path("run.json"), b"mine").unwrap();
    let with = |words: &[&str]| {
        let mut command = lab.command(Program::NiiToNpz, "npz");
        command.args(["--report", "run.json"]).args(words);
        command.output().unwrap()
    };
    finished(&with(&["--force"]), 3).unwrap();
    finished(&with(&["--overwrite-foreign"]), 0).unwrap();
    finished(&with(&[]), 0).unwrap();
}

#[test]
fn two_at_once_on_one_folder_do_not_mix() {
    let lab = Lab::new().unwrap();
    for program in PROGRAMS {
        let folder = format!("twice-{}", program.folder());
        let start = || {
            let mut command = lab.command(program, &folder);
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
        };
        let codes = [start(), start()].map(|mut child| child.wait().unwrap().code());
        assert!(codes.contains(&Some(0)), "{program:?}: {codes:?}");
        assert!(codes.iter().all(|code| matches!(code, Some(0 | 1 | 3))), "{program:?}: {codes:?}");
        comes_right(&lab, program, &folder).unwrap();
    }
}

#[test]
fn a_full_disk_and_a_place_that_takes_nothing_end_with_a_word() {
    let lab = Lab::new().unwrap();
    for program in PROGRAMS {
        let folder = format!("full-{}", program.folder());
        let output = limited_to_blocks(&lab.command(program, &folder), 1).output().unwrap();
        let said = finished(&output, 1).unwrap();
        assert!(said.contains("could not be written") || said.contains("failed"), "{said}");
        comes_right(&lab, program, &folder).unwrap();

        let nowhere = lab.command(program, "/proc/nowhere").output().unwrap();
        let said = finished(&nowhere, 1).unwrap();
        assert!(said.contains("/proc/nowhere"), "{program:?}: {said}");
    }
}

#[test]
fn no_thread_and_no_memory_more_end_with_a_word() {
    let lab = Lab::new().unwrap();
    for program in PROGRAMS {
        let folder = format!("scarce-{}", program.folder());
        let output = without_threads(lab.command(program, &folder)).output().unwrap();
        let said = finished(&output, 1).unwrap();
        assert!(said.contains("no more threads"), "{program:?}: {said}");
        let output =
            limited_to_memory(&lab.command(program, &folder), LEAST_MEMORY_KIB).output().unwrap();
        let said = finished(&output, 1).unwrap();
        let words = ["this process could not go on", "Cannot allocate memory"];
        assert!(words.iter().any(|words| said.contains(words)), "{program:?}: {said}");
        comes_right(&lab, program, &folder).unwrap();
    }
}

#[test]
fn an_output_that_vanishes_is_made_again() {
    let lab = Lab::new().unwrap();
    for program in [Program::NiiToNpz, Program::NpzToNpy, Program::Infer, Program::Evaluate] {
        let whole = results(program, &lab.path(program.folder()));
        let gone = whole.keys().nth(whole.len() / 2).unwrap();
        fs::remove_file(lab.path(program.folder()).join(gone)).unwrap();
        lab.expect(program, program.folder(), 0).unwrap();
        assert!(results(program, &lab.path(program.folder())) == whole, "{program:?}");
    }
    fs::remove_file(lab.path("train/best.safetensors")).unwrap();
    let said = lab.expect(Program::Train, "train", 3).unwrap();
    assert!(said.contains("best.safetensors") && said.contains("--force"), "{said}");
    fs::remove_file(lab.path("train/history.csv")).unwrap();
    let mut over = lab.command(Program::Train, "train");
    over.args(["--if-other", "start-over"]);
    finished(&over.output().unwrap(), 0).unwrap();
    fs::remove_file(lab.path("train/loss.png")).unwrap();
    lab.expect(Program::Train, "train", 0).unwrap();
    assert!(lab.path("train/loss.png").is_file(), "drawn again from the state");
}

/// Kills at every moment and at random ones, for as many minutes as `ILD_SOAK_MINUTES` says.
#[test]
#[ignore = "minutes to hours: cargo xtask soak"]
fn soak() {
    let minutes = std::env::var("ILD_SOAK_MINUTES").ok().and_then(|text| text.parse().ok());
    let until = Instant::now() + Duration::from_secs_f64(60.0 * minutes.unwrap_or(5.0));
    let lab = Lab::new().unwrap();
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let (mut at_moments, mut at_random, mut rounds) = (0, 0, 0u64);
    'all: loop {
        // The quick ones first.
        for program in PROGRAMS.into_iter().rev() {
            // Each round begins elsewhere, so that together they meet every moment.
            at_moments += killed_at_moments(&lab, program, 1 + rounds, 7 + rounds).unwrap();
            let folder = format!("random-{}", program.folder());
            let start = Instant::now();
            lab.expect(program, &folder, 0).unwrap();
            let whole = start.elapsed();
            for _ in 0..5 {
                let _ = fs::remove_dir_all(lab.path(&folder));
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let share = (random >> 11) as f64 / (1u64 << 53) as f64;
                let mut command = lab.command(program, &folder);
                let ending = kill_after(&mut command, whole.mul_f64(share)).unwrap();
                at_random += u64::from(ending == Ending::Killed);
                comes_right(&lab, program, &folder).unwrap();
            }
            let _ = fs::remove_dir_all(lab.path(&folder));
            if Instant::now() > until {
                break 'all;
            }
        }
        rounds += 1;
    }
    let of_pipeline = killed_pipelines(&lab, 1, 3, 5).unwrap();
    println!(
        "{at_moments} kills at moments of writing, {at_random} at random, {of_pipeline} of the pipeline, all came right"
    );
}
