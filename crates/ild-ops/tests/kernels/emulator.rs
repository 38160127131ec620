//! The kernels as C++ in a shared library, and how a launch reaches it.

use std::ffi::{CString, c_char, c_int, c_uint, c_void};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use ild_ops::gpu::{Argument, Launch, emulate};

/// `emulate` in `kernels/emulation/emulation.cpp`.
type Emulate =
    unsafe extern "C" fn(*const c_char, c_uint, c_uint, c_uint, *const *mut c_void, c_int) -> c_int;

/// Whether the threads of a block take turns from the last to the first.
pub static BACKWARDS: AtomicBool = AtomicBool::new(false);

/// Lets operations run the kernels; false, and the test is skipped, where there is no C++ compiler.
pub fn start() -> bool {
    static STARTED: OnceLock<bool> = OnceLock::new();
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".into());
    let started = *STARTED.get_or_init(|| {
        if Command::new(&compiler).arg("--version").output().is_err() {
            return false;
        }
        let run = load(&compile(&compiler));
        let one_at_a_time = Mutex::new(());
        emulate(move |launch| {
            let _guard = one_at_a_time.lock().unwrap_or_else(PoisonError::into_inner);
            call(run, launch)
        });
        true
    });
    if !started {
        let why = format!("no C++ compiler `{compiler}` (set CXX, or install g++)");
        ild_test_support::skipped(why);
    }
    started
}

fn compile(compiler: &str) -> PathBuf {
    let kernels = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../ild-ops/kernels")).to_owned();
    let library =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("kernels-{}.so", std::process::id()));
    let mut sources: Vec<PathBuf> =
        std::fs::read_dir(&kernels).unwrap().map(|entry| entry.unwrap().path()).collect();
    sources.retain(|path| path.extension().is_some_and(|extension| extension == "cu"));
    sources.push(kernels.join("emulation/emulation.cpp"));
    let mut command = Command::new(compiler);
    command.args([
        "-std=c++17",
        "-O2",
        "-fPIC",
        "-shared",
        "-Wall",
        "-Werror",
        "-Wno-unknown-pragmas",
        "-Wno-unused-function",
        "-x",
        "c++",
    ]);
    let output = command.args(&sources).arg("-o").arg(&library).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    library
}

fn load(library: &Path) -> Emulate {
    let path = CString::new(library.to_str().unwrap()).unwrap();
    // SAFETY: the library was just made from sources of this repository; its constructors only fill
    // a table.
    let found =
        unsafe { libc::dlsym(libc::dlopen(path.as_ptr(), libc::RTLD_NOW), c"emulate".as_ptr()) };
    std::fs::remove_file(library).unwrap();
    assert!(!found.is_null(), "{} holds no `emulate`", library.display());
    // SAFETY: the symbol is the function of this type.
    unsafe { std::mem::transmute::<*mut c_void, Emulate>(found) }
}

fn call(run: Emulate, launch: &Launch) -> Result<(), String> {
    let name = CString::new(launch.kernel.as_str()).unwrap();
    let arguments: Vec<*mut c_void> = launch.arguments.iter().map(Argument::pointer).collect();
    let backwards = c_int::from(BACKWARDS.load(Ordering::Relaxed));
    // SAFETY: the arguments are the kernel's parameters; buffers are as large as the kernel is
    // told, which is what is tested.
    let code = unsafe {
        run(
            name.as_ptr(),
            launch.blocks,
            launch.threads,
            launch.shared_bytes,
            arguments.as_ptr(),
            backwards,
        )
    };
    match code {
        0 => Ok(()),
        1 => Err(format!("{}: no such kernel, or too many threads", launch.kernel)),
        2 => Err(format!("{}: a barrier that not all threads reach", launch.kernel)),
        _ => Err(format!(
            "{}: a write behind the {} bytes of shared memory",
            launch.kernel, launch.shared_bytes
        )),
    }
}
