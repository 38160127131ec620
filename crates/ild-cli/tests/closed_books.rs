//! A program that lives on. In a process of its own: books are closed for good.

use std::fs;

use ild_cli::{close_books, inputs, outputs, write_bytes_atomic};

#[test]
fn nothing_is_noted_and_whose_a_file_is_is_known_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let [read, theirs, ours] = ["read", "theirs", "ours"].map(|name| folder.path().join(name));
    fs::write(&read, b"1").unwrap();
    fs::write(&theirs, b"theirs").unwrap();
    write_bytes_atomic(&ours, b"before").unwrap();
    inputs::note(&read);
    close_books();
    fs::write(&read, b"another").unwrap();
    inputs::note(&read);
    fs::write(&read, b"a third").unwrap();
    assert!(inputs::require_unchanged().is_ok(), "neither note is there");

    write_bytes_atomic(&ours, b"after").unwrap();
    write_bytes_atomic(&ours, b"after that").unwrap();
    assert!(outputs::is_ours(&ours));
    assert!(write_bytes_atomic(&theirs, b"ours").unwrap_err().is_refusal());
    fs::write(&ours, b"by hand").unwrap();
    assert!(write_bytes_atomic(&ours, b"ours").unwrap_err().is_refusal());
    assert!(outputs::remove(&ours).is_err());
}
