//! A wheel that holds the programs and no Python code: `pip install` puts them beside `python`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use super::build::{Built, tools};
use super::{DistArgs, VERSION, archive, name_of};

/// Lays the files out as the wheel format asks, and lets `wheel pack` list and zip them.
pub fn make(built: &Built, doc: &Path, args: &DistArgs) -> anyhow::Result<PathBuf> {
    let folder = tempfile::tempdir()?;
    let scripts = folder.path().join(format!("ild-{VERSION}.data/scripts"));
    let info = folder.path().join(format!("ild-{VERSION}.dist-info"));
    fs::create_dir_all(&scripts)?;
    fs::create_dir_all(info.join("licenses"))?;
    for program in &built.programs {
        fs::copy(program, scripts.join(name_of(program)))?; // with its permission to be run
    }
    for text in ["LICENSE", "NOTICE"] {
        fs::copy(text, info.join("licenses").join(text))?;
    }
    for text in ["THIRD-PARTY-LICENSES.txt", "sbom.cdx.json"] {
        fs::copy(doc.join(text), info.join("licenses").join(text))?;
    }
    let tag = format!("py3-none-manylinux_{}_x86_64", args.glibc.to_string().replace('.', "_"));
    fs::write(
        info.join("WHEEL"),
        format!("Wheel-Version: 1.0\nGenerator: ild xtask\nRoot-Is-Purelib: false\nTag: {tag}\n"),
    )?;
    fs::write(info.join("METADATA"), metadata()?)?;
    let output = Command::new(tools(args)?.join("wheel"))
        .arg("pack")
        .arg(folder.path())
        .arg("--dest-dir")
        .arg(&args.output)
        .env("SOURCE_DATE_EPOCH", archive::time_of_commit().to_string())
        .output()
        .context("wheel")?;
    if !output.status.success() {
        bail!("wheel pack: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(args.output.join(format!("ild-{VERSION}-{tag}.whl")))
}

fn metadata() -> anyhow::Result<String> {
    let readme = fs::read_to_string("README.md").context("README.md")?;
    Ok(format!(
        "Metadata-Version: 2.4\nName: ild\nVersion: {VERSION}\n\
         Summary: From a chest CT to measured lesions of interstitial lung disease: SAM 2 in Rust, as programs\n\
         License-Expression: Apache-2.0\nLicense-File: LICENSE\nLicense-File: NOTICE\n\
         License-File: THIRD-PARTY-LICENSES.txt\nRequires-Python: >=3.7\n\
         Description-Content-Type: text/markdown\n\n{readme}"
    ))
}
