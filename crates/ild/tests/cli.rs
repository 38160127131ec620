//! `ild` as somebody has it who only unpacked an archive.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// `ild` in a folder of its own, with `words` after it.
fn ild(folder: &Path, words: &[&str]) -> Output {
    let program = folder.join("ild");
    if !program.exists() {
        fs::hard_link(env!("CARGO_BIN_EXE_ild"), &program).unwrap();
    }
    Command::new(program).args(words).current_dir(folder).output().unwrap()
}

/// On the disk of the program: a copy of it could still be held open by another test's child.
fn folder() -> tempfile::TempDir {
    let beside = Path::new(env!("CARGO_BIN_EXE_ild")).parent().unwrap();
    tempfile::tempdir_in(beside).unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_samples_settings_come_with_the_program() {
    let folder = folder();
    let done = ild(folder.path(), &["settings", "--set", "train.epochs=3"]);
    let said = text(&done.stdout);
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert!(said.contains("[phantom-healthy]") && said.contains("epochs = 3"), "{said}");
}

#[test]
fn a_program_that_does_not_lie_beside_it_is_named_and_nothing_is_written() {
    let folder = folder();
    let done = ild(folder.path(), &["pipeline"]);
    let said = text(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(said.contains("ild-phantom: expected the program of stage phantom"), "{said}");
    assert!(said.contains("one folder"), "{said}");
    assert!(!folder.path().join("runs").exists());
}

#[test]
fn a_relative_config_is_read_from_where_the_user_is() {
    let folder = folder();
    fs::write(folder.path().join("my.toml"), "[train]\nepochs = 7\n").unwrap();
    let done = ild(folder.path(), &["settings", "--config", "my.toml"]);
    assert!(text(&done.stdout).contains("epochs = 7"), "{}", text(&done.stderr));
    let done = ild(folder.path(), &["settings", "--config", "your.toml"]);
    assert_eq!(done.status.code(), Some(2));
    assert!(text(&done.stderr).contains("your.toml: expected a readable TOML file"));
}

#[cfg(unix)]
#[test]
fn settings_from_a_pipe_are_refused_without_waiting() {
    let folder = folder();
    let pipe = folder.path().join("pipe.toml");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let done = ild(folder.path(), &["settings", "--config", "pipe.toml"]);
    assert_eq!(done.status.code(), Some(2));
    let said = text(&done.stderr);
    assert!(said.contains("expected a regular file, found a pipe, socket or device"), "{said}");
}
