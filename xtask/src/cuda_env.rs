//! `cargo xtask cuda-env`: what cargo feature `cuda` needs to be built on a machine without CUDA,
//! from PyPI's wheels.
//!
//! The folder becomes what the build scripts take for a CUDA installation: `bin`, `include`,
//! `nvvm`, `lib64` with the unversioned names that a linker looks for, and
//! `lib64/stubs/libcuda.so`, a driver that says "no GPU" to everything. Programs link against it;
//! on a machine with a driver the real one is loaded.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use clap::Args;
use ild_cli::Usage;

/// What compiles kernels.
const COMPILER: [&str; 4] = [
    "nvidia-cuda-nvcc==13.0.*",
    "nvidia-cuda-crt==13.0.*",
    "nvidia-nvvm==13.0.*",
    "nvidia-cuda-runtime==13.0.*",
];

/// What programs are linked with.
const LIBRARIES: [&str; 4] = [
    "nvidia-cuda-cccl==13.0.*",
    "nvidia-cuda-nvrtc==13.0.*",
    "nvidia-cublas==13.0.*",
    "nvidia-curand==10.4.*",
];

/// For training on several GPUs; this wheel has a folder of its own.
const NCCL: &str = "nvidia-nccl-cu13==2.30.*";

/// `CUDA_ERROR_NO_DEVICE`.
const NO_DEVICE: u32 = 100;

#[derive(Args)]
pub struct CudaEnvArgs {
    /// Where to put it (1.2 GB; 210 MB with --compiler-only).
    #[arg(long, value_name = "DIR", default_value = "target/cuda-env")]
    pub dir: PathBuf,
    /// Python with `venv` and `pip`.
    #[arg(long, value_name = "PROGRAM", default_value = "python3")]
    pub python: PathBuf,
    /// Also what feature `ild-train/nccl` is linked with.
    #[arg(long)]
    pub nccl: bool,
    /// Only what `cargo xtask kernels` needs.
    #[arg(long)]
    pub compiler_only: bool,
}

/// Sets the folder up, where it is not yet, and prints the lines to type before building.
pub fn cuda_env(args: &CudaEnvArgs) -> anyhow::Result<()> {
    let folder = set_up(args)?;
    let folder = folder.display();
    ild_cli::say(format_args!(
        "export CUDA_HOME={folder} CUDA_PATH={folder} PATH={folder}/bin:$PATH"
    ))?;
    if !args.compiler_only {
        ild_cli::say(
            "export CUDA_COMPUTE_CAP=80   # the oldest GPU to run on: 80 A100, 86 RTX 30, 89 RTX 40, 90 H100 and H200",
        )?;
        ild_cli::say("cargo build --release --features cuda")?;
        ild_cli::say(format_args!(
            "# to run with these libraries: export LD_LIBRARY_PATH={folder}/lib64"
        ))?;
        ild_cli::say(format_args!(
            "# to start such a program where there is no driver (never where there is one, it would be hidden): LD_LIBRARY_PATH={folder}/lib64:{folder}/lib64/stubs"
        ))?;
    }
    Ok(())
}

/// Returns the folder's full path.
pub fn set_up(args: &CudaEnvArgs) -> anyhow::Result<PathBuf> {
    std::fs::create_dir_all(&args.dir).with_context(|| args.dir.display().to_string())?;
    let folder = args.dir.canonicalize()?;
    let mut packages =
        if args.compiler_only { COMPILER.to_vec() } else { [COMPILER, LIBRARIES].concat() };
    packages.extend(args.nccl.then_some(NCCL));
    install(&folder, &args.python, &packages)?;
    let wheels = wheels(&folder)?;
    for name in ["bin", "include", "nvvm"] {
        link(&wheels.join(name), &folder.join(name))?;
    }
    if !args.compiler_only {
        libraries(&wheels.join("lib"), &folder)?;
        if args.nccl {
            libraries(&wheels.with_file_name("nccl").join("lib"), &folder)?;
        }
        stub(&folder)?;
    }
    Ok(folder)
}

