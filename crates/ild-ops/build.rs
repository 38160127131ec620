//! With cargo feature `cuda`: compiles `kernels/*.cu` to PTX, which the driver turns into machine
//! code for the GPU it finds.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The oldest GPUs the kernels run on (Ampere); newer ones run the same PTX.
const ARCHITECTURE: &str = "compute_80";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return;
    }
    println!("cargo:rerun-if-changed=kernels");
    let nvcc = nvcc();
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
    let sources = std::fs::read_dir("kernels").unwrap_or_else(|error| panic!("kernels: {error}"));
    for source in sources
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "cu"))
    {
        compile(
            &nvcc,
            &source,
            &out.join(source.with_extension("ptx").file_name().unwrap_or_default()),
        );
    }
}

/// `NVCC`, else that of `CUDA_HOME`, else the one on the `PATH`.
fn nvcc() -> PathBuf {
    for name in ["NVCC", "CUDA_HOME"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    let of_home = || {
        std::env::var_os("CUDA_HOME")
            .map(|home| Path::new(&home).join("bin/nvcc"))
            .filter(|path| path.exists())
    };
    std::env::var_os("NVCC").map(PathBuf::from).or_else(of_home).unwrap_or_else(|| "nvcc".into())
}

fn compile(nvcc: &Path, source: &Path, ptx: &Path) {
    let mut command = Command::new(nvcc);
    command.args(["-ptx", "-O3", "-std=c++17", "-arch", ARCHITECTURE, "-o"]).arg(ptx).arg(source);
    match command.status() {
        Ok(status) if status.success() => {}
        Ok(_) => panic!("nvcc could not compile {}", source.display()),
        Err(error) => panic!(
            "{}: {error}; `cargo xtask cuda-env` sets up a compiler (docs/cuda.md)",
            nvcc.display()
        ),
    }
}
