//! Takes the page into the program, where it was built (`cargo xtask page`).

use std::fmt::Write;
use std::path::Path;

const BUILT: &str = "page/dist";

fn main() {
    println!("cargo::rerun-if-changed={BUILT}");
    let folder =
        Path::new(&std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join(BUILT);
    let mut names: Vec<String> = std::fs::read_dir(&folder)
        .map(|entries| entries.flatten().filter_map(|e| e.file_name().into_string().ok()).collect())
        .unwrap_or_default();
    names.retain(|name| name != "README.md" && !name.starts_with('.'));
    names.sort();
    let mut text =
        "/// The page's files: name and bytes.\nconst FILES: &[(&str, &[u8])] = &[\n".to_owned();
    for name in names {
        let path = folder.join(&name);
        let _ = writeln!(text, "    ({name:?}, include_bytes!({path:?})),");
    }
    text += "];\n";
    let out = Path::new(&std::env::var("OUT_DIR").expect("cargo sets it")).join("page.rs");
    std::fs::write(out, text).expect("OUT_DIR can be written to");
}