/// Installs `packages` into the folder's own Python environment, unless that was done before.
fn install(folder: &Path, python: &Path, packages: &[&str]) -> anyhow::Result<()> {
    let mark = folder.join("packages.txt");
    let installed = std::fs::read_to_string(&mark).unwrap_or_default();
    if packages.iter().all(|package| installed.lines().any(|line| line == *package)) {
        return Ok(());
    }
    let venv = folder.join("venv");
    let advice = "Python 3 with venv and pip is needed (Debian: apt-get install python3-venv; --python PROGRAM for another one)";
    run(Command::new(python).args(["-m", "venv"]).arg(&venv), advice)?;
    let pip = venv.join("bin/python");
    let network =
        "pip needs to reach a package index (PIP_INDEX_URL for another one) and 1.2 GB of disk";
    run(
        Command::new(pip)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"])
            .args(packages),
        network,
    )?;
    std::fs::write(&mark, packages.join("\n")).with_context(|| mark.display().to_string())
}

fn run(command: &mut Command, advice: &str) -> anyhow::Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => bail!("`{program}` failed; {advice}"),
        Err(error) => bail!(Usage(format!("{program}: {error}; {advice}"))),
    }
}

/// The folder `nvidia/cu13` of the installed wheels.
fn wheels(folder: &Path) -> anyhow::Result<PathBuf> {
    let lib = folder.join("venv/lib");
    let pythons = std::fs::read_dir(&lib).with_context(|| lib.display().to_string())?;
    let found = pythons
        .flatten()
        .map(|python| python.path().join("site-packages/nvidia/cu13"))
        .find(|path| path.is_dir());
    found.with_context(|| {
        format!(
            "{}: expected site-packages/nvidia/cu13, found none; remove the folder and try again",
            lib.display()
        )
    })
}

/// A symbolic link, made anew.
fn link(to: &Path, at: &Path) -> anyhow::Result<()> {
    if at.is_symlink() {
        std::fs::remove_file(at)?;
    }
    std::os::unix::fs::symlink(to, at).with_context(|| at.display().to_string())
}

/// `lib64` with every library under its own name and, where it ends in a version, without it.
fn libraries(from: &Path, folder: &Path) -> anyhow::Result<()> {
    let lib64 = folder.join("lib64");
    std::fs::create_dir_all(lib64.join("stubs"))?;
    link(Path::new("lib64"), &folder.join("lib"))?;
    for entry in std::fs::read_dir(from).with_context(|| from.display().to_string())?.flatten() {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        link(&path, &lib64.join(&name))?;
        if let Some((plain, _)) = name.split_once(".so.")
            && !name.contains(".alt.")
        {
            link(&path, &lib64.join(format!("{plain}.so")))?;
        }
    }
    Ok(())
}

/// A `libcuda.so` with every function of the driver that cudarc may link against; all of them
/// return "no GPU".
fn stub(folder: &Path) -> anyhow::Result<()> {
    let stubs = folder.join("lib64/stubs");
    let library = stubs.join("libcuda.so");
    if library.exists() {
        return Ok(());
    }
    let source = stubs.join("libcuda.c");
    let functions = driver_functions(&cudarc()?.join("src/driver/sys"))?;
    let lines: String = functions
        .iter()
        .map(|name| format!("int {name}(void) {{ return {NO_DEVICE}; }}\n"))
        .collect();
    std::fs::write(&source, lines)?;
    let advice = "a C compiler is needed (Debian: apt-get install gcc)";
    run(
        Command::new("cc")
            .args(["-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-o"])
            .args([&library, &source]),
        advice,
    )?;
    link(Path::new("libcuda.so"), &stubs.join("libcuda.so.1"))
}

/// Where cargo keeps the sources of cudarc.
fn cudarc() -> anyhow::Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--features", "ild-ops/cuda"])
        .output()?;
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).context("cargo metadata")?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    let found = packages
        .iter()
        .find(|package| package["name"] == "cudarc")
        .and_then(|package| package["manifest_path"].as_str());
    let manifest = found.context("cudarc is not among the dependencies of feature `cuda`")?;
    Ok(Path::new(manifest).parent().unwrap_or(Path::new(".")).to_owned())
}

/// Names `cu…` of the functions that the bindings declare.
fn driver_functions(bindings: &Path) -> anyhow::Result<std::collections::BTreeSet<String>> {
    let mut names = std::collections::BTreeSet::new();
    for entry in
        std::fs::read_dir(bindings).with_context(|| bindings.display().to_string())?.flatten()
    {
        let text = std::fs::read_to_string(entry.path())?;
        let declared = text
            .split("fn cu")
            .skip(1)
            .filter(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()));
        names.extend(declared.map(|rest| {
            let end =
                rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            format!("cu{}", &rest[..end])
        }));
    }
    if names.is_empty() {
        bail!(
            "{}: expected declarations of the driver's functions, found none",
            bindings.display()
        );
    }
    Ok(names)
}
